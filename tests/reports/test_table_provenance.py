"""What is known of tables that are measured again is carried over; nothing is made up or told beyond its time."""

import hashlib
import json

import pandas as pd
import pytest

from biranet.errors import InputError
from biranet.reports.report import write_report
from biranet.reports.table_provenance import (
    FEW_PATIENTS,
    NO_PATIENTS,
    NO_PHOTO,
    NOT_CALIBRATED,
    RULES_FITTED_ON,
    check_unchanged,
    describe_tables,
)


def report(folder, notes, facts, grades=(0, 1, 2, 3, 4)):
    """The table of a real report."""
    table = pd.DataFrame({"file": [f"{folder.name}_{grade}.jpg" for grade in grades], "grade": grades})
    table = table.assign(predicted_grade=table["grade"], group=["p", *table["file"][1:-1], "p"])
    write_report(folder, table, title="t", notes=notes, facts=facts)
    return folder / "predictions.csv"


def sha256(path):
    return f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_notes_and_facts_of_reports_are_taken_over(tmp_path):
    one = report(tmp_path / "one", ["both", "only one"], {"Epoch": "3", "Audit": ["a", "b"]})
    two = report(tmp_path / "two", ["both"], {"Epoch": "5"})
    facts, notes = describe_tables([one, two])
    assert notes == [
        "2 tables are pooled here: no single model has these figures.",
        "both",
        "one/predictions.csv: only one",
    ]
    assert facts == {
        "one/predictions.csv": [sha256(one), "Epoch: 3", "Audit: a", "Audit: b"],
        "two/predictions.csv": [sha256(two), "Epoch: 5"],
    }
    assert describe_tables([two]) == ({"predictions.csv": facts["two/predictions.csv"]}, ["both"])


def test_the_story_of_a_pool_is_kept(tmp_path):
    files = [report(tmp_path / name, [f"of {name}"], {"Epoch": name}) for name in ("one", "two")]
    facts, notes = describe_tables(files)
    pooled = report(tmp_path / "pool", notes, facts)
    again, said = describe_tables([pooled])
    assert said == notes
    for file, name in zip(files, ("one", "two"), strict=True):
        assert f"{name}/predictions.csv: {sha256(file)}" in again["predictions.csv"]
        assert f"{name}/predictions.csv: Epoch: {name}" in again["predictions.csv"]
    write_report(tmp_path / "last", pd.read_csv(pooled), title="t", notes=said, facts=again)
    page = (tmp_path / "last" / "report.html").read_text()
    for file in (*files, pooled):
        assert sha256(file).removeprefix("sha256 ") in page
    assert "<ul></ul>" not in page.replace("\n", "").replace(" ", "")


def test_notes_end_with_what_they_are_about(tmp_path):
    kept, rules = "The test part had not been read before.", [f"{NOT_CALIBRATED}: x", f"{RULES_FITTED_ON} 3 photos."]
    table = report(tmp_path / "one", [kept, *rules], {}, grades=(0, 2, 4))
    stored = json.loads((tmp_path / "one" / "metrics.json").read_text())["notes"]
    assert stored[:3] == [kept, *rules] and stored[3].startswith(NO_PHOTO)
    assert describe_tables([table])[1] == [kept, *rules]
    assert describe_tables([table], new_rules=True)[1] == [kept]


def test_notes_on_a_table_are_said_once(tmp_path):
    single = pd.DataFrame({"file": ["a", "b"], "group": ["a", "b"], "grade": [0, 4], "predicted_grade": [0, 4]})
    first = write_report(tmp_path / "one", single, title="t")["notes"]
    starts = (NO_PATIENTS, NO_PHOTO, FEW_PATIENTS)
    assert [note.startswith(start) for note, start in zip(first, starts, strict=True)] == [True] * 3
    notes = describe_tables([tmp_path / "one" / "predictions.csv"])[1]
    assert write_report(tmp_path / "two", single, title="t", notes=notes)["notes"] == first


@pytest.mark.parametrize(
    "other",
    ["{", "[]", "3", '{"facts": 1, "notes": []}', '{"accuracy": 1}', '{"facts": {"n": 5}, "notes": [["x"]]}'],
)
def test_a_table_of_nobodys_report_has_its_hash(tmp_path, other):
    table = tmp_path / "predictions.csv"
    table.write_text("x")
    assert describe_tables([table]) == ({table.name: [sha256(table)]}, [])
    (tmp_path / "metrics.json").write_text(other)
    assert describe_tables([table]) == ({table.name: [sha256(table)]}, [])


def test_a_table_that_was_put_into_the_folder_of_a_report_is_not_its_own(tmp_path):
    table = report(tmp_path / "one", ["n"], {"Epoch": "3"})
    assert describe_tables([table])[1] == ["n"]
    table.write_text(table.read_text() + "\n")
    assert describe_tables([table]) == ({table.name: [sha256(table)]}, [])


def test_a_table_that_is_replaced_while_it_is_read_is_refused(tmp_path):
    table = tmp_path / "predictions.csv"
    table.write_text("x")
    facts, _ = describe_tables([table])
    check_unchanged([table], facts)
    table.write_text("y")
    with pytest.raises(InputError, match=r"predictions\.csv was replaced while it was read; run the command again"):
        check_unchanged([table], facts)


@pytest.mark.parametrize(
    "changes",
    [{"notes": 3}, {"notes": [3]}, {"notes": None}, {"facts": {"Epoch": 3}}, {"facts": {"Audit": ["a", None]}}],
)
def test_a_report_that_was_edited_is_not_passed_over(tmp_path, changes):
    table = report(tmp_path / "one", ["kept"], {"Epoch": "3"})
    path = tmp_path / "one" / "metrics.json"
    told = json.loads(path.read_text())
    told |= changes | {"facts": told["facts"] | changes.get("facts", {})}
    path.write_text(json.dumps(told))
    with pytest.raises(
        InputError, match=r"one/metrics\.json tells of predictions\.csv, but its notes and facts are not"
    ):
        describe_tables([table])
