"""The files of the page: small, from nowhere else, every text in both languages, what the service says among them."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

import biranet.service
from biranet.decisions.patients import PhotoAnswer, Subject, answer_patients
from biranet.inference.loading import Header, whose
from biranet.photos.quality import Quality, advise_retake, weakest_measure
from html_page import Page

PAGE = Path(biranet.service.__file__).parent / "page"
FILES = sorted(path for path in PAGE.iterdir() if path.is_file())
GOOD = Quality(0.6, 0.0, 0.0, 0.9, 0.02, 0.95, 0.9)
SPOILED = {
    "brightness_fraction": 0.1, "overexposed_fraction": 0.5, "fundus_score": 0.1, "visible_fraction": 0.41,
    "contrast_fraction": 0.001, "sharpness_ratio": 0.1,
}  # fmt: skip


def tables(name):
    """Keys and texts by language, as they stand in a table of texts.js."""
    source = (PAGE / "texts.js").read_text(encoding="utf-8").split(f"export const {name} = {{")[1].split("\n};")[0]
    found = {}
    for language, block in re.findall(r"^  (\w\w): \{\n(.*?)^  \},$", source, re.MULTILINE | re.DOTALL):
        pairs = re.findall(r'^    (?:"([^"]+)"|(\w+)):\s+("(?:[^"\\]|\\.)*"),$', block, re.MULTILINE)
        assert len(pairs) == len(re.findall(r"^ {4}\S", block, re.MULTILINE)), "an entry is written otherwise"
        found[language] = {quoted or bare: json.loads(text) for quoted, bare, text in pairs}
    return found


def test_the_page_is_small():
    assert sum(path.stat().st_size for path in FILES) <= 100_000, "take something away before you add"


def test_the_page_asks_for_nothing_from_elsewhere():
    for path in FILES:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(?:https?:)?//[\w-]+\.\w", text), path.name


def test_the_page_has_no_script_or_style_in_its_html_and_no_text():
    source = (PAGE / "index.html").read_text(encoding="utf-8")
    page = Page(re.sub(r"<noscript.*?</noscript>|<(path|circle|feColorMatrix)[^>]*/>", "", source))
    assert all(not name.startswith("on") and name != "style" for _, attributes in page.tags for name in attributes)
    assert [attributes.get("src") for tag, attributes in page.tags if tag == "script"] == ["page/page.js"]
    assert not {name for _, attributes in page.tags for name in attributes} & {
        "title",
        "placeholder",
        "aria-label",
        "alt",
    }
    assert {text.strip() for text in page.words} - {""} == {"biranet"}


def test_both_languages_have_the_same_texts():
    english, spanish = (tables("TEXTS")[language] for language in ("en", "es"))
    assert list(english) == list(spanish) and len(english) > 100
    for key, text in english.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", spanish[key])), key


def test_every_text_that_is_asked_for_is_there_and_no_other():
    source = "".join(path.read_text(encoding="utf-8") for path in FILES if path.name != "texts.js")
    keys = set(tables("TEXTS")["en"])
    asked = set(re.findall(r'\bt\("([^"]+)"', source)) | set(re.findall(r'data-t="(\w+)"', source))
    assert asked <= keys
    # Of keys that are put together, the beginning stands in the source.
    begun = tuple(re.findall(r"`(\w+)\$\{", source))
    quoted = set(re.findall(r'"(\w+)"', source))
    assert {key for key in keys if key not in asked | quoted and not key.startswith(begun)} == set()


@pytest.mark.parametrize("measure", SPOILED)
def test_what_is_said_of_a_photo_to_take_again_is_translated(measure):
    weakness = weakest_measure(dataclasses.replace(GOOD, **{measure: SPOILED[measure]}))
    assert weakness.measure == measure
    what, helps = re.fullmatch(r"retake: (.+) \((.+)\)", advise_retake(weakness)).groups()
    assert {re.sub(r"[0-9]+", "{n}", words) for words in (what, helps)} <= set(tables("SAID")["es"])


def test_what_is_said_of_eyes_and_patients_is_translated():
    """Every reason and action of photos that are ungradable, missing, in contradiction, or of an unknown eye."""
    photos = [
        PhotoAnswer("a", Subject("P", eye="left", header_patient="1"), 4, "refer", 4.0, 2.0),
        PhotoAnswer("b", Subject("P", eye="left", header_patient="2"), 0, "do not refer", 0.0, 1.5),
        PhotoAnswer("c", Subject("P"), None, action="give another copy of the file"),
        PhotoAnswer("d", Subject("Q", eye="left"), 1, "do not refer", 1.0, 2.0),
        PhotoAnswer("e", Subject("Q", eye="left"), 1, "ask a human", 1.0, 1.5),
        PhotoAnswer("f", Subject("R", eye="left"), None, action="retake: the photo is black"),
    ]
    headers = [Header(eye="right"), Header(eye="contradictory")]
    photos.append(PhotoAnswer("h", whose(Subject("P", "name", "left", "name"), headers[0]), 3, "refer"))
    photos.append(PhotoAnswer("i", whose(Subject("S"), headers[1]), 3, "refer"))
    photos.append(PhotoAnswer("j", whose(Subject("S", "", "left", "entered"), headers[0]), 3, "refer"))
    photos += [PhotoAnswer(name, Subject("T", "entered", "left", header_patient=name), 3, "refer") for name in "kl"]
    said = "; ".join(f"{answer.reason}; {answer.action}" for answer in answer_patients(photos))
    pieces = {re.sub(r"(?:left|right|unknown) eye: |retake: ", "", piece) for piece in said.split("; ")}
    assert len(pieces) > 10
    assert {re.sub(r"[0-9]+|left|right", "{n}", piece) for piece in pieces} - {""} <= set(tables("SAID")["es"])
