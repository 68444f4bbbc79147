import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from photo_files import encoded, reason


@pytest.fixture(scope="module")
def pixels():
    # Noise, so that every part of the picture takes as many bytes.
    return np.random.default_rng(1).integers(0, 255, (400, 300, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
@pytest.mark.parametrize("share", [0.25, 0.63, 0.9])
def test_the_reason_says_how_much_can_be_read(pixels, kind, share):
    data = encoded(pixels, kind)
    words = reason(data[: int(share * len(data))])
    assert words.startswith("is cut short: the first ")
    assert words.endswith(f" % of the {'file' if kind == 'WEBP' else 'picture'} can be read")
    percent = int(words.split()[5])
    # The rows of a JPEG come sixteen at a time; those of a TIFF in strips of 64 KiB.
    assert 100 * share - (20 if kind == "TIFF" else 4) <= percent <= 100 * share + 4


def test_a_download_that_was_filled_with_zeros(pixels):
    data = encoded(pixels, "JPEG")
    half = len(data) // 2
    assert reason(data[:half] + bytes(half)) == reason(data[:half])


def test_a_progressive_jpeg(pixels):
    data = encoded(pixels, "JPEG", progressive=True)
    first_scan, second_scan = data.index(b"\xff\xda"), data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    assert reason(data[: (first_scan + second_scan) // 2]).startswith("is cut short: the first ")
    assert reason(data[: len(data) // 2]) == "is cut short: the first 99 % of the picture can be read"


def test_nothing_can_be_read(pixels):
    data = encoded(pixels, "PNG")
    assert reason(data[: data.index(b"IDAT") + 200]) == "is cut short: nothing of the picture can be read"
    assert reason(data[:20]) == "is damaged or cut short"


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_damage_in_the_middle_is_not_called_cut_short(pixels, kind):
    data = bytearray(encoded(pixels, kind))
    data[len(data) // 2 : len(data) // 2 + 1000] = bytes(1000)
    assert reason(bytes(data)).startswith("is damaged")


def test_what_a_bomb_claims_is_not_unpacked():
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", 10, 10, 8, 2, 0, 0, 0)
    packed = zlib.compress(bytes(100_000_000), 9)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed)
    tracemalloc.start()
    try:
        assert reason(data[:-100]) == "is damaged or cut short"
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
