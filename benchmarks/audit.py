"""How far apart are copies and different photos, and how does the search for copies grow with their number?

python benchmarks/audit.py PHOTOS [--every 5] [--counts 1000 … 50000] [--out results.json]

PHOTOS is a folder of fundus photographs. Every fifth is compressed, resized, turned, mirrored, brightened, darkened and
cropped, and the copy's distance is measured. The search is timed on fingerprints drawn like those of the photos, a
tenth of them once more at a distance from 0 to the threshold, and compared with comparing all where that can be done.
Only ratios and the growth count; the seconds are those of the machine.
"""

import argparse
import io
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from biranet.photos.copies import MAX_DISTANCE, near_identical_pairs
from biranet.photos.field import cut_field, find_field
from biranet.photos.fingerprint import QUANTIZATION_STEPS, fingerprint
from biranet.photos.formats import PHOTO_SUFFIXES
from biranet.photos.read import read_photo
from records import start_record, write_record

BRUTE_FORCE_LIMIT = 20_000


def compressed(photo: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality)
    return read_photo(file.getvalue())


def halved(photo: np.ndarray) -> np.ndarray:
    return cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def rotated(photo: np.ndarray, degrees: float) -> np.ndarray:
    height, width = photo.shape[:2]
    move = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    cosine, sine = np.abs(move[0, :2])
    size = round(height * sine + width * cosine), round(height * cosine + width * sine)
    move[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    return cv2.warpAffine(photo, move, size, flags=cv2.INTER_LINEAR)


def with_gamma(photo: np.ndarray, gamma: float) -> np.ndarray:
    return cv2.LUT(photo, np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8))


def cropped(photo: np.ndarray, share: float, sides: int = 4) -> np.ndarray:
    """Cut to the field, and a share of its width away at all four sides or only at the left."""
    field, (height, width) = find_field(photo), photo.shape[:2]
    left, top = max(0, field.left_px), max(0, field.top_px)
    right, bottom = min(width, field.left_px + field.side_px), min(height, field.top_px + field.side_px)
    less = int(share * field.side_px)
    return (
        photo[top + less : bottom - less, left + less : right - less]
        if sides == 4
        else photo[top:bottom, left + less :]
    )


COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "JPEG quality 30": lambda photo: compressed(photo, 30),
    "half the size": halved,
    "turned by 7 degrees": lambda photo: rotated(photo, 7),
    "turned by 33 degrees": lambda photo: rotated(photo, 33),
    "turned by 90 degrees": lambda photo: np.rot90(photo),
    "turned by 180 degrees": lambda photo: np.rot90(photo, 2),
    "mirrored": lambda photo: photo[:, ::-1],
    "gamma 0.8": lambda photo: with_gamma(photo, 0.8),
    "gamma 1.25": lambda photo: with_gamma(photo, 1.25),
    "3 % cut off at all sides": lambda photo: cropped(photo, 0.03),
    "3 % cut off at the left": lambda photo: cropped(photo, 0.03, sides=1),
    "half, -12 degrees, mirrored, gamma 1.15, quality 50": lambda photo: compressed(
        with_gamma(np.ascontiguousarray(rotated(halved(photo), -12)[:, ::-1]), 1.15), 50
    ),
}


def fingerprint_vector(photo: np.ndarray) -> np.ndarray:
    photo = np.ascontiguousarray(photo)
    text = fingerprint(cut_field(photo, find_field(photo), 384))
    return np.frombuffer(bytes.fromhex(text), np.uint8).astype(np.float64) / QUANTIZATION_STEPS


def summarize(distances: np.ndarray) -> dict[str, float]:
    shares = {"median": 50, "95 %": 95, "99 %": 99, "largest": 100}
    found = {name: round(float(np.percentile(distances, share)), 3) for name, share in shares.items()}
    return found | {"missed_fraction": round(float((distances > MAX_DISTANCE).mean()), 4)}


def pairwise_distances(vectors: np.ndarray) -> np.ndarray:
    squares = (vectors**2).sum(axis=1)
    distances = np.sqrt(np.maximum(0, squares[:, None] + squares - 2 * vectors @ vectors.T))
    return distances[np.triu_indices(len(vectors), 1)]


def measure_distances(files: list[Path], every: int) -> tuple[dict[str, object], np.ndarray]:
    started = time.perf_counter()
    vectors = np.stack([fingerprint_vector(read_photo(file)) for file in files])
    seconds = time.perf_counter() - started
    copies: dict[str, list[float]] = {name: [] for name in COPIES}
    for number in range(0, len(files), every):
        photo = read_photo(files[number])
        for name, change in COPIES.items():
            copies[name].append(float(np.linalg.norm(fingerprint_vector(change(photo)) - vectors[number])))
    different = np.sort(pairwise_distances(vectors))
    result = {
        "photos": len(files),
        "threshold": MAX_DISTANCE,
        "copies": {name: summarize(np.array(distances)) for name, distances in copies.items()},
        "all pairs of photos": {
            "closest": np.round(different[:8], 3).tolist(),
            "median": round(float(np.median(different)), 3),
            "at most the threshold": int((different <= MAX_DISTANCE).sum()),
        },
        "milliseconds a photo, with reading": round(1000 * seconds / len(files), 2),
    }
    return result, vectors


def sample_fingerprints(vectors: np.ndarray, count: int) -> list[str]:
    random = np.random.default_rng(0)
    mixing = np.linalg.cholesky(np.cov(vectors.T) + 1e-9 * np.eye(vectors.shape[1]))
    drawn = vectors.mean(axis=0) + random.standard_normal((count, len(mixing))) @ mixing.T
    tenth = count // 10
    change = random.standard_normal((tenth, len(mixing)))
    change *= random.uniform(0, MAX_DISTANCE, (tenth, 1)) / np.linalg.norm(change, axis=1, keepdims=True)
    drawn[:tenth] = drawn[tenth : 2 * tenth] + change
    return [bytes(row).hex() for row in np.rint(drawn * QUANTIZATION_STEPS).clip(0, 255).astype(np.uint8)]


def brute_force_pairs(texts: list[str]) -> np.ndarray:
    rows = np.array([list(bytes.fromhex(text)) for text in texts], np.float32)
    squares, found = (rows**2).sum(axis=1), []
    for start in range(0, len(rows), 2000):
        some = slice(start, start + 2000)
        near = squares[some, None] + squares - 2 * rows[some] @ rows.T <= (MAX_DISTANCE * QUANTIZATION_STEPS) ** 2
        one, other = np.nonzero(near)
        found.append(np.column_stack([one + start, other])[one + start < other])
    return np.concatenate(found)


def measure_search(vectors: np.ndarray, counts: list[int]) -> dict[str, object]:
    rows: list[dict[str, object]] = []
    for count in counts:
        texts = sample_fingerprints(vectors, count)
        started = time.perf_counter()
        found = near_identical_pairs(texts)
        row: dict[str, object] = {
            "photos": count, "seconds": round(time.perf_counter() - started, 3), "pairs": len(found),
        }  # fmt: skip
        if count <= BRUTE_FORCE_LIMIT:
            started = time.perf_counter()
            pairs = brute_force_pairs(texts)
            row["seconds_comparing_all"] = round(time.perf_counter() - started, 3)
            row["share_of_pairs_found"] = round(len(found) / len(pairs), 4)
        rows.append(row)
    growth = [
        round(float(np.log(b["seconds"] / a["seconds"]) / np.log(b["photos"] / a["photos"])), 2)  # type: ignore[operator]
        for a, b in itertools.pairwise(rows)
    ]
    return {"searches": rows, "growth_exponents": growth}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 5000, 10_000, 20_000, 50_000])
    start_record(parser)
    arguments = parser.parse_args()
    files = sorted(file for file in arguments.photos.rglob("*") if file.suffix.lower() in PHOTO_SUFFIXES)
    distances, vectors = measure_distances(files, arguments.every)
    report = {
        "distances": distances,
        "search": measure_search(vectors, arguments.counts),
    }
    write_record(report, arguments.out, ("numpy", "opencv-python-headless", "scipy"))


if __name__ == "__main__":
    main()
