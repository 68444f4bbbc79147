"""How many photographs a second does a Ray cluster grade, with one worker and with two, and what do millions cost?

python benchmarks/scale.py ORIGINALS [--copies 8] [--rounds 3] [--core-hour 0.04] [--out results.json]

ORIGINALS: a folder of full-size JPEG photographs, graded by the model that ships, several times over, from the file to
the row in a Parquet part. In turns, each in a process of its own: `grade --ray` on a cluster of one worker and of two,
and the same without a cluster in one process. Only the time from the first part to the last counts: a cluster takes
seconds to start, whatever the number of photos. Hours and euros follow from the rate a processor has in a cluster of
two, and from the price of an hour of a processor, which is an assumption. With --out, the tables of docs/scale.md are
made of the results.
"""

import argparse
import io
import statistics
import tempfile
import time
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

from records import RESULTS, start_record, write_record
from turns import speedup, time_in_turns

ONE, TWO, ALONE = "one worker", "two workers", "no cluster, one process"
WAYS = (ONE, TWO, ALONE)
AIM = 1.8

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
BEGIN, END = "<!-- made by benchmarks/scale.py -->\n", "<!-- end of what was made -->\n"

JOBS = (100_000, 1_000_000, 10_000_000)


def time_way(way: str, files: list[Path]) -> float:
    """Seconds a photo of one way in this process, which has done nothing else before."""
    from biranet.learning.shipped_models import find_checkpoint

    if way == ALONE:
        from biranet.inference.engines import load_engine
        from biranet.inference.grader import Grader

        grader = Grader(load_engine(find_checkpoint(None), "onnx", "cpu"))
        grader.grade(files[0])  # warms up
        started = time.perf_counter()
        graded = sum(answer.status == "ok" for answer in grader.grade_many(files, workers=0))
        assert graded == len(files), graded
        return (time.perf_counter() - started) / len(files)
    with tempfile.TemporaryDirectory() as place:
        from biranet.cli import main

        table, parts = Path(place) / "list.csv", Path(place) / "parts"
        table.write_text("\n".join(["file", *map(str, files)]) + "\n", encoding="utf-8")
        words = ["grade", str(table), "--out", str(parts), "--ray", "--workers", "1" if way == ONE else "2"]
        with redirect_stdout(io.StringIO()) as said, suppress(SystemExit):
            main(words)
        assert said.getvalue().startswith(f"{len(files)} of {len(files)} photos graded"), said.getvalue()
        return seconds_a_photo(parts)


def seconds_a_photo(parts: Path) -> float:
    """From the times at which parts were finished: what came after the first of them."""
    from biranet.inference.ray_parts import row_count
    from biranet.table_parts import parts_in

    finished = sorted((part.stat().st_mtime, row_count(part)) for part in parts_in(parts))
    return (finished[-1][0] - finished[0][0]) / sum(rows for _, rows in finished[1:])


def tables(results: dict[str, Any]) -> str:
    """What the pages show of the results."""
    speed, price = results["photos_per_second"], results["euros_per_core_hour"]
    ratio = results["two_workers_over_one"]
    rates = "\n".join(f"| {way} | {speed[way]} |" for way in WAYS)
    jobs = "\n".join(
        f"| {photos:,} | {hours:,.1f} | {hours * price:,.2f} | {hours / 100:,.2f} |"
        for photos, hours in zip(JOBS, map(core_hours(results), JOBS), strict=True)
    )
    return f"""\
| cluster | photos a second |
| --- | --- |
{rates}

Two workers are {ratio} times as fast as one (aim: at least {AIM}, {"reached" if ratio >= AIM else "not reached"}).

At the rate of a worker in a cluster of two, and at an assumed price of {price} euros for an hour of a processor:

| photos | core-hours | euros | hours on 100 processors |
| --- | --- | --- | --- |
{jobs}"""


def core_hours(results: dict[str, Any]) -> Any:
    """Function from photos to core-hours."""
    return lambda photos: photos / (results["photos_per_second"][TWO] / 2) / 3600


def write_page(results: dict[str, Any], page: Path = PAGE) -> None:
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{tables(results)}\n\n{END}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("originals", type=Path)
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core-hour", type=float, default=0.04, help="euros for an hour of a processor")
    start_record(parser)
    # One way alone, timed: what this script asks of itself.
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    files = sorted(arguments.originals.resolve().rglob("*.jpg")) * arguments.copies
    if arguments.way is not None:
        print(time_way(arguments.way, files))
        return
    taken = time_in_turns(__file__, WAYS, arguments.rounds, arguments.originals, "--copies", arguments.copies)
    results = {
        "photos": len(files),
        "photos_per_second": {way: round(1 / statistics.median(taken[way]), 1) for way in WAYS},
        "two_workers_over_one": speedup(taken, TWO, ONE),
        "one_worker_over_no_cluster": speedup(taken, ONE, ALONE),
        "euros_per_core_hour": arguments.core_hour,
    }
    write_record(results, arguments.out, ["onnxruntime", "ray"])
    if arguments.out == RESULTS / "scale.json":
        write_page(results)


if __name__ == "__main__":
    main()
