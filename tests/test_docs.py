"""The readme and docs/ name what is there: files, commands, headings and figures."""

import ast
import itertools
import json
import re
import tomllib
from pathlib import Path

import pytest

import scale
from biranet.commands import COMMANDS
from records import RESULTS

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
QUESTIONS = re.findall(
    r"^\d+\. \*(.+\?)\* `([\w/]+\.py)`, `(\w+)`$", (ROOT / "docs" / "tour.md").read_text(encoding="utf-8"), re.MULTILINE
)
FIGURES = {
    "quadratic weighted kappa": "quadratic_weighted_kappa",
    "average classification accuracy": "aca",
    "referable AUC": "referable_auc",
    "referable photos it does not refer": "decisions.missed_fraction",
    "other photos it refers": "decisions.needless_fraction",
    "photos it leaves to a human": "decisions.asked_fraction",
}


def prose(page):
    """The lines of a page that are neither code nor a table."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [line for line in text.splitlines() if not line.startswith("|")]


def anchors(page):
    """The headings of a page as links name them."""
    headings = [line.lstrip("# ") for line in prose(page) if line.startswith("#")]
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_tour_asks_ten_questions():
    assert len(QUESTIONS) == 10


@pytest.mark.parametrize(("question", "file", "name"), QUESTIONS)
def test_an_answer_of_the_tour_is_there(question, file, name):
    statements = ast.parse((ROOT / "src" / "biranet" / file).read_text(encoding="utf-8")).body
    defined = {statement.name for statement in statements if isinstance(statement, (ast.FunctionDef, ast.ClassDef))}
    assigned = {target.id for one in statements if isinstance(one, ast.Assign) for target in one.targets}
    assert name in defined | assigned


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", "\n".join(page.read_text(encoding="utf-8").splitlines())):
        if not link.startswith("http"):
            place, _, anchor = link.partition("#")
            target = page.parent / place if place else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_have_as_many_columns_as_their_heads(page):
    """Or they are no tables where they are read."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for above, line in itertools.pairwise(lines):
        if re.fullmatch(r"\|( ?:?-{3,}:? ?\|)+", line):
            assert len(re.findall(r"(?<!\\)\|", above)) == line.count("|"), above


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_prose_is_at_most_120_letters_wide(page):
    assert [line for line in prose(page) if len(line) > 120] == []


def test_the_readme_is_short_and_shows_every_command():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 100
    assert re.findall(r"^\| `biranet ([\w-]+)", text, re.MULTILINE) == list(COMMANDS)


def test_there_are_some_forty_decisions_of_at_most_four_lines():
    decisions = re.findall(
        r"^\* \*\*.+(?:\n  .+)*", (ROOT / "docs" / "design.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert 35 <= len(decisions) <= 45
    assert [decision for decision in decisions if decision.count("\n") > 3] == []


@pytest.mark.parametrize(("page", "measured"), [("README.md", [3, 4]), ("docs/model.md", [0, 1, 2, 3])])
def test_figures_of_the_model_that_ships_are_those_of_its_card(page, measured):
    card = tomllib.loads((ROOT / "src" / "biranet" / "shipped" / "idrid_lite0.toml").read_text(encoding="utf-8"))
    text = (ROOT / page).read_text(encoding="utf-8")
    rows = dict(re.findall(rf"^\| ({'|'.join(FIGURES)}) \|(.+)\|$", text, re.MULTILINE))
    assert list(rows) == list(FIGURES)
    for name, cells in rows.items():
        figures = [card["metrics"][column]["figures"].get(FIGURES[name]) for column in measured]
        assert [cell.strip() for cell in cells.split("|")] == [
            f"{figure['value']:.3f} ({figure['ci'][0]:.3f} to {figure['ci'][1]:.3f})" if figure else "-"
            for figure in figures
        ]


def test_figures_of_patients_are_those_that_were_measured():
    measured = json.loads((ROOT / "benchmarks" / "results" / "patients.json").read_text(encoding="utf-8"))["results"]
    text = (ROOT / "docs" / "patients.md").read_text(encoding="utf-8")
    for decision, counts in measured["decisions"].items():
        assert f"| {decision} | {counts['patients']} | {counts['referable']} |" in text
    for name in ("refer", "refer or ask a human"):
        both = measured["positive"][name].values()
        cells = [f"{each['value']:.3f} ({each['ci'][0]:.3f} to {each['ci'][1]:.3f})" for each in both]
        assert f"| {name} | {' | '.join(cells)} |" in text
    assert f"{measured['patients']} patients, one photo an eye, of {measured['eyes']['missing']} patients one" in text
    assert f"{measured['referable']} are." in text and measured["not graded"] == 0


def test_what_a_cluster_costs_is_what_was_measured():
    results = json.loads((RESULTS / "scale.json").read_text(encoding="utf-8"))["results"]
    made = (ROOT / "docs/scale.md").read_text(encoding="utf-8").partition(scale.BEGIN)[2].partition(scale.END)[0]
    assert made.strip() == scale.tables(results)
