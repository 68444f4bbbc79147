"""Make the pictures of readme and docs: a report's head, a drawn photograph that was graded, the page of the service.

    biranet demo --out DEMO
    python docs/make_pictures.py DEMO

Chromium must be installed; it shows the report as a reader's browser does. Only drawn photographs are shown.
"""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

DOCS = Path(__file__).parent
WIDTH_PX, HEIGHT_PX = 1200, 1385
PHOTO = "new/drawn_0004_right.jpg"
SCREENS = {"serve_desktop.jpg": ("light", 1280, 1060), "serve_phone.jpg": ("dark", 390, 844)}
"""Pictures of the page: colours, width and height in pixels."""


def main(demo: Path) -> None:
    """Write `report.png`, `graded.jpg` and the pictures of the page beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        picture_report(demo / "report" / "report.html", Path(folder) / "report.png")
        picture_graded(demo, Path(folder))
        picture_page(Path(folder))


def picture_report(report: Path, screenshot: Path) -> None:
    """Show the head of a report in the light colours, in as few colours as a small file allows."""
    subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--window-size={WIDTH_PX},{HEIGHT_PX + 200}", f"--screenshot={screenshot}", report.resolve().as_uri(),
        ],
        check=True,
    )  # fmt: skip
    with Image.open(screenshot) as picture:
        head = picture.convert("RGB").crop((0, 0, WIDTH_PX, HEIGHT_PX))
    head.quantize(64).save(DOCS / "report.png", optimize=True)


def picture_graded(demo: Path, folder: Path) -> None:
    """Grade a photo by the command line, and keep what `--overlay` draws."""
    looked_at = folder / "looked_at"
    subprocess.run(
        [
            sys.executable, "-m", "biranet", "grade", PHOTO,
            "--overlay", looked_at, "--out", folder / "grades.csv", "--workers", "0",
        ],
        check=True, cwd=demo,
    )  # fmt: skip
    (drawn,) = looked_at.iterdir()
    with Image.open(drawn) as picture:
        picture.save(DOCS / "graded.jpg", quality=85)


def picture_page(folder: Path) -> None:
    """Drop drawn photos of some patients on the page of a service, and keep what it shows."""
    from biranet.photos.drawn.synthetic import draw_folder

    draw_folder(folder, [3, 2, 0, 0, 0, 0], width_px=1280, height_px=1024)
    with Image.open(folder / "drawn_0003_right.jpg") as photo:
        photo.point(lambda level: level // 9).save(folder / "drawn_0003_right.jpg")  # too dark to be graded
    command = [sys.executable, "-m", "biranet", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service, sync_playwright() as playwright:
        assert service.stdout
        address = next(line for line in service.stdout if "Serving at" in line).split()[2].rstrip(";")
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for name, (colors, width_px, height_px) in SCREENS.items():
            size = {"width": width_px, "height": height_px}
            page = browser.new_page(viewport=size, color_scheme=colors, locale="en-GB")
            page.goto(address)
            page.locator("#photo-input").set_input_files(sorted(folder.glob("drawn_*.jpg")))
            page.locator("#case .photo").nth(1).wait_for()
            page.get_by_text("6 of 6 photographs answered").wait_for()
            if colors == "dark":
                page.locator("#map").select_option("1")
                page.locator(".verdict-box").evaluate("box => box.scrollIntoView()")
            with Image.open(io.BytesIO(page.screenshot())) as picture:
                picture.convert("RGB").save(DOCS / name, quality=80, optimize=True)
        browser.close()
        service.terminate()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
