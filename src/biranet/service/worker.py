"""What a worker process does: load the model once, then grade the photos that it is sent, until nobody sends any."""

import dataclasses
import os
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import NamedTuple

from biranet.decisions.rules import Rules
from biranet.errors import BiranetError
from biranet.inference.engines import load_engine
from biranet.inference.grader import Grader
from biranet.inference.loading import PhotoTask, load_photo
from biranet.photos.parallel import end_with_main_process, set_up_worker
from biranet.photos.privacy.pseudonyms import use_spare_key
from biranet.service.parcels import Parcel, Photo, PhotoResult
from biranet.service.request_error import code_position
from biranet.service.settings import Model
from biranet.service.view import draw_view


class Fault(NamedTuple):
    """What nobody foresaw, in words that tell nothing of a photo."""

    summary: str


class ModelLoaded(NamedTuple):
    """The model that a worker has loaded.

    Attributes:
        sha256: Of its file.
        package: What computes.
        network: Its network in words.
        image_size: Side of what it sees, in pixels.
        rules: What decides.
        doubts: What makes one doubt it, a sentence each.
    """

    sha256: str
    package: str
    network: str
    image_size: int
    rules: Rules
    doubts: tuple[str, ...]


class ModelFailed(NamedTuple):
    """Why a worker cannot begin, in a sentence."""

    reason: str


def send_parcels(connection: Connection, parcels: Sequence[Parcel], *, together: bool) -> None:
    """Send parcels to a worker.

    Args:
        connection: Leads to it.
        parcels: What to grade.
        together: Whether to compute all of them together.
    """
    heads = [(parcel.draw, [(photo.name, photo.subject) for photo in parcel.photos]) for parcel in parcels]
    connection.send((together, heads))
    for parcel in parcels:
        for photo in parcel.photos:
            connection.send_bytes(photo.data)


def _receive_parcels(connection: Connection) -> tuple[bool, list[Parcel]]:
    together, heads = connection.recv()
    parcels = [
        Parcel([Photo(name, connection.recv_bytes(), subject) for name, subject in photos], draw)
        for draw, photos in heads
    ]
    return together, parcels


def work(connection: Connection, model: Model, threads: int, spare_key: bytes) -> None:
    """Grade what comes, until the other end is closed; the body of a worker process.

    Args:
        connection: Leads to the process that answers.
        model: What to load.
        threads: To compute with.
        spare_key: For the patients of headers, where this user can keep none.
    """
    # A signal to the whole group, as Ctrl-C is, is for the main process, which needs its workers until it stops.
    os.setpgrp()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    set_up_worker()
    end_with_main_process()
    use_spare_key(spare_key)
    try:
        predictor = load_engine(model.path, model.engine, model.device)
    except BiranetError as error:
        connection.send(ModelFailed(str(error)))
        return
    info = predictor.info
    connection.send(
        ModelLoaded(predictor.sha256, predictor.package, info.network, info.image_size, info.rules, tuple(info.doubts))
    )
    grader = Grader(predictor)
    try:
        while True:
            together, parcels = _receive_parcels(connection)
            connection.send(_grade_parcels(grader, parcels, together=together))
    except (EOFError, OSError):
        return


def _grade_parcels(grader: Grader, parcels: Sequence[Parcel], *, together: bool) -> list[list[PhotoResult] | Fault]:
    """Grade parcels, each by itself unless they are to be computed together."""
    if together and len(parcels) > 1:
        photos = [photo for parcel in parcels for photo in parcel.photos]
        answers = _grade(grader, photos, [parcel.draw for parcel in parcels for _ in parcel.photos])
        if not isinstance(answers, Fault):
            remaining = iter(answers)
            return [[next(remaining) for _ in parcel.photos] for parcel in parcels]
        # Whose fault it is, comes out when each is by itself.
    return [_grade(grader, parcel.photos, [parcel.draw] * len(parcel.photos)) for parcel in parcels]


def _grade(grader: Grader, photos: Sequence[Photo], drawn: Sequence[bool]) -> list[PhotoResult] | Fault:
    """Grade some photos together, as the command line grades a batch, and draw those that are to be drawn."""
    info = grader.info
    try:
        loaded = [
            load_photo(
                PhotoTask(photo.data, subject=photo.subject, name=photo.name),
                preparation=info.preparation,
                image_size=info.image_size,
                keep_ungradable=False,
            )
            for photo in photos
        ]
        answers = [answer for answer in grader.answer(loaded) if answer is not None]
        return [
            PhotoResult(
                dataclasses.replace(answer, photo=None, original=None, attention=None, lesions=None),
                draw_view(photo.data, answer) if draw else None,
            )
            for photo, answer, draw in zip(photos, answers, drawn, strict=True)
        ]
    except Exception as error:  # whatever it is, only this request must hear of it
        return Fault(code_position(error))
