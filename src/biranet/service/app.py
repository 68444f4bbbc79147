"""The addresses of the service: which there are, what they take, and what they answer."""

import hashlib
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import FastAPI, Header, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from biranet.errors import InputError
from biranet.service.answers import (
    Grades,
    Shown,
    as_json,
    refuse_equal_names,
    refuse_unreadable,
    rows_of,
    show,
)
from biranet.service.cards import describe
from biranet.service.documented import FILE, Documented, photo_body, problems
from biranet.service.entry import Entry
from biranet.service.inference_protocol import add_inference_protocol
from biranet.service.pages import add_page
from biranet.service.parcels import Photo, PhotoResult
from biranet.service.repeats import KEPT_SECONDS, MAX_KEY_LETTERS, Repeats
from biranet.service.request_error import FAULT, RequestError, code_position, describe_fault
from biranet.service.service import Service
from biranet.service.uploads import Upload, read_upload

_REFUSED = problems(400, 401, 403, 408, 409, 413, 415, 421, 422, 503, 504)

_IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        description=f"For {KEPT_SECONDS} seconds, a request with the same key and photos gets the same answer.",
        json_schema_extra={"maxLength": MAX_KEY_LETTERS},  # said, not checked: Repeats has a better sentence
    ),
]


def make_app(service: Service) -> ASGIApp:
    """Make the application.

    Args:
        service: What answers.
    """
    app = Documented(
        title="biranet",
        version=version("biranet"),
        description="Grades of diabetic retinopathy from fundus photographs. Research software, not a medical device.",
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # an address is right or not; whoever sends photos seldom follows
    )
    _add_grading(app, service)
    _add_state(app, service)
    add_inference_protocol(app, service)
    add_page(app)
    _add_errors(app)
    return Entry(app, service.metrics, service.settings.token)


def _add_grading(app: FastAPI, service: Service) -> None:
    repeats = Repeats()

    @app.post(
        "/v1/grade",
        response_model=Grades,
        responses=_REFUSED,
        openapi_extra=photo_body({"type": "array", "items": FILE, "minItems": 1}),
    )
    async def grade(request: Request, idempotency_key: _IdempotencyKey = "") -> Response:
        """Grade photos: the rows of photos, and of the eyes and patients that are known."""
        with service.held.request() as take:
            upload = await read_upload(request, service.settings.limits, take)
            if not idempotency_key:
                return as_json(await _grade_upload(service, request, upload))
            earlier = repeats.begin(idempotency_key, await service.aside(_digest, upload))
            if earlier is not None:
                return Response(earlier, media_type="application/json")
            try:
                response = as_json(await _grade_upload(service, request, upload))
            except BaseException:
                repeats.drop(idempotency_key)
                raise
            repeats.finish(idempotency_key, bytes(response.body))
            return response

    @app.post("/v1/view", response_model=Shown, responses=_REFUSED, openapi_extra=photo_body(FILE))
    async def view(request: Request) -> Response:
        """Grade one photo, and draw it with what the network looked at."""
        with service.held.request() as take:
            upload = await read_upload(request, service.settings.limits, take)
            if len(upload.files) != 1:
                raise RequestError(422, f"one photo can be looked at at a time, not {len(upload.files)}")
            [result] = await _grade_photos(service, request, upload, draw=True)
            return as_json(show(result))


async def _grade_upload(service: Service, request: Request, upload: Upload) -> dict[str, Any]:
    results = await _grade_photos(service, request, upload)
    return rows_of([result.prediction for result in results])


async def _grade_photos(service: Service, request: Request, upload: Upload, *, draw: bool = False) -> list[PhotoResult]:
    photos: list[Photo] = upload.photos(service.settings.pattern)
    results = await service.grade(photos, request, draw=draw)
    if upload.is_raw:
        refuse_unreadable(photos[0], results[0].prediction)
    refuse_equal_names(photos, [result.prediction for result in results])
    return results


def _digest(upload: Upload) -> str:
    """Sum up what a request brings: the boundary of a form is another one each time."""
    content = [(name, hashlib.sha256(data).hexdigest()) for name, data in upload.files]
    stated = upload.patient, upload.of_each, upload.is_raw
    return hashlib.sha256(repr((content, *stated)).encode()).hexdigest()


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/healthz")
    async def health() -> dict[str, str]:
        """Tell that the service lives."""
        return {"status": "ok"}

    @app.get("/readyz", responses=problems(503))
    async def readiness() -> dict[str, str]:
        """Tell whether photos can be graded now, and by which model: the one that was loaded."""
        if not service.workers.is_ready:
            raise service.workers.refusal()
        return {"status": "ok", "model": service.name, "sha256": service.model.sha256}

    @app.get("/metrics", response_class=Response, responses=problems(401, 421) | {200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Give what is counted, in the text format of Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/v1/models", responses=problems(401, 421, 503))
    async def models() -> dict[str, list[dict[str, Any]]]:
        """List the models that answer here: one."""
        card = describe(service.model, service.settings.model.path)
        return {"models": [{key: card[key] for key in ("name", "title", "summary", "date", "license", "sha256")}]}

    @app.get("/v1/models/{name}", responses=problems(401, 404, 421, 503))
    async def model(name: Annotated[str, Path(examples=[service.name])]) -> dict[str, Any]:
        """Give the card of a model: data, figures, intended use, limits, licence."""
        service.check_name(name)
        return describe(service.model, service.settings.model.path)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(RequestError)
    async def refused(request: Request, error: RequestError) -> Response:
        return as_json({"error": str(error)}, error.status, error.headers)

    @app.exception_handler(InputError)
    async def wrong(request: Request, error: InputError) -> Response:
        return as_json({"error": str(error)}, 422)

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        return as_json({"error": describe_fault(code_position(error))}, FAULT)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        sentence = {404: "there is no such address here", 405: f"this address takes {headers.get('Allow')} alone"}
        return as_json({"error": sentence.get(error.status_code, str(error.detail))}, error.status_code, headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return as_json({"error": "the request is not what the OpenAPI document says"}, 422)
