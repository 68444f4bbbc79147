import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from biranet.photos.formats import PHOTO_SUFFIXES
from biranet.photos.read import read_photo
from photo_files import ORIENTATIONS, encoded, read_scaled, reason

UNDO = ORIENTATIONS | {6: ORIENTATIONS[8], 8: ORIENTATIONS[6]}


@pytest.fixture(scope="module")
def pixels():
    rng = np.random.default_rng(5)
    coarse = Image.fromarray(rng.integers(0, 255, (6, 9, 3), dtype=np.uint8))
    return np.array(coarse.resize((120, 80), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("suffix", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_orientation_is_applied_once(pixels, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "WEBP" else {"quality": 100, "subsampling": 0} if suffix == "JPEG" else {}
    read = read_photo(encoded(Image.fromarray(pixels), suffix, exif=exif.tobytes(), **options))
    expected = ORIENTATIONS[orientation](pixels)
    assert read.shape == expected.shape
    assert np.abs(read.astype(int) - expected).max() <= (8 if suffix == "JPEG" else 0)
    assert read.flags.c_contiguous
    assert read.flags.writeable


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(("min_side_px", "scale"), [(1, 8), (19, 4), (34, 2), (67, 1), (600, 1)])
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_is_large_enough(orientation, mode, min_side_px, scale):
    ramp = np.linspace(0, 255, 203 * 133 * 3).reshape(133, 203, 3).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(ramp).convert(mode), "JPEG", quality=95, exif=exif.tobytes())
    whole, scaled = read_photo(data), read_scaled(data, min_side_px)
    assert (scaled.height_px, scaled.width_px) == whole.shape[:2]
    assert scaled.pixels.shape == (-(-whole.shape[0] // scale), -(-whole.shape[1] // scale), 3)
    assert np.abs(scaled.pixels - shrunk(whole, scale, orientation)).mean() <= (1.5 if scale > 1 else 0)


def shrunk(whole, scale, orientation):
    """Means of scale x scale pixels, from the corner where the stored picture begins."""
    stored = UNDO[orientation](whole)
    height, width = stored.shape[:2]
    padded = np.pad(stored, ((0, -height % scale), (0, -width % scale), (0, 0)), mode="edge").astype(float)
    rows, columns = padded.shape[0] // scale, padded.shape[1] // scale
    return ORIENTATIONS[orientation](padded.reshape(rows, scale, columns, scale, 3).mean(axis=(1, 3)))


def test_other_formats_are_read_whole(pixels):
    scaled = read_scaled(encoded(Image.fromarray(pixels), "PNG"), 10)
    assert (scaled.pixels == pixels).all()
    assert (scaled.width_px, scaled.height_px) == (120, 80)


def test_unreadable_exif_does_not_lose_the_picture(pixels):
    data = encoded(Image.fromarray(pixels), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert read_photo(data).shape == pixels.shape


def test_grey_palette_and_one_bit(pixels):
    gray = Image.fromarray(pixels).convert("L")
    assert (read_photo(encoded(gray, "PNG")) == np.array(gray)[:, :, None]).all()
    palette = Image.fromarray(pixels).convert("P", palette=Image.Palette.ADAPTIVE)
    assert (read_photo(encoded(palette, "GIF")) == np.array(palette.convert("RGB"))).all()
    one_bit = Image.fromarray(pixels).convert("1")
    assert (read_photo(encoded(one_bit, "PNG")) == 255 * np.array(one_bit)[:, :, None]).all()


def test_cmyk_keeps_its_colours():
    cmyk = Image.new("CMYK", (32, 32), (0, 200, 255, 20))
    red, green, blue = read_photo(encoded(cmyk, "JPEG", quality=100)).mean(axis=(0, 1))
    assert red > 200
    assert green < 80
    assert blue < 30


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_composed_on_black(pixels, mode):
    layer = Image.fromarray(pixels).convert(mode)
    alpha = np.tile(np.linspace(0, 255, 120).astype(np.uint8), (80, 1))
    layer.putalpha(Image.fromarray(alpha))
    expected = np.array(layer.convert("RGBA"))[:, :, :3] * (alpha[:, :, None] / 255)
    assert np.abs(read_photo(encoded(layer, "PNG")) - expected).max() <= 1


def test_a_transparent_palette_colour_becomes_black():
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([255, 255, 255, 10, 200, 30])
    picture.putpixel((3, 4), 0)
    read = read_photo(encoded(picture, "PNG", transparency=0))
    assert read[4, 3].tolist() == [0, 0, 0]
    assert read[0, 0].tolist() == [10, 200, 30]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("suffix", ["PNG", "TIFF"])
def test_deep_grey_fills_eight_bits(bits, suffix):
    ramp = np.linspace(0, 2**bits - 1, 64 * 64).reshape(64, 64)
    read = read_photo(encoded(Image.fromarray(ramp.astype(np.uint16)), suffix))
    assert np.abs(read[:, :, 0] - ramp * 255 / (2**bits - 1)).max() <= 1.5
    assert (read == read[:, :, :1]).all()


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_float_grey(white):
    ramp = np.linspace(0, white, 64 * 64, dtype=np.float32).reshape(64, 64)
    ramp[5, 5] = np.nan
    read = read_photo(encoded(Image.fromarray(ramp), "TIFF"))
    ramp[5, 5] = 0
    assert np.abs(read[:, :, 0] - ramp * 255 / white).max() <= 1


def test_sixteen_bit_colour(pixels):
    wide = pixels.astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    height, width = pixels.shape[:2]
    assert (read_photo(_png(width, height, rows, depth=16)) == pixels).all()


def test_a_file_and_its_bytes_give_the_same(pixels, tmp_path):
    path = tmp_path / "ä b,\n😀.PNG"
    path.write_bytes(encoded(Image.fromarray(pixels), "PNG"))
    assert (read_photo(path) == read_photo(path.read_bytes())).all()


@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "TIFF", "WEBP", "BMP"])
def test_a_truncated_file_is_never_half_a_picture(pixels, suffix, capfd):
    data = encoded(Image.fromarray(pixels), suffix)
    for share in (0.02, 0.2, 0.5, 0.9, 0.99):
        cut = data[: int(len(data) * share)]
        assert reason(cut)
        # A download that stopped often leaves a file of full length, filled with zeros.
        if suffix in ("JPEG", "PNG"):
            assert reason(cut + bytes(len(data) - len(cut)))
    assert capfd.readouterr() == ("", "")


def test_a_progressive_jpeg_that_stops_between_scans_is_refused(pixels):
    data = encoded(Image.fromarray(pixels), "JPEG", progressive=True)
    assert read_photo(data).shape == pixels.shape
    for scan in range(1, data.count(b"\xff\xda")):
        assert "cut short" in reason(b"\xff\xda".join(data.split(b"\xff\xda")[: scan + 1]))


def test_a_thumbnail_in_the_exif_is_not_the_end_of_the_photo(pixels):
    thumbnail = encoded(Image.fromarray(pixels[:8, :8]), "JPEG")
    exif = Image.Exif()
    exif[0x010E] = thumbnail
    data = encoded(Image.fromarray(pixels), "JPEG", exif=exif.tobytes())
    assert data.count(b"\xff\xd9") == 2
    assert read_photo(data).shape == pixels.shape
    assert "cut short" in reason(data[:-200] + bytes(200))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"file,grade\n1,2\n", "not a picture"),
        (b"<!DOCTYPE html><title>404</title>", "not a picture"),
        (b"BMW is not a picture, and this is a text", "not a picture"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "not a picture"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "cut short"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (bytes(128) + b"DICM" + bytes(50), "DICOM file without"),
        (bytes(4000), "not a picture"),
    ],
)
def test_what_is_no_picture_says_so(data, words, tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    assert words in reason(path)
    assert words in reason(data)


def test_missing_files_and_folders(tmp_path):
    assert reason(tmp_path / "gone.jpg") == "no such file"
    assert reason(tmp_path) == "is not a file"


def test_a_name_that_no_file_can_have(tmp_path):
    assert reason(tmp_path / "a\0b.jpg") == "no such file"
    assert "cannot be read" in reason(tmp_path / ("a" * 300 + ".jpg"))
    loop = tmp_path / "loop.jpg"
    loop.symlink_to(loop)
    assert "cannot be read" in reason(loop)


def test_pipes_and_devices_are_not_waited_for(tmp_path):
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    assert reason(pipe) == "is not a file"
    assert reason(Path("/dev/zero")) == "is not a file"


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(2_000_000_000)  # takes no room on the disk
    assert reason(path) == "is a file of more than 1 GB"


def test_too_little_memory_is_no_damage(pixels, monkeypatch):
    def fail(picture):
        raise MemoryError

    monkeypatch.setattr("biranet.photos.formats.pillow.to_rgb", fail)
    assert reason(encoded(Image.fromarray(pixels), "PNG")) == "needs more memory than there is"


def test_no_permission(tmp_path, monkeypatch):
    def refuse(path, limit_bytes):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("biranet.photos.read.read_regular", refuse)
    assert reason(tmp_path / "locked.jpg") == "no permission to read the file"


@pytest.mark.parametrize("side", [12_300, 13_000, 100_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side):
    assert reason(_png(side, side, b"")) == "has more than 150 million pixels"


@pytest.mark.parametrize("suffix", ["JPEG", "TIFF", "BMP", "GIF", "PPM", "JPEG2000"])
def test_a_bomb_of_any_format(suffix):
    data = encoded(Image.new("RGB", (1234, 1023)), suffix)
    places = {
        "PPM": (b"1234 1023", b"60000 60000"),
        "BMP": (struct.pack("<ii", 1234, 1023), struct.pack("<ii", 60000, 60000)),
    }
    if suffix in places:
        huge = data.replace(*places[suffix])
    else:
        huge = data
        for order in "<>":
            for size in (1234, 1023):
                huge = huge.replace(struct.pack(order + "H", size), struct.pack(order + "H", 60000))
    assert huge != data
    assert reason(huge) == "has more than 150 million pixels"


@pytest.mark.parametrize("suffix", ["GIF", "WEBP", "TIFF"])
def test_a_short_file_cannot_claim_many_pixels(suffix, pixels):
    frames = {} if suffix != "WEBP" else {"save_all": True, "append_images": [Image.new("P", (120, 40))]}
    data = encoded(Image.fromarray(pixels[:40]).quantize(8), suffix, **frames)
    huge = data
    for size in (120, 40):
        for form in ("<H", "<I"):
            huge = huge.replace(struct.pack(form, size), struct.pack(form, 12_000))
        huge = huge.replace(struct.pack("<I", size - 1)[:3], struct.pack("<I", 11_999)[:3])
    assert huge != data
    assert f"claims 144 million pixels in {len(data)} bytes" in reason(huge)


def test_a_large_black_photo_is_not_taken_for_a_bomb():
    assert read_photo(encoded(Image.new("RGB", (4000, 3000)), "PNG")).shape == (3000, 4000, 3)


def test_text_that_unpacks_without_end(pixels):
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "a" * 100_000_000, zip=True)
    data = encoded(Image.fromarray(pixels), "PNG", pnginfo=notes)
    assert len(data) < 200_000
    assert reason(data)


def test_suffixes_are_lower_case_with_a_dot():
    assert {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".dcm"} <= PHOTO_SUFFIXES
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in PHOTO_SUFFIXES)


def test_metadata_in_a_damaged_file_does_not_come_out_in_the_reason(pixels):
    notes = PngImagePlugin.PngInfo()
    notes.add_text("PatientName", "Jane Doe")
    data = encoded(Image.fromarray(pixels), "PNG", pnginfo=notes)
    assert "Doe" not in reason(data[:-500].replace(b"Jane", b"Jame"))


@pytest.mark.real
def test_odd_formats(real_data):
    shapes = {}
    for path in sorted((real_data / "odd_formats").iterdir()):
        shapes[path.name] = read_photo(path).shape
    assert shapes["21_training.tif"] == (584, 565, 3)
    assert shapes["HRF_04_g.jpg"] == (2336, 3504, 3)
    assert shapes["skimage_retina.jpg"] == (1411, 1411, 3)


def _png(width, height, rows, depth=8):
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
