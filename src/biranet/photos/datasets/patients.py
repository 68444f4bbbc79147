"""Whose photos they are, where no label says it: a guess from the names of files and folders, and marked as one."""

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from biranet.grades import GRADES
from biranet.photos.datasets.labels import LabeledPhoto
from biranet.photos.datasets.parts import find_part
from biranet.scale import named_grade
from biranet.words import EYE_WORD, split_eye_suffix

_WORDS = (
    # Views.
    r"macula|mac|dis[ck]|onh|optic|optic(?:dis[ck]|nerve)|nerve|fovea|nasal|temporal|superior|inferior|central|centre|"
    r"center|posterior|posteriorpole|pole|periphery|peripheral|field|fundus|retina|retinal|view|"
    rf"{EYE_WORD}|ou|eyes?|colou?r|redfree|red|green|cfp|"
    # Cameras and pictures.
    r"images?|imag|img|cimg|im|mg|photos?|fotos?|pictures?|pict|pic|bild|dsc|dscn|dscf|dcim|sam|gopr|pxl|mvi|scans?|"
    r"snapshot|snap|screenshot|captures?|frames?|copy|p(?=\d{7}(?!\d))|"
    # Visits.
    r"visits?|visite|visita|session|exam|examination|follow-?up|baseline|day|month|year|v|fu"
)
_DATE = r"(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01])|\d\d?[-_.]\d\d?[-_.](?:19|20)\d\d"
_NO_PATIENT = re.compile(
    rf"(?:(?<![^\W\d_])(?:{_WORDS})|(?<!\d)(?:{_DATE})(?=\d{{4,6}}(?!\d)|(?!\d)))"
    r"(?:[\W_]*t?\d++[a-z]?)*+(?![^\W_])",
    re.IGNORECASE,
)
"""What in names tells a view, a picture, a counter of a camera, a visit or a date, with the numbers that follow it."""

_NEUTRAL_FOLDER = re.compile(
    r"images?|photos?|pictures?|pics|originals?|raw|fundus|color|colour|jpe?g|png|tiff?|dicom|"
    rf"(left|right)[\W_]*eyes?|{EYE_WORD}|"
    r"(visit|session|exam|examination|follow-?up|baseline|day|month|year|v|fu)[\W_]*\d*|"
    r"(19|20)\d\d([-_.]?\d\d){0,2}([-_T].*)?",
    re.IGNORECASE,
)
"""Folders of which every patient may have one: kinds of pictures, eyes, visits, dates."""

_SHARED_FOLDER = re.compile(
    r"(sites?|clinics?|hospitals?|cent(er|re)s?|batch(es)?|parts?|sets?|groups?|cohorts?|cameras?|folders?|data|dataset)"
    r"[\W_]*\d*",
    re.IGNORECASE,
)
"""Folders that hold photos of several patients."""

_MAX_SHOTS_OF_EYE = 4
_MAX_PHOTOS_OF_EYE = 16
"""Photos of one eye that one folder of a patient holds: seven fields in stereo, and some."""


def guess_patients(photos: list[LabeledPhoto], *, classes: bool) -> list[LabeledPhoto]:
    """Give photos without a group the patient that names of files and folders show, if they show one.

    `10_left` is of patient 10 as long as no second folder holds another photo of that eye under the same name, and no
    more than four are there; of `10_macula_left` the view is left away. A name that only says a view, a number of a
    camera, a visit or a date (`macula_left`, `IMG_0001_L`), or a word that returns in other folders, is no patient:
    then the folder is, where it holds nothing else and looks like one. So it is where all folders are named alike, and
    the names in them do not pair eyes. Names of which none has two photos show nothing.

    Args:
        photos: All photos of a folder.
        classes: The folders named 0 to 4 are grades.

    Returns:
        The photos in the same order. Where nothing is shown, the group stays empty.
    """
    positions = [position for position, photo in enumerate(photos) if not photo.group]
    names = _read_names(photos, positions, classes=classes)
    patient_names = {name for name, shots in names.shots.items() if name and not _is_ambiguous(shots)}
    patient_folders = _patient_folders(names, patient_names) - _overfull_folders(photos, names)
    sizes = Counter(name for position, name in names.name.items() if names.folder[position] not in patient_folders)
    if max((sizes[name] for name in patient_names), default=0) < 2:
        patient_names = set()
    guessed = list(photos)
    for position in positions:
        group, origin = "", ""
        if names.folder[position] in patient_folders:
            group, origin = names.folder[position], "folder"
        elif names.name.get(position) in patient_names:
            group, origin = names.name[position], "name"
        if group:
            guessed[position] = dataclasses.replace(photos[position], group=group, group_from=origin)
    return guessed


class _Shot(NamedTuple):
    eye: str
    folder: str
    stem: str


class _Names(NamedTuple):
    """What the names of photos and their folders say.

    Attributes:
        folder: The folder of each photo, by its position, without the steps that say nothing of patients.
        name: What stands before the eye at the end of the name, without views, counters and dates; by the position of
            those photos whose names end in an eye.
        shots: How many photos have each of these names, by the rest of what is known of them.
        stems: What stands before the eye, of all photos in a folder.
    """

    folder: dict[int, str]
    name: dict[int, str]
    shots: dict[str, Counter[_Shot]]
    stems: dict[str, set[str]]


def _read_names(photos: Sequence[LabeledPhoto], positions: Sequence[int], *, classes: bool) -> _Names:
    paths = {position: photos[position].file.rpartition("/")[0] for position in positions}
    shortened = {path: _without_neutral_steps(path, classes=classes) for path in set(paths.values())}
    names = _Names({position: shortened[path] for position, path in paths.items()}, {}, defaultdict(Counter), {})
    for position, folder in names.folder.items():
        stem, eye = split_eye_suffix(photos[position].file)
        if eye:
            name = _NO_PATIENT.sub("", stem).strip("-_. ()")
            names.name[position] = name
            names.stems.setdefault(folder, set()).add(stem)
            names.shots[name][_Shot(eye, folder, stem)] += 1
    return names


def _patient_folders(names: _Names, patient_names: Collection[str]) -> set[str]:
    """Find the folders that hold views of one patient, or of which each is named like one."""
    views = {name for name in names.shots if name not in patient_names and not any(map(str.isdigit, name))}
    of_views = {names.folder[position] for position, name in names.name.items() if name in views}
    of_names = {names.folder[position] for position, name in names.name.items() if name not in views}
    pairs = sum(len({shot.eye for shot in names.shots[name]}) > 1 for name in patient_names)
    several = max(map(len, names.stems.values()), default=0) > 1
    if _are_alike(names.stems) and several and 2 * pairs < len(names.shots):
        of_views, of_names = set(names.stems), set()
    return {folder for folder in of_views - of_names if _is_patient(folder, alone=len(of_views) == 1)}


def _overfull_folders(photos: Sequence[LabeledPhoto], names: _Names) -> set[str]:
    """Find the folders with more photos of one eye than one patient has."""
    crowds = Counter(
        (photos[position].file.rpartition("/")[0], photos[position].eye, folder)
        for position, folder in names.folder.items()
    )
    return {folder for (_, _, folder), count in crowds.items() if count > _MAX_PHOTOS_OF_EYE}


def _is_ambiguous(shots: Counter[_Shot]) -> bool:
    """Tell whether a name stands for one eye in several folders, or too often in one, to be that of a patient."""
    eyes = Counter(eye for eye, _ in {(shot.eye, shot.folder) for shot in shots})
    return max(eyes.values()) > 1 or max(shots.values()) > _MAX_SHOTS_OF_EYE


def _are_alike(folders: Collection[str]) -> bool:
    """Whether several folders are named alike but for a number: `P01`, `P02`."""
    return len(folders) > 1 and len({re.sub(r"\d+", "0", folder) for folder in folders}) == 1


def _is_patient(folder: str, *, alone: bool) -> bool:
    """Whether a folder may be that of a patient; one that is alone needs a number."""
    last = folder.rpartition("/")[2]
    return bool(last) and not _SHARED_FOLDER.fullmatch(last) and not (alone and not any(map(str.isdigit, last)))


def _without_neutral_steps(path: str, *, classes: bool) -> str:
    """Leave out the steps of a path that say nothing of patients."""
    return "/".join(
        step
        for step in path.split("/")
        if not (
            _NEUTRAL_FOLDER.fullmatch(step)
            or _NO_PATIENT.fullmatch(step)
            or find_part(step)
            or named_grade(step) is not None
            or (classes and step in _CLASSES)
        )
    )


_CLASSES = frozenset(map(str, GRADES))
