"""Workers of a data loader, as their main process goes; `test_train_stopped.py` has the signals of a training."""

import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_workers_do_not_outlive_a_killed_main_process(start, tmp_path, session_lives, wait_for):
    """They are within a photo, where torch's own watch does not look."""
    (tmp_path / "script.py").write_text(SCRIPT)
    with subprocess.Popen([sys.executable, "script.py", start], cwd=tmp_path, start_new_session=True) as process:
        wait_for(lambda: len(list(tmp_path.glob("*.begun"))) == 2)
        process.kill()
        wait_for(lambda: not session_lives(process.pid))
