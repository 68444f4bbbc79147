"""The list of the page: whose a photo is where the file says otherwise, the order of patients, and nothing twice."""

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from page_driver import NEEDS_BROWSER, drop, graded, read_csv, violations
from photo_files import dicom_photo

pytestmark = NEEDS_BROWSER


@pytest.fixture
def plain_page(open_page, launch, tmp_path):
    """The page of a service that reads no names."""
    with launch(tmp_path / "service", "--workers", 1) as service:
        yield open_page(service.url)


def exported(page):
    with page.expect_download() as saved:
        page.locator("#csv-photos").click()
    return {row["file"]: row for row in read_csv(Path(saved.value.path()).read_text())}


def test_the_eye_in_a_header_is_corrected(open_page, tmp_path):
    (tmp_path / "a.dcm").write_bytes(dicom_photo(1, "12345", "L"))
    page = open_page()
    drop(page, tmp_path / "a.dcm")
    graded(page, 1)
    expect(page.locator(".which .origin")).to_have_text("from the file's header")
    code = "a code for the number in the file's header"
    expect(page.locator(".case-head .origin, .report-head .origin")).to_have_text([code, code])
    page.locator("#which-left").select_option("right")
    expect(page.locator(".which .origin")).to_have_text("as entered here; the file's header says the other eye")
    expect(page.locator(".eye h3").first).to_have_text("Right eye (OD)")
    expect(page.locator(".eye >> nth=0").locator(".answers .grade")).to_contain_text("Grade")
    expect(page.locator(".reasons")).to_contain_text("it was entered, the header of the file says the other eye")
    expect(page.locator("#report h2 .origin")).to_have_text("as entered here; the file's header says the other eye")
    expect(page.locator(".report-lists")).to_contain_text("it was entered, the header of the file says the other eye")
    row = exported(page)["a.dcm"]
    assert (row["eye"], row["eye_from"], row["group_from"]) == ("right", "entered over header", "header")
    assert violations(page) == []
    page.locator("#which-right").select_option("")
    expect(page.locator(".eye h3")).to_have_text(["Eye not known"])
    expect(page.locator(".answers .grade")).to_contain_text("Grade")
    assert (exported(page)["a.dcm"]["eye"], exported(page)["a.dcm"]["eye_from"]) == ("", "entered")


def test_a_name_and_a_header_that_contradict_each_other_leave_the_eye_open_until_somebody_says(plain_page, tmp_path):
    """Also when the photo is asked for again, for another reason."""
    page = plain_page
    (tmp_path / "P7_OD.dcm").write_bytes(dicom_photo(1, "12345", "L"))
    drop(page, tmp_path / "P7_OD.dcm")
    graded(page, 1)
    for _ in range(2):
        expect(page.locator(".reasons")).to_contain_text("the name says right, the header of the file says left")
        expect(page.locator(".eye h3")).to_have_text(["Eye not known"])
        page.locator("#rename").click()
        expect(page.locator(".case-head .origin")).to_have_text("as entered here")
        graded(page, 1)
    page.locator("#which-unknown").select_option("right")
    expect(page.locator(".which .origin")).to_have_text("as entered here; the file's header says the other eye")


def test_a_guess_beside_what_somebody_entered_is_marked_as_one(open_page, photos):
    page = open_page()
    drop(page, photos / "P1_OD.jpg")
    graded(page, 1)
    page.locator("#rename").click()
    graded(page, 1)
    origins = page.locator(".case-head .origin, .report-head .origin")
    expect(origins).to_have_text(["as entered here"] * 2)
    drop(page, photos / "P1_OS.jpg")
    graded(page, 2)
    expect(origins).to_have_text(["guessed from its name"] * 2)
    page.locator("#rename").click()
    expect(origins).to_have_text(["as entered here"] * 2)


def test_a_photo_that_is_in_the_list_is_not_added_again(open_page, photos, tmp_path):
    page = open_page()
    drop(page, photos / "P1_OD.jpg")
    graded(page, 1)
    expect(page.locator("#progress")).not_to_contain_text("already")
    drop(page, photos / "P1_OD.jpg", photos / "P1_OS.jpg")
    graded(page, 2)
    expect(page.locator("#progress")).to_contain_text("1 already in the list")
    drop(page, photos / "P1_OD.jpg", photos / "P1_OS.jpg")
    expect(page.locator("#progress")).to_contain_text("2 already in the list")
    other = tmp_path / "folder" / "P1_OD.jpg"  # as long and as old as the first one
    other.parent.mkdir()
    shutil.copy2(photos / "P1_OD.jpg", other)
    drop(page, other.parent)
    expect(page.locator("#progress")).to_contain_text("1 already in the list")
    content = other.read_bytes()
    other.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    shutil.copystat(photos / "P1_OD.jpg", other)
    expect(page.locator("#progress")).to_contain_text("2 of 2 photographs answered")
    drop(page, other.parent)
    graded(page, 3)
    expect(page.locator("#progress")).not_to_contain_text("already")


def test_the_same_file_for_two_patients_of_a_folder_is_a_line_of_each(open_page, photos, tmp_path):
    """By mistake, perhaps: the second patient must not be missing from the list."""
    page = open_page()
    for patient in ("001", "002"):
        (tmp_path / "day" / patient).mkdir(parents=True)
        shutil.copy(photos / "P1_OS.jpg", tmp_path / "day" / patient / "left.jpg")
    drop(page, tmp_path / "day")
    graded(page, 2)
    expect(page.locator("#cases .case-name")).to_have_text(["001", "002"])
    expect(page.locator("#progress")).not_to_contain_text("already")
    drop(page, tmp_path / "day")
    expect(page.locator("#progress")).to_contain_text("2 already in the list")


def test_a_photo_that_is_in_the_list_can_be_added_to_an_eye(open_page, photos, tmp_path):
    page = open_page()
    for name, photo in {"IMG_1.jpg": "P1_OD.jpg", "IMG_2.jpg": "P1_OS.jpg"}.items():
        shutil.copy(photos / photo, tmp_path / name)
    drop(page, tmp_path / "IMG_1.jpg", tmp_path / "IMG_2.jpg", photos / "P2_OS.jpg")
    graded(page, 3)
    page.locator("#patient-name").fill("Q9")
    page.locator("#rename").click()
    page.locator("#which-unknown").select_option("right")
    with page.expect_file_chooser() as asked:
        page.locator("#add-left").click()
    # What is another patient's stays there.
    asked.value.set_files([tmp_path / "IMG_2.jpg", photos / "P2_OS.jpg"])
    graded(page, 3)
    expect(page.locator("#cases .case-name")).to_have_text(["Q9", "P2"])
    expect(page.locator(".which .origin")).to_have_text(["as entered here"] * 2)
    expect(page.locator("#progress")).to_contain_text("1 already in the list")


URGENT = ["refer", "ask a human", "retake", "not a usable file", "do not refer"]


def listed(page):
    """Patients and decisions as they stand in the list."""
    return [tuple(item.all_inner_texts()[0].split("\n")[:2]) for item in page.locator("#cases button").all()]


def test_what_is_most_urgent_comes_first_where_somebody_wants_it(open_page, photos, tmp_path):
    page = open_page()
    shutil.copy(photos / "P1_OD.jpg", tmp_path / "Z9_OD.jpg")
    drop(page, photos / "notes.txt", photos / "P2_OS.jpg", tmp_path / "Z9_OD.jpg", photos / "P3_OD.jpg")
    graded(page, 4)
    added = listed(page)
    assert [name for name, _ in added] == ["notes.txt", "P2", "Z9", "P3"]
    page.locator("#order").select_option("urgent")
    urgent = listed(page)
    ranks = [URGENT.index(decision.lower()) for _, decision in urgent]
    assert sorted(urgent) == sorted(added) and ranks == sorted(ranks) and ranks[0] < ranks[-1]
    assert [name for name, _ in urgent][-2:] == ["P2", "notes.txt"]
    page.locator("#cases button").first.focus()
    page.keyboard.press("Home")
    for name, _ in urgent[1:]:  # the keys follow the list
        page.keyboard.press("ArrowDown")
        expect(page.locator("#cases [aria-current]")).to_contain_text(name)
    page.locator("#order").select_option("")
    assert listed(page) == added


def test_no_row_moves_while_answers_come_or_somebody_is_in_the_list(open_page, photos, tmp_path):
    page, held = open_page(), []
    drop(page, photos / "P3_OD.jpg", photos / "P2_OS.jpg")
    graded(page, 2)
    page.locator("#order").select_option("urgent")
    before = [name for name, _ in listed(page)]
    page.route("**/v1/grade", lambda route: held.append(route))
    shutil.copy(photos / "P1_OD.jpg", tmp_path / "Z1_OD.jpg")
    shutil.copy(photos / "P1_OD.jpg", tmp_path / "Z2_OD.jpg")
    drop(page, *sorted(tmp_path.iterdir()))
    expect(page.locator("#cases button")).to_have_count(4)
    while len(held) < 2:
        page.wait_for_timeout(20)
    held.pop(0).continue_()
    expect(page.locator("#cases button .decision", has_text=re.compile("^(Refer|Ask|Retake)"))).not_to_have_count(0)
    assert [name for name, _ in listed(page)] == [*before, "Z1", "Z2"]
    page.locator("#cases").hover()
    held.pop(0).continue_()
    graded(page, 4)
    assert [name for name, _ in listed(page)] == [*before, "Z1", "Z2"]
    page.locator(".top h1").hover()
    expect(page.locator("#cases button").first).to_contain_text("Z1")
    ranks = [URGENT.index(decision.lower()) for _, decision in listed(page)]
    assert ranks == sorted(ranks)
