"""What the tests of the page share: a browser that is watched, and what a hand does there."""

import contextlib
import csv
import io
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import axe_playwright_python
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from biranet.cli import main
from biranet.photos.drawn.synthetic import draw_photo

CHROMIUM = shutil.which("chromium")
NO_BROWSER = "no browser; on Debian: apt-get install chromium"
NEEDS_BROWSER = [pytest.mark.slow, pytest.mark.sample, pytest.mark.skipif(not CHROMIUM, reason=NO_BROWSER)]

DRAWN = {"P1_OD.jpg": (4, 1), "P1_OS.jpg": (0, 1), "P2_OD.jpg": (2, 1), "P2_OS.jpg": (0, 9), "P3_OD.jpg": (1, 1)}
"""Photos by name: the grade that is drawn, and by what their light is divided."""
AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"


@contextlib.contextmanager
def watching(browser):
    """Gives a function that opens the page; at the end nothing has gone anywhere but to the service, nothing failed."""
    contexts, asked, faults = [], [], []

    def open_one(address, **settings) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **settings})
        contexts.append(context)
        context.on("request", lambda request: asked.append((request.url, address)))
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
        page.goto(address)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert faults == []
    elsewhere = [url for url, address in asked if urlsplit(url).netloc != urlsplit(address).netloc]
    assert all(url.startswith(("data:", "blob:")) for url in elsewhere) and asked


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of photos of three patients, with a text file among them."""
    folder = tmp_path_factory.mktemp("page") / "clinic"
    folder.mkdir()
    for seed, (name, (grade, darker)) in enumerate(DRAWN.items()):
        Image.fromarray(draw_photo(grade, seed + 3, 640, 512) // darker).save(folder / name, quality=90)
    (folder / "notes.txt").write_text("no photo")
    return folder


@pytest.fixture(scope="session")
def tables(photos, tmp_path_factory):
    """What `biranet grade` says of them: photos by name, patients by name."""
    folder = tmp_path_factory.mktemp("graded")
    eyes = {"OD": "right", "OS": "left"}
    rows = [f"{photos / name},{name[:2]},{eyes[name[3:5]]}\n" for name in DRAWN]
    (folder / "list.csv").write_text("file,patient,eye\n" + "".join(rows))
    with pytest.raises(SystemExit, match="1"):  # one of them is too dark
        main(["grade", str(folder / "list.csv"), "--out", str(folder / "grades.csv"), "--workers", "0"])
    by_name = {Path(row["file"]).name: row for row in read_csv((folder / "grades.csv").read_text())}
    return by_name, {row["patient"]: row for row in read_csv((folder / "grades_patients.csv").read_text())}


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        # Whatever would leave the machine finds no address.
        flags = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, served):
    """Function that opens the page of the service, or of another one."""
    with watching(browser) as open_one:
        yield lambda address=served.url, **settings: open_one(address, **settings)


def drop(page, *paths):
    """Let files or folders fall on the page, as a file manager does."""
    box = page.locator("#drop").bounding_box()
    place = {"x": box["x"] + 20, "y": box["y"] + 20}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})


def graded(page, photos):
    """Wait until so many photos are answered."""
    expect(page.locator("#progress")).to_contain_text(f"{photos} of {photos} photographs answered", timeout=30_000)


def select(page, name):
    page.locator("#cases button", has_text=name).click()
    expect(page.locator("#case .layer .photo").first).to_be_visible(timeout=20_000)


def position_of(page, eye):
    """Where the photo lies on its stage: left, top and width, as shares of the stage."""
    stage, photo = (page.locator(f"#stage-{eye}{part}").bounding_box() for part in ("", " .photo"))
    return [
        round((photo["x"] - stage["x"]) / stage["width"], 2),
        round((photo["y"] - stage["y"]) / stage["height"], 2),
        round(photo["width"] / stage["width"], 2),
    ]


def pixels(page, eye):
    shot = page.locator(f"#stage-{eye}").screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def violations(page):
    page.evaluate(AXE.read_text(encoding="utf-8"))
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = page.evaluate("(tags) => axe.run({ runOnly: tags })", tags)
    return [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found["violations"]]


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


def texts_outside(page):
    """Texts and names of the page that stand outside of ⟦⟧, and are not marked as nobody's to translate."""
    return page.evaluate("""() => {
      const outside = [];
      const outer = (text) => {
        const less = text.replace(/⟦[^⟦⟧]*(⟧|$)|^[^⟦⟧]*⟧/gu, "");
        return less === text ? text : outer(less);
      };
      const isOurs = (text) => !/\\p{L}/u.test(outer(text));
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const { parentElement: parent, data } = walker.currentNode;
        if (!parent.closest("[translate=no], noscript, script")) outside.push(data);
      }
      const named = [...document.querySelectorAll("[aria-label], [title], [placeholder], [alt]")];
      for (const one of named) {
        for (const name of ["aria-label", "title", "placeholder", "alt"]) outside.push(one.getAttribute(name) ?? "");
      }
      return outside.filter((text) => !isOurs(text));
    }""")
