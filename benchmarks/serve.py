"""How fast does the service grade, and what does it lose? Clients on the same machine, against the bare engine.

python benchmarks/serve.py ORIGINALS [--seconds 20] [--requests 2000] [--litserve PYTHON] [--out results.json]

ORIGINALS: a folder of full-size JPEG photographs. As many worker processes as processors, one thread each.

* bare: as many processes, each grading photo by photo in memory with `Grader.grade`'s own steps, without HTTP;
* serve: `biranet serve`, asked by 1, 8 and 32 clients at a time, each sending one photo after the other as a body;
* litserve: the same model in the same processes behind LitServe, asked likewise; PYTHON is the interpreter of an
  environment that holds litserve and what biranet needs (this checkout is put on its path). Left out without it.

Then a mixture of requests: photos, files that are none, forms of several, clients that send slowly and clients that go
away; each answer is held against what the command line says of that photo. Last, while 8 clients ask, workers are
killed by SIGKILL: each request is answered, with the grade of its photo or with 503.

The clients are on the same processors, so what they cost is part of what is measured.
"""

import argparse
import concurrent.futures
import contextlib
import http.client
import json
import multiprocessing
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from records import start_record, write_record

CLIENTS = (1, 8, 32)
WORKERS = len(os.sched_getaffinity(0))
KILLS = 5
Encode = Callable[[bytes], tuple[bytes, dict[str, str]]]
"""From a photo to the body and the headers of a request."""
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def grade_share(photos: Sequence[bytes], seconds: float, start: Any, graded: Any) -> None:
    """Grade photos over and over for so many seconds; the body of a process."""
    import cv2

    import biranet
    from biranet.inference.loading import PhotoTask, load_photo

    cv2.setNumThreads(1)
    grader = biranet.load()
    info = grader.info

    def grade(photo: bytes) -> None:
        task = PhotoTask(photo)
        loaded = load_photo(task, preparation=info.preparation, image_size=info.image_size, keep_ungradable=False)
        [answer] = grader.answer([loaded])
        assert answer is not None and answer.grade is not None

    grade(photos[0])
    start.wait()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        grade(photos[count % len(photos)])
        count += 1
    graded.put(count / (time.perf_counter() - began))


def measure_bare(photos: Sequence[bytes], seconds: float) -> float:
    """Photos a second without HTTP."""
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    start, graded = context.Barrier(WORKERS), context.Queue()
    processes = [context.Process(target=grade_share, args=(photos, seconds, start, graded)) for _ in range(WORKERS)]
    for process in processes:
        process.start()
    total = sum(graded.get(timeout=seconds + 120) for _ in processes)
    for process in processes:
        process.join()
    return float(total)


@contextlib.contextmanager
def serving(place: Path) -> Iterator[tuple[int, int]]:
    """Run `biranet serve`; gives its port and its process."""
    command = [sys.executable, "-m", "biranet", "serve", "--port", "0", "--workers", str(WORKERS)]
    with (place / "out").open("wb") as out, (place / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=out, stderr=log, env=ENVIRONMENT)
    try:
        wait_until(lambda: "Serving at" in (place / "out").read_text())
        yield int(re.findall(r":(\d+) until", (place / "out").read_text())[0]), process.pid
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def serving_by_litserve(python: Path, place: Path) -> Iterator[int]:
    """Run LitServe; gives its port."""
    script, port = Path(__file__).with_name("serve_litserve.py"), 8177
    environment = ENVIRONMENT | {"PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    command = [python, script, str(port), str(WORKERS)]
    process = subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)

    def is_up() -> bool:
        try:
            return ask(port, "GET", "/health", timeout=1)[0] == 200
        except OSError:
            return False

    try:
        wait_until(is_up)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("waited too long")
        time.sleep(0.05)


def ask(port: int, method: str, path: str, body: bytes = b"", timeout: float = 120, **headers: str) -> tuple[int, Any]:
    """Ask once; gives status and JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read()
    return response.status, json.loads(text) if text[:1] in (b"{", b"[") else text


FORM = {"Content-Type": "multipart/form-data; boundary=x"}


def part(photo: bytes, field: str = "files") -> bytes:
    """A photo as a part of a form."""
    head = f'--x\r\nContent-Disposition: form-data; name="{field}"; filename="a.jpg"\r\n\r\n'
    return head.encode() + photo + b"\r\n"


def as_body(photo: bytes) -> tuple[bytes, dict[str, str]]:
    return photo, {"Content-Type": "image/jpeg"}


def for_litserve(photo: bytes) -> tuple[bytes, dict[str, str]]:
    return part(photo, "request") + b"--x--\r\n", FORM


def measure_clients(
    url: tuple[int, str], photos: Sequence[bytes], clients: int, seconds: float, encode: Encode = as_body
) -> dict[str, float]:
    """Photos a second and milliseconds a photo, with so many clients at a time, each on one connection."""
    port, path = url
    requests = [encode(photo) for photo in photos]
    taken: list[float] = []
    end = time.perf_counter() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        with contextlib.closing(connection):
            while (began := time.perf_counter()) < end:
                number += 1
                body, headers = requests[number % len(requests)]
                connection.request("POST", path, body, headers)
                response = connection.getresponse()
                answer = response.read()
                assert response.status == 200, answer
                taken.append(time.perf_counter() - began)

    began_all = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(0, 7 * clients, 7)))
    elapsed = time.perf_counter() - began_all
    cuts = statistics.quantiles(taken, n=100)
    return {
        "photos_per_second": round(len(taken) / elapsed, 1),
        **{f"p{share}_ms": round(1000 * cuts[share - 1]) for share in (50, 95, 99)},
    }


def rows_of_command_line(files: Sequence[Path], place: Path) -> list[dict[str, Any]]:
    """What `biranet grade` says of each photo, graded by itself."""
    out = place / "grades.jsonl"
    command = [sys.executable, "-m", "biranet", "grade", *map(str, files), "--out", str(out), "--batch-size", "1"]
    subprocess.run([*command, "--workers", "0"], check=True, capture_output=True, env=ENVIRONMENT)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "file"} for row in rows]


def children_of(process: int) -> list[int]:
    files = Path(f"/proc/{process}/task").glob("*/children")
    return [int(word) for file in files for word in file.read_text().split()]


def memory_mb(process: int) -> int:
    """Memory of a process and those that it started."""
    total = 0
    for number in (process, *children_of(process)):
        with contextlib.suppress(OSError):
            found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{number}/status").read_text())
            total += int(found[1]) if found else 0
    return total // 1000


def workers_of(process: int) -> list[int]:
    """The processes that grade."""
    commands = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children_of(process)}
    return [child for child, command in commands.items() if b"resource_tracker" not in command]


class Mixture:
    """Requests of all kinds, each of which knows what its answer must be."""

    def __init__(self, port: int, photos: Sequence[bytes], rows: Sequence[dict[str, Any]]) -> None:
        self.port, self.photos, self.rows = port, photos, rows
        self.found: Counter[str] = Counter()
        self._lock = threading.Lock()

    def send(self, number: int) -> None:
        """Send the request of that number."""
        drawn = random.Random(number)
        kinds = self.photo, self._form, self._no_photo, self._slow, self._leave
        self.count(drawn.choices(kinds, (60, 10, 15, 5, 10))[0], drawn)

    def count(self, kind: Callable[[random.Random], str], drawn: random.Random) -> None:
        """Send a request of a kind, and count what became of it."""
        try:
            found = kind(drawn)
        except (OSError, http.client.HTTPException):
            found = "lost"
        with self._lock:
            self.found[found] += 1

    def _matches(self, chosen: Sequence[int], status: int, answer: Any) -> str:
        if status == 503:
            return "asked to come again"
        rows = [{name: value for name, value in row.items() if name != "file"} for row in answer.get("photos", [])]
        wanted = [self.rows[each] for each in chosen]
        if status != 200 or len(rows) != len(wanted):
            return "lost"
        # Photos of a form are computed together, so their last digits may differ.
        same = all(near(ours, theirs) for ours, theirs in zip(rows, wanted, strict=True))
        return "answered" if same else "swapped"

    def photo(self, drawn: random.Random) -> str:
        chosen = drawn.randrange(len(self.photos))
        return self._matches([chosen], *ask(self.port, "POST", "/v1/grade", self.photos[chosen]))

    def _form(self, drawn: random.Random) -> str:
        chosen = [drawn.randrange(len(self.photos)) for _ in range(drawn.randint(2, 4))]
        body = b"".join(part(self.photos[each]) for each in chosen) + b"--x--\r\n"
        return self._matches(chosen, *ask(self.port, "POST", "/v1/grade", body, **FORM))

    def _no_photo(self, drawn: random.Random) -> str:
        photo = drawn.choice(self.photos)
        noise = b"\xff\xd8\xff" + drawn.randbytes(999)
        body = drawn.choice((b"no photo", b"%PDF-1.7", photo[: len(photo) // 2], noise))
        status, answer = ask(self.port, "POST", "/v1/grade", body)
        return "refused" if status in (415, 422) and answer["error"] else "lost"

    def _slow(self, drawn: random.Random) -> str:
        chosen = drawn.randrange(len(self.photos))
        photo = self.photos[chosen]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            connection.putrequest("POST", "/v1/grade")
            connection.putheader("Content-Length", str(len(photo)))
            connection.endheaders()
            for start in range(0, len(photo), len(photo) // 8):
                connection.send(photo[start : start + len(photo) // 8])
                time.sleep(0.1)
            response = connection.getresponse()
            return self._matches([chosen], response.status, json.loads(response.read()))

    def _leave(self, drawn: random.Random) -> str:
        photo = drawn.choice(self.photos)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            connection.putrequest("POST", "/v1/grade")
            connection.putheader("Content-Length", str(len(photo)))
            connection.endheaders()
            connection.send(photo[: drawn.randrange(1, len(photo) + 1)])
        return "went away"


def near(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether two rows say the same, but for the last digits."""
    return ours.keys() == theirs.keys() and all(
        abs(ours[name] - theirs[name]) < 1e-6 if isinstance(theirs[name], float) and ours[name] is not None
        else ours[name] == theirs[name]
        for name in theirs
    )  # fmt: skip


def measure_mixture(mixture: Mixture, process: int, requests: int) -> dict[str, Any]:
    """Send a mixture of requests, sixteen at a time, and look at the memory on the way."""
    memory = [memory_mb(process)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for quarter in range(4):
            list(pool.map(mixture.send, range(quarter * requests // 4, (quarter + 1) * requests // 4)))
            memory.append(memory_mb(process))
    return {"requests": requests, **dict(sorted(mixture.found.items())), "memory_mb": memory}


def measure_kills(mixture: Mixture, process: int) -> dict[str, Any]:
    """Kill workers while 8 clients ask, and count what became of their requests."""
    stop = threading.Event()

    def client(number: int) -> None:
        drawn = random.Random(number)
        while not stop.is_set():
            mixture.count(mixture.photo, drawn)

    def all_work() -> bool:
        return b"biranet_workers %.1f\n" % WORKERS in ask(mixture.port, "GET", "/metrics")[1]

    back = []
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(client, number) for number in range(8)]
        for kill in range(KILLS):
            time.sleep(1 + 0.3 * kill)
            os.kill(workers_of(process)[0], signal.SIGKILL)
            began = time.perf_counter()
            wait_until(lambda: not all_work())
            wait_until(all_work)
            back.append(time.perf_counter() - began)
        stop.set()
        for each in asking:
            each.result()
    return {"kills": KILLS, "seconds_until_back": round(max(back), 1), **dict(sorted(mixture.found.items()))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("originals", type=Path)
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parser.add_argument("--requests", type=int, default=2000, help="in the mixture")
    parser.add_argument("--litserve", type=Path, metavar="PYTHON")
    start_record(parser)
    arguments = parser.parse_args()
    files = sorted(arguments.originals.resolve().rglob("*.jpg"))
    if not files:
        parser.error(f"{arguments.originals} holds no *.jpg")
    photos = [file.read_bytes() for file in files]

    bare = measure_bare(photos, arguments.seconds)
    report: dict[str, Any] = {"photos": len(files), "workers": WORKERS, "bare_photos_per_second": round(bare, 1)}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        rows = rows_of_command_line(files, place)
        with serving(place) as (port, process):
            report["serve"] = {
                str(clients): measure_clients((port, "/v1/grade"), photos, clients, arguments.seconds)
                for clients in CLIENTS
            }
            report["mixture"] = measure_mixture(Mixture(port, photos, rows), process, arguments.requests)
            report["kills"] = measure_kills(Mixture(port, photos, rows), process)
        if arguments.litserve is not None:
            with serving_by_litserve(arguments.litserve, place) as port:
                report["litserve"] = {
                    str(clients): measure_clients((port, "/predict"), photos, clients, arguments.seconds, for_litserve)
                    for clients in CLIENTS
                }
    report["serve_over_bare_at_8"] = round(report["serve"]["8"]["photos_per_second"] / bare, 2)
    write_record(report, arguments.out, ("fastapi", "onnxruntime", "uvicorn"))


if __name__ == "__main__":
    main()
