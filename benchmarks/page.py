"""Make docs/benchmarks.md and its charts from the results of all benchmarks; with DATA, run them first.

python benchmarks/page.py [DATA] [--only grade audit …]

DATA: the folder of real photographs that CONTRIBUTING.md describes. Each benchmark runs in a process of its own, one
after the other, and writes benchmarks/results/NAME.json; one that fails leaves the earlier results. Every figure of the
page comes from these files.
"""

import argparse
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

import scale
import sections
from charts import save_chart
from records import RESULTS

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"


@dataclass(frozen=True)
class Benchmark:
    """One benchmark: a script of this folder, `NAME.py`, that writes `results/NAME.json`.

    Attributes:
        title: The heading of its section.
        arguments: Of the script; DATA in them is the folder of photographs.
        about: What is measured, in a few sentences.
        section: Makes Markdown of the results.
        chart: Draws them; None where there is nothing to draw.
    """

    title: str
    arguments: tuple[str, ...]
    about: str
    section: Callable[[sections.Results], str]
    chart: Callable[[sections.Results], Figure] | None = None


BENCHMARKS = {
    "grade": Benchmark(
        "Grading",
        ("DATA/originals", "--rounds", "3"),
        "From the file to the grade, the 44 full-size originals, by the model that ships, mirror image included. One "
        "thread a process; medians of turns, each in a process of its own; importing and loading are not counted in "
        "photos a second.",
        sections.grade,
        sections.grade_chart,
    ),
    "serve": Benchmark(
        "The service",
        ("DATA/originals", "--seconds", "10", "--requests", "2000"),
        "`biranet serve` on the 44 full-size originals, asked by so many clients at a time on the same machine, beside "
        "as many processes without HTTP; and the same model in the same processes behind LitServe, where `--litserve "
        "PYTHON` names an environment that holds it. [serve.md](serve.md) says what is promised.",
        sections.serve,
        sections.serve_chart,
    ),
    "scale": Benchmark(
        "Clusters",
        ("DATA/originals",),
        "`grade --ray` on a cluster of one worker and of two, from the file to the row in a Parquet part, and without "
        "a cluster in one process; several copies of the 44 full-size originals. The seconds in which a cluster starts "
        "are not counted. [scale.md](scale.md) says what that means.",
        scale.tables,
    ),
    "prepare": Benchmark(
        "Preparing",
        ("DATA/originals", "--rounds", "3", "--copies", "16"),
        "From the file to the stored photo of 610 px, on copies of the 44 full-size originals that differ by a "
        "comment. Ours finds the field, pads, cuts, measures, writes and lists; the others only decode and resize. One "
        "thread a process.",
        sections.prepare,
        sections.prepare_chart,
    ),
    "evidence": Benchmark(
        "Evidence",
        ("DATA/originals",),
        "What the way back through the network costs in an exported graph, on one processor, and how far engines are "
        "from torch on it: by the cell that is furthest, in parts of the highest cell of its photo. "
        "[evidence.md](evidence.md#in-exported-models) says what that means.",
        sections.evidence,
    ),
    "model": Benchmark(
        "Training steps",
        (),
        "What the shared frozen layers save against a copy for each stream, and the bilinear form against the written-"
        "out outer product: forward and backward, batches of 8.",
        sections.model,
        sections.model_chart,
    ),
    "intervals": Benchmark(
        "Intervals",
        (),
        "Every measure with its 95 % interval from a table in memory, and scikit-learn for the part of the measures "
        "that it has. The ratio is of processor time.",
        sections.intervals,
    ),
    "audit": Benchmark(
        "The search for copies",
        ("DATA/images512",),
        "How far apart copies and different photos are, and how the search for copies grows with their number, on "
        "fingerprints drawn like those of the photos. [audit.md](audit.md) says what that means.",
        sections.audit,
        sections.audit_chart,
    ),
    "gradability": Benchmark(
        "The rule for ungradable photos",
        ("DATA/images512/idrid", "DATA/images512/srahim", "DATA/originals", "--every", "6"),
        "Real photographs that somebody graded, copies of some of them, spoiled on purpose (sizes are shares of the "
        "field's diameter), and other pictures. [gradability.md](gradability.md) says what that means.",
        sections.gradability,
        sections.gradability_chart,
    ),
    "patients": Benchmark(
        "Answers for patients",
        ("DATA/labels.csv", "--source", "srahim", "--name-pattern", "Patient*{eye}"),
        "Photographs of both eyes by the model that ships, against the worse eye. [patients.md](patients.md) says what "
        "that means.",
        sections.patients,
    ),
}
"""By the name of script and results, in the order of the page."""


def run_all(data: Path, names: list[str]) -> list[str]:
    """Run benchmarks, and give the names of those that failed."""
    failed = []
    for name in names:
        arguments = [word.replace("DATA", str(data)) for word in BENCHMARKS[name].arguments]
        print(f"{name} …", flush=True)
        command = [sys.executable, str(HERE / f"{name}.py"), *arguments, "--out", str(RESULTS / f"{name}.json")]
        if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
            failed.append(name)
    return failed


def write_page(results: Path = RESULTS, docs: Path = DOCS) -> None:
    """Write `benchmarks.md` and `benchmarks/NAME.svg`.

    Args:
        results: Folder with the results.
        docs: Folder for the page.
    """
    (docs / "benchmarks").mkdir(exist_ok=True)
    measured = []
    for name, benchmark in BENCHMARKS.items():
        path = results / f"{name}.json"
        if not path.exists():
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        if benchmark.chart is not None:
            save_chart(benchmark.chart(record["results"]), docs / "benchmarks" / f"{name}.svg")
        measured.append(_values(name, benchmark, record))
    # autoescape would turn the quotes of Markdown into entities
    environment = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    page = environment.get_template("page.md.jinja").render(measured=measured)
    (docs / "benchmarks.md").write_text(page.strip() + "\n", encoding="utf-8")


def _values(name: str, benchmark: Benchmark, record: dict[str, Any]) -> dict[str, Any]:
    words = [f"'{word}'" if "*" in word else word for word in benchmark.arguments]
    return {
        "name": name,
        "title": benchmark.title,
        "about": _wrap(benchmark.about),
        "command": " ".join(["python", f"benchmarks/{name}.py", *words]),
        "section": "\n\n".join(map(_wrap, benchmark.section(record["results"]).split("\n\n"))),
        "facts": _wrap(_describe(record["measured"])),
        "chart": benchmark.chart is not None,
    }


def _describe(measured: dict[str, Any]) -> str:
    """When, where and with what a benchmark was run."""
    versions = ", ".join(f"{package} {version}" for package, version in measured["versions"].items())
    busy = " **The machine was busy.**" if measured["busy"] else ""
    if measured["busy"] and (others := measured["processors_used_by_others"]) is not None:
        busy = f" **The machine was busy**: others kept {others:g} of its processors at work meanwhile."
    return (
        f"Measured on {measured['date']} at commit {measured['commit']} in {measured['seconds']} s on "
        f"{measured['machine']}; {versions}.{busy}"
    )


def _wrap(paragraph: str) -> str:
    """Break the lines of a paragraph; those of a table stay."""
    if paragraph.startswith("|"):
        return paragraph
    return textwrap.fill(paragraph, 120, break_long_words=False, break_on_hyphens=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", metavar="DATA", type=Path, nargs="?")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), metavar="NAME")
    given = parser.parse_args()
    if given.data is not None and not given.data.is_dir():
        parser.error(f"there is no folder {given.data}; CONTRIBUTING.md says what it holds")
    failed = [] if given.data is None else run_all(given.data, given.only)
    write_page()
    print(f"Written: {DOCS / 'benchmarks.md'}")
    if failed:
        print(f"Failed, and left as they were: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
