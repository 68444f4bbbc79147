"""What a service takes at most, and whom it serves: every refusal has its status and one sentence."""

import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from warm import unmeasured


@pytest.fixture(scope="module")
def narrow(launch, tmp_path_factory):
    """A service with a token, one worker, and narrow limits."""
    place = tmp_path_factory.mktemp("narrow")
    (place / "token").write_text("0123456789abcdef\n")
    flags = ["--token-file", place / "token", "--workers", 1, "--max-files", 2, "--max-waiting", 3]
    flags += ["--max-megabytes", 2.5, "--max-seconds", 2]
    with launch(place / "service", *flags) as service:
        service.session.headers["authorization"] = "Bearer 0123456789abcdef"
        yield service


def connect(service):
    address = urlsplit(service.url)
    return socket.create_connection((address.hostname, address.port), timeout=30)


def head(length, *, path="/v1/grade", token="Bearer 0123456789abcdef", more=""):
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: {token}", f"Content-Length: {length}{more}"]
    return "\r\n".join([*lines, "", ""]).encode()


def answer_of(connection):
    """An answer, head and body, or the head of one without a body, which may come in pieces."""
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
        before, ended, body = answer.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", before)
        if ended and len(body) >= (0 if length is None else int(length[1])):
            break
    return answer.decode()


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer 0123456789abcdeF", "Basic 0123456789abcdef", "Bearer é"])
def test_nothing_is_answered_without_the_token(narrow, token):
    for path in ("/v1/models", "/metrics", "/v2/models/idrid_lite0"):
        answer = requests.get(narrow.url + path, headers={"authorization": token.encode()}, timeout=30)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    answer = requests.post(f"{narrow.url}/v1/grade", b"x", headers={"authorization": token.encode()}, timeout=30)
    assert answer.json() == {"error": "this service asks for its token; send the header Authorization: Bearer TOKEN"}
    for path in ("/healthz", "/readyz", "/v2/health/live", "/openapi.json"):
        assert requests.get(narrow.url + path, headers={"host": "clinic.example"}, timeout=30).status_code == 200
    assert narrow.get("/v1/models").status_code == 200


def test_a_body_is_refused_before_it_is_sent(narrow):
    """As curl asks, which waits with a large body for the word to go on."""
    wait = "\r\nExpect: 100-continue"
    for wrong, status in ((head(2_600_000, more=wait), 413), (head(9, token="no", more=wait), 401)):
        with connect(narrow) as connection:
            connection.sendall(wrong)
            assert answer_of(connection).startswith(f"HTTP/1.1 {status} ")
    with connect(narrow) as connection:
        connection.sendall(head(2, more=wait))
        assert answer_of(connection).startswith("HTTP/1.1 100 ")
        connection.sendall(b"ab")
        assert answer_of(connection).startswith("HTTP/1.1 415 ")


def test_requests_that_are_too_long_or_bring_too_many_photos_are_refused(narrow):
    sentence = "the request is longer than 2.5 MB; send fewer photos at a time"
    answer = narrow.post("/v1/grade", iter([b"x" * 1_300_000] * 2))  # in chunks, whose length nobody announced
    assert (answer.status_code, answer.json()["error"]) == (413, sentence)
    sentence = "the request brings more than 2 photos; send fewer at a time"
    for photos in (3, 4, 9):
        answer = narrow.post("/v1/grade", files=[("files", ("a", b"x"))] * photos)
        assert (answer.status_code, answer.json()["error"]) == (413, sentence)
    sentence = "the form says more than is to be said of 2 photos; photos are files in files; patient may be said once"
    for fields in (9, 10, 500):
        answer = narrow.post("/v1/grade", files=[("files", ("a", b"x")), *[("eye", (None, "OD"))] * fields])
        assert (answer.status_code, answer.json()["error"][: len(sentence)]) == (413, sentence)
    answer = narrow.post("/v1/grade", files=[("files", ("a", b"x")), *[("eye", (None, "OD"))] * 8])
    assert (answer.status_code, answer.json()["error"][:26]) == (422, "the form says eye 8 times;")
    assert narrow.post("/v1/grade", files=[("files", ("a", b"x"))] * 2).status_code == 200
    answer = narrow.post("/v1/view", files=[("files", ("a", b"x"))] * 2)
    assert (answer.status_code, answer.json()["error"]) == (422, "one photo can be looked at at a time, not 2")


def test_a_photo_that_claims_any_size_is_not_decoded(narrow):
    """A PNG of 100,000 x 100,000 pixels, in a few bytes."""
    size = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", size), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    answer = narrow.post("/v1/grade", b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    assert (answer.status_code, answer.json()["error"]) == (
        422, "the photo cannot be used: has more than 150 million pixels",
    )  # fmt: skip


def test_a_client_that_sends_too_slowly_is_told_so(narrow):
    with connect(narrow) as connection:
        connection.sendall(head(1000) + b"x" * 10)
        answer = answer_of(connection)
    assert answer.startswith("HTTP/1.1 408 ") and "took longer than 2 seconds to arrive" in answer


def test_a_client_that_does_not_read_its_answers_is_let_go(narrow, wait_for):
    """Nothing of it stays in memory for ever, neither in the process nor in the kernel."""
    address = urlsplit(narrow.url)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.connect((address.hostname, address.port))
        client.sendall(b"GET /page/texts.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1500)  # 24 MB
        ends = f":{address.port:04X} 0100007F:{client.getsockname()[1]:04X} "
        assert ends in Path("/proc/net/tcp").read_text()
        wait_for(lambda: ends not in Path("/proc/net/tcp").read_text())
        with pytest.raises(ConnectionResetError):
            client.sendall(b"GET")
            answer_of(client)
    assert narrow.get("/healthz").status_code == 200


def test_a_photo_that_takes_too_long_ends_its_process_alone(narrow, eyes, wait_for):
    """The process is stopped, so it takes for ever."""
    [worker] = narrow.workers()
    os.kill(worker, signal.SIGSTOP)
    photo = (eyes / "P1_OD.png").read_bytes()
    answer = narrow.post("/v1/grade", photo)
    assert (answer.status_code, answer.json()) == (504, {"error": "grading took longer than 2 seconds a photo"})
    wait_for(lambda: narrow.get("/readyz").status_code == 200)
    assert narrow.workers() != [worker]
    assert narrow.post("/v1/grade", photo).status_code == 200


def test_a_photo_on_its_way_stands_in_no_file(served, wait_for):
    """Neither under a name nor as a file that was deleted while it is open."""
    form = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n' + b"x" * 2_000_000
    with connect(served) as connection:
        connection.sendall(head(2_400_000, more="\r\nContent-Type: multipart/form-data; boundary=x") + form)
        wait_for(lambda: served.metric("biranet_requests_in_flight") == 2)  # that one, and this question
        time.sleep(0.3)  # so that most of it is read
        opened = [str(file.readlink()) for file in Path(f"/proc/{served.process.pid}/fd").iterdir()]
    assert not [name for name in opened if "deleted" in name and "/dev/shm" not in name], opened


def test_a_body_that_ends_too_early_is_no_request(narrow):
    before = narrow.metric('biranet_requests_total{route="/v1/grade",status="499"}')
    with connect(narrow) as connection:
        connection.sendall(head(1000) + b"x" * 10)
        time.sleep(0.1)
    deadline = time.monotonic() + 30
    while narrow.metric('biranet_requests_total{route="/v1/grade",status="499"}') == before:
        assert time.monotonic() < deadline


def test_connections_that_fill_a_service_do_not_fill_its_log(launch, tmp_path, wait_for):
    """It takes as many as the hard limit of files allows, and says once that there are too many."""
    program = ["sh", "-c", 'ulimit -Sn 40; ulimit -Hn 64; exec "$@"', "sh", sys.executable, "-m", "biranet"]
    with launch(tmp_path / "service", "--workers", 1, program=program) as service:
        limits = Path(f"/proc/{service.process.pid}/limits").read_text()
        assert re.search(r"^Max open files +64 +64 ", limits, re.MULTILINE)
        with contextlib.ExitStack() as opened:
            for _ in range(64):
                opened.enter_context(connect(service))
            wait_for(lambda: "out of system resource" in service.log.read_text())
        assert service.get("/healthz").status_code == 200
        assert service.log.read_text().count("out of system resource") == 1


@pytest.mark.parametrize(
    ("flags", "environment", "sentence"),
    [
        (("--host", "0.0.0.0"), {}, "without a token only this machine is served, and --host 0.0.0.0 lets others in"),
        (("--token-file", "no file"), {}, "cannot read no file: No such file or directory; name a file that holds"),
        ((), {"BIRANET_TOKEN": "short"}, "the token in BIRANET_TOKEN must have at least 16 letters, digits or signs"),
        (("--port", "99999"), {}, "--port must lie between 0 and 65535, not 99999"),
        (("--max-seconds", "nan"), {}, "--max-seconds must lie above 0 and be at most 86400, not nan"),
        (("--host", "nowhere.invalid"), {"BIRANET_TOKEN": "x" * 16}, "nothing can listen at nowhere.invalid, port"),
        (("--workers", "0"), {}, "--workers must be at least 1, not 0"),
        (("--max-files", "300"), {}, "--max-waiting must be at least 300, not 200"),
        (("--checkpoint", "nothing"), {}, "'nothing' is neither a file nor a model that ships with this biranet"),
        (("--name-pattern", "x"), {}, "--name-pattern takes a pattern such as"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_told_in_a_sentence(biranet, monkeypatch, tmp_path, flags, environment, sentence):
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    answer = biranet("serve", *flags)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith(f"biranet: {sentence}") and answer.err.count("\n") == 1


def test_a_port_that_is_taken_is_told_in_a_sentence(biranet, narrow):
    port = urlsplit(narrow.url).port
    answer = biranet("serve", "--port", port)
    assert answer.status == 2
    assert re.fullmatch(rf"biranet: nothing can listen at 127.0.0.1, port {port}: .*; give another .*\n", answer.err)


def test_a_model_that_cannot_be_loaded_ends_the_service(biranet, tmp_path):
    (tmp_path / "best.onnx").write_bytes(b"no model")
    answer = biranet("serve", "--port", 0, "--checkpoint", tmp_path / "best.onnx", "--workers", 1)
    assert answer.status == 2 and answer.out == ""
    assert answer.err.splitlines()[-1].startswith("biranet: ") and "best.onnx" in answer.err


def test_a_connection_on_which_nothing_is_asked_ends(narrow):
    """One that begins a request and never ends its head, as the first one or after an answer."""
    for said in (b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hea"):
        with connect(narrow) as connection:
            connection.sendall(said)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))  # until the other end closes it
            assert answer.startswith(b"HTTP/1.1 200") == (b"\r\n\r\n" in said)


def test_processes_that_cannot_start_end_the_service(tmp_path):
    """As where they are killed for want of memory each time: it is tried three times, and not for ever."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif 'spawn_main' in ' '.join(sys.orig_argv):\n    os._exit(9)\n"
    )
    command = [sys.executable, "-m", "biranet", "serve", "--port", "0", "--workers", "1"]
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, env=unmeasured() | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    sentence = "the processes that grade end with status 9 while they start, perhaps for want of memory; try fewer"
    assert done.stderr.splitlines()[-1] == f"biranet: {sentence} --workers"


@pytest.mark.parametrize("given", [0, 1, 2, 3])
def test_a_system_that_gives_no_further_thread_ends_the_service(biranet, monkeypatch, given):
    start, started = threading.Thread.start, []

    def start_some(thread):
        started.append(thread)
        if len(started) > given:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_some)
    answer = biranet("serve", "--port", 0, "--workers", 1)
    assert (answer.status, answer.out) == (2, "")
    sentence = "biranet: no thread can be started; try fewer --workers, or end other programs"
    assert answer.err.splitlines()[-1] == sentence and "Traceback" not in answer.err
