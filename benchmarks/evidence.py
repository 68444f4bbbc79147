"""What does the evidence cost, and how far do engines agree on it? Measured in one run, one thread.

python benchmarks/evidence.py ORIGINALS [--rounds 9] [--out results.json]

ORIGINALS: a folder of photographs. Each model that ships sees them as it prepares them. Its exported graph is timed in
turns with what of it is left without the way back through the network. The evidence of ONNX Runtime and of OpenVINO is
compared with that of torch, cell by cell, in parts of the highest cell of its photo. Only ratios and agreement count;
the seconds are those of the machine.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx.utils
import onnxruntime
import torch
from numpy.typing import NDArray

from biranet.inference.engines import load_engine
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.onnx_file import EVIDENCE, IMAGE
from biranet.learning.shipped_models import DEFAULT, LESIONS_DEFAULT, find_checkpoint
from biranet.learning.transforms import resize
from biranet.photos.prepare import decode_prepared, prepare_photo
from records import start_record, write_record

ENGINES = ("onnx", "openvino")
TIMED = 4
"""So many photos tell how long one takes."""


def see(files: list[Path], info: CheckpointInfo) -> list[NDArray[np.uint8]]:
    """Photos as a model sees them, (1, size, size, 3) each."""
    prepared = (decode_prepared(prepare_photo(file, info.preparation).jpeg) for file in files)
    return [resize(pixels, info.image_size)[None] for pixels in prepared]


def session_of(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def time_evidence(name: str, photos: list[NDArray[np.uint8]], rounds: int) -> dict[str, float]:
    """Milliseconds of one processor for a photo, with the evidence and without it."""
    model = onnx.load(find_checkpoint(name).with_suffix(".onnx"))
    others = [output.name for output in model.graph.output if output.name != EVIDENCE]
    without = onnx.utils.Extractor(model).extract_model([IMAGE], others)
    ways = {"with": session_of(model), "without": session_of(without)}
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds + 1):
        for way, session in ways.items():
            milliseconds = 1000 * seconds_of(
                lambda session=session: [session.run(None, {IMAGE: each}) for each in photos]
            )
            if turn:  # the first one warms up
                taken[way].append(milliseconds / len(photos))
    ratio = statistics.median(one / other for one, other in zip(*taken.values(), strict=True))
    return {way: round(statistics.median(each), 1) for way, each in taken.items()} | {"ratio": round(ratio, 2)}


def seconds_of(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def compare_engines(name: str, photos: list[NDArray[np.uint8]]) -> dict[str, Any]:
    """By engine, how far a cell is from that of torch at most: of the middle photo, and of the worst."""
    checkpoint = find_checkpoint(name)
    torch_predictor = load_engine(checkpoint, "torch", "cpu")
    theirs = [evidence_of(torch_predictor, photo) for photo in photos]
    agreement = {}
    for engine in ENGINES:
        predictor = load_engine(checkpoint.with_suffix(".onnx"), engine, "cpu")
        apart = [
            float(np.abs(evidence_of(predictor, photo) - its).max() / np.abs(its).max())
            for photo, its in zip(photos, theirs, strict=True)
        ]
        agreement[engine] = {"middle": statistics.median(apart), "worst": max(apart)}
    return agreement


def evidence_of(predictor: Any, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(predictor.predict(photo).evidence, np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("originals", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    start_record(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted(file for file in arguments.originals.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg"))
    results: dict[str, Any] = {"photos": len(files), "models": {}}
    for name in (DEFAULT, LESIONS_DEFAULT):
        photos = see(files, load_engine(find_checkpoint(name), "torch", "cpu").info)
        results["models"][name] = {
            "milliseconds": time_evidence(name, photos[:TIMED], arguments.rounds),
            "apart": compare_engines(name, photos),
        }
    write_record(results, arguments.out, ("torch", "onnxruntime", "openvino"))


if __name__ == "__main__":
    main()
