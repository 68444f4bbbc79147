"""Whose photos they are, where no label says it: a guess from the names of files and folders, and marked as one."""

import dataclasses
import re
from collections import Counter, defaultdict

from biranet.photos.datasets.layout import LabelledPhoto, named
from biranet.photos.datasets.parts import part_named
from biranet.photos.datasets.scale import named_grade

_VIEWS = frozenset({
    "macula", "mac", "disc", "disk", "onh", "opticdisc", "opticdisk", "opticnerve", "fovea", "nasal", "temporal",
    "superior", "inferior", "central", "centre", "center", "posterior", "posteriorpole", "periphery", "peripheral",
    "field", "fundus", "retina", "retinal", "eye", "img", "image", "images", "photo", "picture", "pic", "dsc",
    "dscn", "dscf", "dcim", "color", "colour", "redfree", "green", "cfp", "scan", "snapshot", "capture", "frame",
    "view",
})  # fmt: skip
"""What names of files call a view, a camera or a picture, without spaces: no patient."""

_ASIDE = re.compile(
    r"images?|photos?|pictures?|pics|originals?|raw|fundus|color|colour|jpe?g|png|tiff?|dicom|"
    r"(left|right)[\W_]*eyes?|left|right|od|os|"
    r"(visit|session|exam|examination|follow-?up|baseline|day|month|year|v|fu)[\W_]*\d*|"
    r"(19|20)\d\d([-_.]?\d\d){0,2}([-_T].*)?",
    re.IGNORECASE,
)
"""Folders of which every patient may have one: kinds of pictures, eyes, visits, dates."""

_MOST_OF_AN_EYE = 4


def guess_patients(photos: list[LabelledPhoto], *, classes: bool) -> list[LabelledPhoto]:
    """Give photos without a group the patient that names of files and folders show, if they show one.

    `10_left` is of patient 10 as long as no second folder holds another photo of that eye under the same name, and no
    more than four are there. A name that says a view (`macula_left`), or that returns in other folders, is no patient:
    then the folder is, where it holds nothing else. Folders of parts, grades, visits and dates say nothing of patients.

    Args:
        photos: All photos of a folder.
        classes: The folders named 0 to 4 are grades.

    Returns:
        The photos in the same order. Where nothing is shown, the group stays empty.
    """
    asked = [position for position, photo in enumerate(photos) if not photo.group]
    inside = {position: photos[position].file.rpartition("/")[0] for position in asked}
    shared = {folder: _place(folder, classes=classes) for folder in set(inside.values())}
    places = {position: shared[folder] for position, folder in inside.items()}
    shots: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    stems = {}
    for position in asked:
        shown = named(photos[position].file)
        if shown is not None:
            stems[position] = shown[0]
            shots[shown[0]][shown[1], places[position]] += 1
    from_name = {stem for stem, where in shots.items() if not _is_view(stem) and not _returns(stem, where)}
    views = {stem for stem, where in shots.items() if _is_view(stem) or (_returns(stem, where) and _may_be_view(stem))}
    held = {places[position] for position, stem in stems.items() if stem in views}
    mixed = {places[position] for position, stem in stems.items() if stem not in views}
    from_folder = held - mixed - {""}
    guessed = list(photos)
    for position in asked:
        group, origin = "", ""
        if places[position] in from_folder:
            group, origin = places[position], "folder"
        elif stems.get(position) in from_name:
            group, origin = stems[position], "name"
        if group:
            guessed[position] = dataclasses.replace(photos[position], group=group, group_from=origin)
    return guessed


def _returns(stem: str, where: Counter[tuple[str, str]]) -> bool:
    """Whether a name stands for one eye in several places, or too often in one, to be that of a patient."""
    most = 1 if _letters(stem) in _VIEWS else _MOST_OF_AN_EYE
    eyes = Counter(eye for eye, _ in where)
    return max(eyes.values()) > 1 or max(where.values()) > most


def _is_view(stem: str) -> bool:
    return not stem or (_letters(stem) in _VIEWS and not _is_numbered(stem))


def _may_be_view(stem: str) -> bool:
    """Whether a name that returns is one of a view: any word, or a view's with a number."""
    return _letters(stem) in _VIEWS or not _is_numbered(stem)


def _letters(stem: str) -> str:
    return re.sub(r"[\W\d_]", "", stem.casefold())


def _is_numbered(stem: str) -> bool:
    return any(map(str.isdigit, stem))


def _place(folder: str, *, classes: bool) -> str:
    """The path of a folder, without the steps that tell nothing of patients."""
    return "/".join(
        step
        for step in folder.split("/")
        if not (
            _ASIDE.fullmatch(step)
            or part_named(step)
            or named_grade(step) is not None
            or (classes and step in ("0", "1", "2", "3", "4"))
        )
    )
