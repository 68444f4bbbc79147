"""What people give to `biranet grade`, and the pictures they get."""

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from PIL import Image

from biranet.errors import InputError
from biranet.files import write_bytes
from biranet.inference.grader import TABLE_COLUMNS, Prediction
from biranet.outputs import Kind, file_kind, head_of, lies_in, output, visible
from biranet.photos.datasets import PhotoFolder
from biranet.photos.read import PHOTO_SUFFIXES
from biranet.tables import read_header, read_table

PICTURE_MARK = b"attention, drawn by biranet"
"""Comment in the pictures of what the model looked at: by it they are known, and may be replaced."""

_LONGEST_NAME_BYTES = 255


def list_photos(given: Sequence[Path]) -> list[Path]:
    """List the photo files behind paths.

    Args:
        given: Files, folders (searched as `biranet prepare` does, in the order of their names), or CSV files with a
            column `file` whose paths are relative to the CSV.

    Returns:
        The files, in order. A file that is named but missing stays in: it gets its row.

    Raises:
        InputError: If a path does not exist or is not UTF-8, or there is no photo.
    """
    files: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = PhotoFolder(path, None).files
            if not inside:
                raise InputError(f"{path} holds no photos; known are {', '.join(sorted(PHOTO_SUFFIXES))}")
            files += [path / name for name in inside]
        elif path.suffix.lower() == ".csv":
            files += [path.parent / name for name in read_table(path, ["file"])["file"]]
        elif path.exists():
            files.append(path)
        else:
            raise InputError(f"{path} does not exist; give a photo, a folder of photos or a CSV")
    if not files:
        raise InputError("no photos were given; name photos, folders of photos or CSV files")
    for file in files:
        try:
            str(file).encode()
        except UnicodeEncodeError:
            raise InputError(f"the file name {str(file)!r} is not UTF-8; rename the file") from None
    return files


GRADES_TABLE = file_kind("a table of grades", lambda path: read_header(path) == TABLE_COLUMNS)
"""What `biranet grade` writes: known by its columns, so one that somebody has added columns to is somebody's."""


@contextmanager
def outputs_of_grading(
    out: Path, attention: Path | None, given: Sequence[Path], files: Sequence[Path], checkpoint: Path
) -> Iterator[Path]:
    """Ask for the outputs of grading, and keep all others from them meanwhile.

    Args:
        out: The table.
        attention: Folder for the pictures of what the model looked at, if any.
        given: What was given to grade: files, folders, lists.
        files: The photos behind it.
        checkpoint: The model.

    Yields:
        Where to write the table.

    Raises:
        InputError: If one of them would replace something else, or pictures would lie among the photos.
    """
    with ExitStack() as held:
        table = held.enter_context(output(out, GRADES_TABLE, (*given, *files, checkpoint)))
        if attention is not None:
            folders = [path for path in given if path.is_dir()]
            if any(lies_in(attention, path) for path in folders) or any(
                _same_folder(attention, path) for path in {file.parent for file in files}
            ):
                raise InputError(
                    f"{attention} is a folder of photos that are graded, or lies in one, so its pictures would come to "
                    "be graded as photos; name another folder"
                )
            held.enter_context(
                output(attention, Kind("pictures of attention", partial(_foreign, table=table), folder=True))
            )
        yield table


def _foreign(folder: Path, table: Path) -> Path | None:
    """What a folder holds but pictures that we drew, and the table beside them."""
    found = (path for path in visible(folder) if PICTURE_MARK not in head_of(path) and path.resolve() != table)
    return next(found, None)


def _same_folder(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def picture_name(number: int, file: str) -> str:
    """Name the picture of a photo: its number, and as much of its own name as a file's name can hold.

    Args:
        number: Position of the photo in the table, from 0: names may come twice.
        file: The photo's file.

    Example:
        >>> picture_name(7, "eyes/left.png"), len(picture_name(7, "x" * 300))
        ('00007_left.jpg', 255)
    """
    head, tail = f"{number:05d}_", ".jpg"
    left = _LONGEST_NAME_BYTES - len(head + tail)
    return f"{head}{os.fsencode(Path(file).stem)[:left].decode(errors='ignore')}{tail}"


def save_picture(folder: Path, number: int, answer: Prediction) -> None:
    """Write the photo beside its attention, as `00000_NAME.jpg`; nothing for a photo without a grade.

    Args:
        folder: Where to.
        number: Position of the photo in the table, from 0.
        answer: The prediction.
    """
    picture = answer.picture()
    if picture is not None:
        encoded = io.BytesIO()
        Image.fromarray(picture).save(encoded, "JPEG", quality=90, comment=PICTURE_MARK)
        write_bytes(folder / picture_name(number, answer.file), encoded.getvalue())
