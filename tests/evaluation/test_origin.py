"""What is known of tables that are measured again is carried over; nothing is made up."""

import hashlib
import json

from biranet.evaluation.origin import describe_tables


def report(folder, notes, facts):
    folder.mkdir()
    (folder / "predictions.csv").write_text(f"table of {folder.name}")
    (folder / "metrics.json").write_text(json.dumps({"n": 1, "notes": notes, "facts": facts}))
    return folder / "predictions.csv"


def test_notes_and_facts_of_reports_are_taken_over(tmp_path):
    one = report(tmp_path / "one", ["both", "only one"], {"Epoch": "3", "Audit": ["a", "b"]})
    two = report(tmp_path / "two", ["both"], {"Epoch": "5"})
    facts, notes = describe_tables([one, two])
    assert notes == [
        "2 tables are pooled here: no single model has these figures.",
        "both",
        f"{one}: only one",
    ]
    sums = [f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in (one, two)]
    assert facts == {str(one): [sums[0], "Epoch: 3", "Audit: a", "Audit: b"], str(two): [sums[1], "Epoch: 5"]}
    assert describe_tables([two]) == ({str(two): facts[str(two)]}, ["both"])


def test_a_table_of_nobodys_report_has_its_hash(tmp_path):
    table = tmp_path / "predictions.csv"
    table.write_text("x")
    only_hash = {str(table): [f"sha256 {hashlib.sha256(b'x').hexdigest()}"]}
    assert describe_tables([table]) == (only_hash, [])
    for other in ("{", "[]", "3", '{"facts": 1, "notes": []}', '{"accuracy": 1}'):
        (tmp_path / "metrics.json").write_text(other)
        assert describe_tables([table]) == (only_hash, [])
    # Another table that somebody put into the folder of a report is not the one it tells of.
    (tmp_path / "metrics.json").write_text('{"facts": {"Epoch": "3"}, "notes": ["n"]}')
    (tmp_path / "mine.csv").write_text("x")
    assert describe_tables([tmp_path / "mine.csv"])[1] == []
    assert describe_tables([table])[1] == ["n"]
