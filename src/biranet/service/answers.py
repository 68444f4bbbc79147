"""What is answered, as JSON: the rows of the tables of `biranet grade`, with the same names and values."""

import base64
import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, create_model
from starlette.responses import Response

from biranet.decisions.patients import answer_patients
from biranet.errors import PhotoError
from biranet.grades import DISCLAIMER
from biranet.inference.patient_tables import EYE_TYPES, PATIENT_TYPES, eye_row, patient_row
from biranet.inference.prediction import COLUMN_TYPES, Prediction
from biranet.photos.formats import PhotoFile
from biranet.service.parcels import Photo, PhotoResult
from biranet.service.request_error import RequestError
from biranet.service.view import Layer, PhotoView
from biranet.typed_tables import Columns, Row, plain


def _row_model(name: str, columns: Columns) -> type[BaseModel]:
    fields: dict[str, Any] = {column: (kind | None, ...) for column, kind in columns.items()}
    return create_model(name, **fields)


PhotoRow = _row_model("PhotoRow", COLUMN_TYPES)
"""A row of the table of photos."""
EyeRow = _row_model("EyeRow", EYE_TYPES)
"""A row of the table of eyes."""
PatientRow = _row_model("PatientRow", PATIENT_TYPES)
"""A row of the table of patients."""


class Grades(BaseModel):
    """What is said of the photos of a request, and of the eyes and patients that are known."""

    photos: list[PhotoRow]  # type: ignore[valid-type]
    eyes: list[EyeRow]  # type: ignore[valid-type]
    patients: list[PatientRow]  # type: ignore[valid-type]


class MapScale(BaseModel):
    """What the colours of a map mean: equal steps from low to high."""

    low: float
    high: float
    words: str
    colors: list[str]


class OutlinedKind(BaseModel):
    """What outlines of a colour are, and how many there are where that is counted."""

    color: str
    words: str
    number: int | None


class MapLayer(BaseModel):
    """A map to lay over the picture: a PNG in base64, transparent where the network saw nothing of the photo.

    Its colours mean a scale, or what is outlined; the note says what it is not.
    """

    name: str
    label: str
    note: str
    scale: MapScale | None
    outlined: list[OutlinedKind]
    png: str


class Words(BaseModel):
    """What is said of a photo, in words; title, lines and notes are empty without a grade."""

    title: str
    lines: list[str]
    notes: list[str]
    disclaimer: str


class Shown(BaseModel):
    """What there is to see of a photo; the size is that of the upright photo, the picture a JPEG in base64."""

    photo: PhotoRow  # type: ignore[valid-type]
    width: int | None
    height: int | None
    picture: str | None
    maps: list[MapLayer]
    words: Words


def as_json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Make an answer of plain values."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    return Response(text.encode(), status, headers, media_type="application/json")


def rows_of(predictions: Sequence[Prediction]) -> dict[str, list[Row]]:
    """Make the rows of photos, eyes and patients.

    Args:
        predictions: Of the photos of a request.

    Returns:
        The rows by the names in `Grades`.
    """
    patients = answer_patients([prediction.for_patient() for prediction in predictions])
    return {
        "photos": [photo_row(prediction) for prediction in predictions],
        "eyes": [_plain(eye_row(patient, eye)) for patient in patients for eye in patient.eyes],
        "patients": [_plain(patient_row(patient)) for patient in patients],
    }


def photo_row(prediction: Prediction) -> Row:
    """Make the row of a photo, as it stands in a table of JSON lines."""
    return _plain(prediction.values())


def _plain(row: Row) -> Row:
    return {name: plain(value) for name, value in row.items()}


def show(result: PhotoResult) -> dict[str, Any]:
    """Make the answer for a photo that is to be seen, as `Shown` describes it."""
    view = result.view or PhotoView()
    return {
        "photo": photo_row(result.prediction),
        "width": view.width_px,
        "height": view.height_px,
        "picture": None if view.jpeg is None else _base64(view.jpeg),
        "maps": [_map(layer) for layer in view.layers],
        "words": {"title": view.title, "lines": list(view.lines), "notes": list(view.notes), "disclaimer": DISCLAIMER},
    }


def _map(layer: Layer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "label": layer.label,
        "note": layer.note,
        "scale": None if layer.scale is None else layer.scale._asdict(),
        "outlined": [each._asdict() for each in layer.outlined],
        "png": _base64(layer.png),
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def refuse_unreadable(photo: Photo, prediction: Prediction) -> None:
    """Refuse a photo that is the whole body of a request, if it cannot be read.

    One that was read and cannot be graded has an answer: what to do about it.

    Args:
        photo: The photo.
        prediction: What is said of it.

    Raises:
        RequestError: With the sentence that stands in a row.
    """
    if prediction.status == "unreadable":
        status = 415 if PhotoFile(photo.data).format is None else 422
        raise RequestError(status, f"the photo cannot be used: {PhotoError(prediction.status, prediction.reason)}")


def refuse_equal_names(photos: Sequence[Photo], predictions: Sequence[Prediction]) -> None:
    """Refuse different photos of patients that are called the same: answers for eyes name the photo that answers.

    Raises:
        RequestError: If there are such.
    """
    data_of_name: dict[str, bytes] = {}
    for photo, prediction in zip(photos, predictions, strict=True):
        if prediction.subject.patient and photo.name and data_of_name.setdefault(photo.name, photo.data) != photo.data:
            raise RequestError(422, f"two photos are called {photo.name[:200]!r}; give each a name of its own")
