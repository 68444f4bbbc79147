"""What is known of tables that are measured again is carried over; nothing is made up or told beyond its time."""

import hashlib
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from biranet.cli import main
from biranet.decisions.columns import PROBABILITIES
from biranet.decisions.fit import fit_rules
from biranet.decisions.predictions import write_predictions
from biranet.errors import InputError
from biranet.reports import notes as notes_module
from biranet.reports.facts import SourceTable, source_lines
from biranet.reports.notes import NOTE_KINDS, Note
from biranet.reports.report import write_report
from biranet.reports.table_provenance import Provenance, check_unchanged, describe_tables


def method(*sentences):
    return [Note("method", sentence) for sentence in sentences]


def report(folder, notes, facts, grades=(0, 1, 2, 3, 4), tables=()):
    """The table of a real report."""
    table = pd.DataFrame({"file": [f"{folder.name}_{grade}.jpg" for grade in grades], "grade": grades})
    table = table.assign(predicted_grade=table["grade"], group=["p", *table["file"][1:-1], "p"])
    write_report(folder, table, title="t", provenance=Provenance(tuple(notes), facts, tuple(tables)))
    return folder / "predictions.csv"


def stored(table):
    return json.loads(table.with_name("metrics.json").read_text())


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_notes_and_facts_of_reports_are_taken_over(tmp_path):
    facts = {"Epoch": "3", "Audit": ["a", "b"], "Thresholds": {"cost_5": 0.15949}}
    one = report(tmp_path / "one", method("both", "only one"), facts)
    two = report(tmp_path / "two", method("both"), {"Epoch": "5"})
    tables, notes = describe_tables([one, two])
    assert notes == [
        Note.of("pooled", tables=2),
        Note("method", "both"),
        Note("method", "only one", ("one/predictions.csv",)),
    ]
    assert tables == (
        SourceTable("one/predictions.csv", sha256(one), facts),
        SourceTable("two/predictions.csv", sha256(two), {"Epoch": "5"}),
    )
    assert describe_tables([two]) == (
        (SourceTable("predictions.csv", sha256(two), {"Epoch": "5"}),),
        [Note("method", "both")],
    )


def test_the_story_of_a_pool_is_kept(tmp_path):
    files = [report(tmp_path / name, method(f"of {name}"), {"Epoch": name}) for name in ("one", "two")]
    tables, notes = describe_tables(files)
    pooled = report(tmp_path / "pool", notes, {}, tables=tables)
    (again,), said = describe_tables([pooled])
    assert (again.tables, said) == (tables, notes)
    write_report(tmp_path / "last", pd.read_csv(pooled), title="t", provenance=Provenance(tuple(said), {}, (again,)))
    page = (tmp_path / "last" / "report.html").read_text()
    for file in (*files, pooled):
        assert sha256(file) in page
    assert "<ul></ul>" not in page.replace("\n", "").replace(" ", "")
    facts = stored(tmp_path / "last" / "predictions.csv")["facts"]["predictions.csv"]
    for file, name in zip(files, ("one", "two"), strict=True):
        assert f"{name}/predictions.csv: sha256 {sha256(file)}" in facts
        assert f"{name}/predictions.csv: Epoch: {name}" in facts
    # Pooled once more, a note on one table of a pool says whose it is.
    three = report(tmp_path / "three", [], {})
    assert [note.sentence for note in describe_tables([pooled, three])[1]][2:] == [
        f"pool/predictions.csv: {name}/predictions.csv: of {name}" for name in ("one", "two")
    ]


def test_notes_end_with_what_they_are_about(tmp_path):
    of_rules = [
        Note.of("not_calibrated"),
        Note.of("rules_fitted_on", photos=3),
        Note.of("rules_doubt", doubt="x"),
        Note("calibration_doubt", "y", ("a.csv",)),
    ]
    kept = [*method("The test part had not been read before."), Note.of("training_doubt", doubt="z")]
    table = report(tmp_path / "one", [*kept, *of_rules], {}, grades=(0, 2, 4))
    assert [note["kind"] for note in stored(table)["provenance"]["notes"][6:]] == ["absent_grades", "few_groups"]
    assert describe_tables([table])[1] == [*kept, *of_rules]
    assert describe_tables([table], new_rules=True)[1] == kept


def test_notes_on_a_table_are_said_once(tmp_path):
    single = pd.DataFrame({"file": ["a", "b"], "group": ["a", "b"], "grade": [0, 4], "predicted_grade": [0, 4]})
    first = write_report(tmp_path / "one", single, title="t")["provenance"]["notes"]
    assert [note["kind"] for note in first] == ["no_groups", "absent_grades", "few_groups"]
    notes = describe_tables([tmp_path / "one" / "predictions.csv"])[1]
    second = write_report(tmp_path / "two", single, title="t", provenance=Provenance(tuple(notes)))
    assert second["provenance"]["notes"] == first


def test_unknown_patients_are_said_once(tmp_path):
    single = pd.DataFrame({"file": ["a", "b"], "group": ["a", "b"], "grade": [0, 4], "predicted_grade": [0, 4]})
    notes = (Note.of("groups_unknown", photos=2),)
    first = write_report(tmp_path, single, title="t", provenance=Provenance(notes))["provenance"]["notes"]
    assert [note["kind"] for note in first] == ["groups_unknown", "absent_grades", "few_groups"]
    said = (tmp_path / "methods.md").read_text(encoding="utf-8").partition("## To be said")[2]
    assert said.count("one of its own") == 1 and "a patient of its own" not in said


def test_no_report_depends_on_how_a_note_is_worded(tmp_path, monkeypatch):
    """Reworded, all of them alike at the beginning, notes are still taken over, dropped and shown as before."""
    names = {"pooled": "{tables}", "training_doubt": "{doubt}", "rules_doubt": "{doubt}", "absent_grades": "{absent}"}
    reworded = {
        kind: known._replace(sentence=f"Note: a.csv, b.csv: {kind}. {names.get(kind, '')}")
        for kind, known in NOTE_KINDS.items()
    }
    monkeypatch.setattr(notes_module, "NOTE_KINDS", reworded)
    of_rules = [Note.of("not_calibrated"), Note.of("rules_doubt", doubt="x"), Note.of("rules_fitted_on")]
    kept = [Note.of("training_doubt", doubt="y"), Note("test_readings", "a.csv: z")]
    a = report(tmp_path / "a", [*kept, *of_rules], {"Checkpoint: x": "sha256 0a"}, grades=(0, 2, 4))
    b = report(tmp_path / "b", kept[:1], {})
    tables, notes = describe_tables([a, b], new_rules=True)
    assert [note.text for note in notes] == [
        "Note: a.csv, b.csv: pooled. 2",
        "Note: a.csv, b.csv: training_doubt. y",
        "a.csv: z",
    ]
    assert [note.files for note in notes] == [(), (), ("a/predictions.csv",)]
    pooled = report(tmp_path / "pool", notes, {}, grades=(0, 1, 2, 4), tables=tables)
    page = " ".join(pooled.with_name("report.html").read_text().split())
    for shown in (
        "<li>Note: a.csv, b.csv: training_doubt. y</li>",
        "<li>a.csv: z<p>About a/predictions.csv</p></li>",
        "<li>Note: a.csv, b.csv: absent_grades. 3</li>",
        "<dt>Checkpoint: x</dt><dd>sha256 0a</dd>",
    ):
        assert shown in page
    assert describe_tables([pooled], new_rules=True)[1] == notes


def test_rules_of_a_table_end_where_others_are_fitted(tmp_path, monkeypatch):
    """By the command line: what made the rules weak is said of these rules alone."""
    grades = [0] * 20 + [2] * 4
    table = pd.DataFrame({"file": [f"{photo}.jpg" for photo in range(24)], "grade": grades, "predicted_grade": grades})
    table = table.assign(group=table["file"], **dict.fromkeys(PROBABILITIES, 0.2))
    for name in ("a", "b", "c"):
        write_predictions(
            tmp_path / f"{name}.csv", table.assign(file=name + table["file"], group=name + table["group"])
        )
    monkeypatch.chdir(tmp_path)
    doubts = fit_rules(table, keep_grades=True).doubts
    assert any("no operating points" in doubt for doubt in doubts)
    for words in ("a.csv --calibration b.csv --out one", "one/predictions.csv --calibration c.csv --out two"):
        with pytest.raises(SystemExit, match="0"):
            main(["evaluate", "--predictions", *words.split()])
    for name in ("one", "two"):
        said = stored(tmp_path / name / "predictions.csv")["notes"]
        assert [said.count(doubt) for doubt in doubts] == [1] * len(doubts)


@pytest.mark.parametrize(
    "other",
    ["{", "[]", "3", '{"facts": 1, "notes": []}', '{"accuracy": 1}', '{"facts": {"n": 5}, "notes": [["x"]]}'],
)
def test_a_table_of_nobodys_report_has_its_hash(tmp_path, other):
    table = tmp_path / "predictions.csv"
    table.write_text("x")
    nothing = ((SourceTable(table.name, sha256(table), {}),), [])
    assert describe_tables([table]) == nothing
    (tmp_path / "metrics.json").write_text(other)
    assert describe_tables([table]) == nothing


def test_a_table_that_was_put_into_the_folder_of_a_report_is_not_its_own(tmp_path):
    table = report(tmp_path / "one", method("n"), {"Epoch": "3"})
    assert describe_tables([table])[1] == method("n")
    table.write_text(table.read_text() + "\n")
    ((again,), notes) = describe_tables([table])
    assert source_lines(again) == [f"sha256 {sha256(table)}"] and notes == []


def test_a_table_that_is_replaced_while_it_is_read_is_refused(tmp_path):
    table = tmp_path / "predictions.csv"
    table.write_text("x")
    tables, _ = describe_tables([table])
    check_unchanged([table], tables)
    table.write_text("y")
    with pytest.raises(InputError, match=r"predictions\.csv was replaced while it was read; run the command again"):
        check_unchanged([table], tables)


def earlier(metrics):
    """As a biranet wrote it that knew no kinds of notes."""
    del metrics["provenance"]


def set_provenance(**changes):
    return lambda metrics: metrics["provenance"].update(changes)


@pytest.mark.parametrize(
    "edit",
    [
        lambda metrics: metrics.update(notes=3),
        lambda metrics: metrics.update(notes=[3]),
        lambda metrics: metrics.update(notes=None),
        lambda metrics: metrics.update(notes=[]),
        lambda metrics: metrics["facts"].update(Epoch=3),
        lambda metrics: metrics["facts"].update(Epoch="4"),
        lambda metrics: metrics["facts"].update(Audit=["a", None]),
        lambda metrics: metrics.update(provenance=3),
        set_provenance(notes=[]),
        set_provenance(notes=[{"kind": "of a later biranet", "text": "kept", "files": []}]),
        set_provenance(facts={"Epoch": 3}),
        set_provenance(facts={"Thresholds": {"cost_5": float("inf")}}),
        set_provenance(facts={"Thresholds": {"cost_5": []}}),
        set_provenance(facts={"Decoder": {"decoder": "expected_grade", "fold_thresholds": []}}),
        set_provenance(facts={"Rules": {"temperatures": [], "fitted_on": "x"}}),
        set_provenance(tables=[{"file": "a.csv"}]),
        earlier,
    ],
)
def test_a_report_that_was_edited_or_is_of_an_earlier_version_is_not_passed_over(tmp_path, edit):
    table = report(tmp_path / "one", method("kept"), {"Epoch": "3"})
    metrics = stored(table)
    edit(metrics)
    Path(tmp_path / "one" / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(
        InputError,
        match=r"one/metrics\.json tells of predictions\.csv, but its notes and facts are not.*make the report",
    ):
        describe_tables([table])


def test_a_note_has_a_kind_that_is_known():
    with pytest.raises(ValueError, match="no notes of the kind 'few'"):
        Note("few", "x")


def test_every_kind_of_note_stands_in_the_docs():
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| .* \|( [a-z ]+)? \|$", text.partition("| kind |")[2], re.MULTILINE)
    ends = {"": "origin", " with other rules": "rules", " always": "table"}
    documented = {kind.strip("`"): ends[end] for kinds, end in rows for kind in kinds.split(", ")}
    assert documented == {kind: known.about for kind, known in NOTE_KINDS.items()}
