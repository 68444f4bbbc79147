"""What every request passes: its number, who may ask, what is logged and counted, and the headers of every answer."""

import logging
import re
import time
import uuid
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from biranet.service.access import OPEN_PATHS, brings_token, is_loopback_name
from biranet.service.answers import as_json
from biranet.service.metrics import Metrics
from biranet.service.request_error import RequestError, code_position

LOG = logging.getLogger("biranet.service")

REQUEST_ID = "x-request-id"
_REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)

_OWN_SITES = ("same-origin", "none")
"""What a browser says of a request of the service's own page, or of no page at all."""

_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""On every answer: a page that loads nothing from elsewhere, and nothing that a browser or a proxy keeps."""


class Entry:
    """Wraps an application in what every request passes.

    Args:
        app: The application.
        metrics: Counts requests.
        token: What requests must bring; where empty, they must come to a name of this machine.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, token: str) -> None:
        self._app = app
        self._metrics = metrics
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        headers = Headers(scope=scope)
        request_id = headers.get(REQUEST_ID, "")
        number = request_id if _REQUEST_ID.fullmatch(request_id) else uuid.uuid4().hex
        started, status, method = time.perf_counter(), 0, _method(scope)
        if method == "HEAD":  # is answered as GET; uvicorn, which holds the scope of before, sends no body
            scope = {**scope, "method": "GET"}

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                added = MutableHeaders(scope=message)
                for name, value in {**_HEADERS, REQUEST_ID: number}.items():
                    added.setdefault(name, value)
            await send(message)

        with self._metrics.in_flight.track_inprogress():
            try:
                self._check(scope, headers)
                await self._app(scope, receive, send_with_headers)
            except RequestError as refusal:
                answer = as_json({"error": str(refusal)}, refusal.status, refusal.headers)
                await answer(scope, receive, send_with_headers)
            except Exception as error:  # the application has answered that it is a fault
                LOG.error("request=%s: %s", number, code_position(error))
        seconds, route = time.perf_counter() - started, _route(scope)
        self._metrics.requests.labels(route, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        LOG.info("request=%s %s %s %s %.3f s", number, method, route, status, seconds)

    def _check(self, scope: Scope, headers: Headers) -> None:
        if not self._token:
            if not is_loopback_name(headers.get("host", "")):
                raise RequestError(421, "without a token the service answers by the name localhost alone")
            if scope["method"] != "GET" and not _is_own_page(headers):
                raise RequestError(403, "a page of another site asks; without a token only the service's own page may")
        elif not OPEN_PATHS.fullmatch(scope["path"]) and not brings_token(
            headers.get("authorization", ""), self._token
        ):
            raise RequestError(401, "this service asks for its token; send the header Authorization: Bearer TOKEN")


def _is_own_page(headers: Headers) -> bool:
    """Whether no page of another site asks; older browsers send `Origin` alone, programs neither."""
    if site := headers.get("sec-fetch-site"):
        return site in _OWN_SITES
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host")


def _route(scope: MutableMapping[str, Any]) -> str:
    """The route of a request as it was written here, never as it was asked for."""
    return str(getattr(scope.get("route"), "path", "-"))


def _method(scope: MutableMapping[str, Any]) -> str:
    method = str(scope["method"])
    return method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "-"
