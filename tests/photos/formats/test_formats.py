"""Every kind of file that cameras and archives write comes out in the colours that were put in."""

import base64
import struct

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from biranet.errors import PhotoError
from biranet.photos.read import read_photo
from photo_files import encoded, read_scaled


@pytest.fixture(scope="module")
def pixels():
    coarse = Image.fromarray(np.random.default_rng(5).integers(0, 255, (6, 9, 3), dtype=np.uint8))
    return np.array(coarse.resize((120, 80), Image.Resampling.BICUBIC))


def difference(read, expected):
    assert read.shape == expected.shape
    return np.abs(read.astype(int) - expected).max()


def tiff(values, order="<", *, photometric=2, planar=False, big=False, orientation=1):
    """A TIFF of one uncompressed strip, or of one a plane, written by hand as no library at hand writes it."""
    planes = np.moveaxis(values, 2, 0) if planar else values[None]
    strips = [np.ascontiguousarray(plane).astype(values.dtype.newbyteorder(order)).tobytes() for plane in planes]
    samples = values.shape[2] if values.ndim == 3 else 1
    bits, kind = values.dtype.itemsize * 8, {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    start, offset = (16, "Q") if big else (8, "I")
    starts = [start + sum(len(strip) for strip in strips[:number]) for number in range(len(strips))]
    tags = [
        (256, "I", [values.shape[1]]), (257, "I", [values.shape[0]]), (258, "H", [bits] * samples), (259, "H", [1]),
        (262, "H", [photometric]), (273, offset, starts), (274, "H", [orientation]), (277, "H", [samples]),
        (278, "I", [values.shape[0]]), (279, offset, [len(strip) for strip in strips]),
        (284, "H", [2 if planar else 1]), (339, "H", [kind] * samples),
    ]  # fmt: skip
    body = b"".join(strips)
    place = start + len(body)
    count, size = ("Q", 20) if big else ("H", 12)
    entry = 8 if big else 4
    overflow_at = place + struct.calcsize(order + count) + size * len(tags) + entry
    entries = overflow = b""
    for tag, form, numbers in tags:
        data = struct.pack(f"{order}{len(numbers)}{form}", *numbers)
        if len(data) > entry:
            data, overflow = struct.pack(order + offset, overflow_at + len(overflow)), overflow + data
        kinds = {"H": 3, "I": 4, "Q": 16}
        entries += struct.pack(f"{order}HH{offset}", tag, kinds[form], len(numbers)) + data.ljust(entry, b"\0")
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(f"{order}2sHHHQ", mark, 43, 8, 0, place) if big else struct.pack(f"{order}2sHI", mark, 42, place)
    return head + body + struct.pack(order + count, len(tags)) + entries + bytes(entry) + overflow


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_of_both_byte_orders_and_sizes(pixels, order, big, dtype):
    deep = 257 if dtype == np.uint16 else 1
    assert difference(read_photo(tiff(pixels.astype(dtype) * deep, order, big=big)), pixels) == 0
    gray = pixels[:, :, 0].astype(dtype) * deep
    read = read_photo(tiff(gray, order, photometric=1, big=big))
    assert difference(read, np.repeat(pixels[:, :, :1], 3, axis=2)) == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_in_which_white_is_zero(pixels, dtype):
    gray = 255 - pixels[:, :, 0].astype(dtype)
    read = read_photo(tiff(gray * (257 if dtype == np.uint16 else 1), photometric=0))
    assert difference(read, np.repeat(pixels[:, :, :1], 3, axis=2)) == 0


def test_a_planar_tiff(pixels):
    assert difference(read_photo(tiff(pixels, planar=True)), pixels) == 0
    with pytest.raises(PhotoError, match="separate planes"):
        read_photo(tiff(pixels.astype(np.uint16) * 257, planar=True))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_deep_tiff_is_turned_as_a_shallow_one(pixels, orientation):
    shallow = read_scaled(tiff(pixels, orientation=orientation), 10)
    deep = read_scaled(tiff(pixels.astype(np.uint16) * 257, orientation=orientation), 10)
    assert difference(deep.pixels, shallow.pixels) == 0
    assert (deep.width_px, deep.height_px) == shallow.pixels.shape[1::-1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_deep_png_is_turned_as_a_shallow_one(pixels, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    shallow = encoded(Image.fromarray(pixels), "PNG", exif=exif)
    at = shallow.index(b"eXIf") - 4
    chunk = shallow[at : at + 12 + struct.unpack(">I", shallow[at : at + 4])[0]]
    deep = cv2.imencode(".png", pixels[:, :, ::-1].astype(np.uint16) * 257)[1].tobytes()
    assert difference(read_photo(deep[:33] + chunk + deep[33:]), read_photo(shallow)) == 0


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_deep_colours_fill_eight_bits(pixels, bits, suffix):
    deep = np.rint(pixels * ((2**bits - 1) / 255)).astype(np.uint16)
    deep[0, 0] = 2**bits - 1
    data = cv2.imencode(suffix, deep[:, :, ::-1])[1].tobytes()
    assert difference(read_photo(data)[1:], pixels[1:]) <= 1


def test_deep_colours_with_transparency(pixels):
    alpha = np.tile(np.linspace(0, 65535, 120).astype(np.uint16), (80, 1))
    layers = np.dstack([pixels[:, :, ::-1].astype(np.uint16) * 257, alpha])
    data = cv2.imencode(".png", layers)[1].tobytes()
    assert np.abs(read_photo(data) - pixels * (alpha[:, :, None] / 65535)).max() <= 1


@pytest.mark.parametrize("packing", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "1"])
def test_compressed_tiff(pixels, packing, mode):
    picture = Image.fromarray(pixels).convert(mode)
    read = read_photo(encoded(picture, "TIFF", compression=packing))
    assert difference(read, np.array(picture.convert("RGB"))) == 0


def test_jpeg_in_a_tiff(pixels):
    assert (
        np.abs(
            read_photo(encoded(Image.fromarray(pixels), "TIFF", compression="jpeg", quality=95)) - pixels.astype(int)
        ).mean()
        < 4
    )
    ycbcr = Image.fromarray(pixels).convert("YCbCr")
    assert difference(read_photo(encoded(ycbcr, "TIFF")), np.array(ycbcr.convert("RGB"))) == 0


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_progressive_jpeg_is_the_same(pixels, mode):
    picture = Image.fromarray(pixels).convert(mode)
    plain, progressive = (encoded(picture, "JPEG", quality=90, progressive=choice) for choice in (False, True))
    assert difference(read_photo(progressive), read_photo(plain)) == 0
    assert difference(read_scaled(progressive, 10).pixels, read_scaled(plain, 10).pixels) == 0


@pytest.mark.parametrize("color", [(200, 30, 20), (20, 200, 90), (240, 240, 240), (5, 5, 5)])
@pytest.mark.parametrize("stored", ["CMYK", "YCCK"])
def test_cmyk_jpeg_of_both_kinds(color, stored):
    cmyk = np.array(Image.new("CMYK", (32, 32)))
    cmyk[:] = [*(255 - np.array(color)), 0]
    if stored == "CMYK":
        data = encoded(Image.fromarray(cmyk, "CMYK"), "JPEG", quality=100)
    else:
        data = simplejpeg.encode_jpeg(np.ascontiguousarray(255 - cmyk), quality=100, colorspace="CMYK")
        assert data[data.index(b"Adobe") + 11] == 2  # the transform of YCCK
    assert difference(read_photo(data), np.full((32, 32, 3), color)) <= 3


def test_a_jpeg_that_stores_rgb(pixels):
    data = encoded(Image.fromarray(pixels), "JPEG", quality=100, keep_rgb=True, subsampling=0)
    assert difference(read_photo(data), pixels) <= 4


def test_a_jpeg_with_an_odd_head_is_whole(pixels):
    data = encoded(Image.fromarray(pixels), "JPEG")
    odd = data.replace(b"JFIF\0\x01", b"JFIF\0\x07")
    assert odd != data
    assert difference(read_photo(odd), read_photo(data)) == 0
    assert difference(read_scaled(odd, 20).pixels, read_scaled(data, 20).pixels) == 0


def test_a_jpeg_with_arithmetic_coding():
    # 16 x 16 pixels by `cjpeg -arithmetic -quality 90 -sample 1x1`: no library at hand writes it.
    data = base64.b85decode(
        b"|JeWF01!$>Nk#wx0RR9200961|JwjV00RO70|EjA0|NsD0|NvF2n7WM1O*BQ2L=cX3JeSj3JVJj4iXRz4iOFu3lJ6%5fc;@6%`B*7Z?^47!ni}"
        b"6#v@*LjeN>1O)^I2?YfS6b%av6ciK`6ciK`6ciK`6ciK`6ciK`6ciK`6ciK`6ciK`6ciK`6ciK`6ciK`6ciK`6cqo-"
        b"01*fP5C9MZ0TBQK5di}c0sqVZ3IGrg1pyEd1^?Or3<CiG0ucid06zf#0L&!)z$wfb?)|Oz@Yk#6Y!|n$*m4ejJw^LV5HyXWUKzO1A|BHzG5Lsd"
        b"wcJd2X%<@zbIX4!W$z9BH#hZdJs5!h*#"
    )
    ramp = np.tile(np.linspace(20, 235, 16).astype(np.uint8), (16, 1))
    assert difference(read_photo(data), np.stack([ramp, ramp.T, 255 - ramp], axis=2)) <= 8


def test_a_very_wide_jpeg():
    wide = np.tile(np.linspace(0, 255, 16_000).astype(np.uint8), (24, 1))
    data = encoded(Image.fromarray(wide), "JPEG", quality=95)
    assert difference(read_photo(data)[:, :, 0], wide) <= 8
    assert read_scaled(data, 3).pixels.shape == (3, 2000, 3)


@pytest.mark.parametrize("lossless", [True, False])
def test_webp(pixels, lossless):
    read = read_photo(encoded(Image.fromarray(pixels), "WEBP", lossless=lossless, quality=90))
    assert np.abs(read - pixels.astype(int)).mean() <= (0 if lossless else 6)


def test_a_transparent_colour_of_a_gif_is_black():
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([255, 255, 255, 10, 200, 30])
    picture.putpixel((3, 4), 0)
    read = read_photo(encoded(picture, "GIF", transparency=0))
    assert read[4, 3].tolist() == [0, 0, 0]
    assert read[0, 0].tolist() == [10, 200, 30]


@pytest.mark.parametrize("maximum", [255, 1023, 65535])
def test_ppm_by_its_own_maximum(maximum):
    ramp = np.linspace(0, maximum, 300).reshape(10, 10, 3)
    stored = ramp.round().astype(">u2" if maximum > 255 else "u1").tobytes()
    read = read_photo(f"P6 10 10 {maximum}\n".encode() + stored)
    assert np.abs(read - ramp * 255 / maximum).max() <= 1


@pytest.mark.parametrize("mode", ["RGB", "L", "I;16"])
def test_jpeg_2000(pixels, mode):
    values = pixels if mode == "RGB" else pixels[:, :, 0] if mode == "L" else pixels[:, :, 0].astype(np.uint16) * 257
    read = read_photo(encoded(Image.fromarray(values), "JPEG2000", irreversible=False))
    assert difference(read, pixels if mode == "RGB" else np.repeat(pixels[:, :, :1], 3, axis=2)) == 0


def test_an_interlaced_png(pixels):
    import zlib

    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = b"".join(
        b"\0" + row.tobytes() for top, left, down, across in passes for row in pixels[top::down, left::across]
    )

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", 120, 80, 8, 2, 0, 0, 1)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert difference(read_photo(data), pixels) == 0
    with pytest.raises(PhotoError, match="cut short"):
        read_photo(data[: len(data) // 2])
