"""What a request brings: photos, and whose they are; read into memory and nowhere else, within its limits."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from biranet.decisions.patients import ENTERED, NOBODY, OVER_HEADER, Subject
from biranet.errors import InputError
from biranet.inference.subjects import agree
from biranet.photos.datasets.name_pattern import NamePattern
from biranet.service.parcels import Photo
from biranet.service.request_error import BUSY, GONE, RequestError
from biranet.service.settings import Limits
from biranet.words import counted, is_empty, parse_eye

FILES, NAME, PATIENT = "files", "name", "patient"
"""Fields of a form; in the query of a raw photo, a name stands in place of files."""

OF_EACH = PATIENT_FROM, EYE, EYE_FROM = "patient_from", "eye", "eye_from"
"""Further fields, once for all photos or once for each."""

_FORM = (
    f"photos are files in {FILES}; {PATIENT} may be said once for all of them, {', '.join(OF_EACH)} once or, in their "
    "order, for each"
)

_HEADER = "header"
SOURCES = {"": "labels", OVER_HEADER: ENTERED, **{name: name for name in ("labels", "name", _HEADER, ENTERED)}}
"""What a request may say of where patient and eye are known from, and what that comes to."""

_CHARSETS = (b"utf-8", b"us-ascii", b"iso-8859-1")
"""What names in a form may be in; by others Python would decode them to what no JSON can hold."""

_FIELD_BYTES = 10_000
"""Length of a field that is no file."""


@dataclass(frozen=True)
class Upload:
    """What a request brought.

    Attributes:
        files: Name and content of each photo.
        patient: Whose they are; empty where nobody says.
        of_each: What is said of them by the names in `OF_EACH`: nothing, once for all of them, or for each.
        is_raw: Whether the body was one photo, and no form.
    """

    files: tuple[tuple[str, bytes], ...]
    patient: str
    of_each: Mapping[str, Sequence[str]]
    is_raw: bool = False

    def photos(self, pattern: NamePattern | None) -> list[Photo]:
        """Say of each photo whose it is.

        Args:
            pattern: How names tell patient and eye; None where they tell nothing.

        Raises:
            InputError: If the eye is none, or a name contradicts what was said.
        """
        patient = "" if is_empty(self.patient) else self.patient.strip()
        each = (values if len(values) > 1 else [*values, ""][:1] * len(self.files) for values in self.of_each.values())
        return [
            Photo(name, data, _whose(name, _said(patient, *values_of_photo), pattern))
            for (name, data), *values_of_photo in zip(self.files, *each, strict=True)
        ]


def _said(patient: str, patient_from: str, eye: str, eye_from: str) -> Subject:
    return Subject(*_known(patient, patient_from), *_known(parse_eye(eye), eye_from))


def _known(value: str, source: str) -> tuple[str, str]:
    """What is known, and where from: also that a person knows nothing. A header is to be read, not believed unread."""
    if source not in SOURCES:
        allowed = ", ".join(filter(None, SOURCES))
        raise InputError(f"{source[:100]!r} is nothing that patient or eye may be known from; write one of: {allowed}")
    known_from = SOURCES[source]
    if known_from == _HEADER:
        return "", ""
    return value, known_from if value or known_from == ENTERED else ""


def _whose(name: str, stated: Subject, pattern: NamePattern | None) -> Subject:
    patient, eye = (pattern and pattern.read(name.replace("\\", "/"))) or ("", "")
    named = Subject(patient, "name" if patient else "", eye, "name" if eye else "")
    if named == NOBODY:
        return stated
    return agree(Path(name), stated, named, labels_source="the request", way_out=_WAY_OUT)


_WAY_OUT = f", or say {PATIENT_FROM} or {EYE_FROM}={ENTERED} where a person knows better"


class HeldBytes:
    """Counts what all requests hold in memory.

    Args:
        most: Bytes that they may hold together.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    @contextmanager
    def request(self) -> Iterator[Callable[[int], None]]:
        """Count the bytes of one request, which are free again at its end.

        Yields:
            Function that takes so many more; it raises a refusal where there is no room.
        """
        taken = 0

        def take(count: int) -> None:
            nonlocal taken
            if self._held + count > self._most:
                raise RequestError(BUSY, "other requests fill the memory of the service; try again in a moment")
            taken += count
            self._held += count

        try:
            yield take
        finally:
            self._held -= taken


async def read_upload(request: Request, limits: Limits, take: Callable[[int], None]) -> Upload:
    """Read the photos of a request.

    Args:
        request: A form with `files`, and perhaps `patient` and `eye`; or a photo as body, and perhaps `name`, `patient`
            and `eye` in the query; in either perhaps `patient_from` and `eye_from`.
        limits: What it may bring.
        take: Counts the bytes.

    Raises:
        RequestError: If it is too large, too slow, no form, or brings none or too many photos.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() == "multipart/form-data":
        async with _in_time(limits.seconds):
            return await _read_form(request, _limited(request, limits, take), limits)
    data = await read_body(request, limits, take)
    if not data:
        raise RequestError(422, f"the request brings no photo; give it as body, or in the field {FILES} of a form")
    query = request.query_params
    of_each = {name: [query.get(name, "")] for name in OF_EACH}
    return Upload(((query.get(NAME, ""), data),), query.get(PATIENT, ""), of_each, is_raw=True)


async def read_body(request: Request, limits: Limits, take: Callable[[int], None]) -> bytes:
    """Read the whole body of a request.

    Args:
        request: The request.
        limits: How long it may be.
        take: Counts the bytes.

    Raises:
        RequestError: If it is too large or too slow.
    """
    async with _in_time(limits.seconds):
        return b"".join([chunk async for chunk in _limited(request, limits, take)])


@asynccontextmanager
async def _in_time(seconds: float) -> AsyncIterator[None]:
    """Refuse a request that does not arrive in time, or whose client goes away before."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise RequestError(408, f"the request took longer than {seconds:g} seconds to arrive") from None
    except ClientDisconnect:
        raise RequestError(GONE, "the client went away") from None


async def _limited(request: Request, limits: Limits, take: Callable[[int], None]) -> AsyncGenerator[bytes, None]:
    too_large = RequestError(
        413, f"the request is longer than {limits.request_bytes / 1e6:g} MB; send fewer photos at a time"
    )
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limits.request_bytes:
        raise too_large
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > limits.request_bytes:
            raise too_large
        take(len(chunk))
        yield chunk


class _InMemory(MultiPartParser):
    """Keeps files in memory, which `Limits` bound: on a disk they would outlive the request."""

    spool_max_size = 0

    @property
    def has_too_many_files(self) -> bool:
        """Whether that is why it went no further."""
        return self._current_files > self.max_files

    @property
    def has_too_many_fields(self) -> bool:
        """Whether that is why it went no further."""
        return self._current_fields > self.max_fields


async def _parse_form(request: Request, body: AsyncGenerator[bytes, None], limits: Limits) -> FormData:
    charset = parse_options_header(request.headers["content-type"])[1].get(b"charset", _CHARSETS[0])
    if charset.lower() not in _CHARSETS:
        raise RequestError(400, f"the form names its files in {charset.decode('latin-1')[:100]!r}; send it in UTF-8")
    parser = _InMemory(
        request.headers,
        body,
        max_files=limits.files,
        max_fields=len(OF_EACH) * limits.files + 2,
        max_part_size=_FIELD_BYTES,
    )
    photos = counted(limits.files, "photo")
    try:
        return await parser.parse()
    except (MultiPartException, FormParserError) as error:  # starlette passes the latter on before 1.8
        if parser.has_too_many_files:
            raise RequestError(413, f"the request brings more than {photos}; send fewer at a time") from None
        if parser.has_too_many_fields:
            raise RequestError(413, f"the form says more than is to be said of {photos}; {_FORM}") from None
        raise RequestError(400, f"the form cannot be read: {error}") from None


async def _read_form(request: Request, body: AsyncGenerator[bytes, None], limits: Limits) -> Upload:
    form = await _parse_form(request, body, limits)
    files, fields = [], {name: list[str]() for name in (PATIENT, *OF_EACH)}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile) and name == FILES:
            files.append((value.filename or "", value.file.read()))
        elif isinstance(value, str) and name in fields:
            fields[name].append(value)
        else:
            kind = "a file" if isinstance(value, UploadFile) else "no file"
            raise RequestError(422, f"the form has a field {name[:100]!r} that is {kind}; {_FORM}")
    if not files:
        raise RequestError(422, f"the form brings no photo; give photos as files in the field {FILES}")
    for name, values in fields.items():
        if len(values) not in (0, 1, 1 if name == PATIENT else len(files)):
            raise RequestError(422, f"the form says {name} {len(values)} times; {_FORM}")
    return Upload(tuple(files), "".join(fields.pop(PATIENT)), fields)
