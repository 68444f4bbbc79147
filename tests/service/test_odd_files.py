"""Files of every kind through the service: one row each, the same as of Python, and none touches its neighbours."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import biranet
from biranet.photos.drawn.synthetic import draw_photo
from biranet.typed_tables import plain
from photo_files import dicom_photo, encoded


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Twenty files: pictures in all formats, and what is none, or more than one."""
    folder = tmp_path_factory.mktemp("odd")
    photo = draw_photo(grade=4, seed=7)
    picture = Image.fromarray(photo)
    frames = io.BytesIO()
    picture.save(frames, "GIF", save_all=True, append_images=[Image.fromarray(photo[::-1])])
    pages = io.BytesIO()
    picture.save(pages, "TIFF", save_all=True, append_images=[Image.fromarray(photo[::-1])])
    jpeg = encoded(picture, "JPEG", quality=95)
    files = {
        "plain.jpg": jpeg,
        "cmyk.jpg": encoded(picture.convert("CMYK"), "JPEG"),
        "alpha.png": encoded(picture.convert("RGBA"), "PNG"),
        "grey.png": encoded(picture.convert("L"), "PNG"),
        "palette.gif": encoded(picture.convert("P"), "GIF"),
        "plain.tif": encoded(picture, "TIFF"),
        "plain.webp": encoded(picture, "WEBP"),
        "plain.bmp": encoded(picture, "BMP"),
        "plain.ppm": encoded(picture, "PPM"),
        "plain.jp2": encoded(picture, "JPEG2000"),
        "two_frames.gif": frames.getvalue(),
        "two_pages.tif": pages.getvalue(),
        "half.jpg": jpeg[: len(jpeg) // 2],
        "more_behind.jpg": jpeg + jpeg,
        "black.png": encoded(np.zeros((100, 100, 3), np.uint8), "PNG"),
        "phone.heic": b"\0\0\0\x18ftypheic" + bytes(100),
        "letter.pdf": b"%PDF-1.7\n" + bytes(100),
        "packed.zip": b"PK\x03\x04" + bytes(100),
        "empty.jpg": b"",
        "noise.png": np.random.default_rng(0).bytes(10_000),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return sorted(folder.iterdir())


def compare(served, files):
    form = [("files", (str(file), file.read_bytes())) for file in files]
    rows = served.post("/v1/grade", files=form).json()["photos"]
    predictions = biranet.load().grade_many(files, workers=0)
    assert rows == [{name: plain(value) for name, value in answer.values().items()} for answer in predictions]
    return rows


def test_files_of_all_kinds_are_rows_as_of_python(served, odd):
    rows = compare(served, odd)
    assert sum(row["status"] == "ok" for row in rows) >= 9
    assert {row["status"] for row in rows} >= {"ok", "unreadable"}
    for file in odd:  # each by itself, as a program of others sends it
        answer = served.post("/v1/view", file.read_bytes())
        assert answer.status_code in (200, 415, 422), (file.name, answer.text)
    assert "fault of biranet" not in served.log.read_text()


@pytest.mark.real
def test_odd_real_photos_are_rows_as_of_python(served, real_data):
    files = [file for file in sorted(Path(real_data, "odd_formats").iterdir()) if file.stat().st_size < 20_000_000]
    compare(served, files)


def test_headers_of_dicom_count_where_no_key_can_be_kept(launch, tmp_path):
    """As in a container whose file system is read only."""
    (tmp_path / "file").write_text("")
    environment = dict(os.environ) | {"XDG_CONFIG_HOME": str(tmp_path / "file")}
    with launch(tmp_path / "service", "--workers", 1, environment=environment) as service:
        answer = service.post("/v1/grade", files=[("files", (eye, dicom_photo(1, "19870312345", eye))) for eye in "LR"])
        assert [(row["eye"], row["eye_from"], row["group_from"]) for row in answer.json()["photos"]] == [
            ("left", "header", "header"), ("right", "header", "header"),
        ]  # fmt: skip
        assert len(answer.json()["patients"]) == 1 and len(answer.json()["eyes"]) == 2
        files = [("files", ("a", dicom_photo(1, "77", "L")))]
        answer = service.post("/v1/grade", files=files, data={"patient": "P1"})
        assert answer.json()["eyes"] and str(tmp_path) not in answer.text
        log = service.log.read_text()
    assert log.count("patients of DICOM headers get other names at each start, since") == 1
    assert "XDG_CONFIG_HOME" in log
