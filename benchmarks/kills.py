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


def all_bytes(name: str, data: bytes) -> object:
    """What must be the same of a file whose bytes are promised."""
    return data


def of_a_run(name: str, data: bytes) -> object:
    """What must be the same of a file of a training."""
    if name.endswith("history.jsonl"):
        return [
            {key: value for key, value in json.loads(line).items() if key != "seconds"} for line in data.splitlines()
        ]
    return data if name.endswith((".safetensors", "config.json")) else True


def of_a_report(name: str, data: bytes) -> object:
    """What must be the same of a file of a report: the page and the notes tell how often the test part was read."""
    if name.endswith("metrics.json"):
        return {key: value for key, value in json.loads(data).items() if key not in ("notes", "facts", "provenance")}
    return data if name.endswith("predictions.csv") else True


@dataclass(frozen=True)
class Killed:
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
    "prepare": Killed("prepare photos out --labels photos/labels.csv --size 64 --workers 2", "out", all_bytes),
    "train": Killed(f"train prepared --out run --epochs 3 {SMALL}", "run", of_a_run),
    "evaluate": Killed("evaluate model.safetensors prepared --out report --workers 1", "report", of_a_report),
    "calibrate": Killed("calibrate model.safetensors prepared --workers 1", "model.safetensors", all_bytes),
    "grade": Killed(
        "grade photos --checkpoint model.safetensors --out grades.csv --workers 1", "grades.csv", all_bytes
    ),
    "export": Killed("export model.safetensors model.onnx", "model.onnx", all_bytes),
}


def begin(line: str, folder: Path, log: Path) -> "subprocess.Popen[bytes]":
    """Start a command as a user would, in a session of its own."""
    with log.open("wb") as told:
        return subprocess.Popen(
            [sys.executable, "-m", "biranet", *shlex.split(line)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )


def run(line: str, folder: Path, log: Path) -> None:
    """Run a command to its end, which must be a good one."""
    process = begin(line, folder, log)
    try:
        status = process.wait(ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(f"{line} did not end") from None
    assert status == 0, f"{line} ended with {status}: {log.read_text()[-400:]}"


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    """What stands in a folder, by name: length and time."""
    found = {}
    for path in folder.rglob("*"):
        try:
            state = path.lstat()
        except OSError:
            continue
        found[str(path)] = (state.st_size, state.st_mtime_ns)
    return found


def living(session: int) -> list[str]:
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


def names_in(place: Path) -> set[str]:
    """The names of all that stands in a folder; but for those that TensorBoard makes of the time."""
    names = (str(path.relative_to(place)) for path in place.rglob("*"))
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


def files_of(place: Path) -> dict[str, Path]:
    """The files of a command, by name; those that TensorBoard names by the time are one."""
    files = [path for path in place.rglob("*") if path.is_file()] if place.is_dir() else [place]
    return {("tensorboard" if "tensorboard" in path.parts else str(path.relative_to(place))): path for path in files}


def make_place(source: Path, place: Path) -> Path:
    """A folder for one run, with inputs of its own where a command writes beside them."""
    place.mkdir()
    (place / "photos").symlink_to(source / "photos")
    shutil.copytree(source / "prepared", place / "prepared")
    shutil.copy(source / "model.safetensors", place)
    return place


def end_at_random(command: Killed, place: Path, usual_s: float, writes_s: float, rng: random.Random) -> tuple[str, int]:
    """Start a command and end it; says how, and with which status it ended."""
    number = rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
    before, log = state_of(place), place.parent / f"{place.name}.log"
    process = begin(command.line, place, log)
    started, when = time.monotonic(), "at any moment"
    if rng.random() < 2 / 3:
        when = "after it began to write"
        while process.poll() is None and state_of(place) == before:
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
    while (left := living(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if left:
        os.killpg(process.pid, signal.SIGKILL)
    assert not left, f"still there after {PROCESSES_GO_WITHIN_S:g} s: {left}"
    told = log.read_text(errors="replace")
    assert "Traceback" not in told, told[-2_000:]
    assert status in (0, 130, -number), f"ended with {status}: {told[-400:]}"
    return f"{number.name} {when}, {time.monotonic() - started:.1f} s", status


def try_once(command: Killed, source: Path, place: Path, usual: Path, times: tuple[float, float], seed: str) -> str:
    """End a command, look at what it left, and run it again."""
    make_place(source, place)
    before = names_in(place)
    how, status = end_at_random(command, place, *times, random.Random(seed))
    # While a process starts and ends, SIGTERM is the system's; in between it is obeyed in good order.
    assert status != -signal.SIGTERM or names_in(place) in (before, names_in(usual)), f"{how}: ended at once"
    for path in place.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            try:
                check_whole(path)
            except Exception as error:
                raise AssertionError(f"{how}: {path.name} is not whole: {error}") from error
    stopped_training = command.makes == "run" and (place / "run" / "state.safetensors").exists()
    line = "train --resume --out run --workers 1" if stopped_training else command.line
    try:
        run(line, place, place.parent / f"{place.name}.again.log")
    except AssertionError as error:
        raise AssertionError(f"{how}: {error}") from error
    names, usual_names = names_in(place), names_in(usual)
    assert names == usual_names, f"{how}: left {names ^ usual_names}"
    ours, theirs = files_of(place / command.makes), files_of(usual / command.makes)
    for name in theirs:
        same = command.same(name, ours[name].read_bytes()) == command.same(name, theirs[name].read_bytes())
        assert same, f"{how}: {name or command.makes} is not what an undisturbed run makes"
    return f"{how.partition(',')[0]}, status {status}"


def make_inputs(source: Path) -> None:
    """Photographs, a prepared folder with a split, and a model that was trained on it."""
    from biranet.photos.drawn.synthetic import draw_folder

    draw_folder(source / "photos", 40, seed=7, width_px=160, height_px=128)
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
            command, usual = COMMANDS[name], make_place(source, Path(scratch) / f"{name}_undisturbed")
            before, started, writes_s = state_of(usual), time.monotonic(), 0.0
            process = begin(command.line, usual, Path(scratch) / f"{name}.log")
            while process.poll() is None:
                if not writes_s and state_of(usual) != before:
                    writes_s = time.monotonic() - started
                time.sleep(0.005)
            assert process.returncode == 0, (Path(scratch) / f"{name}.log").read_text()
            times = time.monotonic() - started, writes_s
            for number in range(arguments.kills):
                place = Path(scratch) / f"{name}_{number}"
                try:
                    how = try_once(command, source, place, usual, times, f"{arguments.seed} {name} {number}")
                except AssertionError as error:
                    how = "find"
                    finds.append({"command": name, "number": number, "what": str(error)})
                    print(f"find: {name} {number}: {error}", flush=True)
                else:
                    shutil.rmtree(place)
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
