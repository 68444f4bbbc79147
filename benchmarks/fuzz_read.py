"""Does any damaged photo file crash, hang or fill the memory? Mutated files of every format, read one after the other.

python benchmarks/fuzz_read.py [--cases 100000] [--seed 1] [--out results.json]

Each case is a valid file, damaged one to four times: bits flipped, bytes replaced, a block zeroed, repeated, removed
or taken from another file, a number in the head made extreme, the end cut off. Reading must give a photo or a
`PhotoError`. The cases run in a child process with at most 4 GiB of address space. A case that kills it, takes longer
than ten seconds or raises anything else is a find, named by its number: the same seed and number make the same bytes.
"""

import argparse
import collections
import io
import json
import multiprocessing
import random
import resource
import signal
import struct
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, features

from biranet.errors import PhotoError
from biranet.photos.read import read_photo, read_scaled

LIMIT_BYTES = 4 << 30
LIMIT_SECONDS = 10.0
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def smooth_picture(width: int = 48, height: int = 40) -> np.ndarray:
    """A picture (height, width, 3) with slow changes and a little noise."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(20, 235, (4, 5, 3)).astype(np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    return (smooth + rng.integers(-3, 4, smooth.shape)).clip(0, 255).astype(np.uint8)


def samples() -> dict[str, bytes]:
    """A small valid file of each kind."""
    pixels = smooth_picture()
    colour, grey = Image.fromarray(pixels), Image.fromarray(pixels[:, :, 0])
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"

    def encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
        file = io.BytesIO()
        picture.save(file, kind, **options)
        return file.getvalue()

    def encode_deep(suffix: str) -> bytes:
        return bytes(cv2.imencode(suffix, pixels[:, :, ::-1].astype(np.uint16) * 257)[1])

    translucent = colour.copy()
    translucent.putalpha(grey)
    pages: dict[str, Any] = {"save_all": True, "append_images": [colour.rotate(180)]}
    files = {
        "jpeg": encode(colour, "JPEG", quality=90),
        "jpeg with EXIF": encode(colour, "JPEG", exif=exif.tobytes(), comment=b"a comment"),
        "jpeg progressive": encode(colour, "JPEG", progressive=True),
        "jpeg restarts": encode(colour, "JPEG", restart_marker_rows=1),
        "jpeg grey": encode(grey, "JPEG"),
        "jpeg with preview": encode(colour, "JPEG") + encode(colour.resize((24, 20)), "JPEG"),
        "jpeg CMYK": encode(colour.convert("CMYK"), "JPEG"),
        "png": encode(colour, "PNG"),
        "png palette": encode(colour.quantize(64), "PNG", transparency=3),
        "png alpha": encode(translucent, "PNG"),
        "png grey alpha": encode(translucent.convert("LA"), "PNG"),
        "png 16 bit": encode_deep(".png"),
        "png animated": encode(colour, "PNG", **pages),
        "tiff": encode(colour, "TIFF"),
        "tiff 16 bit": encode_deep(".tiff"),
        "tiff preview": encode(colour, "TIFF", save_all=True, append_images=[colour.resize((24, 20))]),
        "webp": encode(colour, "WEBP", quality=80, exif=exif.tobytes()),
        "webp lossless": encode(translucent, "WEBP", lossless=True),
        "webp animated": encode(colour, "WEBP", **pages),
        "gif": encode(colour.quantize(64), "GIF"),
        "gif animated": encode(colour.quantize(64), "GIF", **pages),
        "bmp": encode(colour, "BMP"),
        "ppm": encode(colour, "PPM"),
        "ppm 12 bit": b"P6 48 40 4095\n" + (pixels.astype(np.uint16) * 16).astype(">u2").tobytes(),
        "ppm text": b"P3\n# a remark\n48 40 255\n" + " ".join(map(str, pixels.ravel())).encode(),
        "jpeg 2000": encode(colour, "JPEG2000", irreversible=False),
    }
    if features.check("avif"):
        files["avif"] = encode(colour, "AVIF", quality=90)
    for packing in ("tiff_lzw", "tiff_adobe_deflate", "jpeg"):
        files[f"tiff {packing}"] = encode(colour, "TIFF", compression=packing)
    return files | _dicom_samples(pixels, files["jpeg"], encode(colour, "JPEG2000", irreversible=False, no_jp2=True))


def _dicom_samples(pixels: np.ndarray, jpeg: bytes, jpeg_2000: bytes) -> dict[str, bytes]:
    import pydicom
    from pydicom.encaps import encapsulate

    found = {}
    for name, syntax, data in (
        ("dicom", pydicom.uid.ExplicitVRLittleEndian, pixels.tobytes()),
        ("dicom implicit", pydicom.uid.ImplicitVRLittleEndian, pixels.tobytes()),
        ("dicom jpeg", pydicom.uid.JPEGBaseline8Bit, encapsulate([jpeg])),
        ("dicom jpeg 2000", pydicom.uid.JPEG2000, encapsulate([jpeg_2000])),
        ("dicom rle", pydicom.uid.ExplicitVRLittleEndian, pixels.tobytes()),
    ):
        dataset = pydicom.Dataset()
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.5.1", "1.2.3"
        dataset.Modality, dataset.PatientID = "OP", "1"
        dataset.Rows, dataset.Columns = pixels.shape[:2]
        dataset.SamplesPerPixel, dataset.PlanarConfiguration, dataset.PixelRepresentation = 3, 0, 0
        dataset.PhotometricInterpretation = "YBR_FULL_422" if name == "dicom jpeg" else "RGB"
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit = 7
        dataset.PixelData = data
        dataset["PixelData"].VR = "OB"
        if name == "dicom rle":
            dataset.compress(pydicom.uid.RLELossless)
        file = io.BytesIO()
        pydicom.dcmwrite(file, dataset, enforce_file_format=True)
        found[name] = file.getvalue()
    return found


def mutate(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Damage a file one to four times; `other` lends it blocks."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = rng.choice(MUTATORS)(bytearray(data), other, rng)
    return data


def _place(data: bytes | bytearray, rng: random.Random) -> int:
    # Every other time in the head, where sizes and offsets stand.
    return rng.randrange(max(1, min(len(data), 200) if rng.random() < 0.5 else len(data)))


def _flip_bits(data: bytearray, other: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 1, 3, 20))):
        if data:
            data[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(data)


def _replace_bytes(data: bytearray, other: bytes, rng: random.Random) -> bytes:
    start, length = _place(data, rng), rng.choice((1, 2, 4, 16, 300))
    data[start : start + length] = rng.randbytes(length)
    return bytes(data)


def _zero_block(data: bytearray, other: bytes, rng: random.Random) -> bytes:
    start, length = _place(data, rng), rng.choice((4, 64, 512, 5000))
    data[start : start + length] = bytes(len(data[start : start + length]))
    return bytes(data)


def _repeat_block(data: bytearray, other: bytes, rng: random.Random) -> bytes:
    start, length = _place(data, rng), rng.choice((1, 8, 64, 512))
    data[start:start] = data[start : start + length] * rng.choice((1, 2, 50))
    return bytes(data)


def _remove_block(data: bytearray, other: bytes, rng: random.Random) -> bytes:
    start = _place(data, rng)
    del data[start : start + rng.choice((1, 8, 64, 512))]
    return bytes(data)


def _splice(data: bytearray, other: bytes, rng: random.Random) -> bytes:
    start, length = _place(data, rng), rng.choice((4, 32, 512, 5000))
    origin = _place(other, rng)
    data[start : start + length] = other[origin : origin + length]
    return bytes(data)


def _extreme_number(data: bytearray, other: bytes, rng: random.Random) -> bytes:
    start, form = _place(data, rng), rng.choice(("<B", "<H", ">H", "<I", ">I"))
    size = struct.calcsize(form)
    data[start : start + size] = struct.pack(form, rng.choice(EXTREMES) & (256**size - 1))
    return bytes(data)


def _cut_off(data: bytearray, other: bytes, rng: random.Random) -> bytes:
    return bytes(data[: _place(data, rng)])


MUTATORS: tuple[Callable[[bytearray, bytes, random.Random], bytes], ...] = (
    _flip_bits, _replace_bytes, _zero_block, _repeat_block, _remove_block, _splice, _extreme_number, _cut_off,
)  # fmt: skip


def read_case(data: bytes | Path, least_px: int | None) -> str:
    """Read a file as the program does; what comes back must be a photo or a `PhotoError`."""
    try:
        pixels = read_photo(data) if least_px is None else read_scaled(data, least_px).pixels
    except PhotoError as error:
        assert error.status == "unreadable"
        assert "memory" not in error.reason
        return error.reason
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert min(pixels.shape) >= 1
    return "read"


def make_case(seed: int, case: int, files: dict[str, bytes]) -> tuple[str, bytes, int | None]:
    """The name of the format, the damaged file and the scale of one case; the same for the same numbers."""
    rng = random.Random(f"{seed} {case}")
    names = sorted(files)
    name = names[case % len(names)]
    return name, mutate(files[name], files[rng.choice(names)], rng), rng.choice((None, 1, 20))


def _run_cases(seed: int, first: int, last: int, pipe: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    cv2.setNumThreads(1)
    files = samples()
    for case in range(first, last):
        name, data, least_px = make_case(seed, case, files)
        pipe.send(("begun", case, name, ""))
        try:
            pipe.send(("ended", case, name, read_case(data, least_px)))
        except Exception as error:
            pipe.send(("raised", case, name, f"{type(error).__name__}: {error}"))
    pipe.send(("done", last, "", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))


def outcomes(seed: int, cases: int) -> Iterator[tuple[str, int, str, str, float]]:
    """Run the cases in child processes, a new one after each that dies or hangs.

    Yields:
        What happened (`ended`, `raised`, `died`, `hung`), the number of the case, its format, the outcome, seconds.
        Last `done`, with the most memory in MiB that the child took, as the outcome.
    """
    context, first = multiprocessing.get_context("spawn"), 0
    while first < cases:
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_run_cases, args=(seed, first, cases, theirs))
        child.start()
        theirs.close()
        begun, name, started = first, "", time.perf_counter()
        while True:
            # The first answer takes as long as the imports.
            if not ours.poll(LIMIT_SECONDS if name else 60):
                child.kill()
                yield "hung", begun, name, "", LIMIT_SECONDS
                first = begun + 1
                break
            try:
                what, case, name, outcome = ours.recv()
            except EOFError:
                child.join()
                code = -(child.exitcode or 0)
                yield "died", begun, name, signal.Signals(code).name if code > 0 else f"exit {-code}", 0.0
                first = begun + 1
                break
            if what == "begun":
                begun, started = case, time.perf_counter()
            elif what == "done":
                first = case
                yield what, case, "", str(outcome), 0.0
                break
            else:
                yield what, case, name, outcome, time.perf_counter() - started
        child.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    formats: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    reasons: collections.Counter[str] = collections.Counter()
    finds, slowest, memory_mib, started = [], (0.0, 0), "", time.perf_counter()
    for what, case, name, outcome, seconds in outcomes(arguments.seed, arguments.cases):
        if what == "done":
            memory_mib = outcome
            continue
        formats[name]["read" if outcome == "read" else "refused" if what == "ended" else what] += 1
        slowest = max(slowest, (seconds, case))
        if what == "ended":
            reasons[outcome] += 1
        else:
            finds.append({"case": case, "format": name, "what": what, "outcome": outcome})
            print(f"find: case {case} ({name}) {what} {outcome}", flush=True)
    results = {
        "cases": arguments.cases,
        "seed": arguments.seed,
        "seconds": round(time.perf_counter() - started),
        "slowest": {"seconds": round(slowest[0], 2), "case": slowest[1]},
        "most_memory_mib": memory_mib,
        "formats": {name: dict(counts) for name, counts in sorted(formats.items())},
        "reasons": dict(reasons.most_common(40)),
        "finds": finds,
    }
    text = json.dumps(results, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
