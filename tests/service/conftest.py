"""A service as a user starts it: the real command line in a process of its own, and what a test needs to know of it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import requests

from page_driver import browser, open_page, photos, tables  # noqa: F401 (fixtures)

# As it is before a slow test takes the variables away by which coverage measures what it starts: others use it, too.
ENVIRONMENT = dict(os.environ)
PROGRAM = (sys.executable, "-W", "error", "-m", "biranet")


class Running:
    """A service that runs.

    Attributes:
        url: Its address.
        process: The process that answers.
        out: File with what it says.
        log: File with its log.
        home: Its home, and its folder for temporary files.
        session: Asks it, with its token.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", url: str, place: Path) -> None:
        self.process = process
        self.url = url
        self.out, self.log, self.home = (place / name for name in ("out", "log", "home"))
        self.session = requests.Session()

    def get(self, path, **settings):
        return self.session.get(self.url + path, timeout=30, **settings)

    def post(self, path, data=None, **settings):
        return self.session.post(self.url + path, data, timeout=30, **settings)

    def metric(self, name):
        """A figure of /metrics, 0 where it is not there yet."""
        found = re.search(rf"^{re.escape(name)} (.+)$", self.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def workers(self) -> list[int]:
        """The processes that grade."""
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        numbers = [int(number) for file in children for number in file.read_text().split()]
        return [each for each in numbers if b"resource_tracker" not in Path(f"/proc/{each}/cmdline").read_bytes()]


@contextmanager
def running(
    place: Path, *flags: object, program: Sequence[object] = PROGRAM, environment: dict[str, str] | None = None
) -> Iterator[Running]:
    """Start a service, wait until it can grade, and end it."""
    (place / "home").mkdir(parents=True)
    command = [str(word) for word in (*program, "serve", "--port", 0, *flags)]
    with (place / "out").open("wb") as out, (place / "log").open("wb") as log:
        environment = ENVIRONMENT if environment is None else environment
        environment = environment | dict.fromkeys(("HOME", "TMPDIR"), str(place / "home"))
        environment = {name: value for name, value in environment.items() if name not in ("CI", "XDG_CACHE_HOME")}
        process = subprocess.Popen(command, stdout=out, stderr=log, cwd=place, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"Serving at (\S+) ", (place / "out").read_text())):
            assert process.poll() is None, (place / "log").read_text()
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.02)
        yield Running(process, found[1], place)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            # A test that failed may have left it stopped.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with two workers, no token, and names of files that tell patient and eye; nothing of it is changed."""
    with running(tmp_path_factory.mktemp("served"), "--workers", 2, "--name-pattern", "{patient}_{eye}") as service:
        yield service


@pytest.fixture(scope="session")
def launch() -> Callable[..., AbstractContextManager[Running]]:
    """Function that starts a service of a test's own: `with launch(folder, *flags) as service`."""
    return running


@pytest.fixture(scope="session")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with photos of two patients, both eyes of one, and others that cannot be used; read only."""
    from PIL import Image

    from biranet.photos.drawn.synthetic import draw_photo

    folder = tmp_path_factory.mktemp("eyes")
    for seed, (name, grade) in enumerate({"P1_OD": 4, "P1_OS": 0, "P2_left": 2}.items()):
        Image.fromarray(draw_photo(grade=grade, seed=seed)).save(folder / f"{name}.png")
    Image.fromarray(draw_photo(grade=0, seed=2) // 9).save(folder / "P2_right.png")  # too dark
    (folder / "notes.jpg").write_text("no photo")
    (folder / "half.png").write_bytes((folder / "P1_OD.png").read_bytes()[:20_000])
    return folder
