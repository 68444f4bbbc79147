"""One photo to look at: its pixels as taken, and what the network looked at as layers that lie over them."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import simplejpeg

from biranet.errors import PhotoError
from biranet.inference.captions import ATTENTION_NOTE, EVIDENCE_NOTE, caption_of
from biranet.inference.drawing import with_own_maps
from biranet.inference.lesion_drawing import COLORS, LESIONS_NOTE, outline_layer
from biranet.inference.lesions import Lesions
from biranet.inference.prediction import Prediction
from biranet.learning.transforms import Pixels
from biranet.lesion_kinds import LESIONS
from biranet.photos.formats import PhotoFile
from biranet.photos.overlay import draw_layer
from biranet.photos.read import decode_photo

MAX_SIDE_PX = 2048
"""Longer side of the picture at most."""

_JPEG_QUALITY = 90
_PNG_OF_REGIONS = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
"""A third of the time of the usual way, and a smaller file."""


class Scale(NamedTuple):
    """What the colours of a map's regions mean: equal steps from low to high.

    Attributes:
        low: Value in the first colour.
        high: Value in the last colour.
        words: Whose scale that is.
        colors: `#rrggbb`, from low to high.
    """

    low: float
    high: float
    words: str
    colors: tuple[str, ...]


class Outlined(NamedTuple):
    """What outlines of a colour are.

    Attributes:
        color: `#rrggbb`.
        words: What is outlined, such as `haemorrhages`.
        number: How many there are, where that is counted.
    """

    color: str
    words: str
    number: int | None = None


class Layer(NamedTuple):
    """A map as a layer over the picture.

    Attributes:
        name: For programs, such as `attention_a_stretched`.
        label: For people, such as `attention of stream A`.
        note: What it is not, a sentence.
        png: RGBA, as large as the picture, transparent where the network saw nothing of the photo.
        scale: Of its regions, where it has some.
        outlined: What its outlines are, where it has some.
    """

    name: str
    label: str
    note: str
    png: bytes
    scale: Scale | None = None
    outlined: tuple[Outlined, ...] = ()


class PhotoView(NamedTuple):
    """What there is to see of a photo.

    Attributes:
        width_px: Width of the upright photo; None where it cannot be read.
        height_px: Its height.
        jpeg: The upright photo, at most `MAX_SIDE_PX` a side; None where it cannot be read.
        layers: Maps over it; none without a grade.
        title: What is said of it, in a line; empty without a grade, like what follows.
        lines: What else is said.
        notes: What the maps are not.
    """

    width_px: int | None = None
    height_px: int | None = None
    jpeg: bytes | None = None
    layers: tuple[Layer, ...] = ()
    title: str = ""
    lines: Sequence[str] = ()
    notes: Sequence[str] = ()


def draw_view(data: bytes, answer: Prediction) -> PhotoView:
    """Draw a photo that was graded, or that could not be.

    Args:
        data: Its file.
        answer: What is said of it, with what the network saw and where.

    Returns:
        The view; without a picture where the photo cannot be read.
    """
    try:
        photo = decode_photo(PhotoFile(data), None).pixels
    except (PhotoError, MemoryError):
        return PhotoView()
    height_px, width_px = photo.shape[:2]
    scale = min(1.0, MAX_SIDE_PX / max(height_px, width_px))
    jpeg: bytes = simplejpeg.encode_jpeg(_shrink(photo, scale), _JPEG_QUALITY, "RGB", "444")
    view = PhotoView(width_px, height_px, jpeg)
    if answer.grade is None or answer.probabilities is None or answer.attention is None or answer.original is None:
        return view
    caption = caption_of(
        answer.file, answer.grade, answer.probabilities, answer.decision, answer.grade_range, answer.model
    )
    maps, noted = with_own_maps(answer.attention, answer.evidence, caption)
    layers = [] if answer.lesions is None else [_outlines(answer.lesions, scale)]
    for shown in maps:
        note = EVIDENCE_NOTE if shown.signed else ATTENTION_NOTE
        for each, kind, words in (
            (shown, "", "the scale of all photos"),
            (shown.stretched(), " stretched", "stretched to its own range"),
        ):
            name = f"{shown.name.partition(' (')[0]}{kind}".replace(" of stream", "").replace(" ", "_").lower()
            colors = tuple(f"#{bytes(color).hex()}" for color in each.colors.tolist())
            png = _png(draw_layer(answer.original.cut, each, scale=scale))
            layers.append(Layer(name, shown.name, note, png, Scale(each.low, each.high, words, colors)))
    notes = noted.lines[len(caption.lines) :]
    return view._replace(layers=tuple(layers), title=caption.title, lines=caption.lines, notes=notes)


def _outlines(lesions: Lesions, scale: float) -> Layer:
    counts = {kind: finding.count for kind, finding in lesions.findings.items()}
    outlined = tuple(
        Outlined(f"#{bytes(COLORS[kind][1]).hex()}", LESIONS.get(kind, "optic disc"), counts.get(kind))
        for kind in lesions.drawn
    )
    return Layer(
        "lesions", "lesions", LESIONS_NOTE, _png(outline_layer(lesions.maps, lesions.drawn, scale)), outlined=outlined
    )


def _shrink(photo: Pixels, scale: float) -> Pixels:
    if scale == 1:
        return np.ascontiguousarray(photo)
    height_px, width_px = (max(1, int(side * scale + 1e-6)) for side in photo.shape[:2])
    return np.asarray(cv2.resize(photo, (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8)


def _png(layer: Pixels) -> bytes:
    _, encoded = cv2.imencode(".png", cv2.cvtColor(layer, cv2.COLOR_RGBA2BGRA), _PNG_OF_REGIONS)
    return encoded.tobytes()
