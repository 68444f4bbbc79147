"""Make the pictures of the readme from a demo: the head of its report, and a drawn photograph that was graded.

    biranet demo --out DEMO
    python docs/make_pictures.py DEMO

Chromium must be installed; it shows the report as a reader's browser does. Only drawn photographs are shown.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
WIDTH_PX, HEIGHT_PX = 1200, 1385
PHOTO = "new/drawn_0004_right.jpg"


def main(demo: Path) -> None:
    """Write `report.png` and `graded.jpg` beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        picture_report(demo / "report" / "report.html", Path(folder) / "report.png")
        picture_graded(demo, Path(folder))


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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
