"""How fast are photos prepared, and what does the speed cost? Measured in turns, each in a process of its own.

python benchmarks/prepare.py ORIGINALS [--rounds 5] [--copies 24] [--out results.json]

ORIGINALS: a folder of full-size JPEG photographs. One process, from files on disk:

* ours: `prepare_folder`: field found, padded, resized to 610, written, measured, entered in the manifest; with one
  worker and with two, all start-up included, on copies of the photographs that differ by a comment;
* plain: full decode, Resize(610), CenterCrop(610), as in torchvision; nothing is written;
* box: full decode, bounding box of what is lit, Lanczos to 610 x 610; nothing is written;
* limit: the scaled decode alone.

Last, the peak signal-to-noise ratio of each stored photo, inside the field, against the full decode cut to the same
square and averaged over areas. Only the ratios count; the seconds are those of the machine.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from records import start_record, write_record
from turns import speedup, time_in_turns

SIZE_PX = 610
TWO_WORKERS = "ours, two workers"
METHODS = ("ours", TWO_WORKERS, "plain", "box", "limit")


# torch, and our own tables, are imported where they are used: worker processes import this file too, and need neither.


def plain() -> Callable[[Path], None]:
    import torch
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    transform = v2.Compose([v2.Resize(SIZE_PX), v2.CenterCrop(SIZE_PX)])

    def prepare(file: Path) -> None:
        with Image.open(file) as picture:
            transform(picture.convert("RGB"))

    return prepare


def box(file: Path) -> None:
    with Image.open(file) as picture:
        photo = np.asarray(picture.convert("RGB"))
    lit = photo.max(axis=2) > 15
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    part = photo[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    Image.fromarray(part).resize((SIZE_PX, SIZE_PX), Image.Resampling.LANCZOS)


def limit(file: Path) -> None:
    with Image.open(file) as picture:
        picture.draft("RGB", (SIZE_PX, SIZE_PX))
        picture.load()


def prepare_from_scratch(photos: Path, out: Path, workers: int) -> None:
    from biranet.photos.folder import prepare_folder

    prepare_folder(photos, out, size_px=SIZE_PX, workers=workers)


def time_method(name: str, files: list[Path], photos: Path, out: Path) -> float:
    """Seconds a photo of one way, in this process, which has done nothing else before."""
    cv2.setNumThreads(1)
    if name.startswith("ours"):
        from biranet.photos import folder  # noqa: F401 (importing is not what is timed)

        shutil.rmtree(out, ignore_errors=True)
        started = time.perf_counter()
        prepare_from_scratch(photos, out, 2 if name == TWO_WORKERS else 1)
        return (time.perf_counter() - started) / len(list(photos.iterdir()))
    way = {"plain": plain, "box": lambda: box, "limit": lambda: limit}[name]()
    way(files[0])  # warms up
    started = time.perf_counter()
    for file in files:
        way(file)
    return (time.perf_counter() - started) / len(files)


def make_copies(files: list[Path], count: int, folder: Path) -> Path:
    """A folder with each photo so many times, each copy with a comment of its own: no two files are identical."""
    folder.mkdir()
    for number in range(count):
        for place, file in enumerate(files):
            note = f"{number}".encode()
            segment = b"\xff\xfe" + (len(note) + 2).to_bytes(2, "big") + note
            data = file.read_bytes()
            (folder / f"{place:03}_{number}.jpg").write_bytes(data[:2] + segment + data[2:])
    return folder


def psnr(file: Path, stored: Path, row: dict[str, str]) -> float:
    """Of a stored photo against the full decode, in dB, inside the circle of the field and the frame of the photo."""
    left, top, side = (int(row[f"field_{name}_px"]) for name in ("left", "top", "side"))
    with Image.open(file) as picture:
        photo = np.asarray(picture.convert("RGB").crop((left, top, left + side, top + side)))
        inside = np.asarray(Image.new("L", picture.size, 255).crop((left, top, left + side, top + side)))
    reference, frame = (cv2.resize(each, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA) for each in (photo, inside))
    rows, columns = np.mgrid[:SIZE_PX, :SIZE_PX] - (SIZE_PX - 1) / 2
    counted = (np.hypot(rows, columns) < SIZE_PX / 2) & (np.asarray(frame) == 255)
    with Image.open(stored) as picture:
        difference = np.asarray(picture).astype(float) - np.asarray(reference)
    mean_square: NDArray[np.float64] = np.mean(difference[counted] ** 2)
    return float(10 * np.log10(255**2 / mean_square))


def main() -> None:
    from biranet.tables import read_rows

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("originals", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--copies", type=int, default=24)
    start_record(parser)
    # One way alone, timed: what this script asks of itself.
    parser.add_argument("--way", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--photos", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--prepared", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    files = sorted(arguments.originals.rglob("*.jpg"))
    if arguments.way is not None:
        print(time_method(arguments.way, files, arguments.photos, arguments.prepared))
        return
    with tempfile.TemporaryDirectory() as temporary:
        out, photos = Path(temporary) / "out", make_copies(files, arguments.copies, Path(temporary) / "photos")
        given = (arguments.originals, "--photos", photos, "--prepared", out)
        taken = time_in_turns(__file__, METHODS, arguments.rounds, *given)
        rows = list(read_rows(out / "manifest.csv"))[:: arguments.copies]
        quality = [psnr(photos / row["file"], out / row["prepared"], row) for row in rows]

    report = {
        "photos": {"ours": arguments.copies * len(files), "others": len(files)},
        "photos_per_second": {name: round(1 / statistics.median(spent), 1) for name, spent in taken.items()},
        "ours_over_plain": speedup(taken, "ours", "plain"),
        "ours_over_box": speedup(taken, "ours", "box"),
        "ours_over_limit": speedup(taken, "ours", "limit"),
        "two_workers_over_one": speedup(taken, TWO_WORKERS, "ours"),
        "psnr_worst_db": round(min(quality), 1),
        "psnr_median_db": round(statistics.median(quality), 1),
    }
    write_record(report, arguments.out, ("numpy", "opencv-python-headless", "pillow", "simplejpeg", "torch"))


if __name__ == "__main__":
    main()
