"""Does a command that is ended from outside leave half a file, a process, or work that cannot go on?

python benchmarks/kills.py [--kills 14] [--seed 1] [--commands prepare train …] [--out results.json]

Each of prepare, train, evaluate, calibrate, grade and export is run on small drawn photographs, and is ended at a
random moment, by SIGKILL or SIGTERM; two times of three after it has begun to write. Then everything under a final name
must be whole, no process may be left after ten seconds, and the same command, or what the program says to do instead,
must end well, leave nothing but what an undisturbed run leaves, and where the same bytes are promised, these bytes.
"""

import argparse
import collections
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PROCESSES_GO_WITHIN_S = 10.0
ENDS_WITHIN_S = 300.0
SMALL = "--backbone test_resnet --no-pretrained --freeze none --image-size 64 --batch-size 8 --workers 1"


def full_content(name: str, data: bytes) -> object:
    """What must be the same of a file whose bytes are promised."""
    return data


def training_content(name: str, data: bytes) -> object:
    """What must be the same of a file of a training."""
    if name.endswith("history.jsonl"):
        return [
            {key: value for key, value in json.loads(line).items() if key != "seconds"} for line in data.splitlines()
        ]
    return data if name.endswith((".safetensors", "config.json")) else True


def report_content(name: str, data: bytes) -> object:
    """What must be the same of a file of a report: the page and the notes tell how often the test part was read."""
    if name.endswith("metrics.json"):
        return {key: value for key, value in json.loads(data).items() if key not in ("notes", "facts", "provenance")}
    return data if name.endswith("predictions.csv") else True


@dataclass(frozen=True)
class KillCase:
    """A command that is ended from outside.

    Attributes:
        line: The command line, run in a folder with `photos`, `prepared` and `model.safetensors`.
        makes: The file or folder that it writes, in that folder.
        same: What must be the same of a file after it was run again, given its name and bytes.
    """

    line: str
    makes: str
    same: Callable[[str, bytes], object]


COMMANDS = {
    "prepare": KillCase("prepare photos out --labels photos/labels.csv --size 64 --workers 2", "out", full_content),
    "train": KillCase(f"train prepared --out run --epochs 3 {SMALL}", "run", training_content),
    "evaluate": KillCase("evaluate model.safetensors prepared --out report --workers 1", "report", report_content),
    "calibrate": KillCase("calibrate model.safetensors prepared --workers 1", "model.safetensors", full_content),
    "grade": KillCase(
        "grade photos --checkpoint model.safetensors --out grades.csv --workers 1", "grades.csv", full_content
    ),
    "export": KillCase("export model.safetensors model.onnx", "model.onnx", full_content),
}


def start(line: str, folder: Path, log: Path) -> "subprocess.Popen[bytes]":
    """Start a command as a user would, in a session of its own."""
    with log.open("wb") as log_file:
        return subprocess.Popen(
            [sys.executable, "-m", "biranet", *shlex.split(line)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )


def run(line: str, folder: Path, log: Path) -> None:
    """Run a command to its end, which must be a good one."""
    process = start(line, folder, log)
    try:
        status = process.wait(ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(f"{line} did not end") from None
    assert status == 0, f"{line} ended with {status}: {log.read_text()[-400:]}"


def folder_state(folder: Path) -> dict[str, tuple[int, int]]:
    """What stands in a folder, by name: length and time."""
    found = {}
    for path in folder.rglob("*"):
        try:
            state = path.lstat()
        except OSError:
            continue
        found[str(path)] = (state.st_size, state.st_mtime_ns)
    return found


def live_processes(session: int) -> list[str]:
    """The processes of a session that are alive."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if fields[3] == str(session) and fields[0] != "Z":
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def file_names(workdir: Path) -> set[str]:
    """The names of all that stands in a folder; but for those that TensorBoard makes of the time."""
    names = (str(path.relative_to(workdir)) for path in workdir.rglob("*"))
    return {name for name in names if "events.out" not in name}


def check_whole(path: Path) -> None:
    """Read a file that stands under a final name."""
    from biranet.files import read_json
    from biranet.learning.tensors import open_tensors
    from biranet.photos.read import read_photo
    from biranet.tables import read_table

    if path.suffix == ".jpg":
        read_photo(path)
    elif path.suffix == ".csv":
        assert path.read_bytes().endswith(b"\n")
        read_table(path)
    elif path.suffix == ".safetensors":
        with open_tensors(path, "tensors") as stored:
            stored.tensors()
    elif path.suffix == ".json":
        read_json(path)
    elif path.suffix == ".onnx":
        import onnxruntime

        onnxruntime.InferenceSession(path)
    elif path.suffix == ".html":
        assert path.read_text().rstrip().endswith("</html>")


def output_files(workdir: Path) -> dict[str, Path]:
    """The files of a command, by name; those that TensorBoard names by the time are one."""
    files = [path for path in workdir.rglob("*") if path.is_file()] if workdir.is_dir() else [workdir]
    return {("tensorboard" if "tensorboard" in path.parts else str(path.relative_to(workdir))): path for path in files}


def make_workdir(source: Path, workdir: Path) -> Path:
    """A folder for one run, with inputs of its own where a command writes beside them."""
    workdir.mkdir()
    (workdir / "photos").symlink_to(source / "photos")
    shutil.copytree(source / "prepared", workdir / "prepared")
    shutil.copy(source / "model.safetensors", workdir)
    return workdir


def kill_at_random(
    command: KillCase, workdir: Path, usual_s: float, writes_s: float, rng: random.Random
) -> tuple[str, int]:
    """Start a command and end it; says how, and with which status it ended."""
    number = rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
    before, log = folder_state(workdir), workdir.parent / f"{workdir.name}.log"
    process = start(command.line, workdir, log)
    started, when = time.monotonic(), "at any moment"
    if rng.random() < 2 / 3:
        when = "after it began to write"
        while process.poll() is None and folder_state(workdir) == before:
            time.sleep(0.005)
        time.sleep(rng.random() * max(usual_s - writes_s, 0.05))
    else:
        time.sleep(rng.random() * usual_s)
    if process.poll() is None:
        process.send_signal(number)
    else:
        when = "after its end"
    status = process.wait(ENDS_WITHIN_S)
    deadline = time.monotonic() + PROCESSES_GO_WITHIN_S
    while (left := live_processes(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if left:
        os.killpg(process.pid, signal.SIGKILL)
    assert not left, f"still there after {PROCESSES_GO_WITHIN_S:g} s: {left}"
    log_file = log.read_text(errors="replace")
    assert "Traceback" not in log_file, log_file[-2_000:]
    assert status in (0, 130, -number), f"ended with {status}: {log_file[-400:]}"
    return f"{number.name} {when}, {time.monotonic() - started:.1f} s", status


def kill_and_resume(
    command: KillCase, source: Path, workdir: Path, usual: Path, times: tuple[float, float], seed: str
) -> str:
    """End a command, look at what it left, and run it again."""
    make_workdir(source, workdir)
    before = file_names(workdir)
    how, status = kill_at_random(command, workdir, *times, random.Random(seed))
    # While a process starts and ends, SIGTERM is the system's; in between it is obeyed in good order.
    assert status != -signal.SIGTERM or file_names(workdir) in (before, file_names(usual)), f"{how}: ended at once"
    for path in workdir.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            try:
                check_whole(path)
            except Exception as error:
                raise AssertionError(f"{how}: {path.name} is not whole: {error}") from error
    stopped_training = command.makes == "run" and (workdir / "run" / "state.safetensors").exists()
    line = "train --resume --out run --workers 1" if stopped_training else command.line
    try:
        run(line, workdir, workdir.parent / f"{workdir.name}.again.log")
    except AssertionError as error:
        raise AssertionError(f"{how}: {error}") from error
    names, usual_names = file_names(workdir), file_names(usual)
    assert names == usual_names, f"{how}: left {names ^ usual_names}"
    ours, theirs = output_files(workdir / command.makes), output_files(usual / command.makes)
    for name in theirs:
        same = command.same(name, ours[name].read_bytes()) == command.same(name, theirs[name].read_bytes())
        assert same, f"{how}: {name or command.makes} is not what an undisturbed run makes"
    return f"{how.partition(',')[0]}, status {status}"


def make_inputs(source: Path) -> None:
    """Photographs, a prepared folder with a split, and a model that was trained on it."""
    from biranet.photos.drawn.synthetic import balanced_grades, draw_folder

    draw_folder(source / "photos", balanced_grades(40), seed=7, width_px=160, height_px=128)
    log = source / "log.txt"
    run("prepare photos prepared --labels photos/labels.csv --size 64", source, log)
    run("split prepared --calibration 0.5 --validation 0.1 --test 0.1", source, log)
    run(f"train prepared --out made --epochs 1 {SMALL}", source, log)
    shutil.copy(source / "made" / "best.safetensors", source / "model.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=14, help="of each command")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--commands", nargs="*", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    finds, began = [], time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        source.mkdir()
        make_inputs(source)
        for name in arguments.commands:
            command, usual = COMMANDS[name], make_workdir(source, Path(scratch) / f"{name}_undisturbed")
            before, started, writes_s = folder_state(usual), time.monotonic(), 0.0
            process = start(command.line, usual, Path(scratch) / f"{name}.log")
            while process.poll() is None:
                if not writes_s and folder_state(usual) != before:
                    writes_s = time.monotonic() - started
                time.sleep(0.005)
            assert process.returncode == 0, (Path(scratch) / f"{name}.log").read_text()
            times = time.monotonic() - started, writes_s
            for number in range(arguments.kills):
                workdir = Path(scratch) / f"{name}_{number}"
                try:
                    how = kill_and_resume(command, source, workdir, usual, times, f"{arguments.seed} {name} {number}")
                except AssertionError as error:
                    how = "find"
                    finds.append({"command": name, "number": number, "what": str(error)})
                    print(f"find: {name} {number}: {error}", flush=True)
                else:
                    shutil.rmtree(workdir)
                counts[name][how] += 1
                print(f"{time.monotonic() - began:4.0f} s  {name} {number}: {how}", flush=True)
    results = {
        "kills": sum(sum(each.values()) for each in counts.values()),
        "seed": arguments.seed,
        "seconds": round(time.monotonic() - began),
        "commands": {name: dict(each) for name, each in counts.items()},
        "finds": finds,
    }
    text = json.dumps(results, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
