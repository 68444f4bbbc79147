"""Workers of a data loader: as they start, as they die, and as their main process goes.

`test_train_stopped.py` has the signals of a training.
"""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset

from biranet.errors import InputError
from biranet.learning.data import collate
from biranet.learning.predict import predict_photos
from biranet.learning.torch_predictor import load_predictor
from biranet.learning.workers import Loader, WorkerError
from biranet.manifest import read_manifest

SCRIPT = """
import sys, time
from pathlib import Path
from torch.utils.data import DataLoader, Dataset
from biranet.learning.workers import start_worker

class Slow(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, item):
        Path(f"{item}.begun").touch()
        time.sleep(600)
        return item

if __name__ == "__main__":
    list(DataLoader(Slow(), num_workers=2, worker_init_fn=start_worker, multiprocessing_context=sys.argv[1]))
"""


@pytest.mark.sample
@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_workers_do_not_outlive_a_killed_main_process(start, tmp_path, session_lives, wait_for):
    """They are within a photo, where torch's own watch does not look."""
    (tmp_path / "script.py").write_text(SCRIPT)
    with subprocess.Popen([sys.executable, "script.py", start], cwd=tmp_path, start_new_session=True) as process:
        wait_for(lambda: len(list(tmp_path.glob("*.begun"))) == 2)
        process.kill()
        wait_for(lambda: not session_lives(process.pid))


class Photos(Dataset):
    """Images of 3 MB."""

    def __len__(self):
        return 6

    def __getitem__(self, row):
        return torch.full((3, 512, 512), float(row)), row % 5, row


def _load(workers):
    return list(Loader(Photos(), workers, batch_size=2, collate_fn=collate))


@pytest.fixture
def limit():
    """Function that sets a limit of this process, and of those it starts, for the length of a test."""
    before = {}

    def lower(kind, value):
        before[kind] = resource.getrlimit(kind)
        resource.setrlimit(kind, (value, before[kind][1]))

    yield lower
    for kind, values in before.items():
        resource.setrlimit(kind, values)


@pytest.mark.parametrize("room", [None, 2**20])
def test_batches_arrive_whatever_the_room_in_shared_memory(limit, room):
    """A limit to the length of files is one to shared memory, too."""
    if room is not None:
        limit(resource.RLIMIT_FSIZE, room)
    for ours, expected in zip(_load(2), _load(0), strict=True):
        assert type(ours) is type(expected)
        assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(ours, expected, strict=True))
        assert ours.pixels.is_shared() == (room is None)
        ours.pixels.add_(1)  # it can be written to


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_workers_that_cannot_be_started_are_one_sentence(limit):
    limit(resource.RLIMIT_NOFILE, len(list(Path("/dev/fd").iterdir())) + 3)
    with pytest.raises(WorkerError, match=r"cannot be started: Too many open files; load them in this one with"):
        _load(2)


def test_a_worker_that_is_killed_ends_grading_in_one_sentence(monkeypatch, checkpoint, split_folder):
    """So in `evaluate`, `calibrate` and the validation of `train`, which all go this way."""
    predictor = load_predictor(checkpoint, "cpu")
    monkeypatch.setattr(
        "biranet.learning.stored_photos.decode_prepared", lambda _: os.kill(os.getpid(), signal.SIGKILL)
    )
    with pytest.raises(InputError, match="ended from outside or ran out of memory; run it again, perhaps with fewer"):
        predict_photos(predictor, split_folder, read_manifest(split_folder), workers=2)


UNGUARDED = """
import multiprocessing, sys
from pathlib import Path

photos, checkpoint = map(Path, sys.argv[1:])

def prepare():
    from biranet.photos.folder import prepare_folder
    prepare_folder(photos, Path("out"), size_px=64, workers=2)

def grade():
    import biranet
    list(biranet.load(checkpoint).grade_many(sorted(photos.glob("*.jpg"))))

def train():
    from biranet.config import TrainConfig
    from biranet.learning.train import train
    train(Path("out"), Path("run"), TrainConfig())

for method in ("spawn", "forkserver"):
    multiprocessing.set_start_method(method, force=True)
    for call in (prepare, grade, train):
        try:
            call()
        except ValueError as error:
            print(method, error, flush=True)
"""


@pytest.mark.slow
@pytest.mark.sample
def test_script_without_a_main_guard_is_told_so(tmp_path, drawn_photos, checkpoint):
    (tmp_path / "script.py").write_text(UNGUARDED)
    done = subprocess.run(
        [sys.executable, "script.py", drawn_photos, checkpoint],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout.splitlines()
    assert [sentence.split()[0] for sentence in said] == ["spawn"] * 3 + ["forkserver"] * 3 and done.stderr == ""
    assert all('put the call below `if __name__ == "__main__":`' in sentence for sentence in said)
