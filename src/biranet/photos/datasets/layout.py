"""A layout: one way in which photos and their labels lie in a folder, how it is recognised and read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from biranet.errors import InputError
from biranet.photos.datasets.labels import LabelEntry
from biranet.photos.datasets.photo_folder import PhotoFolder


@dataclass(frozen=True)
class Layout:
    """One way in which photos and their labels lie in a folder.

    Attributes:
        signature: What such a folder is known by, in words.
        recognizes: Says by what, in one clause, a folder is known to be laid out so; empty where it is not.
        read: Reads the labels, in a fixed order.
        already_cropped: The photos are square cut-outs of the field already.
    """

    signature: str
    recognizes: Callable[[PhotoFolder], str]
    read: Callable[[PhotoFolder], Iterator[LabelEntry]]
    already_cropped: bool = False


def published_layout(
    signature: str,
    find_label_files: Callable[[PhotoFolder], list[Path]],
    read: Callable[[PhotoFolder, Path], Iterator[LabelEntry]],
    *,
    already_cropped: bool = False,
) -> Layout:
    """Make the layout of a data set that is known by its label files.

    Args:
        signature: What the label files are, in words, for `Layout.signature` and the errors.
        find_label_files: Finds the label files of the data set.
        read: Reads one of them.
        already_cropped: See `Layout`.
    """

    def recognizes(folder: PhotoFolder) -> str:
        paths = find_label_files(folder)
        return f"{paths[0].name} is {signature}" if paths else ""

    def read_all(folder: PhotoFolder) -> Iterator[LabelEntry]:
        paths = find_label_files(folder)
        if not paths:
            raise InputError(f"{folder.labels or folder.path} holds no label file of this layout, which is {signature}")
        for path in paths:
            yield from read(folder, path)

    return Layout(signature, recognizes, read_all, already_cropped)


def refuse_labels(folder: PhotoFolder, name: str) -> None:
    """Refuse a label file for a layout that has none.

    Raises:
        InputError: If there is one.
    """
    if folder.labels is not None:
        raise InputError(f"the layout {name!r} has no label file, but {folder.labels} was given; leave one of them out")
