"""What nobody foresaw, in the application itself: an answer and a line of the log that tell nothing of a photo."""

import asyncio
import json
import logging
import threading

import pytest

from biranet.learning.shipped_models import find_checkpoint
from biranet.service import app, inference_protocol
from biranet.service.app import make_app
from biranet.service.service import Service
from biranet.service.settings import Model, Settings


async def ask(answering, method, path, body=b"", headers=(), query=b""):
    """Ask an application without a socket: status and body of its answer."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": query, "root_path": "", "scheme": "http", "headers": [(b"host", b"localhost"), *headers],
    }  # fmt: skip
    await answering(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


def test_a_fault_is_a_sentence_without_what_it_says(caplog):
    service = Service(Settings(Model(find_checkpoint())))
    service.workers.loaded = "none that can be described"  # what nobody foresaw
    with caplog.at_level(logging.INFO, "biranet.service"):
        status, body = asyncio.run(ask(make_app(service), "GET", "/v1/models", query=b"name=Erika"))
    assert status == 500
    sentence = json.loads(body)["error"]
    assert sentence.startswith("this is a fault of biranet (AttributeError in cards.py, line ")
    assert "AttributeError in cards.py" in caplog.text and "GET /v1/models 500" in caplog.text
    assert "none that can" not in caplog.text + sentence and "Erika" not in caplog.text
    assert service.metrics.text().count(b'status="500"') == 2  # the count, and when it began


@pytest.mark.parametrize(
    ("path", "slow"),
    [("/v1/grade", (app, "_digest")), ("/v2/models/idrid_lite0/infer", (inference_protocol, "_read_asked"))],
)
def test_no_request_waits_until_another_one_is_read(monkeypatch, path, slow):
    """To sum up 100 MB, or to decode them, takes a while."""
    place, name = slow
    read, begun, answered = getattr(place, name), threading.Event(), threading.Event()

    def read_slowly(*args):
        begun.set()
        assert answered.wait(20), "the other request had to wait"
        return read(*args)

    monkeypatch.setattr(place, name, read_slowly)
    service = Service(Settings(Model(find_checkpoint())))  # without a worker: what comes after is refused

    async def ask_both():
        answering = make_app(service)
        long = asyncio.ensure_future(ask(answering, "POST", path, b"{}", [(b"idempotency-key", b"one")]))
        while not begun.is_set():
            await asyncio.sleep(0)
        quick = await ask(answering, "GET", "/healthz")
        answered.set()
        return quick, await long

    (quick, _), (long, _) = asyncio.run(ask_both())
    assert (quick, long) == (200, 400 if "infer" in path else 503)


@pytest.fixture
def document():
    """The OpenAPI document of a service, and its application, which asks for a token."""
    answering = make_app(Service(Settings(Model(find_checkpoint()), token="0123456789abcdef")))
    status, body = asyncio.run(ask(answering, "GET", "/openapi.json"))
    assert status == 200
    return json.loads(body), answering


def test_programs_are_told_which_addresses_ask_for_a_token(document):
    said, answering = document
    assert said["components"]["securitySchemes"]["token"].items() >= {"type": "http", "scheme": "bearer"}.items()
    asks = {path: asyncio.run(ask(answering, next(iter(said["paths"][path])).upper(), path)) for path in said["paths"]}
    assert {path: [{"token": []}, {}] for path, (status, _) in asks.items() if status == 401} == {
        path: operation["security"]
        for path, operations in said["paths"].items() for operation in operations.values() if "security" in operation
    }  # fmt: skip
    assert len([status for status, _ in asks.values() if status == 401]) == 8


def test_programs_are_told_of_the_key_of_a_repetition(document):
    operations = document[0]["paths"]
    told = {
        path: parameter
        for path, methods in operations.items() for operation in methods.values()
        for parameter in operation.get("parameters", ()) if parameter["in"] == "header"
    }  # fmt: skip
    assert list(told) == ["/v1/grade"]
    said = told["/v1/grade"]
    assert (said["name"], said["required"], said["schema"]["maxLength"]) == ("Idempotency-Key", False, 255)
