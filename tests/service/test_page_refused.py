"""The page where the service has no time, takes no photo, or dies, in a real browser."""

import json
import shutil
import signal
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from page_driver import NEEDS_BROWSER, drop, graded, read_csv

pytestmark = NEEDS_BROWSER
TOKEN = "a-token-of-this-test"


def test_a_busy_service_is_asked_again_when_it_says(open_page, photos):
    page = open_page()
    answers = iter([503])

    def busy(route):
        if next(answers, None):
            body = json.dumps({"error": "200 photos wait"})
            route.fulfill(status=503, headers={"retry-after": "1"}, content_type="application/json", body=body)
        else:
            route.fallback()

    page.route("**/v1/grade", busy)
    page.locator("#photo-input").set_input_files(photos / "P1_OD.jpg")
    expect(page.locator("#progress")).to_contain_text("The service is busy; the next try is in 1 s.")
    graded(page, 1)


def test_a_service_that_tells_nothing_of_its_model_says_why(open_page):
    page = open_page()
    refusal = {"status": 500, "content_type": "application/json", "body": json.dumps({"error": "no model"})}
    page.route("**/v1/models", lambda route: route.fulfill(**refusal))
    page.reload()
    expect(page.locator("#alert p")).to_contain_text("no model")


def test_a_photo_that_ends_the_process_is_sent_twice_and_no_more(open_page, photos):
    page, sent = open_page(), []
    sentence = "the process that graded was ended; send the request again"
    lost = {"status": 503, "content_type": "application/json", "body": json.dumps({"error": sentence})}
    page.route("**/v1/grade", lambda route: (sent.append(route), route.fulfill(**lost)))
    page.locator("#photo-input").set_input_files(photos / "P1_OD.jpg")
    graded(page, 1)
    expect(page.locator(".verdict-box")).to_contain_text("the process that graded was ended")
    assert len(sent) == 2


def test_a_photo_that_takes_too_long_is_told_as_such(open_page, photos):
    """A proxy says 504 as well, where the service is gone, but not in the words of the service."""
    page = open_page()
    sentence = "grading took longer than 60 seconds a photo"
    overdue = {"status": 504, "content_type": "application/json", "body": json.dumps({"error": sentence})}
    page.route("**/v1/grade", lambda route: route.fulfill(**overdue))
    page.locator("#photo-input").set_input_files(photos / "P1_OD.jpg")
    graded(page, 1)
    expect(page.locator(".verdict-box")).to_contain_text(sentence)
    expect(page.locator("#alert p")).to_have_count(0)


def test_a_file_that_is_gone_is_not_taken_for_a_service_that_is(open_page, photos, tmp_path):
    """As on a card that goes back into the camera, before somebody confirms the patient."""
    files = [Path(shutil.copy(photos / name, tmp_path)) for name in ("P1_OD.jpg", "P1_OS.jpg")]
    page = open_page()
    drop(page, *files)
    graded(page, 2)
    files[1].unlink()
    page.locator("#rename").click()
    expect(page.locator(".eye >> nth=1").locator(".answers")).to_contain_text("the file is gone, or has changed")
    expect(page.locator(".eye >> nth=0").locator(".answers .grade")).to_contain_text("Grade")
    expect(page.locator("#alert p")).to_have_count(0)


@pytest.mark.parametrize("refused", [("P1_OD.jpg", "P1_OS.jpg"), ("P1_OS.jpg",)])
def test_a_request_that_is_too_long_takes_no_other_photo_with_it(open_page, photos, refused):
    page = open_page()
    sentence = "the request is longer than 0.1 MB; send fewer photos at a time"

    def refuse(route):
        if all(f'filename="{name}"'.encode() in route.request.post_data_buffer for name in refused):
            route.fulfill(status=413, content_type="application/json", body=json.dumps({"error": sentence}))
        else:
            route.fallback()

    page.route("**/v1/grade", refuse)
    drop(page, photos / "P1_OD.jpg", photos / "P1_OS.jpg")
    graded(page, 2)
    expect(page.locator(".eye >> nth=0").locator(".answers .grade")).to_contain_text("Grade")
    together = len(refused) == 2
    expect(page.locator(".verdict-box" if together else "#case .answers >> nth=1")).to_contain_text(sentence)
    expect(page.locator(".verdict-box .none")).to_have_count(int(together))
    with page.expect_download() as saved:
        page.locator("#csv-photos").click()
    rows = {row["file"]: row for row in read_csv(Path(saved.value.path()).read_text())}
    left = rows["P1_OS.jpg"]
    if together:
        assert left["status"] == "ok"
        return
    assert (left["status"], left["reason"], left["predicted_grade"]) == ("refused", f"{sentence} (413)", "")
    assert (left["group"], left["eye"], left["eye_from"]) == ("P1", "left", "name")
    expect(page.locator("#case .answers >> nth=1").locator(".decision")).to_have_text("Not answered")
    expect(page.locator(".actions")).to_contain_text("Left eye: try again")
    expect(page.locator(".why")).not_to_contain_text("no photo")
    page.unroute("**/v1/grade")
    page.locator("#ask-again").click()
    expect(page.locator(".eye >> nth=1").locator(".answers .grade")).to_contain_text("Grade")


def test_a_service_that_is_killed_takes_no_answer_with_it(open_page, photos, tables, launch, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    flags = ("--token-file", tmp_path / "token", "--workers", 1)
    with launch(tmp_path / "first", *flags) as service:
        page = open_page(service.url)
        for token in ("a-wrong-token", "a-token’s-quote", TOKEN):
            page.locator("#token-input").fill(token)
            page.locator("#token button").click()
            expect(page.locator("#token-wrong")).to_have_text("This token was not accepted.")
            expect(page.locator("#alert p")).to_have_count(0)
        expect(page.locator("#model-line")).to_contain_text("idrid_lite0")
        drop(page, *(photos / name for name in ("P1_OD.jpg", "P1_OS.jpg")))
        graded(page, 2)
        service.process.send_signal(signal.SIGSTOP)
        drop(page, photos / "P3_OD.jpg", photos / "P2_OD.jpg")
        expect(page.locator("#cases button", has_text="P3")).to_contain_text("being graded")
        service.process.kill()
        expect(page.locator("#alert")).to_contain_text("The service does not answer. What was answered stays here")
        expect(page.locator("#alert p")).to_have_count(1)
        item = page.locator("#cases button", has_text="P1")
        expect(item.locator(".decision")).to_have_text(tables[1]["P1"]["decision"].capitalize())
        expect(page.locator("#progress")).to_contain_text("2 of 4 photographs answered")
    with launch(tmp_path / "second", *flags, "--port", urlsplit(service.url).port):
        page.locator("#again").click()
        graded(page, 4)
        expect(page.locator("#alert p")).to_have_count(0)
        assert page.context.storage_state() == {"cookies": [], "origins": []}
