"""What the OpenAPI document says beside what fastapi finds out: bodies, the token, and why a request gets no answer."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from biranet.service.access import OPEN_PATHS
from biranet.service.uploads import EYE, OF_EACH, SOURCES


class Problem(BaseModel):
    """Why there is no answer, in one sentence."""

    error: str


_DESCRIPTIONS = {
    400: "The body is not what its type says",
    401: "The token is missing or wrong",
    403: "Another site sends photos to a service without a token",
    404: "No such model answers here",
    408: "The request took too long to arrive",
    409: "The request with this Idempotency-Key is still under way",
    413: "The request is too long, or brings too many photos or fields",
    415: "The body is no picture in a format that is read",
    421: "A service without a token is asked by another name than localhost",
    422: "The photo cannot be read, or what is said of it contradicts itself",
    503: "No room now, or the model is not loaded yet; Retry-After says when to ask again",
    504: "A photo took too long to grade",
}

FILE = {"type": "string", "format": "binary"}
"""Schema of a photo."""

_TEXT = {"type": "string"}
_OF_EACH = {name: _TEXT if name == EYE else {"type": "string", "enum": list(SOURCES)} for name in OF_EACH}


_TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "The token that the service was started with; one without a token asks for none.",
}


class Documented(FastAPI):
    """An application whose document says where a token may be asked for."""

    def openapi(self) -> dict[str, Any]:
        """Give the document."""
        document = super().openapi()
        document["components"]["securitySchemes"] = {"token": _TOKEN}
        for path, operations in document["paths"].items():
            if not OPEN_PATHS.fullmatch(path):
                for operation in operations.values():
                    operation["security"] = [{"token": []}, {}]  # {}: or nothing
        return document


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the statuses with which a request gets no answer.

    Example:
        >>> problems(404)[404]["description"]
        'No such model answers here'
    """
    return {status: {"model": Problem, "description": _DESCRIPTIONS[status]} for status in statuses}


def photo_body(files: Mapping[str, Any]) -> dict[str, Any]:
    """Describe what the body of a request for grades may be.

    Args:
        files: Schema of the field `files` of a form.
    """
    form = {
        "type": "object",
        "properties": {
            "files": files,
            "patient": _TEXT,
            **{name: {"type": "array", "items": schema} for name, schema in _OF_EACH.items()},
        },
        "required": ["files"],
        "additionalProperties": False,
    }
    content = {"multipart/form-data": {"schema": form}, "application/octet-stream": {"schema": FILE}}
    schemas = {"name": _TEXT, "patient": _TEXT, **_OF_EACH}
    query = [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in schemas.items()]
    return {"requestBody": {"required": True, "content": content}, "parameters": query}


def json_body(properties: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    """Describe a body of JSON."""
    schema = {"type": "object", "properties": properties, "required": required}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
