"""Prepared images that are not what was stored: each command that reads them says so, and `prepare` restores them."""

import os
import shutil
from pathlib import Path

import pytest

from biranet.manifest import MANIFEST_NAME
from biranet.tables import read_table, write_table


def _images(folder: Path) -> list[Path]:
    return sorted(folder.glob("images/*/*.jpg"))


def _swap_images(folder: Path) -> None:
    first, second, *_ = _images(folder)
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)


def _cut(folder: Path) -> None:
    image = _images(folder)[0]
    data = image.read_bytes()
    image.write_bytes(data[: len(data) // 2] + b"\xff\xd9")


def _flip_a_bit(folder: Path) -> None:
    image = _images(folder)[0]
    data = bytearray(image.read_bytes())
    data[len(data) // 2] ^= 1
    image.write_bytes(data)


def _pipe(folder: Path) -> None:
    image = _images(folder)[0]
    image.unlink()
    os.mkfifo(image)


def _endless(folder: Path) -> None:
    image = _images(folder)[0]
    image.unlink()
    image.symlink_to("/dev/zero")


def _link_to_another(folder: Path) -> None:
    first, second, *_ = _images(folder)
    first.unlink()
    first.symlink_to(second)


def _cells(folder: Path, columns: list[str], values: list[str] | None = None) -> None:
    path = folder / MANIFEST_NAME
    table = read_table(path)
    table.loc[[2, 3], columns] = table.loc[[3, 2], columns].to_numpy() if values is None else [values] * 2
    write_table(path, table)


def _swap_cells(folder: Path) -> None:
    _cells(folder, ["prepared"])


def _swap_digests(folder: Path) -> None:
    _cells(folder, ["prepared_sha256"])


def _swap_all_hashes(folder: Path) -> None:
    _cells(folder, ["sha256", "prepared", "prepared_sha256"])


def _swap_hashes_and_fingerprints(folder: Path) -> None:
    _cells(folder, ["sha256", "prepared", "prepared_sha256", "fingerprint", "row_sha256"])


def _swap_fingerprints(folder: Path) -> None:
    _cells(folder, ["fingerprint"])


def _swap_names(folder: Path) -> None:
    _cells(folder, ["file"])


def _lead_out(folder: Path) -> None:
    _cells(folder, ["prepared"], ["../../x.jpg"])


@pytest.mark.parametrize(
    ("damage", "audit_status"),
    [
        *((_swap_images, 1), (_cut, 1), (_flip_a_bit, 1), (_pipe, 1), (_endless, 1), (_link_to_another, 1)),
        *((_swap_digests, 2), (_swap_cells, 2), (_lead_out, 2)),
        *((_swap_all_hashes, 2), (_swap_hashes_and_fingerprints, 2), (_swap_fingerprints, 2), (_swap_names, 2)),
    ],
)
def test_what_is_not_what_was_stored_is_noticed_and_restored(
    biranet, prepared, drawn_photos, checkpoint, tmp_path, tree, damage, audit_status
):
    folder = Path(shutil.copytree(prepared, tmp_path / "prepared"))
    damage(folder)
    audited = biranet("audit", folder)
    assert audited.status == audit_status
    assert "run `biranet prepare` again to restore it" in (audited.out + audited.err).replace("Run", "run")
    report = tmp_path / "report"
    read = biranet("evaluate", checkpoint, folder, "--split", "all", "--out", report, "--workers", 0)
    assert (read.status, read.err.count("\n")) == (2, 1)
    assert "`biranet prepare` again" in read.err
    assert not report.exists()
    arguments = ("prepare", drawn_photos, folder, "--labels", drawn_photos / "labels.csv", "--size", 64)
    assert biranet(*arguments, "--workers", 0).status == 0
    assert {name: data for name, data in tree(folder).items() if name != "audit.json"} == tree(prepared)
    assert not any(path.is_symlink() for path in _images(folder))
    assert "image" not in biranet("audit", folder).out


def test_workers_that_find_images_missing_leave_one_sentence(biranet, prepared, checkpoint, tmp_path):
    folder = Path(shutil.copytree(prepared, tmp_path / "prepared"))
    for image in _images(folder)[:30]:
        image.unlink()
    answer = biranet("evaluate", checkpoint, folder, "--split", "all", "--out", tmp_path / "report")
    assert answer.status == 2
    assert answer.err.splitlines()[-1].startswith("biranet: the prepared image of drawn_")
    assert "Traceback" not in answer.err


def test_a_manifest_without_digests_is_read_and_the_audit_warns(biranet, prepared, checkpoint, tmp_path):
    folder = Path(shutil.copytree(prepared, tmp_path / "prepared"))
    path = folder / MANIFEST_NAME
    write_table(path, read_table(path).drop(columns=["prepared_sha256", "row_sha256"]))
    audited = biranet("audit", folder)
    assert audited.status == 0
    assert "image without digest      40  allowed" in audited.out
    report = tmp_path / "report"
    assert biranet("evaluate", checkpoint, folder, "--split", "all", "--out", report, "--workers", 0).status == 0
