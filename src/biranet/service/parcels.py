"""What goes between the process that answers and those that grade: photos of one request, and what is said of them."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

from biranet.decisions.patients import NOBODY, Subject
from biranet.inference.prediction import Prediction
from biranet.service.view import PhotoView


class PhotoResult(NamedTuple):
    """What is known of a photo.

    Attributes:
        prediction: The answer, without pixels.
        view: How it looks, where that was asked for.
    """

    prediction: Prediction
    view: PhotoView | None = None


@dataclass(frozen=True)
class Photo:
    """A photo to grade.

    Attributes:
        name: What it is called.
        data: Its file.
        subject: Whose it is, as was said.
    """

    name: str
    data: bytes = field(repr=False)
    subject: Subject = NOBODY


@dataclass(eq=False)
class Parcel:
    """Photos of one request that one worker computes together, so that their answers depend on no other request.

    Attributes:
        photos: The photos, from 1.
        draw: Whether to draw them.
        lost: How many workers were lost while it was handed to them.
        results: Becomes their results, in order; cancelled when nobody waits for them any more.
    """

    photos: Sequence[Photo]
    draw: bool = False
    lost: int = 0
    results: Future[list[PhotoResult]] = field(default_factory=Future)
