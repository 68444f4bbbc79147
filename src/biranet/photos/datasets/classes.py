"""Class folders: photos in folders named by their grades, alone, within parts of a split, or a few levels down."""

import posixpath
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from biranet.errors import InputError
from biranet.grades import GRADES
from biranet.photos.datasets.labels import LabelEntry
from biranet.photos.datasets.layout import Layout, refuse_labels
from biranet.photos.datasets.parts import SPLIT_NAMES
from biranet.photos.datasets.photo_folder import PhotoFolder
from biranet.scale import GradeLabel, Scale, named_grade

_NUMBERS = frozenset(str(grade) for grade in GRADES)
_MAX_DEPTH = 4
_Tree = dict[str, dict[str, None]]


def class_parents(folder: PhotoFolder, *, anywhere: bool = False) -> list[str]:
    """Find the folders whose subfolders are named by grades.

    Looked at are the folder itself; the parts of a split in it; and, level by level, what lies in a folder that lies
    there alone, as archives are often packed. Deeper down numbers may be patients or visits: there they are grades only
    where 0 is among them, and all of them are grades.

    Args:
        folder: The folder of photos.
        anywhere: Look into all folders on the way, whatever lies beside them.

    Returns:
        Their paths relative to the folder, the folder itself as an empty path; none where nothing is named so.
    """
    tree = _tree(folder.files)
    level, certain = [""], True
    for _ in range(_MAX_DEPTH):
        names = [name for path in level for name in tree.get(path, ())]
        if _are_classes(names, folder.scale, certain=certain):
            return [path for path in level if path in tree]
        deeper = []
        for path in level:
            below = list(tree.get(path, ()))
            steps = [name for name in below if name.lower() in SPLIT_NAMES]
            if anywhere or not steps:
                if not anywhere and len(below) > 1:
                    return []
                certain = certain and not below
                steps = below
            deeper += [f"{path}/{name}" if path else name for name in steps]
        level = deeper
    return []


def _tree(files: Iterable[str]) -> _Tree:
    """The names of the folders in each folder that has photos below, in order."""
    tree: _Tree = {}
    for folder in dict.fromkeys(file.rpartition("/")[0] for file in files):
        path = ""
        for name in folder.split("/") if folder else ():
            tree.setdefault(path, {})[name] = None
            path = f"{path}/{name}" if path else name
    return tree


def _are_classes(names: list[str], scale: Scale, *, certain: bool) -> bool:
    if any(scale.has_meaning(name) for name in names):
        return True
    numbers = _NUMBERS.intersection(names)
    if numbers and (certain or ("0" in numbers and len(numbers) > 1 and numbers == set(names))):
        return True
    return len({grade for name in names if (grade := named_grade(name)) is not None}) > 1


def _recognizes(folder: PhotoFolder) -> str:
    if folder.labels is not None:
        return ""
    classes = _class_folders(folder, class_parents(folder))
    return f"a folder is named {posixpath.join(*classes[0])}" if classes else ""


def _class_folders(folder: PhotoFolder, parents: Iterable[str]) -> list[tuple[str, str]]:
    """List the folders that are named by a grade, each as parent and name."""
    tree = _tree(folder.files)
    return [(parent, name) for parent in parents for name in tree[parent] if _is_class(name, folder.scale)]


def _is_class(name: str, scale: Scale) -> bool:
    return name in _NUMBERS or scale.has_meaning(name) or named_grade(name) is not None


def looks_like_classes(folder: PhotoFolder) -> str:
    """Say, where folders that were not taken for classes are named like them, what to do; else nothing."""
    classes = _class_folders(folder, class_parents(folder, anywhere=True))
    if classes:
        first = classes[0][0]
        names = [name for parent, name in classes if parent == first]
        return (
            f"{', '.join(names[: len(GRADES)])} in {folder.path / first} look like class folders: if they are, "
            "give the folder around them, or say --dataset classes"
        )
    for path, subfolders in _tree(folder.files).items():
        for name in subfolders:
            if named_grade(name) is not None:
                return (
                    f"{name} in {folder.path / path} looks like a class folder: say which folder is which grade with "
                    '--grades, such as "No DR=0,Mild=1,…"'
                )
    return ""


def _read(folder: PhotoFolder) -> Iterator[LabelEntry]:
    refuse_labels(folder, "classes")
    parents = class_parents(folder) or class_parents(folder, anywhere=True) or [""]
    around = {"", *(above for parent in parents for above in _ancestors(parent))}
    for file in folder.files:
        inside = file.rpartition("/")[0]
        parent = next((path for path in parents if f"{inside}/".startswith(f"{path}/" if path else "")), None)
        if parent is not None:
            name = inside[len(parent) :].strip("/").split("/")[0]
        else:
            name = "" if inside in around else inside.removeprefix("/").split("/")[0]
        label = _parse_class_name(folder, file, name) if name else GradeLabel()
        steps = PurePosixPath(parent or "").parts
        splits = [SPLIT_NAMES[step.lower()] for step in steps if step.lower() in SPLIT_NAMES]
        yield LabelEntry(file, label, split=splits[-1] if splits else "")


def _parse_class_name(folder: PhotoFolder, file: str, name: str) -> GradeLabel:
    try:
        return folder.scale.read(name)
    except InputError as error:
        raise InputError(
            f"{folder.path / file}: the folder name {error}; if the folders are not grades, say --dataset folder"
        ) from error


def _ancestors(path: str) -> list[str]:
    return [path, *(parent.as_posix() for parent in PurePosixPath(path).parents if parent.as_posix() != ".")]


CLASSES = Layout("folders named 0 to 4, or by the usual words", _recognizes, _read)
