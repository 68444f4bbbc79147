"""How fast are photographs graded, from the file to the grade? Measured in turns, each in a process of its own.

python benchmarks/grade.py ORIGINALS [--rounds 5] [--out results.json]

ORIGINALS: a folder of full-size JPEG photographs, all graded by the model that ships, with its mirror image. One thread
a process; importing and loading are not counted in photos a second:

* ours: `Grader.grade_many` with ONNX Runtime, field found, cut and judged; with one process and with two workers;
* eager: the same with torch;
* plain: full decode, Resize and CenterCrop as in torchvision, the network in torch, photo by photo, as people write it;
* limit: the scaled decode and ONNX Runtime on the same graph, and nothing else;
* larger limit: the same, decoded at the scale at which a photo has the pixels that it is judged by.

Then cold starts, whole processes: `biranet grade` of one photo, its limit (importing ONNX Runtime and what decodes,
loading the model, decoding and computing), `biranet --help`, and what of it is the start of Python and of the packages
that read flags and descriptions. Only the ratios count; the seconds are those of the machine.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from records import start_record, write_record
from turns import speedup, time_in_turns

TWO_WORKERS = "ours, two workers"
WAYS = ("ours", TWO_WORKERS, "eager", "plain", "limit", "larger limit")
STARTS = ("python", "tyro", "pydantic")
COLD = ("grade one", "limit of one", "help", *STARTS)

# Everything is imported where it is used: no way must pay for another.


def grade(files: list[Path], engine: str, workers: int) -> float:
    """Seconds of our own way."""
    from biranet.inference.engines import load_engine
    from biranet.inference.grader import Grader
    from biranet.learning.shipped_models import find_checkpoint

    grader = Grader(load_engine(find_checkpoint(None), engine, "cpu"))
    grader.grade(files[0])  # warms up
    started = time.perf_counter()
    graded = sum(answer.status == "ok" for answer in grader.grade_many(files, workers=workers))
    assert graded == len(files), graded
    return time.perf_counter() - started


def time_each(files: list[Path], way: Callable[[Path], object]) -> float:
    """Seconds of a way that takes photo by photo."""
    way(files[0])  # warms up
    started = time.perf_counter()
    for file in files:
        way(file)
    return time.perf_counter() - started


def plain() -> Callable[[Path], object]:
    import torch
    from PIL import Image
    from torchvision.transforms import v2

    import biranet

    torch.set_num_threads(1)
    grader = biranet.load(engine="torch")
    size, (mean, deviation) = grader.info.image_size, grader.info.normalization
    transform = v2.Compose(
        [
            *(v2.PILToTensor(), v2.Resize(size), v2.CenterCrop(size)),
            *(v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, deviation)),
        ]
    )

    @torch.inference_mode()
    def answer(file: Path) -> object:
        with Image.open(file) as picture:
            image = transform(picture.convert("RGB"))[None]
        return (grader.model(image).logits.softmax(1) + grader.model(image.flip(-1)).logits.softmax(1)).argmax()

    return answer


def limit(min_side_px: int = 0) -> Callable[[Path], object]:
    import numpy as np
    import onnxruntime
    from PIL import Image

    import biranet

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = Path(biranet.__file__).parent / "shipped" / "idrid_lite0.onnx"
    session = onnxruntime.InferenceSession(model.read_bytes(), options, providers=["CPUExecutionProvider"])
    size = session.get_inputs()[0].shape[1]

    def answer(file: Path) -> object:
        with Image.open(file) as picture:
            picture.draft("RGB", (max(size, min_side_px),) * 2)
            pixels = np.asarray(picture.resize((size, size)))
        return session.run(["raw_probabilities"], {"image": pixels[None]})

    return answer


def larger_limit() -> Callable[[Path], object]:
    from biranet.photos.quality import MEASURED_PX

    return limit(MEASURED_PX)


def time_way(way: str, files: list[Path]) -> float:
    """Seconds of one way in this process, which has done nothing else before; cold ones in one of their own."""
    if way in COLD:
        with tempfile.TemporaryDirectory() as place:
            command = {
                "grade one": ["-m", "biranet", "grade", str(files[0])],
                "limit of one": [__file__, str(files[0].parent), "--way", "answer one"],
                "help": ["-m", "biranet", "--help"],
                "python": ["-c", ""],
                "tyro": ["-c", "import tyro"],
                "pydantic": ["-c", "import pydantic.type_adapter"],
            }[way]
            started = time.perf_counter()
            subprocess.run([sys.executable, *command], cwd=place, check=True, capture_output=True)
            return time.perf_counter() - started
    if way == "answer one":
        limit()(files[0])
        return 0.0
    photo_by_photo = {"plain": plain, "limit": limit, "larger limit": larger_limit}
    if way in photo_by_photo:
        return time_each(files, photo_by_photo[way]()) / len(files)
    return grade(files, "torch" if way == "eager" else "onnx", 2 if way == TWO_WORKERS else 0) / len(files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("originals", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    start_record(parser)
    # One way alone, timed: what this script asks of itself.
    parser.add_argument("--way", choices=(*WAYS, *COLD, "answer one"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    files = sorted(arguments.originals.resolve().rglob("*.jpg"))
    if not files:
        parser.error(f"{arguments.originals} holds no *.jpg")
    if arguments.way is not None:
        print(time_way(arguments.way, files))
        return
    taken = time_in_turns(__file__, (*WAYS, *COLD), arguments.rounds, arguments.originals)
    report = {
        "photos": len(files),
        "photos_per_second": {way: round(1 / statistics.median(taken[way]), 1) for way in WAYS},
        "ours_over_eager": speedup(taken, "ours", "eager"),
        "ours_over_plain": speedup(taken, "ours", "plain"),
        "ours_over_limit": speedup(taken, "ours", "limit"),
        "two_workers_over_one": speedup(taken, TWO_WORKERS, "ours"),
        "ours_over_larger_limit": speedup(taken, "ours", "larger limit"),
        "cold_seconds": {way: round(statistics.median(taken[way]), 2) for way in COLD},
        "cold_over_its_limit": round(1 / speedup(taken, "grade one", "limit of one"), 2),
    }
    packages = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "pydantic", "torch", "tyro")
    write_record(report, arguments.out, packages)


if __name__ == "__main__":
    main()
