"""What is found in a file counts, not what its name or header says; and none of several photos is taken by chance."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin, features

from biranet.photos.drawn.synthetic import draw_photo
from biranet.photos.formats.pixel_order import check_pixel_order
from biranet.photos.read import read_photo
from photo_files import encoded, read_scaled, reason


@pytest.fixture(scope="module")
def pixels():
    coarse = Image.fromarray(np.random.default_rng(5).integers(0, 255, (6, 9, 3), dtype=np.uint8))
    return np.array(coarse.resize((120, 80), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def other(pixels):
    return np.array(255 - pixels[::-1])


def same(data, pixels, difference=0):
    return np.abs(read_photo(data).astype(int) - pixels).max() <= difference


# What a file is


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC picture"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a HEIC picture"),
        (b"\xff\x0a\xfa\x1f\x01", "a JPEG XL picture"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
        (b"II\xbc\x01 \0\0\0", "a JPEG XR picture"),
        (b"II*\0\x10\0\0\0CR\x02\0", "a camera's raw file"),
        (b"\0\0\0\x18ftypqt  ", "a film"),
        (b"%PDF-1.7", "a PDF document"),
        (b"8BPS\0\x01", "a Photoshop file"),
        (b"PK\x03\x04\x14\0", "a ZIP archive"),
    ],
)
def test_what_is_not_read_is_named_whatever_the_file_is_called(start, name, tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(start + bytes(200))
    words = f"is {name}, which this program does not read; export it as JPEG, PNG or TIFF"
    assert reason(path) == words


@pytest.mark.parametrize(
    ("kind", "name", "frame"),
    [
        ("JPEG-LS", "a JPEG-LS picture", b"\xf7\x00\x0b\x08"),
        ("lossless", "a lossless JPEG", b"\xc3\x00\x0b\x08"),
        ("12 bits", "a JPEG of 12 bits a colour", b"\xc1\x00\x0b\x0c"),
    ],
)
def test_kinds_of_jpeg_that_are_not_read_are_named(kind, name, frame):
    data = b"\xff\xd8\xff" + frame + b"\0\x50\0\x78\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\0\0 some data \xff\xd9"
    assert reason(data) == f"is {name}, which this program does not read; export it as JPEG, PNG or TIFF"


@pytest.mark.skipif(not features.check("avif"), reason="Pillow is built without AVIF")
def test_avif_is_read(pixels):
    assert np.abs(read_photo(encoded(pixels, "AVIF", quality=95)).astype(int) - pixels).mean() < 4


def test_avif_without_its_decoder_is_named(monkeypatch):
    monkeypatch.setattr("biranet.photos.formats.other._avif_is_built_in", lambda: False)
    assert reason(b"\0\0\0\x1cftypavif" + bytes(90)).startswith("is an AVIF picture")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_bytes_before_a_picture_are_named(pixels, kind):
    data = encoded(pixels, kind)
    assert reason(b"HTTP/1.1 200 OK\r\n\r\n" + data).startswith("begins with 19 bytes that do not belong to the ")


# JPEG


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 2}])
@pytest.mark.parametrize("filled", [b"", bytes(500)])
@pytest.mark.parametrize("gray", [False, True])
def test_a_jpeg_without_its_end_mark_is_read_where_all_of_it_is_there(pixels, options, filled, gray):
    whole = encoded(pixels[:, :, 0].copy() if gray else pixels, "JPEG", **options)
    assert whole.endswith(b"\xff\xd9")
    assert (read_photo(whole[:-2] + filled) == read_photo(whole)).all()
    assert (read_scaled(whole[:-2] + filled, 10).pixels == read_scaled(whole, 10).pixels).all()
    for missing in (12, 200):
        assert "cut short" in reason(whole[:-missing] + filled)


def test_fill_bytes_are_refused_before_they_are_read(pixels):
    data = encoded(pixels, "JPEG")
    assert same(data[:20] + b"\xff" * 100 + data[20:], read_photo(data))
    for filling in (b"\xff", b"\0"):
        assert "head is filled with bytes" in reason(data[:20] + filling * 5_000_000 + data[20:])


def test_two_jpegs_in_one_file(pixels, other):
    first, second = encoded(pixels, "JPEG"), encoded(other, "JPEG")
    words = "holds 2 pictures, and nothing says which is the photo"
    assert reason(first + second).startswith(words)
    assert reason(first + bytes(100) + second).startswith(words)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "MPO", save_all=True, append_images=[Image.fromarray(other)])
    assert reason(file.getvalue()).startswith(words)


def test_what_cameras_put_behind_a_jpeg_is_no_photo(pixels, other):
    first, small = encoded(pixels, "JPEG"), smaller(pixels)
    gain = encoded(other, "JPEG", comment=b'hdrgm:Version="1.0"')
    depth = encoded(smaller(other), "JPEG", comment=b"http://ns.google.com/photos/1.0/depthmap/")
    damaged = first[:200] + bytes(100) + first[-2:]
    for behind in (encoded(small, "JPEG"), gain, depth, first[:-400], damaged, b"a film \xff\xd8\xff and more"):
        assert same(first + behind, read_photo(first))


@pytest.mark.parametrize("progressive", [False, True])
def test_a_smaller_picture_of_something_else_is_another_photo(pixels, other, progressive):
    first = encoded(pixels, "JPEG", progressive=progressive)
    words = "holds 2 pictures, and nothing says which is the photo"
    for behind in (smaller(other), smaller(pixels, 40, 60), np.zeros_like(smaller(other))):
        assert reason(first + encoded(smaller(pixels), "JPEG") + encoded(behind, "JPEG")).startswith(words)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "MPO", save_all=True, append_images=[Image.fromarray(smaller(other))])
    assert reason(file.getvalue()).startswith(words)


# PNG


def chunk(name, body, checksum=None):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum or zlib.crc32(name + body))


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize("remark", [b"tEXtComment\0a visit", b"tIME1234567", b"prVt private"])
def test_a_remark_in_a_png_may_be_damaged(pixels, deep, place, remark):
    import cv2

    stored = pixels[:, :, ::-1].astype(np.uint16) * 257 if deep else pixels[:, :, ::-1]
    whole = cv2.imencode(".png", stored)[1].tobytes()
    at = 33 if place == "before" else len(whole) - 12
    assert same(whole[:at] + chunk(remark[:4], remark[4:], 77) + whole[at:], pixels)


@pytest.mark.parametrize("name", [b"tRNS", b"eXIf", b"iTXt"])
def test_what_changes_the_picture_may_not(pixels, name):
    whole = encoded(pixels, "PNG")
    body = b"XML:com.adobe.xmp\0\0\0\0\0<x/>" if name == b"iTXt" else bytes(6)
    damaged = whole[:33] + chunk(name, body, 77) + whole[33:]
    assert reason(damaged) == f"is damaged: its part {name.decode()}, which changes the picture"


def test_a_png_without_its_end(pixels):
    whole = encoded(pixels, "PNG")
    assert same(whole[:-12], pixels)
    assert same(whole[:-5], pixels)
    assert same(whole[:-12] + bytes(300), pixels)
    assert reason(whole[:-17])
    damaged = bytearray(whole)
    damaged[-14] ^= 1  # the checksum of the pixels
    assert "damaged" in reason(bytes(damaged))


def test_a_png_in_countless_parts(pixels):
    whole = encoded(pixels, "PNG")
    assert "parts, which no program writes" in reason(whole[:33] + chunk(b"prVt", b"") * 50_000 + whole[33:])


def png(rows, height, interlaced=False):
    """A PNG of grey rows whose header announces another height."""
    if interlaced:
        steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
        parts = [rows[top::down, left::across] for left, top, across, down in steps]
        body = b"".join(b"\0" + line.tobytes() for part in parts for line in part if part.size)
    else:
        body = b"".join(b"\0" + line.tobytes() for line in rows)
    head = struct.pack(">IIBBBBB", rows.shape[1], height, 8, 0, 0, 0, interlaced)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("size", [(80, 120), (3, 2), (13, 1)])
def test_a_png_holds_the_rows_that_its_header_says(pixels, interlaced, size):
    rows = pixels[: size[0], : size[1], 0]
    assert same(png(rows, size[0], interlaced), np.repeat(rows[:, :, None], 3, axis=2))
    assert "it holds more rows than its header says" in reason(png(rows, size[0] - 1, interlaced))
    assert "cut short" in reason(png(rows, size[0] + 1, interlaced))


def test_a_png_of_half_its_rows_says_what_is_there(pixels):
    assert reason(png(pixels[:40, :, 0], 80)) == "is cut short: the first 50 % of the picture can be read"


def test_a_deep_png_holds_the_rows_that_its_header_says(pixels):
    import cv2

    whole = cv2.imencode(".png", pixels.astype(np.uint16) * 257)[1].tobytes()
    for height, words in ((40, "holds more rows"), (160, "cut short")):
        head = struct.pack(">II", 120, height) + whole[24:29]
        assert words in reason(whole[:8] + chunk(b"IHDR", head) + whole[33:])


# Several frames


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("count", [2, 5])
def test_of_an_animation_no_frame_is_taken(pixels, kind, count):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("Pillow is built without AVIF")
    frames = [Image.fromarray(np.roll(pixels, 9 * number, axis=1)) for number in range(count)]
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    assert reason(file.getvalue()).startswith(f"holds {count} frames, and nothing says which is the photo")


def test_a_black_first_frame_is_not_the_photo(pixels):
    file = io.BytesIO()
    Image.new("RGB", (120, 80)).save(file, "PNG", save_all=True, append_images=[Image.fromarray(pixels)])
    assert reason(file.getvalue()).startswith("holds 2 frames")


def test_an_animation_of_one_frame_is_a_picture(pixels):
    whole = encoded(pixels, "PNG")
    control = struct.pack(">IIIIIHHBB", 0, 120, 80, 0, 0, 1, 1, 0, 0)
    assert same(whole[:33] + chunk(b"acTL", struct.pack(">II", 1, 0)) + chunk(b"fcTL", control) + whole[33:], pixels)
    # Two frames are there, though one is announced.
    lying = whole[:33] + chunk(b"acTL", struct.pack(">II", 1, 0)) + 2 * chunk(b"fcTL", control) + whole[33:]
    assert reason(lying).startswith("holds 2 frames")


def test_two_pictures_in_a_jpeg_2000_file(pixels):
    data = encoded(pixels, "JPEG2000", irreversible=False)
    at = data.index(b"jp2c") - 4
    stream = data[at + 8 :]
    box = struct.pack(">I4s", len(stream) + 8, b"jp2c") + stream
    assert same(data[:at] + box, pixels)
    assert reason(data[:at] + 2 * box).startswith("holds 2 pictures")
    lying = data.replace(struct.pack(">II", 80, 120), struct.pack(">II", 120, 80), 1)
    assert "its header says 80 x 120 pixels, and the picture inside has 120 x 80" in reason(lying)


# TIFF


def pages(*pictures):
    """A TIFF of pages, each given as pixels and the number that marks it (NewSubfileType), or None."""
    file = io.BytesIO()
    images = []
    for pixels, mark in pictures:
        image = Image.fromarray(pixels)
        image.encoderinfo = {}
        if mark is not None:
            tags = TiffImagePlugin.ImageFileDirectory_v2()
            tags[254] = mark
            image.encoderinfo = {"tiffinfo": tags}
        images.append(image)
    images[0].save(file, "TIFF", save_all=True, append_images=images[1:], **images[0].encoderinfo)
    return file.getvalue()


def smaller(pixels, width=60, height=40):
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))


@pytest.mark.parametrize("mark", [1, None])
@pytest.mark.parametrize("first", [True, False])
def test_a_preview_in_a_tiff_is_not_the_photo(pixels, mark, first):
    preview, photo = (smaller(pixels), mark), (pixels, None)
    assert same(pages(preview, photo) if first else pages(photo, preview), pixels)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_the_photo_is_read_in_its_depth_on_any_page(pixels, depth):
    gray = pixels[:, :, 0].astype(depth) * (257 if depth == np.uint16 else 1)
    data = pages((smaller(pixels[:, :, 0]), 1), (gray, None))
    assert same(data, np.repeat(pixels[:, :, :1], 3, axis=2))


def test_pages_that_may_each_be_the_photo(pixels, other):
    for data, count in (
        (pages((pixels, None), (other, None)), 2),
        (pages((pixels, None), (pixels, None), (other, None)), 3),
        (pages((smaller(other), None), (pixels, None)), 2),
        (pages((np.zeros_like(pixels), None), (pixels, None)), 2),
        (pages((pixels, 1), (other, 1)), 2),  # marked as previews, and as large as each other
    ):
        assert reason(data).startswith(f"holds {count} pages, and nothing says which is the photo")


def test_a_page_marked_as_a_preview_that_is_all_there_is(pixels):
    assert same(pages((pixels, 1)), pixels)


# What reading costs


def test_what_would_take_too_much_memory_is_refused_before_it_is_decoded(monkeypatch, pixels):
    monkeypatch.setattr("biranet.photos.formats.limits.MEMORY_LIMIT_BYTES", 180_000)
    assert same(encoded(pixels, "PNG"), pixels)
    for data in (
        encoded(np.dstack([pixels, pixels[:, :, :1]]), "PNG"),
        encoded(pixels, "JPEG2000"),
        encoded(pixels, "WEBP"),
        encoded(pixels, "BMP") + bytes(60_000),
    ):
        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)  # nothing may be decoded
        assert reason(data).startswith("would take 0.0 GB of memory to read, and a photo may take 0 GB")
        monkeypatch.undo()
        monkeypatch.setattr("biranet.photos.formats.limits.MEMORY_LIMIT_BYTES", 180_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "options", "deep"),
    [
        ("PNG", {}, True),
        ("PNG", {"compress_level": 1}, False),
        ("JPEG2000", {}, False),
        ("WEBP", {"lossless": True}, False),
    ],
)
def test_reading_holds_no_more_than_is_allowed_for(kind, options, deep, tmp_path):
    import cv2

    coarse = np.random.default_rng(3).integers(0, 255, (600, 600, 3), dtype=np.uint8)
    picture = coarse.repeat(4, axis=0).repeat(4, axis=1)
    data = (
        cv2.imencode(".png", picture.astype(np.uint16) * 200)[1].tobytes()
        if deep
        else encoded(picture, kind, **options)
    )
    (tmp_path / "photo").write_bytes(data)
    code = f"""
import resource, sys
from pathlib import Path
from biranet.photos.formats import limits
from biranet.photos.read import read_photo
asked = []
limits.MEMORY_LIMIT_BYTES = type("Limit", (int,), {{"__lt__": lambda limit, needed: asked.append(needed)}})()
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
read_photo({encoded(coarse[:9, :9].copy(), kind, **options)!r})  # loads the libraries
before = peak()
read_photo(Path({str(tmp_path / "photo")!r}))
assert peak() - before < 1.05 * asked[-1], (peak() - before, asked)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# Headers that say another size


def test_a_ppm_with_width_and_height_exchanged(pixels):
    data = encoded(pixels, "PPM")
    assert same(data, pixels)
    words = reason(data.replace(b"120 80", b"80 120"))
    assert "its header says 80 x 120 pixels, and its lines fit together as 120 x 80" in words


def test_a_tiff_with_width_and_height_exchanged(pixels):
    data = encoded(pixels, "TIFF")
    swapped = data
    for old, new in (((256, 120), (256, 80)), ((257, 80), (257, 120)), ((278, 80), (278, 120))):
        form = "<HHIH" if struct.pack("<HHIH", old[0], 3, 1, old[1]) in data else "<HHII"
        kind = 3 if form == "<HHIH" else 4
        swapped = swapped.replace(
            struct.pack(form, old[0], kind, 1, old[1]), struct.pack(form, new[0], kind, 1, new[1])
        )
    assert swapped != data
    words = reason(swapped)
    assert "80 x 120" in words and "120 x 80" in words


@pytest.mark.parametrize("strip_bytes", [1 << 20, 32 * 360])
@pytest.mark.parametrize("packing", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_a_tiff_holds_the_rows_that_its_header_says(pixels, packing, strip_bytes, monkeypatch, capfd):
    monkeypatch.setattr(TiffImagePlugin, "STRIP_SIZE", strip_bytes)
    data = encoded(pixels, "TIFF", compression=packing)
    assert same(data, pixels, 255 if packing == "jpeg" else 0)
    form = "<HHIH" if struct.pack("<HHIH", 257, 3, 1, 80) in data else "<HHII"
    head = struct.pack(form, 257, 3 if form == "<HHIH" else 4, 1, 80)
    for height, words in ((60, "it holds more rows than its header says"), (90, "cut short"), (200, "is cut short: ")):
        assert words in reason(data.replace(head, head[:8] + struct.pack(form[0] + form[-1], height), 1))
    assert capfd.readouterr().err == ""


def test_a_bmp_with_width_and_height_exchanged(pixels):
    data = encoded(pixels, "BMP")
    assert same(data, pixels)
    words = reason(data.replace(struct.pack("<ii", 120, 80), struct.pack("<ii", 80, 120), 1))
    assert "80 x 120" in words and "120 x 80" in words


@pytest.mark.parametrize("color", [True, False])
def test_a_bmp_holds_the_rows_that_its_header_says(pixels, color):
    data = encoded(pixels if color else pixels[:, :, 0].copy(), "BMP")
    assert (read_photo(data + bytes(2)) == read_photo(data)).all()
    for height, words in ((40, "it holds more rows than its header says"), (160, "is cut short: the first 50 %")):
        assert words in reason(data.replace(struct.pack("<ii", 120, 80), struct.pack("<ii", 120, height), 1))


def test_a_ppm_of_more_bytes_than_announced(pixels, other):
    data = encoded(pixels, "PPM")
    assert same(data + b"\n", pixels)
    assert reason(data + encoded(other, "PPM")).startswith("holds 2 pictures")
    assert reason(data.replace(b"120 80", b"120 40")).startswith("contradicts itself: its header announces 14,4")


def test_a_ppm_whose_header_ends_nowhere():
    assert "damaged" in reason(b"P6 #" + b"#" * 5_000_000 + b"\n60 60 255\n" + bytes(10_800))


@pytest.mark.parametrize("grade", range(5))
def test_no_photo_is_called_laid_out_wrongly(grade):
    photo = draw_photo(grade, grade, 120 + 30 * grade, 100)
    noise = np.random.default_rng(grade).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    for laid in (photo, photo[:, :, 1], noise):
        check_pixel_order(laid, planar=False)
        check_pixel_order(laid, planar=True)
