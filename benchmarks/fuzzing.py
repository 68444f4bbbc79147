"""What the fuzzers share: damage to bytes, cases in children that may die or hang, and the count of what came out.

A case is named by its number: the same seed and number make the same bytes.
"""

import argparse
import collections
import json
import multiprocessing
import random
import resource
import signal
import struct
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

Case = Callable[[], str]
"""Reads what was damaged and says what came out: `read`, or why not. Whatever it raises is a find."""

Maker = Callable[[int, int], tuple[str, Case]]
"""Makes the case of a seed and a number, and names its kind."""


def mutate(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Damage a file one to four times; `other` lends it blocks."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = rng.choice(MUTATORS)(bytearray(data), other, rng)
    return data


def _place(data: bytes | bytearray, rng: random.Random) -> int:
    # Every other time in the head, where sizes and offsets stand.
    return rng.randrange(max(1, min(len(data), 200) if rng.random() < 0.5 else len(data)))


def _flip_bits(data: bytearray, other: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 1, 3, 20))):
        if data:
            data[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(data)


def _replace_bytes(data: bytearray, other: bytes, rng: random.Random) -> bytes:
    start, length = _place(data, rng), rng.choice((1, 2, 4, 16, 300))
    data[start : start + length] = rng.randbytes(length)
    return bytes(data)


def _zero_block(data: bytearray, other: bytes, rng: random.Random) -> bytes:
    start, length = _place(data, rng), rng.choice((4, 64, 512, 5000))
    data[start : start + length] = bytes(len(data[start : start + length]))
    return bytes(data)


def _repeat_block(data: bytearray, other: bytes, rng: random.Random) -> bytes:
    start, length = _place(data, rng), rng.choice((1, 8, 64, 512))
    data[start:start] = data[start : start + length] * rng.choice((1, 2, 50))
    return bytes(data)


def _remove_block(data: bytearray, other: bytes, rng: random.Random) -> bytes:
    start = _place(data, rng)
    del data[start : start + rng.choice((1, 8, 64, 512))]
    return bytes(data)


def _splice(data: bytearray, other: bytes, rng: random.Random) -> bytes:
    start, length = _place(data, rng), rng.choice((4, 32, 512, 5000))
    origin = _place(other, rng)
    data[start : start + length] = other[origin : origin + length]
    return bytes(data)


def _extreme_number(data: bytearray, other: bytes, rng: random.Random) -> bytes:
    start, form = _place(data, rng), rng.choice(("<B", "<H", ">H", "<I", ">I"))
    size = struct.calcsize(form)
    data[start : start + size] = struct.pack(form, rng.choice(EXTREMES) & (256**size - 1))
    return bytes(data)


def _cut_off(data: bytearray, other: bytes, rng: random.Random) -> bytes:
    return bytes(data[: _place(data, rng)])


MUTATORS: tuple[Callable[[bytearray, bytes, random.Random], bytes], ...] = (
    _flip_bits, _replace_bytes, _zero_block, _repeat_block, _remove_block, _splice, _extreme_number, _cut_off,
)  # fmt: skip


def _run_cases(begin: Callable[[], Maker], seed: int, first: int, last: int, limit_mib: int, pipe: Connection) -> None:
    make_case = begin()
    baseline_mib = _peak_memory_mib()
    for case in range(first, last):
        name, run = make_case(seed, case)
        pipe.send(("begun", case, name, ""))
        try:
            what, outcome = "ended", run()
        except Exception as error:
            what, outcome = "raised", f"{type(error).__name__}: {error}"[:500]
        if _peak_memory_mib() > baseline_mib + limit_mib:
            what, baseline_mib = "filled", _peak_memory_mib()
            outcome = f"{baseline_mib} MiB"
        pipe.send((what, case, name, outcome))
    pipe.send(("done", last, "", _peak_memory_mib()))


def _peak_memory_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def outcomes(
    begin: Callable[[], Maker], seed: int, cases: int, limit_seconds: float, limit_mib: int
) -> Iterator[tuple[str, int, str, str, float]]:
    """Run the cases in child processes, a new one after each that dies or hangs twice.

    Args:
        begin: Called once in each child; what it returns makes the cases.
        seed: Of all cases.
        cases: How many.
        limit_seconds: Of each case.
        limit_mib: What a case may add to the most memory of those before it.

    Yields:
        What happened (`ended`, `raised`, `filled`, `died`, `hung`), the number of the case, its kind, the outcome,
        seconds. Last `done`, with the most memory in MiB that the child took, as the outcome.
    """
    context, first, hung = multiprocessing.get_context("spawn"), 0, -1
    while first < cases:
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_run_cases, args=(begin, seed, first, cases, limit_mib, theirs))
        child.start()
        theirs.close()
        begun, name, started = first, "", time.perf_counter()
        while True:
            # The first answer takes as long as the imports.
            if not ours.poll(limit_seconds if name else 120):
                child.kill()
                # A busy machine can stop everything for seconds; what hangs by itself hangs again.
                if hung == begun:
                    yield "hung", begun, name, "", limit_seconds
                first, hung = begun + (hung == begun), begun
                break
            try:
                what, case, name, outcome = ours.recv()
            except EOFError:
                child.join()
                code = -(child.exitcode or 0)
                yield "died", begun, name, signal.Signals(code).name if code > 0 else f"exit {-code}", 0.0
                first = begun + 1
                break
            if what == "begun":
                begun, started = case, time.perf_counter()
            elif what == "done":
                first = case
                yield what, case, "", str(outcome), 0.0
                break
            else:
                yield what, case, name, outcome, time.perf_counter() - started
        child.join()


def fuzz(description: str, begin: Callable[[], Maker], *, kind: str, limit_seconds: float, limit_mib: int) -> None:
    """Run as many cases as the command line says, and print what came out; finds as they come."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    kinds: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    reasons: collections.Counter[str] = collections.Counter()
    finds, slowest, memory_mib, started = [], (0.0, 0), "", time.perf_counter()
    for what, case, name, outcome, seconds in outcomes(
        begin, arguments.seed, arguments.cases, limit_seconds, limit_mib
    ):
        if what == "done":
            memory_mib = outcome
            continue
        kinds[name]["read" if outcome == "read" else "refused" if what == "ended" else what] += 1
        slowest = max(slowest, (seconds, case))
        if what == "ended":
            reasons[outcome] += 1
        else:
            finds.append({"case": case, kind: name, "what": what, "outcome": outcome})
            print(f"find: case {case} ({name}) {what} {outcome}", flush=True)
    results = {
        "cases": arguments.cases,
        "seed": arguments.seed,
        "seconds": round(time.perf_counter() - started),
        "slowest": {"seconds": round(slowest[0], 2), "case": slowest[1]},
        "most_memory_mib": memory_mib,
        f"{kind}s": {name: dict(counts) for name, counts in sorted(kinds.items())},
        "reasons": dict(reasons.most_common(40)),
        "finds": finds,
    }
    text = json.dumps(results, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")
