"""The benchmarks' page is what its script makes of the results, and of nothing else."""

import json
import shutil
from pathlib import Path

import pytest

import page
from records import RESULTS

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_is_what_the_script_makes_of_the_results(tmp_path):
    page.write_page(docs=tmp_path)
    made = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    kept = {path.relative_to(DOCS) for path in (DOCS / "benchmarks").iterdir()} | {Path("benchmarks.md")}
    assert made == kept
    for name in made:
        assert (tmp_path / name).read_bytes() == (DOCS / name).read_bytes(), f"{name}: run python benchmarks/page.py"


def test_every_benchmark_of_the_page_has_a_script_and_results():
    assert {path.stem for path in RESULTS.glob("*.json")} == set(page.BENCHMARKS)
    assert [name for name in page.BENCHMARKS if not (page.HERE / f"{name}.py").is_file()] == []


@pytest.mark.parametrize("busy", [False, True])
def test_other_results_make_another_page(tmp_path, busy):
    shutil.copy(RESULTS / "intervals.json", tmp_path)
    record = json.loads((tmp_path / "intervals.json").read_text(encoding="utf-8"))
    record["results"]["scikit_learn_over_ours"] = 1234
    record["measured"] |= {"busy": busy, "processors_used_by_others": 1.25}
    (tmp_path / "intervals.json").write_text(json.dumps(record), encoding="utf-8")
    page.write_page(tmp_path, tmp_path)
    text = " ".join((tmp_path / "benchmarks.md").read_text(encoding="utf-8").split())
    assert "1234 times as long" in text
    assert ("busy**: others kept 1.25 of its processors at work" in text) == busy
    assert "## Grading" not in text
