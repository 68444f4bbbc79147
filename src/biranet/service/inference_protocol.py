"""The Open Inference Protocol, version 2, as KServe and Triton speak it: a thin adapter over the same answers."""

import base64
import io
import math
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple

from fastapi import FastAPI, Path, Request, Response
from pydantic import BaseModel, Field, NonNegativeInt, ValidationError
from pydantic_core import from_json

from biranet.inference.prediction import COLUMN_TYPES
from biranet.service.answers import as_json, photo_row
from biranet.service.documented import json_body, problems
from biranet.service.parcels import Photo
from biranet.service.request_error import RequestError
from biranet.service.service import Service
from biranet.service.uploads import read_body
from biranet.typed_tables import Row

INPUT = "photos"
"""Name of the input: encoded photographs."""

_JSON_LENGTH = "inference-header-content-length"
"""Header that says how much of a body is JSON; behind it stand tensors in binary."""

_DATATYPES = {str: "BYTES", int: "INT64", float: "FP64"}
NO_GRADE = -1
"""Stands in place of a whole number that is missing; a missing text is empty, and a missing float null."""

_PIECE_LETTERS = 1 << 18
"""How much base64 is decoded at a time, a millisecond's work; a multiple of 4."""

_MOST_DIGITS = 20
"""Of a length in a header, as for that of the body."""

_OTHER_VALUES = 1000
"""More values than a request has beside its photos."""

_OUTPUTS = {name: kind for name, kind in COLUMN_TYPES.items() if name != "file"}

_NOT_READY: dict[int | str, dict[str, Any]] = {503: {"description": "No worker can grade now"}}

_INPUTS = {
    "type": "array",
    "minItems": 1,
    "maxItems": 1,
    "items": {
        "type": "object",
        "properties": {
            "name": {"const": INPUT},
            "datatype": {"const": "BYTES"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2},
            "data": {"type": "array", "items": {"type": "string", "contentEncoding": "base64"}},
        },
        "required": ["name", "datatype", "shape"],
    },
}
"""Schema of the inputs of a request."""


def add_inference_protocol(app: FastAPI, service: Service) -> None:
    """Add the addresses of the protocol.

    Args:
        app: The application.
        service: What answers.
    """
    Name = Annotated[str, Path(examples=[service.name])]  # noqa: N806 - a type

    @app.get("/v2")
    async def server() -> dict[str, Any]:
        """Describe the server."""
        return {"name": "biranet", "version": version("biranet"), "extensions": ["binary_tensor_data"]}

    @app.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        """Tell that the service lives."""
        return {"live": True}

    @app.get("/v2/health/ready", responses=_NOT_READY)
    async def ready() -> Response:
        """Tell whether photos can be graded now."""
        return as_json({"ready": service.workers.is_ready}, 200 if service.workers.is_ready else 503)

    @app.get("/v2/models/{name}", responses=problems(401, 404, 421, 503))
    async def model(name: Name) -> dict[str, Any]:
        """Describe the model: its inputs and outputs."""
        service.check_name(name)
        return {
            "name": name,
            "platform": "biranet",
            "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
            "outputs": [
                {"name": column, "datatype": _DATATYPES[kind], "shape": [-1]} for column, kind in _OUTPUTS.items()
            ],
        }

    @app.get("/v2/models/{name}/ready", responses=problems(401, 404, 421) | _NOT_READY)
    async def model_ready(name: Name) -> Response:
        """Tell whether the model can grade now."""
        service.check_name(name)
        return as_json({"name": name, "ready": service.workers.is_ready}, 200 if service.workers.is_ready else 503)

    @app.post(
        "/v2/models/{name}/infer",
        responses=problems(400, 401, 403, 404, 408, 413, 421, 503, 504),
        openapi_extra=json_body({"id": {"type": "string"}, "inputs": _INPUTS}, ["inputs"]),
    )
    async def infer(name: Name, request: Request) -> Response:
        """Grade photographs: a tensor for each column of the table of grades."""
        service.check_name(name)
        with service.held.request() as take:
            body = await read_body(request, service.settings.limits, take)
            parsed = await service.aside(
                _read_asked, body, request.headers.get(_JSON_LENGTH), service.settings.limits.files
            )
            results = await service.grade([Photo("", data) for data in parsed.photos], request)
        rows = [photo_row(result.prediction) for result in results]
        id_field = {"id": parsed.id} if parsed.id else {}
        outputs = [_output(column, rows) for column in parsed.outputs]
        return as_json({"model_name": name, **id_field, "outputs": outputs})


class _Asked(NamedTuple):
    """What a request asks for."""

    id: str
    photos: list[bytes]
    outputs: list[str]


def _read_asked(body: bytes, json_length: str | None, most: int) -> _Asked:
    """Read a request of at most so many photos: JSON, and behind it perhaps the photos in binary.

    Raises:
        RequestError: If it is none.
    """
    digits = str(len(body)) if json_length is None else json_length
    # Python reads no number of thousands of digits.
    length = int(digits) if digits.isdecimal() and len(digits) <= _MOST_DIGITS else -1
    if not 0 <= length <= len(body):
        raise RequestError(400, f"{_JSON_LENGTH} is not the length of the JSON in the body")
    # No other thread runs while JSON is read: millions of values would take seconds. Base64 holds no comma.
    if body.count(b",", 0, length) > most + _OTHER_VALUES:
        raise RequestError(413, f"the JSON of the request holds more values than {most} photos need")
    try:
        document = from_json(body[:length], cache_strings="none")
    except ValueError as error:
        raise RequestError(400, f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise RequestError(400, 'the body is JSON, but no request: {"inputs": […]}')
    try:
        request = _Request.model_validate(document, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise RequestError(400, f"{'.'.join(map(str, first['loc']))[:200]}: {first['msg']}"[:500]) from None
    [tensor] = request.inputs
    binary = tensor.parameters.binary_data_size
    encoded = _encoded(tensor.data or []) if binary is None else _packed(body[length:], binary)
    photos = list(islice(encoded, most + 1))
    if len(photos) > most:
        raise RequestError(413, f"the request brings more than {most} photos")
    if math.prod(tensor.shape) != len(photos) or not photos:
        raise RequestError(400, f"the shape {tensor.shape} of {INPUT} is not that of its {len(photos)} photos")
    names = [output.name for output in request.outputs or ()] or list(_OUTPUTS)
    if unknown := [name for name in names if name not in _OUTPUTS]:
        raise RequestError(400, f"there is no output {unknown[0][:100]!r}; the outputs are: {', '.join(_OUTPUTS)}")
    return _Asked(request.id, photos, names)


class _Parameters(BaseModel):
    binary_data_size: int | None = None


class _Input(BaseModel):
    name: Literal["photos"]
    datatype: Literal["BYTES"]
    shape: list[NonNegativeInt] = Field(max_length=2)
    data: list[str] | None = None
    parameters: _Parameters = _Parameters()


class _Wanted(BaseModel):
    name: str


class _Request(BaseModel):
    """What a request is, as far as it matters here; what else the protocol knows is passed over."""

    id: str = ""
    inputs: list[_Input] = Field(min_length=1, max_length=1)
    outputs: list[_Wanted] | None = None


def _encoded(data: Sequence[str]) -> list[bytes]:
    """The photos in a tensor of JSON, each in base64."""
    try:
        return [_decode(each) for each in data]
    except ValueError:
        raise RequestError(400, f"photos in {INPUT} must be in base64, or in binary behind the JSON") from None


def _decode(encoded: str) -> bytes:
    """Decode base64 piece by piece: between two pieces other threads have their turn."""
    if 0 <= encoded.find("=") < len(encoded) - 2:
        raise ValueError("nothing may follow the padding")
    decoded = io.BytesIO()
    for start in range(0, len(encoded), _PIECE_LETTERS):
        decoded.write(base64.b64decode(encoded[start : start + _PIECE_LETTERS], validate=True))
    return decoded.getvalue()


def _packed(data: bytes, size: int) -> Iterator[bytes]:
    """The photos in a tensor in binary: each behind its length, four bytes, the lowest first."""
    if size != len(data):
        raise RequestError(400, f"binary_data_size is {size}, and {len(data)} bytes stand behind the JSON")
    start = 0
    while start < len(data):
        end = start + 4 + int.from_bytes(data[start : start + 4], "little")
        if not start + 4 <= end <= len(data):
            raise RequestError(400, f"the binary tensor {INPUT} ends within a photo")
        yield data[start + 4 : end]
        start = end


def _output(column: str, rows: Sequence[Row]) -> dict[str, Any]:
    kind = _OUTPUTS[column]
    empty = {str: "", int: NO_GRADE, float: None}[kind]
    data = [empty if row[column] is None else row[column] for row in rows]
    return {"name": column, "datatype": _DATATYPES[kind], "shape": [len(rows)], "data": data}
