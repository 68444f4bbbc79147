"""Does any damaged photo file crash, hang or fill the memory? Mutated files of every format, read one after the other.

python benchmarks/fuzz_read.py [--cases 100000] [--seed 1] [--out results.json]

Each case is a valid file, damaged one to four times: bits flipped, bytes replaced, a block zeroed, repeated, removed
or taken from another file, a number in the head made extreme, the end cut off. Reading must give a photo or a
`PhotoError`. The cases run in a child process with at most 4 GiB of address space. A case that kills it, takes longer
than ten seconds or more than 500 MiB, or raises anything else is a find, named by its number: the same seed and number
make the same bytes.
"""

import io
import random
import resource
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, features

from biranet.errors import PhotoError
from biranet.photos.formats import PhotoFile
from biranet.photos.read import decode_photo, read_source
from fuzzing import Maker, fuzz, mutate

LIMIT_BYTES = 4 << 30
LIMIT_SECONDS = 10.0


def smooth_picture(width: int = 48, height: int = 40) -> np.ndarray:
    """A picture (height, width, 3) with slow changes and a little noise."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(20, 235, (4, 5, 3)).astype(np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    return (smooth + rng.integers(-3, 4, smooth.shape)).clip(0, 255).astype(np.uint8)


def samples() -> dict[str, bytes]:
    """A small valid file of each kind."""
    pixels = smooth_picture()
    color, gray = Image.fromarray(pixels), Image.fromarray(pixels[:, :, 0])
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"

    def encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
        file = io.BytesIO()
        picture.save(file, kind, **options)
        return file.getvalue()

    def encode_deep(suffix: str) -> bytes:
        return bytes(cv2.imencode(suffix, pixels[:, :, ::-1].astype(np.uint16) * 257)[1])

    translucent = color.copy()
    translucent.putalpha(gray)
    pages: dict[str, Any] = {"save_all": True, "append_images": [color.rotate(180)]}
    files = {
        "jpeg": encode(color, "JPEG", quality=90),
        "jpeg with EXIF": encode(color, "JPEG", exif=exif.tobytes(), comment=b"a comment"),
        "jpeg progressive": encode(color, "JPEG", progressive=True),
        "jpeg restarts": encode(color, "JPEG", restart_marker_rows=1),
        "jpeg grey": encode(gray, "JPEG"),
        "jpeg with preview": encode(color, "JPEG") + encode(color.resize((24, 20)), "JPEG"),
        "jpeg CMYK": encode(color.convert("CMYK"), "JPEG"),
        "png": encode(color, "PNG"),
        "png palette": encode(color.quantize(64), "PNG", transparency=3),
        "png alpha": encode(translucent, "PNG"),
        "png grey alpha": encode(translucent.convert("LA"), "PNG"),
        "png 16 bit": encode_deep(".png"),
        "png animated": encode(color, "PNG", **pages),
        "tiff": encode(color, "TIFF"),
        "tiff 16 bit": encode_deep(".tiff"),
        "tiff preview": encode(color, "TIFF", save_all=True, append_images=[color.resize((24, 20))]),
        "webp": encode(color, "WEBP", quality=80, exif=exif.tobytes()),
        "webp lossless": encode(translucent, "WEBP", lossless=True),
        "webp animated": encode(color, "WEBP", **pages),
        "gif": encode(color.quantize(64), "GIF"),
        "gif animated": encode(color.quantize(64), "GIF", **pages),
        "bmp": encode(color, "BMP"),
        "ppm": encode(color, "PPM"),
        "ppm 12 bit": b"P6 48 40 4095\n" + (pixels.astype(np.uint16) * 16).astype(">u2").tobytes(),
        "ppm text": b"P3\n# a remark\n48 40 255\n" + " ".join(map(str, pixels.ravel())).encode(),
        "jpeg 2000": encode(color, "JPEG2000", irreversible=False),
    }
    if features.check("avif"):
        files["avif"] = encode(color, "AVIF", quality=90)
    for packing in ("tiff_lzw", "tiff_adobe_deflate", "jpeg"):
        files[f"tiff {packing}"] = encode(color, "TIFF", compression=packing)
    return files | _dicom_samples(pixels, files["jpeg"], encode(color, "JPEG2000", irreversible=False, no_jp2=True))


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


def read_case(data: bytes | Path, min_side_px: int | None) -> str:
    """Read a file as the program does; what comes back must be a photo or a `PhotoError`."""
    try:
        pixels = decode_photo(PhotoFile(read_source(data)), min_side_px).pixels
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


def _begin() -> Maker:
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    cv2.setNumThreads(1)
    files = samples()

    def make(seed: int, case: int) -> tuple[str, Callable[[], str]]:
        name, data, min_side_px = make_case(seed, case, files)
        return name, partial(read_case, data, min_side_px)

    return make


if __name__ == "__main__":
    fuzz(str(__doc__), _begin, kind="format", limit_seconds=LIMIT_SECONDS, limit_mib=500)
