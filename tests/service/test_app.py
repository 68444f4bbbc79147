"""What nobody foresaw, in the application itself: an answer and a line of the log that tell nothing of a photo."""

import asyncio
import json
import logging
import threading

from biranet.learning.shipped_models import find_checkpoint
from biranet.service import app
from biranet.service.app import make_app
from biranet.service.service import Service
from biranet.service.settings import Model, Settings


def test_a_fault_is_a_sentence_without_what_it_says(caplog):
    service = Service(Settings(Model(find_checkpoint())))
    service.workers.loaded = "none that can be described"  # what nobody foresaw
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": "/v1/models", "raw_path": b"/v1/models",
        "query_string": b"name=Erika", "root_path": "", "scheme": "http", "headers": [(b"host", b"localhost")],
    }  # fmt: skip
    with caplog.at_level(logging.INFO, "biranet.service"):
        asyncio.run(make_app(service)(scope, receive, send))
    assert sent[0]["status"] == 500
    sentence = json.loads(sent[1]["body"])["error"]
    assert sentence.startswith("this is a fault of biranet (AttributeError in cards.py, line ")
    assert "AttributeError in cards.py" in caplog.text and "GET /v1/models 500" in caplog.text
    assert "none that can" not in caplog.text + sentence and "Erika" not in caplog.text
    assert service.metrics.text().count(b'status="500"') == 2  # the count, and when it began


def test_no_request_waits_until_another_one_is_summed_up(monkeypatch):
    """The digest of 100 MB takes a while."""
    threads, digest = [], app._digest
    monkeypatch.setattr(app, "_digest", lambda upload: (threads.append(threading.current_thread()), digest(upload))[1])
    service = Service(Settings(Model(find_checkpoint())))  # without a worker: what comes after is refused

    async def receive():
        return {"type": "http.request", "body": b"photo", "more_body": False}

    async def send(message):
        pass

    headers = [(b"host", b"localhost"), (b"idempotency-key", b"one")]
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": "/v1/grade", "raw_path": b"/v1/grade",
        "query_string": b"", "root_path": "", "scheme": "http", "headers": headers,
    }  # fmt: skip
    asyncio.run(make_app(service)(scope, receive, send))
    assert len(threads) == 1 and threads[0] is not threading.main_thread()
