"""By what the label files of a published data set are told from others with the same columns or names."""

import re
from pathlib import Path

from biranet.errors import InputError
from biranet.photos.datasets.rows import list_rows, table_rows


def all_names_match(path: Path, column: str, pattern: str) -> bool:
    """Tell whether all names in a column of a table are those of one data set; rows without a name do not count.

    Args:
        path: A table.
        column: Column with the names of the photos.
        pattern: Regular expression that a whole name matches, in any case.
    """
    names = [name for _, (name,), _ in table_rows(path, (column,)) if name]
    return bool(names) and all(re.fullmatch(pattern, name, re.IGNORECASE) for name in names)


def first_name(path: Path) -> str:
    """Read the first name in a list of `name grade`; empty where the file is something else."""
    try:
        return next((name for _, name, grade in list_rows(path) if grade.isdigit()), "")
    except InputError:
        return ""


def is_sample_submission(path: Path) -> bool:
    """Tell whether a table is the example of a submission to Kaggle: it looks like labels, and all grades are 0."""
    return re.sub(r"[^a-z]", "", path.stem.lower()).startswith("samplesubmission")
