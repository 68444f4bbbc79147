"""The page: a few static files, read once, so that no path that is asked for ever reaches the disk."""

import mimetypes
from pathlib import Path

from fastapi import FastAPI, Response

from biranet.service.request_error import RequestError

PAGE = Path(__file__).parent / "page"
"""Folder of the page's files."""

_KEPT = {"cache-control": "no-cache"}


def add_page(app: FastAPI) -> None:
    """Add the addresses of the page.

    Args:
        app: The application.
    """
    files = {path.name: path.read_bytes() for path in sorted(PAGE.glob("*.*"))}

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return answer("index.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        return answer(name)

    def answer(name: str) -> Response:
        if name not in files:
            raise RequestError(404, "there is no such file of the page")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Response(files[name], media_type=kind, headers=_KEPT)
