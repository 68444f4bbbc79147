"""What nobody foresaw, in the application itself: an answer and a line of the log that tell nothing of a photo."""

import asyncio
import json
import logging

from biranet.learning.shipped_models import find_checkpoint
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
