"""From the file of a photo to what the network shall see, with all else that the file tells: for worker processes."""

import dataclasses
import io
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from biranet.decisions.patients import NOBODY, Subject
from biranet.errors import InputError, PhotoError
from biranet.inference.original import Original
from biranet.learning.transforms import Pixels, resize
from biranet.photos import CONTRADICTORY
from biranet.photos.formats import PhotoFile
from biranet.photos.prepare import Preparation, decode_prepared, open_photo, prepare_file
from biranet.photos.privacy.metadata import patient_and_eye
from biranet.photos.quality import advise_retake, weakest_measure


class Task(NamedTuple):
    """A photo to load.

    Attributes:
        source: The file, or its bytes.
        refused: Why it must not be read; empty where it may.
        subject: Whose photo it is, as was said.
    """

    source: Path | bytes
    refused: str = ""
    subject: Subject = NOBODY


@dataclass(frozen=True)
class Loaded:
    """A photo, ready for the network, or why it is not.

    Attributes:
        pixels: What the network shall see, (H, H, 3), RGB, uint8; None where the photo cannot be used.
        error: Why it cannot be used.
        margin: Of its weakest measure, see `biranet.photos.quality.Weakness`; None where nothing was measured.
        action: What to do now where it cannot be used.
        subject: Whose photo it is, by what was said and by the header of the file.
        original: Where the photo can be read again as it was taken.
    """

    pixels: Pixels | None = None
    error: PhotoError | None = None
    margin: float | None = None
    action: str = ""
    subject: Subject = NOBODY
    original: Original | None = None


def load_photo(task: Task, *, preparation: Preparation, image_size: int, keep_ungradable: bool) -> Loaded:
    """Prepare a photo through the very bytes the cache holds, so that grading sees what training saw.

    Args:
        task: The photo.
        preparation: How the model's photos are prepared.
        image_size: H: side of what the network sees.
        keep_ungradable: Load it even if it is ungradable.

    Returns:
        The photo; one that cannot be used has its error.
    """
    subject, margin, action = task.subject, None, ""
    try:
        if task.refused:
            raise PhotoError("unreadable", task.refused)
        file = open_photo(task.source)
        subject = _ask_header(subject, file)
        prepared = prepare_file(file, preparation)
        if prepared.quality is not None:
            weakness = weakest_measure(prepared.quality)
            margin = weakness.margin
            if weakness.reason and not keep_ungradable:
                action = advise_retake(weakness)
                raise PhotoError("ungradable", weakness.reason)
        pixels = resize(decode_prepared(prepared.jpeg), image_size)
        original = Original(task.source, preparation, prepared.cut)
        return Loaded(pixels, margin=margin, subject=subject, original=original)
    except PhotoError as error:
        instead = "give the file again" if error.status == "unreadable" else "retake"
        return Loaded(error=error, margin=margin, action=action or f"{instead}: {error}", subject=subject)


def _ask_header(said: Subject, file: PhotoFile) -> Subject:
    """Add to what was said of a photo what the header of its file says; where they contradict, neither counts."""
    try:
        patient, eye = patient_and_eye(file)
    except InputError as error:  # without its key, no patient; the photo can be graded all the same
        return dataclasses.replace(said, problem=str(error))
    known = dataclasses.replace(said, header_patient=patient)
    if patient and not said.patient:
        known = dataclasses.replace(known, patient=patient, patient_from="header")
    if eye == CONTRADICTORY and not said.eye:
        return dataclasses.replace(known, problem="the header of the file names both eyes")
    if eye in ("", CONTRADICTORY, said.eye):
        return known
    if not said.eye:
        return dataclasses.replace(known, eye=eye, eye_from="header")
    who = {"labels": "the labels say", "name": "the name says"}[said.eye_from]
    problem = f"{who} {said.eye}, the header of the file says {eye}"
    return dataclasses.replace(known, eye="", eye_from="", problem=problem)


def encode_photo(photo: Image.Image | Pixels) -> bytes:
    """Encode a picture in memory without loss, so that it takes the way of a file.

    Args:
        photo: A PIL picture, or RGB pixels (H, W, 3), uint8.

    Returns:
        The bytes of a picture file.

    Raises:
        InputError: If it is something else.
    """
    if isinstance(photo, Image.Image):
        picture = photo
        # As for files: unreadable EXIF says nothing about the pixels.
        with suppress(Exception):
            picture = ImageOps.exif_transpose(photo)
        if picture.mode in ("CMYK", "YCbCr", "HSV"):
            picture = picture.convert("RGB")
    else:
        if not isinstance(photo, np.ndarray):
            raise InputError(f"a photo is a file's name, a PIL picture or RGB pixels, not {type(photo).__name__}")
        if photo.dtype != np.uint8 or photo.shape[2:] != (3,) or photo.size == 0:
            raise InputError(f"pixels must be RGB, (H, W, 3), uint8, not {photo.shape}, {photo.dtype}")
        picture = Image.fromarray(photo)
    encoded = io.BytesIO()
    # PNG holds no 32-bit greys.
    if picture.mode in ("I", "F"):
        picture.save(encoded, "TIFF")
    else:
        picture.save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()
