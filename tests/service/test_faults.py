"""What others do to a service: go away, fill it, kill its processes, stop it. Nobody else's request is lost."""

import concurrent.futures
import contextlib
import hashlib
import io
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import requests
from PIL import Image

import biranet
from biranet.learning.onnx_file import with_digest

SECONDS = 30


@pytest.fixture(scope="module")
def one_worker(launch, tmp_path_factory):
    """A service with one worker, which takes photos of several requests together, and a short queue."""
    flags = ["--workers", 1, "--across-requests", "--max-waiting", 2, "--max-files", 2]
    with launch(tmp_path_factory.mktemp("one"), *flags) as service:
        yield service


@pytest.fixture
def ask(eyes):
    """Function that asks a service for the grade of a photo in a thread, and gives the answer to come."""
    pool = concurrent.futures.ThreadPoolExecutor(8)
    buffer = io.BytesIO()
    Image.open(eyes / "P1_OD.png").save(buffer, "JPEG")
    photo = buffer.getvalue()  # so short that a worker that is stopped is sent all of it
    yield lambda service: pool.submit(requests.post, f"{service.url}/v1/grade", photo, timeout=SECONDS)
    pool.shutdown()


@pytest.fixture
def stopped(one_worker, ready):
    """The worker of a service, stopped in the middle of whatever it does; it goes on at the end."""
    ready(one_worker)
    [worker] = one_worker.workers()
    os.kill(worker, signal.SIGSTOP)
    yield worker
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker, signal.SIGCONT)


@pytest.fixture
def begin(ask, wait_for):
    """Function that asks a service for a grade, and waits until its worker has the photo."""

    def ask_and_wait(service):
        before = service.metric("biranet_batch_photos_count")
        answer = ask(service)
        wait_for(lambda: service.metric("biranet_batch_photos_count") == before + 1)
        return answer

    return ask_and_wait


@pytest.fixture
def ready(wait_for):
    """Function that waits until a service can grade and nothing waits."""

    def wait(service):
        wait_for(lambda: service.get("/readyz").status_code == 200 and not service.metric("biranet_photos_waiting"))

    return wait


def test_a_worker_that_is_killed_comes_back_and_loses_only_its_own_request(
    one_worker, stopped, begin, ask, wait_for, ready
):  # fmt: skip
    own = begin(one_worker)
    waits = ask(one_worker)
    wait_for(lambda: one_worker.metric("biranet_photos_waiting") == 1)
    os.kill(stopped, signal.SIGKILL)
    answer = own.result(SECONDS)
    assert (answer.status_code, "retry-after" in answer.headers) == (503, False)
    assert answer.json() == {"error": "the process that graded was ended; send the request again"}
    assert waits.result(SECONDS).json()["photos"][0]["status"] == "ok"
    ready(one_worker)
    assert one_worker.workers() != [stopped]
    assert one_worker.metric("biranet_worker_restarts_total") >= 1


def test_a_queue_that_is_full_asks_to_come_again(one_worker, stopped, begin, ask, wait_for):
    """What waits meanwhile is taken together, since this service is told to."""
    batches, photos = (one_worker.metric(f"biranet_batch_photos_{what}") for what in ("count", "sum"))
    graded = [begin(one_worker)]
    graded += [ask(one_worker), ask(one_worker)]
    wait_for(lambda: one_worker.metric("biranet_photos_waiting") == 2)
    answer = ask(one_worker).result(SECONDS)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json() == {"error": "2 photos wait, and at most 2 may; try again in a moment"}
    os.kill(stopped, signal.SIGCONT)
    answers = [each.result(SECONDS) for each in graded]
    assert requests.post(f"{one_worker.url}/v1/view", answers[0].request.body, timeout=SECONDS).json()["maps"]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.json()["photos"][0]["decision"] for answer in answers}) == 1
    assert one_worker.metric("biranet_batch_photos_sum") == photos + 4
    assert one_worker.metric("biranet_batch_photos_count") == batches + 3


def test_a_client_that_goes_away_leaves_nothing_to_do(one_worker, stopped, begin, ask, eyes, wait_for):
    first = begin(one_worker)
    before = one_worker.metric("biranet_batch_photos_count")
    with pytest.raises(requests.Timeout):
        requests.post(f"{one_worker.url}/v1/grade", (eyes / "P1_OS.png").read_bytes(), timeout=0.2)
    wait_for(lambda: not one_worker.metric("biranet_photos_waiting"))
    os.kill(stopped, signal.SIGCONT)
    assert first.result(SECONDS).status_code == 200
    assert ask(one_worker).result(SECONDS).status_code == 200
    assert one_worker.metric("biranet_batch_photos_count") == before + 1  # of the last one


def test_a_service_that_is_asked_to_stop_finishes_what_it_took(launch, tmp_path, ask, eyes, wait_for):
    """However long that takes, where no photo takes longer than it may."""
    files = [("files", (f"{number}.png", (eyes / "P2_right.png").read_bytes())) for number in range(9)]
    with launch(tmp_path / "service", "--workers", 1, "--max-seconds", 2) as service:
        [worker] = service.workers()
        os.kill(worker, signal.SIGSTOP)
        pool = concurrent.futures.ThreadPoolExecutor(1)
        taken = [pool.submit(requests.post, f"{service.url}/v1/grade", files=files, timeout=SECONDS)]
        wait_for(lambda: service.metric("biranet_batch_photos_count") == 1)
        taken.append(ask(service))
        wait_for(lambda: service.metric("biranet_photos_waiting") == 1)
        service.session.close()
        service.process.send_signal(signal.SIGTERM)

        def refuses():
            try:
                requests.get(f"{service.url}/healthz", timeout=1)
            except requests.ConnectionError:
                return True
            return False

        wait_for(refuses)
        time.sleep(2.5)  # longer than one photo may take
        os.kill(worker, signal.SIGCONT)
        assert [each.result(SECONDS).status_code for each in taken] == [200, 200]
        assert service.process.wait(SECONDS) == 0
    assert "Traceback" not in service.log.read_text()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_a_service_that_is_asked_twice_to_stop_waits_for_nobody(launch, tmp_path, begin):
    with launch(tmp_path / "service", "--workers", 1) as service:
        [worker] = service.workers()
        os.kill(worker, signal.SIGSTOP)
        taken = begin(service)
        service.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            service.process.wait(0.5)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(SECONDS) == 0
        with pytest.raises(requests.ConnectionError):
            taken.result(SECONDS)
    assert "Traceback" not in service.log.read_text()


def test_workers_end_with_a_service_that_is_killed(launch, tmp_path, wait_for):
    with launch(tmp_path / "service", "--workers", 1) as service:
        workers = service.workers()
        assert len(workers) == 1
        service.process.kill()
        service.process.wait()

        def gone(process):
            try:
                os.kill(process, 0)
            except ProcessLookupError:
                return True
            return False

        wait_for(lambda: all(map(gone, workers)))


def test_a_model_that_is_replaced_answers_no_request(launch, tmp_path, ask, wait_for):
    """A worker that comes back would load it, and answer beside others, or in place of them, by another model."""
    model = tmp_path / "model.onnx"
    model.write_bytes((Path(biranet.__file__).parent / "shipped" / "idrid_lite0.onnx").read_bytes())
    with launch(tmp_path / "service", "--workers", 1, "--checkpoint", model) as service:
        assert ask(service).result(SECONDS).status_code == 200
        # A description (field 6) is added: the same answers, but no longer the same model.
        before = service.get("/readyz").json()
        model.write_bytes(with_digest(model.read_bytes() + b"\x32\x01x"))
        # The one that was loaded goes on, and says which it is.
        assert ask(service).result(SECONDS).status_code == 200
        assert service.get("/readyz").json() == before
        replaced = hashlib.sha256(model.read_bytes()).hexdigest()
        assert replaced != before["sha256"] == service.get("/v1/models/model").json()["sha256"]
        [worker] = service.workers()
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: "the file of the model holds another one now" in service.log.read_text())
        answer = ask(service).result(SECONDS)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, False)
        assert answer.json() == {"error": "the file of the model holds another one now; start the service again"}
        ready = service.get("/readyz")
        assert (ready.status_code, ready.json(), "retry-after" in ready.headers) == (503, answer.json(), False)
        assert service.get("/v1/models/model").json()["title"] is None
