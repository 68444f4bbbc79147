"""All files that were collected because something was wrong with them, through REST and as a folder on the page."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from biranet.cli import main
from page_driver import CHROMIUM, NO_BROWSER, drop, read_csv

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.sample]

LOT = 96
"""Files of a request: six batches, so that the same ones are computed together as by the command line."""


@pytest.fixture(scope="module")
def collected(real_data):
    """The folders of collected files, and all files in them, by the name that a browser gives them."""
    folders = [real_data.parents[1] / "cases", real_data / "odd_formats"]
    for folder in folders:
        if not folder.is_dir():
            pytest.skip(f"no collected files at {folder}; BIRANET_REAL_DATA names another place")
    files = {
        file.relative_to(folder.parent).as_posix(): file
        for folder in folders
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    assert len(files) > 100
    return folders, files


@pytest.fixture(scope="module")
def listed(collected, tmp_path_factory):
    """What `biranet grade` says of them, by the same names."""
    folder = tmp_path_factory.mktemp("listed")
    names = {str(file): name for name, file in collected[1].items()}
    (folder / "list.csv").write_text("".join(f"{each}\n" for each in ["file", *names]))
    flags = ["--name-pattern", "{patient}_{eye}", "--workers", "0"]  # as the service reads names
    with pytest.raises(SystemExit, match="1"):  # some cannot be used
        main(["grade", str(folder / "list.csv"), "--out", str(folder / "grades.jsonl"), *flags])
    rows = [json.loads(line) for line in (folder / "grades.jsonl").read_text().splitlines()]
    return {names[row["file"]]: row for row in rows}


def test_every_file_is_a_row_as_of_the_command_line(served, collected, listed):
    files, rows = list(collected[1].values()), []
    for start in range(0, len(files), LOT):
        form = [("files", (str(file), file.read_bytes())) for file in files[start : start + LOT]]
        answer = served.post("/v1/grade", files=form)
        assert answer.status_code == 200, answer.text
        rows += answer.json()["photos"]
    assert rows == list(listed.values())
    assert {row["status"] for row in rows} == {"ok", "unreadable", "ungradable"}
    assert all(row["reason"] for row in rows if row["status"] != "ok")


def test_every_file_by_itself_is_a_row_or_a_sentence(served, collected, listed):
    for name, file in collected[1].items():
        answer, status = served.post("/v1/grade", file.read_bytes()), listed[name]["status"]
        if status == "unreadable":
            assert answer.status_code in (415, 422) and list(answer.json()) == ["error"], (name, answer.text)
            assert served.post("/v1/view", file.read_bytes()).json() == answer.json()
        else:
            assert (answer.status_code, answer.json()["photos"][0]["status"]) == (200, status), name
    assert "fault of biranet" not in served.log.read_text() and "Traceback" not in served.log.read_text()


@pytest.mark.skipif(not CHROMIUM, reason=NO_BROWSER)
def test_every_file_is_a_line_of_the_page_as_of_the_command_line(open_page, collected, listed):
    page = open_page()
    drop(page, *collected[0])
    expect(page.locator("#progress")).to_contain_text(f"{len(listed)} of {len(listed)} photographs", timeout=300_000)
    with page.expect_download() as saved:
        page.locator("#csv-photos").click()
    rows = {row["file"]: row for row in read_csv(Path(saved.value.path()).read_text())}
    what = ("status", "predicted_grade", "decision", "reason")
    assert {name: [rows[name][column] for column in what] for name in rows} == {
        name: ["" if row[column] is None else str(row[column]) for column in what] for name, row in listed.items()
    }
    page.locator("#cases button").first.focus()
    page.keyboard.press("Home")
    for _ in range(page.locator("#cases button").count()):
        text = page.locator("#case").inner_text()
        assert not any(word in text for word in ("undefined", "null", "NaN", "[object")), text
        page.keyboard.press("ArrowDown")
    expect(page.locator("#alert p")).to_have_count(0)
