"""From the file of a photo to what the network shall see, with all else that the file tells: for worker processes."""

import hashlib
import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from biranet.decisions.patients import ENTERED, NOBODY, OVER_HEADER, Subject
from biranet.errors import InputError, PhotoError
from biranet.inference.addresses import Address, address_state, open_source
from biranet.inference.original import Original
from biranet.learning.transforms import Pixels, resize
from biranet.photos import CONTRADICTORY
from biranet.photos.formats import PhotoFile
from biranet.photos.prepare import Preparation, prepare_file
from biranet.photos.privacy.metadata import identity_and_eye
from biranet.photos.privacy.pseudonyms import keyed_hash
from biranet.photos.quality import advise_retake, weakest_measure
from biranet.words import EYES


class Header(NamedTuple):
    """What the header of a photo's file says of whose it is.

    Attributes:
        patient: Keyed hash of the patient; empty where none is named.
        eye: `left`, `right`, `contradictory` where both are named, or empty.
        problem: Why it could not be read, in a clause.
    """

    patient: str = ""
    eye: str = ""
    problem: str = ""


NO_HEADER = Header()
"""Of a file of which the header says nothing, or was not read."""


class PhotoTask(NamedTuple):
    """A photo to load.

    Attributes:
        source: The file, its address, or its bytes.
        refused: Why it must not be read; empty where it may.
        subject: Whose photo it is, as was said.
        name: What the photo is called.
        state: The file as last seen; of one at an address, as it was seen when its content was known.
        known_sha256: SHA-256 of a content that is known: a file that has it is not loaded.
    """

    source: Path | Address | bytes
    refused: str = ""
    subject: Subject = NOBODY
    name: str = ""
    state: Mapping[str, str] | None = None
    known_sha256: str = ""


@dataclass(frozen=True)
class LoadedPhoto:
    """A photo, ready for the network, or why it is not.

    Attributes:
        name: What it is called.
        pixels: What the network shall see, (H, H, 3), RGB, uint8; None where the photo cannot be used.
        error: Why it cannot be used.
        margin: Of its weakest measure, see `biranet.photos.quality.Weakness`; None where nothing was measured.
        action: What to do now where it cannot be used.
        subject: Whose photo it is, by what was said and by the header of the file.
        original: Where the photo can be read again as it was taken.
        header: What the header says.
        sha256: SHA-256 of the file; empty where it could not be read.
        state: The file as last seen.
        known: Whether its content is the known one: then nothing else was found out.
    """

    name: str = ""
    pixels: Pixels | None = None
    error: PhotoError | None = None
    margin: float | None = None
    action: str = ""
    subject: Subject = NOBODY
    original: Original | None = None
    header: Header = NO_HEADER
    sha256: str = ""
    state: Mapping[str, str] = field(default_factory=dict)
    known: bool = False


def load_photo(task: PhotoTask, *, preparation: Preparation, image_size: int, keep_ungradable: bool) -> LoadedPhoto:
    """Prepare a photo through the very bytes the cache holds, so that grading sees what training saw.

    Args:
        task: The photo.
        preparation: How the model's photos are prepared.
        image_size: H: side of what the network sees.
        keep_ungradable: Load it even if it is ungradable.

    Returns:
        The photo; one that cannot be used has its error.
    """
    loaded = LoadedPhoto(task.name, subject=task.subject, state=dict(task.state or {}))
    try:
        if task.refused:
            raise PhotoError("unreadable", task.refused)
        if isinstance(task.source, Address):
            loaded = replace(loaded, state=address_state(task.source))
            if task.known_sha256 and loaded.state and loaded.state == task.state:
                return replace(loaded, known=True)
        file = open_source(task.source)
        loaded = replace(loaded, sha256=hashlib.sha256(file.data).hexdigest())
        if loaded.sha256 == task.known_sha256:
            return replace(loaded, known=True)
        header = _read_header(file)
        loaded = replace(loaded, header=header, subject=whose(task.subject, header))
        prepared = prepare_file(file, preparation)
        if prepared.quality is not None:
            weakness = weakest_measure(prepared.quality)
            loaded = replace(loaded, margin=weakness.margin)
            if weakness.reason and not keep_ungradable:
                loaded = replace(loaded, action=advise_retake(weakness))
                raise PhotoError("ungradable", weakness.reason)
        pixels = resize(prepared.pixels, image_size)
        return replace(loaded, pixels=pixels, original=Original(task.source, preparation, prepared.cut))
    except PhotoError as error:
        return replace(loaded, error=error, action=loaded.action or _advise(task, error))


def _advise(task: PhotoTask, error: PhotoError) -> str:
    """Say what to do about a photo that is not even measured; why stands in its reason."""
    if error.status != "unreadable":
        return f"retake: {error}"
    return "try again, or give a copy of it" if isinstance(task.source, Address) else "give another copy of the file"


def _read_header(file: PhotoFile) -> Header:
    patient, eye = identity_and_eye(file)
    try:
        return Header(keyed_hash(patient) if patient else "", eye)
    except InputError as error:  # without its key, no patient; eye and grade are known all the same
        return Header(eye=eye, problem=str(error))


def whose(stated: Subject, header: Header) -> Subject:
    """Add to what was said of a photo what the header of its file says; where they contradict, neither counts.

    What a person entered counts alone.

    Args:
        stated: What lists, names or a person say.
        header: What the header says.

    Example:
        >>> whose(Subject("P1", "labels"), Header(eye="left")).eye_from
        'header'
        >>> whose(Subject(eye="right", eye_from="entered"), Header(eye="left")).eye_from
        'entered over header'
    """
    patient, eye, problem = header
    subject = replace(stated, header_patient=patient, problem=problem)
    if patient and not stated.patient and stated.patient_from != ENTERED:
        subject = replace(subject, patient=patient, patient_from="header")
    if stated.eye_from == ENTERED:
        return replace(subject, eye_from=OVER_HEADER) if {eye, stated.eye} == set(EYES) else subject
    if eye == CONTRADICTORY and not stated.eye:
        return replace(subject, problem="the header of the file names both eyes")
    if eye in ("", CONTRADICTORY, stated.eye):
        return subject
    if not stated.eye:
        return replace(subject, eye=eye, eye_from="header")
    who = {"labels": "it was given as", "name": "the name says"}[stated.eye_from]
    problem = f"{who} {stated.eye}, the header of the file says {eye}"
    return replace(subject, eye="", eye_from="", problem=problem)


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
