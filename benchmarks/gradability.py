"""How often is the rule for ungradable photos right? On real photographs, spoiled copies of them, and other pictures.

python benchmarks/gradability.py PHOTOS ... [--every 3] [--out results.json]

PHOTOS: folders of real photographs that somebody could grade. As they are, none should be refused. Of every third
photo, copies are spoiled on purpose: the finding is how strong a fault must be to be caught. Sizes are shares of the
diameter of the field. The other pictures come with installed packages (scikit-image, scikit-learn, matplotlib: those
that are there) or are drawn here; all of them should be refused, by the search for the field or by the rule. Shares
have a 95 % Wilson interval. No photo is named in the results.
"""

import argparse
import io
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.stats import binomtest

from biranet.errors import PhotoError
from biranet.photos.field import cut_field, find_field
from biranet.photos.formats import PHOTO_SUFFIXES, PhotoFile
from biranet.photos.quality import MEASURED_PX, measure_quality, weakest_measure
from biranet.photos.read import decode_photo, read_photo, read_source
from records import start_record, write_record

Pixels = NDArray[np.uint8]
Degradation = Callable[[Pixels, int], Pixels]
"""From a photo and the diameter of its field in pixels to a spoiled copy."""

NOISE_LEVEL = 1.5
"""Noise of the sensor, which comes after the blur of the lens; in levels of 255."""

FUNDUS_PICTURES = {"retina.jpg", "microaneurysms.png"}
"""Pictures of scikit-image that are fundus photographs."""


@dataclass
class Tally:
    """What became of the photos of one kind."""

    n: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def add(self, reason: str, seconds: float | None) -> None:
        """Count a photo that was judged."""
        self.n += 1
        if reason:
            self.reasons[reason] += 1
        if seconds is not None:
            self.seconds.append(seconds)

    def row(self) -> dict[str, object]:
        refused = sum(self.reasons.values())
        interval = binomtest(refused, self.n).proportion_ci(method="wilson")
        return {
            "n": self.n,
            "refused": refused,
            "share": round(refused / self.n, 3),
            "ci": [round(float(interval.low), 3), round(float(interval.high), 3)],
            "reasons": dict(self.reasons.most_common()),
        }


def judge(photo: Pixels) -> tuple[str, float | None]:
    """Why a photo is refused, empty where it is not, and the seconds that measuring it took, where it has a field."""
    try:
        region = find_field(photo)
    except PhotoError as error:
        return f"no field: {error}", None
    square = cut_field(photo, region, MEASURED_PX)
    started = time.perf_counter()
    weakness = weakest_measure(measure_quality(square, region.side_px))
    seconds = time.perf_counter() - started
    # The reason names how much is visible, so no two need be one.
    hidden = weakness.measure == "visible_fraction" and weakness.reason
    return "little of the field is visible" if hidden else weakness.reason, seconds


def blurred(sigma: float) -> Degradation:
    def degrade(photo: Pixels, side_px: int) -> Pixels:
        soft = cv2.GaussianBlur(photo, (0, 0), sigma * side_px).astype(np.float32)
        return clipped(soft + np.random.default_rng(0).normal(0, NOISE_LEVEL, photo.shape))

    return degrade


def motion_blurred(length: float, degrees: float = 30) -> Degradation:
    def degrade(photo: Pixels, side_px: int) -> Pixels:
        size = max(3, round(length * side_px)) | 1
        reach = size // 2 * np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
        kernel = np.zeros((size, size), np.float32)
        ends = [tuple(int(part) for part in np.rint(size // 2 + sign * reach)) for sign in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 1.0)
        soft = cv2.filter2D(photo, -1, kernel / kernel.sum()).astype(np.float32)
        return clipped(soft + np.random.default_rng(0).normal(0, NOISE_LEVEL, photo.shape))

    return degrade


def with_exposure(light: float) -> Degradation:
    """More or less light, through a camera's gamma of 2.2."""
    return lambda photo, _: clipped(255 * ((photo / 255.0) ** 2.2 * light).clip(0, 1) ** (1 / 2.2))


def cropped(width: float, height: float) -> Degradation:
    def degrade(photo: Pixels, _: int) -> Pixels:
        region = find_field(photo)
        right = max(0, region.left_px) + round(width * region.side_px)
        bottom = max(0, region.top_px) + round(height * min(region.side_px, photo.shape[0]))
        return photo[:bottom, :right]

    return degrade


def shadowed(covered: float) -> Degradation:
    """A shadow with a soft edge over one side, as of an eyelid or a small pupil."""

    def degrade(photo: Pixels, side_px: int) -> Pixels:
        region = find_field(photo)
        columns = np.arange(photo.shape[1]) - region.left_px - covered * region.side_px
        light = 0.02 + 0.98 / (1 + np.exp(-columns / (0.03 * side_px)))
        return clipped(photo * light[None, :, None])

    return degrade


def compressed(quality: int) -> Degradation:
    def degrade(photo: Pixels, _: int) -> Pixels:
        buffer = io.BytesIO()
        Image.fromarray(photo).save(buffer, "JPEG", quality=quality)
        return read_photo(buffer.getvalue())

    return degrade


def shrunk(side: int) -> Degradation:
    def degrade(photo: Pixels, side_px: int) -> Pixels:
        return np.asarray(
            cv2.resize(photo, None, fx=side / side_px, fy=side / side_px, interpolation=cv2.INTER_AREA), np.uint8
        )

    return degrade


def clipped(values: NDArray[np.floating]) -> Pixels:
    return np.rint(values).clip(0, 255).astype(np.uint8)


DEGRADATIONS: dict[str, Degradation] = {
    **{f"blur, sigma {100 * sigma:g} % of the field": blurred(sigma) for sigma in (0.005, 0.01, 0.015, 0.02, 0.03)},
    **{f"shake over {100 * length:g} % of the field": motion_blurred(length) for length in (0.02, 0.03, 0.05, 0.08)},
    **{f"1/{parts} of the light": with_exposure(1 / parts) for parts in (4, 16, 32, 64)},
    **{f"{times} times the light": with_exposure(times) for times in (2, 4, 8, 16)},
    "cut to 3/4 of its width": cropped(0.75, 1),
    "cut to half of its width": cropped(0.5, 1),
    "cut to a quarter": cropped(0.5, 0.5),
    **{f"shadow over {100 * covered:g} % of its width": shadowed(covered) for covered in (0.2, 0.3, 0.5, 0.7)},
    "JPEG at quality 5": compressed(5),
    **{f"shrunk to a field of {side} px": shrunk(side) for side in (200, 128, 64)},
}


def packaged_pictures() -> Iterator[tuple[str, Pixels]]:
    """Pictures that come with installed packages, each with the package's name."""
    folders = {"matplotlib": Path(matplotlib.get_data_path()) / "sample_data"}
    for package, place in (("skimage", "data"), ("sklearn", "datasets/images")):
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            folders[package] = Path(spec.origin).parent / place
    for package, folder in folders.items():
        for path in sorted(folder.iterdir()):
            if path.suffix in (".jpg", ".png") and path.name not in FUNDUS_PICTURES:
                yield package, read_photo(path)


def drawn_pictures() -> Iterator[Pixels]:
    """Pages of text, plots, noise and gradients."""
    words = "The quick brown fox jumps over the lazy dog. " * 3
    kinds = ((18, "black", "white"), (30, "white", "black"), (44, "navy", "beige"), (24, "white", "brown"))
    for size, text_color, background in kinds:
        page = Image.new("RGB", (640, 480), background)
        for top in range(10, 460, 2 * size):
            ImageDraw.Draw(page).text((10, top), words, text_color, ImageFont.load_default(size))
        yield np.asarray(page)
    matplotlib.use("Agg")
    from matplotlib import pyplot

    steps = np.linspace(0, 20, 300)
    for style in ("default", "dark_background", "ggplot", "Solarize_Light2"):
        with pyplot.style.context(style):
            figure, axes = pyplot.subplots(figsize=(6, 4.5))
            axes.plot(steps, np.sin(steps), steps, np.cos(steps) * np.exp(-steps / 9))
            axes.scatter(steps[::9], np.sin(steps[::9]) ** 2)
            figure.canvas.draw()
            yield np.asarray(figure.canvas.buffer_rgba())[:, :, :3].copy()
            pyplot.close(figure)
    random = np.random.default_rng(0)
    yield random.integers(0, 256, (480, 640, 3), np.uint8)
    yield cv2.resize(random.integers(0, 256, (6, 8, 3), np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC)
    rows, columns = np.mgrid[:480, :640] / 480
    yield clipped(255 * np.stack([rows, columns / 1.34, 1 - rows], axis=2))
    for color in ((255, 255, 255), (0, 0, 0), (90, 160, 60), (200, 110, 50)):
        yield np.full((480, 640, 3), color, np.uint8)


def masked_round(picture: Pixels) -> Pixels:
    height, width = picture.shape[:2]
    side = min(height, width)
    middle = picture[(height - side) // 2 :, (width - side) // 2 :][:side, :side]
    mask = cv2.circle(np.zeros((side, side, 1), np.uint8), (side // 2, side // 2), int(0.48 * side), 1, -1)
    return middle * mask.reshape(side, side, 1)


def crops(picture: Pixels) -> Iterator[Pixels]:
    height, width = picture.shape[:2]
    side = min(height, width) * 3 // 4
    for top, left in ((0, 0), (0, width - side), (height - side, 0), ((height - side) // 2, (width - side) // 2)):
        yield np.ascontiguousarray(picture[top : top + side, left : left + side])


def judge_photo(path: Path, spoil: bool) -> dict[str, tuple[str, float | None]]:
    """Judge a photo as it is, and where it is asked for, spoiled in every way."""
    photo = decode_photo(PhotoFile(read_source(path)), MEASURED_PX).pixels
    judged = {"as they are": judge(photo)}
    if spoil:
        side_px = find_field(photo).side_px
        for kind, degrade in DEGRADATIONS.items():
            judged[kind] = judge(np.ascontiguousarray(degrade(photo, side_px)))
    return judged


def measure_photos(folder: Path, every: int) -> tuple[dict[str, Tally], float]:
    tallies = {kind: Tally() for kind in ("as they are", *DEGRADATIONS)}
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)
    with ProcessPoolExecutor(initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        for judged in pool.map(judge_photo, paths, [number % every == 0 for number in range(len(paths))]):
            for kind, outcome in judged.items():
                tallies[kind].add(*outcome)
    return tallies, statistics.median(tallies["as they are"].seconds)


def measure_pictures() -> dict[str, Tally]:
    names = (
        "pictures, whole",
        "pictures, cut-outs",
        "colour pictures, round on black",
        "grey pictures, round on black",
    )
    tallies = {kind: Tally() for kind in (*names, "text, plots, noise, gradients, plain colours")}
    sources: Counter[str] = Counter()
    for package, picture in packaged_pictures():
        sources[package] += 1
        tallies[names[0]].add(*judge(picture))
        for part in crops(picture):
            tallies[names[1]].add(*judge(part))
        gray = (np.ptp(picture, axis=2) < 3).all()
        tallies[names[3] if gray else names[2]].add(*judge(masked_round(picture)))
    for picture in drawn_pictures():
        tallies["text, plots, noise, gradients, plain colours"].add(*judge(picture))
    print("pictures from:", ", ".join(f"{package} ({count})" for package, count in sources.items()))
    return tallies


def print_table(title: str, tallies: dict[str, Tally]) -> dict[str, object]:
    print(f"\n{title}\n\n| kind | n | refused | share | 95 % | main reason |\n|---|---|---|---|---|---|")
    rows = {kind: tally.row() for kind, tally in tallies.items() if tally.n}
    for kind, row in rows.items():
        low, high = row["ci"]
        reason = next(iter(row["reasons"]), "")
        print(f"| {kind} | {row['n']} | {row['refused']} | {row['share']:.3f} | {low:.3f} to {high:.3f} | {reason} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--every", type=int, default=3, help="spoil copies of each n-th photo")
    start_record(parser)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    results = {}
    for folder in arguments.photos:
        tallies, seconds = measure_photos(folder, arguments.every)
        results[folder.name] = print_table(f"{folder.name}: {1000 * seconds:.2f} ms a photo to measure", tallies)
        results[folder.name]["milliseconds a photo"] = round(1000 * seconds, 2)
    results["other pictures"] = print_table("other pictures", measure_pictures())
    write_record(results, arguments.out, ("numpy", "opencv-python-headless"))


if __name__ == "__main__":
    main()
