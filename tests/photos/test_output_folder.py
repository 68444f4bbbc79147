"""What stands in a prepared folder beside our images: other people's files, pipes, and images of withdrawn photos."""

import os

import pytest

from biranet.errors import InputError
from biranet.photos import folder
from biranet.photos.folder import prepare_folder
from biranet.photos.prepare import read_preparation


@pytest.fixture
def few(tmp_path, photo_bytes):
    """A folder with three photos."""
    photos = tmp_path / "few"
    photos.mkdir()
    for seed in range(3):
        (photos / f"{seed}.png").write_bytes(photo_bytes(seed))
    return photos


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *((name, "mine") for name in ("progress.jsonl", "contact_sheet.jpg", "manifest.csv", ".progress.sqlite")),
        *(("preparation.json", content) for content in ("mine", "{}", "[]", "[" * 100_000, '{"version": 2}')),
        ("images/holiday.jpg", "mine"),
        (f"images/ab/{'ab' * 32}.jpg", "mine"),
    ],
)
def test_a_folder_with_something_of_others_in_the_way_is_refused_by_name(few, tmp_path, run, tree, name, content):
    out = tmp_path / "mine"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text(content)
    (out / ".note.1.partial.txt").write_text("mine")
    before = tree(out)
    with pytest.raises(InputError, match=name.split("/")[0]):
        run(few, out)
    assert tree(out) == before


def test_what_is_not_in_the_way_stays(few, tmp_path, run, tree):
    out = tmp_path / "mine"
    out.mkdir()
    (out / ".DS_Store").write_bytes(b"mine")
    run(few, out)
    notes = {".DS_Store": b"mine", ".note.1.partial.txt": b"mine", "notes.txt": b"mine"}
    for name, content in notes.items():
        (out / name).write_bytes(content)
    run(few, out)
    assert notes.items() <= tree(out).items()


@pytest.mark.parametrize("name", ["notes.txt", "done/1.png", "empty file"])
def test_a_folder_with_somebodys_things_is_never_taken(few, run, tree, name):
    out = few / "mine"
    (out / name).parent.mkdir(parents=True)
    (out / name).touch()
    before = tree(few)
    with pytest.raises(
        InputError, match=rf"mine holds {name.split('/')[0]} and no .*, so it is not ours; name a folder"
    ):
        run(few, out)
    assert tree(few) == before


@pytest.mark.parametrize("mark", ["preparation.json", "config.json"])
def test_no_prepared_folder_lies_in_another_or_in_a_run(few, tmp_path, run, tree, mark):
    around = tmp_path / "around"
    around.mkdir()
    (around / mark).write_text('{"train": {}}')
    with pytest.raises(InputError, match=r"lies in .*around, which is .* outside of it"):
        run(few, around / "deep" / "out")
    assert list(tree(around)) == [mark]


@pytest.mark.parametrize("target", [None, "/dev/zero", "nowhere"])
@pytest.mark.parametrize("name", ["progress.jsonl", "contact_sheet.jpg", "manifest.csv", "preparation.json"])
def test_what_is_no_file_in_the_place_of_one_of_ours_is_refused_at_once(few, tmp_path, run, tree, name, target):
    out = tmp_path / "out"
    run(few, out)
    (out / name).unlink(missing_ok=True)
    (out / name).symlink_to(target) if target else os.mkfifo(out / name)
    before = {path: data for path, data in tree(out).items() if path != name}
    with pytest.raises(InputError, match=rf"{name}") as caught:
        run(few, out)
    assert "\n" not in str(caught.value)
    assert {path: data for path, data in tree(out).items() if path != name} == before
    if name == "preparation.json":
        with pytest.raises(InputError, match=r"cannot read .*preparation\.json"):
            read_preparation(out)


def test_images_of_withdrawn_photos_go_and_nothing_else(few, tmp_path, run, tree, photo_bytes):
    out = tmp_path / "out"
    table = run(few, out).set_index("file")
    (few / "copy.png").write_bytes(photo_bytes(0))
    other = out / "images" / "no" / f"{'ab' * 32}.jpg"
    notes = [out / "images" / "note.jpg", (out / table.loc["1.png", "prepared"]).with_name("note.jpg"), other]
    for path in notes:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"mine")
    (few / "0.png").unlink()
    (few / "1.png").unlink()
    summary = prepare_folder(few, out, size_px=64)
    assert summary.deleted_images == 1
    # The image of the first is that of its copy as well.
    assert [(out / position).exists() for position in table["prepared"]] == [True, False, True]
    assert all(path.exists() for path in notes)
    run(few, tmp_path / "fresh")
    assert tree(tmp_path / "fresh").items() <= tree(out).items()


def test_a_kill_before_they_are_gone_is_made_good_by_the_next_run(few, tmp_path, run, monkeypatch):
    out = tmp_path / "out"
    table = run(few, out).set_index("file")
    (few / "1.png").unlink()

    def killed(*_given, **_named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(folder, "delete_orphans", killed)
        run(few, out)
    image = out / table.loc["1.png", "prepared"]
    assert image.exists()
    run(few, out)
    assert not image.exists()
