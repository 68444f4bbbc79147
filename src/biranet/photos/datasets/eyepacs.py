"""EyePACS: the Kaggle competition "Diabetic Retinopathy Detection" of 2015."""

from collections.abc import Iterator
from pathlib import Path

from biranet.photos.datasets.labels import LabelEntry
from biranet.photos.datasets.layout import published_layout
from biranet.photos.datasets.parts import find_part
from biranet.photos.datasets.photo_folder import PhotoFolder
from biranet.photos.datasets.rows import table_rows
from biranet.photos.datasets.signatures import all_names_match, is_sample_submission


def _label_files(folder: PhotoFolder) -> list[Path]:
    # Many tables have these columns; the names of the photos tell this set.
    return [
        path
        for path in folder.tables_with("image", "level")
        if not is_sample_submission(path) and all_names_match(path, "image", r"\d+_(left|right)(\..*)?")
    ]


def _read(folder: PhotoFolder, path: Path) -> Iterator[LabelEntry]:
    # Only the labels of the test photos, published after the competition, say which leaderboard they counted for.
    split = "test" if "Usage" in folder.headers[path] else find_part(path.stem)
    for row, (name, level), extra_columns in table_rows(path, ("image", "level")):
        yield LabelEntry(
            folder.find(name, row),
            folder.parse_grade_cell(level, row, "level"),
            row,
            group=name.partition("_")[0],
            split=split,
            source="eyepacs",
            extra_columns=extra_columns,
        )


EYEPACS = published_layout("a table with the columns image, of names such as 10_left, and level", _label_files, _read)
