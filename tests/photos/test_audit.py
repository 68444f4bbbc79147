import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from biranet.config import SplitConfig
from biranet.errors import InputError, RefusedError
from biranet.learning.split import split_photos
from biranet.manifest import read_manifest, write_manifest
from biranet.photos import audit as audit_module
from biranet.photos.audit import audit, find_duplicate_sets
from biranet.photos.datasets import LabelSource
from biranet.photos.findings import as_json, describe_findings, describe_warnings, refuse_leaks
from biranet.photos.folder import prepare_folder

# Fingerprints of pictures that have nothing to do with each other; each second one nearly equals the one before.
_ROWS = np.random.default_rng(0).integers(0, 90, (150, 120), dtype=np.uint8)
PRINTS = [bytes(row + shift).hex() for row in _ROWS for shift in (0, 3)]


def manifest(count, **columns):
    """A manifest of photos that have nothing in common but for what is said."""
    table = {
        "file": [f"{number}.jpg" for number in range(count)],
        "prepared": "",
        "status": "ok",
        "reason": "",
        "grade": [0] * count,
        "group": [f"g{number}" for number in range(count)],
        "eye": "",
        "source": "",
        "split": "",
        "sha256": [f"s{number}" for number in range(count)],
        "official_split": "",
        "fingerprint": PRINTS[: 2 * count : 2],
        "identifiers": "",
    }
    frame = pd.DataFrame(table | columns)
    return frame.assign(grade=frame["grade"].astype("Int64"))


def kinds(findings):
    return {finding.kind: finding.cases for finding in findings}


def test_an_eye_that_the_header_of_the_file_denies():
    table = manifest(4, eye=["left", "right", "left", ""], header_eye=["right", "right", "", "left"])
    assert kinds(audit(table)) == {"eye other than in the header": [["0.jpg"]]}


def test_an_eye_that_the_name_of_the_photo_denies():
    names = ["10_left.jpg", "p/OD.png", "11_left.jpg", "12_right.jpg", "13.jpg"]
    (finding,) = audit(manifest(5, file=names, eye=["right", "left", "left", "", "left"]))
    assert (finding.kind, finding.cases) == ("eye other than in the name", [["10_left.jpg"], ["p/OD.png"]])
    assert (
        "10_left.jpg is called left or right by its labels and the other by the end of its name; 2" in finding.sentence
    )


def test_a_header_that_names_both_eyes():
    table = manifest(2, eye=["left", ""], header_eye=["contradictory", "right"])
    assert kinds(audit(table)) == {"both eyes in the header": [["0.jpg"]]}


def test_nothing_is_found_where_all_is_well():
    table = manifest(4, split=["train", "train", "validation", "test"])
    assert audit(table) == []
    assert describe_findings([]) == "The audit found nothing."
    assert describe_warnings([], "x") == ""
    assert as_json(table, []) == {"photos": 4, "refused": False, "findings": []}


@pytest.mark.parametrize(
    ("columns", "kind", "words"),
    [
        (
            {"group": ["g0", "g0", "g1", "g2"], "split": ["train", "test", "train", "validation"]},
            "group in several parts",
            r"the group g0 stands in more than one part .*: 0\.jpg \(train\) and 1\.jpg \(test\); 1 such in all",
        ),
        (
            {"sha256": ["s0", "s1", "s2", "s1"], "split": ["train", "validation", "train", "calibration"]},
            "byte-identical photo in several parts",
            r"sha256 s1 stands .*: 1\.jpg \(validation\) and 3\.jpg \(calibration\); 1 such",
        ),
        (
            {"fingerprint": [PRINTS[0], PRINTS[4], PRINTS[1], PRINTS[6]], "split": ["train", "test", "test", "test"]},
            "near-identical photo in several parts",
            r"near-identical copies stands .*: 0\.jpg \(train\) and 2\.jpg \(test\)",
        ),
    ],
)
def test_what_stands_in_two_parts_is_refused_by_name(columns, kind, words):
    table = manifest(4, **columns)
    findings = audit(table)
    assert kind in kinds(findings)
    with pytest.raises(RefusedError, match=words) as refused:
        refuse_leaks(findings)
    assert refused.value.exit_status == 1
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith("make a new split with `biranet split`")
    assert as_json(table, findings)["refused"]
    # The same in a fold, and only where the fold is looked at.
    fold = table.assign(fold_0=table["split"], fold_1="train", split="")
    assert f"{kind} (fold_0)" in kinds(audit(fold))
    refuse_leaks(audit(fold, ["fold_1"]))
    # Photos that are not used tear nothing.
    for unused in (table.assign(status="unreadable"), table.assign(grade=pd.array([None] * 4, dtype="Int64"))):
        refuse_leaks(audit(unused))


def test_every_torn_key_is_told_once_and_in_the_order_of_the_rows():
    random = np.random.default_rng(5)
    table = manifest(
        120,
        group=[f"g{number}" if number else "" for number in random.integers(0, 50, 120)],
        sha256=[f"s{number}" for number in random.integers(0, 90, 120)],
        split=random.choice(["train", "validation", "test", ""], 120),
    ).sample(frac=1, random_state=1)
    found = kinds(finding for finding in audit(table) if finding.refuses)
    rows = [(row.file, row.group, row.sha256, row.split) for row in table.itertuples() if row.split]
    reported = []
    for kind, position in (("group in several parts", 1), ("byte-identical photo in several parts", 2)):
        keys = [key for key in dict.fromkeys(row[position] for row in rows) if key]
        sets = [[row for row in rows if row[position] == key] for key in keys]
        expected = [[row[0] for row in same] for same in sets if len({row[3] for row in same}) > 1]
        expected = [files for files in expected if set(files) not in reported]
        assert len(expected) > 5
        assert found.pop(kind) == expected
        reported += [set(files) for files in expected]
    # Nothing is near-identical but what is identical, and that has been told.
    assert found == {}


def test_a_patient_in_headers_is_not_divided_either():
    table = manifest(4, header_group=["k1", "k1", "", ""], split=["train", "test", "train", "test"])
    assert kinds(audit(table)) == {"patient in headers in several parts": [["0.jpg", "1.jpg"]]}


def test_a_fresh_split_is_never_refused():
    random = np.random.default_rng(1)
    picks = random.integers(0, 300, 60)
    table = manifest(
        60,
        grade=random.integers(0, 5, 60),
        group=[f"g{number}" for number in random.integers(0, 120, 60)],
        sha256=[f"s{number}" for number in random.integers(0, 200, 60)],
        fingerprint=[PRINTS[pick] for pick in picks],
    )
    assert audit(split_photos(table, SplitConfig()), ["split"]) != []
    for seed in range(5):
        refuse_leaks(audit(split_photos(table, SplitConfig(seed=seed))))
        refuse_leaks(audit(split_photos(table, SplitConfig(seed=seed, folds=3))))


def test_copies_and_what_contradicts_them():
    table = manifest(
        6,
        sha256=["a", "a", "b", "c", "d", "e"],
        fingerprint=[PRINTS[0], PRINTS[0], PRINTS[4], PRINTS[5], PRINTS[8], PRINTS[10]],
        grade=[1, 1, 2, 3, 0, 4],
        eye=["left", "right", "left", "left", "right", "left"],
    )
    findings = audit(table)
    assert kinds(findings) == {
        "byte-identical files": [["0.jpg", "1.jpg"]],
        "near-identical photos": [["2.jpg", "3.jpg"]],
        "conflicting grades": [["2.jpg", "3.jpg"]],
        "one eye as left and right": [["0.jpg", "1.jpg"]],
    }
    assert not any(finding.refuses for finding in findings)
    refuse_leaks(findings)
    assert find_duplicate_sets(table).tolist() == [0, 0, 1, 1, 2, 3]
    line = describe_warnings(findings, "prep")
    assert line.startswith("The audit warns of: byte-identical files (1), near-identical photos (1), ")
    assert line.endswith("biranet audit prep")
    assert "\n" not in line


def test_copies_that_are_known_are_not_looked_for_again(biranet, split_folder, tmp_path, monkeypatch):
    table = manifest(4, fingerprint=[PRINTS[0], PRINTS[1], PRINTS[4], ""], grade=[0, 1, 2, 3])
    assert audit_module.audit_manifest(table, ["split"], find_duplicate_sets(table)) == audit(table, ["split"])
    searches = []
    search = audit_module.near_identical_pairs
    monkeypatch.setattr(audit_module, "near_identical_pairs", lambda prints: searches.append(prints) or search(prints))
    folder = shutil.copytree(split_folder, tmp_path / "prepared")
    assert biranet("split", folder, "--folds", 3).status == 0
    assert [len(prints) for prints in searches] == [40]


def test_the_order_of_rows_changes_no_case():
    random = np.random.default_rng(3)
    table = manifest(
        30,
        sha256=[f"s{number}" for number in random.integers(0, 25, 30)],
        fingerprint=[PRINTS[pick] for pick in random.integers(0, 30, 30)],
        grade=random.integers(0, 5, 30),
    )
    cases = {kind: {frozenset(case) for case in found} for kind, found in kinds(audit(table)).items()}
    for seed in range(3):
        mixed = audit(table.sample(frac=1, random_state=seed))
        assert {kind: {frozenset(case) for case in found} for kind, found in kinds(mixed).items()} == cases


def test_identifiers_are_counted_by_kind_and_place():
    table = manifest(3, identifiers=["comment: number; EXIF: date, place", "", "EXIF: date"])
    (finding,) = audit(table)
    assert (finding.kind, finding.count, finding.cases) == ("identifiers", 2, [["0.jpg"], ["2.jpg"]])
    assert "2 such in all: EXIF: date (2), EXIF: place (1), comment: number (1)." in finding.sentence


def test_a_manifest_of_an_older_version_is_audited_as_far_as_it_goes():
    table = manifest(4, group=["a", "a", "b", "c"], split=["train", "test", "test", "test"])
    old = table.drop(columns=["fingerprint", "identifiers"])
    found = kinds(audit(old))
    assert list(found) == ["group in several parts", "no fingerprint"]
    assert len(found["no fingerprint"]) == 4
    assert list(kinds(audit(manifest(0)))) == []


def test_names_of_files_are_told_as_they_are():
    names = ["{first}.jpg", "{n} 🙂.jpg", "100%.jpg", "a,b.jpg"]
    findings = audit(manifest(4, file=names, sha256="one"))
    assert findings[0].sentence.startswith("{first}.jpg and {n} 🙂.jpg and 100%.jpg and 1 more are the same file")
    assert json.loads(json.dumps(as_json(manifest(4), findings)))["findings"][0]["cases"] == [names]
    assert "refused" not in describe_findings(findings)


def _copy_of(path, degrees=0, quality=40, **options):
    with Image.open(path) as picture:
        file = io.BytesIO()
        picture.convert("RGB").rotate(degrees, expand=True).save(file, "JPEG", quality=quality, **options)
    return file.getvalue()


@pytest.mark.real
def test_real_traps(real_data, tmp_path):
    """What the real sets hold, built again: copies, contradictions, visits and people in comments and EXIF."""
    source = real_data / "images512" / "idrid"
    photos = tmp_path / "photos"
    photos.mkdir()
    names = [f"IDRiD_{number:03d}.jpg" for number in (1, 2, 3, 4, 5, 6, 7, 8)]
    for name in names:
        shutil.copy(source / name, photos / name)
    shutil.copy(source / names[0], photos / "again.jpg")
    (photos / "turned.jpg").write_bytes(_copy_of(source / names[3], degrees=90))
    data = (source / names[4]).read_bytes()
    (photos / "person.jpg").write_bytes(data[:2] + b"\xff\xfe\x00\x0d12345678901" + data[2:])
    rows = [(name, 1, f"v{position}", "left") for position, name in enumerate(names)]
    rows += [("again.jpg", 2, "x", "right"), ("turned.jpg", 1, "y", "left"), ("person.jpg", 1, "z", "left")]
    labels = tmp_path / "labels.csv"
    pd.DataFrame(rows, columns=["file", "grade", "group", "eye"]).to_csv(labels, index=False)
    prepare_folder(photos, tmp_path / "prepared", labels=LabelSource(labels), size_px=64)
    table = read_manifest(tmp_path / "prepared")
    found = kinds(audit(table))
    assert found["byte-identical files"] == [[names[0], "again.jpg"]]
    assert found["conflicting grades"] == [[names[0], "again.jpg"]]
    assert found["one eye as left and right"] == [[names[0], "again.jpg"]]
    assert found["near-identical photos"] == [[names[3], "turned.jpg"], [names[4], "person.jpg"]]
    assert found["identifiers"] == [["person.jpg"]]
    assert "12345678901" not in (tmp_path / "prepared" / "manifest.csv").read_text()
    # A split by group alone would divide the turned copy from its photo; ours does not, and by hand it is refused.
    for seed in range(4):
        divided = split_photos(table, SplitConfig(seed=seed, calibration=0))
        parts = dict(zip(divided["file"], divided["split"], strict=True))
        assert parts[names[3]] == parts["turned.jpg"]
        assert parts[names[4]] == parts["person.jpg"]
    torn = table.assign(split=np.where(table["file"] == "turned.jpg", "test", "train"))
    with pytest.raises(RefusedError, match="near-identical copies"):
        refuse_leaks(audit(torn))


@pytest.mark.sample
@pytest.mark.real
def test_the_real_photos_hold_one_eye_exposed_twice_and_no_false_pair(real_data, tmp_path):
    labels = pd.read_csv(real_data / "labels.csv", dtype=str)
    idrid = labels[labels["source"] == "idrid"][["file", "grade", "group"]]
    idrid.to_csv(tmp_path / "labels.csv", index=False)
    prepare_folder(real_data, tmp_path / "prepared", labels=LabelSource(tmp_path / "labels.csv"), size_px=32)
    table = read_manifest(tmp_path / "prepared")
    found = kinds(audit(table))
    (pair,) = found["near-identical photos"]
    assert [name.rpartition("/")[2] for name in pair] == ["IDRiD_013.jpg", "IDRiD_397.jpg"]
    assert found["conflicting grades"] == [pair]
    # Parts as they were published for this set: they divide visits.
    visit = table["group"].duplicated(keep=False)
    first = table[visit].drop_duplicates("group").index
    parts = pd.Series("train", table.index)
    parts[first] = "test"
    write_manifest(tmp_path / "prepared", table.assign(split=parts, official_split=parts))
    table = read_manifest(tmp_path / "prepared")
    with pytest.raises(RefusedError, match=r"the group g\w+ stands .* make a new split"):
        refuse_leaks(audit(table))
    # A new split keeps the published test part whole, and leaves out whatever would give it away.
    divided = split_photos(table, SplitConfig())
    refuse_leaks(audit(divided))
    assert set(divided.loc[parts == "test", "split"]) == {"test"}
    assert set(divided.loc[parts == "train", "split"]) == {"", "train", "validation", "calibration"}
    mates = table["group"].isin(table.loc[parts == "test", "group"]) & (parts == "train")
    assert (divided["split"] == "").equals(mates)


def test_a_table_that_is_no_manifest_is_refused():
    with pytest.raises(InputError, match="the table has no column 'status'; give a manifest, or the prepared folder"):
        audit(pd.DataFrame({"file": ["a.jpg"]}))
    manifest = {"file": ["a.jpg"], "status": "ok", "grade": 0, "group": "1", "eye": ""}
    with pytest.raises(InputError, match="the table has no column 'split'"):
        audit(pd.DataFrame(manifest))
