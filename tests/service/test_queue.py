"""What waits for a worker, and requests that are sent again: without processes."""

import asyncio
import gc
import multiprocessing
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.requests import Request

from biranet.decisions.rules import Rules
from biranet.service.deadlines import Deadlines
from biranet.service.metrics import Metrics
from biranet.service.parcels import Parcel, Photo
from biranet.service.queue import ParcelQueue
from biranet.service.repeats import KEPT_SECONDS, MAX_KEPT_BYTES, MAX_KEYS, Repeats
from biranet.service.request_error import RequestError
from biranet.service.service import Service
from biranet.service.settings import Model, Settings
from biranet.service.worker import ModelLoaded
from biranet.service.workers import Workers, _Feeder

LOADED = ModelLoaded("", "", "", 1, Rules(), ())


def parcel(photos=1):
    return Parcel([Photo(str(number), b"") for number in range(photos)])


def test_parcels_come_in_their_order_and_together_up_to_so_many_photos():
    queue, parcels = ParcelQueue(10), [parcel(2), parcel(1), parcel(3), parcel(4)]
    queue.put(parcels)
    assert queue.take(1) == parcels[:1]  # at least one, however long
    assert queue.take(4) == parcels[1:3]
    assert queue.waiting() == 4
    assert queue.take(4) == parcels[3:]
    assert queue.take(4, seconds=0) == []


def test_a_request_is_taken_whole_or_not_at_all():
    queue = ParcelQueue(3)
    queue.put([parcel(2)])
    with pytest.raises(RequestError, match="2 photos wait, and at most 3 may") as refused:
        queue.put([parcel(1), parcel(1)])
    assert (refused.value.status, queue.waiting()) == (503, 2)


def test_who_went_away_takes_no_room_and_is_not_given_out():
    queue, gone, other = ParcelQueue(2), parcel(2), parcel(2)
    queue.put([gone])
    gone.results.cancel()
    assert queue.waiting() == 0
    queue.put([other])
    assert queue.take(9) == [other]
    assert not other.results.cancel()  # somebody works on it


def test_what_is_put_back_comes_first():
    queue, parcels = ParcelQueue(9), [parcel(), parcel(), parcel()]
    queue.put(parcels)
    queue.put_back(queue.take(2))
    assert queue.take(9) == parcels


def test_photos_that_end_every_worker_they_are_handed_to_are_given_back():
    queue, heavy, light = ParcelQueue(9), parcel(), parcel()
    queue.put([heavy])
    feeder = _Feeder(SimpleNamespace(queue=queue))
    feeder._hand_on(queue.take(1))
    queue.put([light])
    feeder._hand_on(queue.take(1))
    with pytest.raises(RequestError, match="the process that graded was ended"):
        heavy.results.result(0)
    assert queue.take(9) == [light]


def test_a_worker_that_cannot_be_started_is_tried_again_and_nobody_waits_for_it(monkeypatch):
    """As where no file, process or memory is left."""
    queue, waits, tries = ParcelQueue(9), parcel(), threading.Semaphore(0)

    def no_pipe():
        tries.release()
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("biranet.service.workers._CONTEXT", SimpleNamespace(Pipe=no_pipe))
    workers = Workers(queue, Settings(Model(Path("model.onnx"))), Metrics())
    workers.loaded = LOADED  # once
    queue.put([waits])
    workers.start()
    try:
        with pytest.raises(RequestError, match="no process can grade now"):
            waits.results.result(30)
        assert "Too many open files" in str(workers.failure)
        assert tries.acquire(timeout=30) and tries.acquire(timeout=30)
    finally:
        workers.stop()


def no_thread(self):
    raise RuntimeError("can't start new thread")


def test_photos_are_graded_where_no_further_thread_can_be_started(monkeypatch):
    """The feeder once died of it, and all requests that it had been given waited for ever."""
    workers, asked = Workers(ParcelQueue(9), Settings(Model(Path("model.onnx"))), Metrics()), parcel()
    workers.deadlines.start()
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    ours, theirs = multiprocessing.Pipe()
    theirs.send([["answer"]])
    with ours, theirs:
        assert workers._feeders[0]._grade(ours, [asked])
    assert asked.results.result(0) == ["answer"]


def test_a_service_that_gets_no_thread_says_so_and_ends(monkeypatch):
    workers = Workers(ParcelQueue(9), Settings(Model(Path("model.onnx"))), Metrics())
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    workers.start()
    assert workers.wait(0) and str(workers.failure).startswith("no thread can be started; try fewer --workers")
    workers.stop()


def test_what_takes_too_long_is_ended_and_nothing_else():
    deadlines, ended = Deadlines(), [threading.Event() for _ in range(3)]
    deadlines.start()
    with deadlines.limit(60, ended[0].set) as other, deadlines.limit(0.01, ended[1].set) as overdue:
        assert ended[1].wait(30)
        with deadlines.limit(0.01, ended[2].set):
            assert ended[2].wait(30)
    assert (other, overdue, ended[0].is_set()) == ([], [True], False)


def test_a_queue_that_is_given_up_fails_what_waits_and_takes_no_more():
    queue, waits = ParcelQueue(9), parcel()
    queue.put([waits])
    taken = []
    taker = threading.Thread(target=lambda: taken.extend([queue.take(1), queue.take(1)]))
    queue.give_up(RequestError(503, "over"))
    taker.start()
    taker.join(30)
    assert taken == [None, None]
    with pytest.raises(RequestError, match="over"):
        waits.results.result()
    with pytest.raises(RequestError, match="is being stopped"):
        queue.put([parcel()])


def test_answers_are_kept_for_a_while_and_the_oldest_go_first():
    now = [0.0]
    repeats = Repeats(lambda: now[0])
    assert repeats.begin("a", "photos") is None
    with pytest.raises(RequestError) as refused:
        repeats.begin("a", "photos")
    assert refused.value.status == 409
    repeats.finish("a", b"answer")
    now[0] = KEPT_SECONDS
    assert repeats.begin("a", "photos") == b"answer"
    now[0] += 1
    assert repeats.begin("a", "other photos") is None
    repeats.drop("a")
    assert repeats.begin("a", "photos") is None
    repeats.finish("a", b"answer")
    for number in range(MAX_KEYS):
        repeats.begin(str(number), "")
        repeats.finish(str(number), b"")
    assert repeats.begin("a", "photos") is None


def test_a_request_under_way_is_never_forgotten():
    """Else its answer would go to whoever uses the key next."""
    repeats = Repeats()
    repeats.begin("a", "photos")
    for number in range(MAX_KEYS):
        repeats.begin(str(number), "")
        repeats.finish(str(number), b"")
    with pytest.raises(RequestError, match="still under way"):
        repeats.begin("a", "photos")
    repeats.finish("a", b"answer")
    assert repeats.begin("a", "photos") == b"answer"


def test_answers_that_are_kept_have_a_length_at_most():
    repeats = Repeats()
    answer = bytes(MAX_KEPT_BYTES // 2)
    for key in "abc":
        repeats.begin(key, "photos")
        repeats.finish(key, answer)
    assert repeats.begin("c", "photos") == repeats.begin("b", "photos") == answer
    assert repeats.begin("a", "photos") is None


def test_a_client_that_goes_away_leaves_no_word_in_the_log():
    """Not even of asyncio, which tells of errors that nobody asked for."""
    told = []

    async def receive():
        return {"type": "http.disconnect"}

    async def go_away():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
        service = Service(Settings(Model(Path("model.onnx"))))
        service.workers.loaded = LOADED
        with pytest.raises(RequestError, match="the client went away"):
            await service.grade([Photo("", b"")], Request({"type": "http"}, receive))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(go_away())
    assert told == []
