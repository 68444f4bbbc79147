"""Whose photos they are, where no label says it: a guess from the names of files and folders, and marked as one."""

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Collection

from biranet.photos.datasets.layout import LabelledPhoto, named
from biranet.photos.datasets.parts import part_named
from biranet.scale import named_grade

_WORDS = (
    # Views.
    r"macula|mac|dis[ck]|onh|optic|optic(?:dis[ck]|nerve)|nerve|fovea|nasal|temporal|superior|inferior|central|centre|"
    r"center|posterior|posteriorpole|pole|periphery|peripheral|field|fundus|retina|retinal|view|left|right|od|os|ou|"
    r"eyes?|colou?r|redfree|red|green|cfp|"
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

_ASIDE = re.compile(
    r"images?|photos?|pictures?|pics|originals?|raw|fundus|color|colour|jpe?g|png|tiff?|dicom|"
    r"(left|right)[\W_]*eyes?|left|right|od|os|"
    r"(visit|session|exam|examination|follow-?up|baseline|day|month|year|v|fu)[\W_]*\d*|"
    r"(19|20)\d\d([-_.]?\d\d){0,2}([-_T].*)?",
    re.IGNORECASE,
)
"""Folders of which every patient may have one: kinds of pictures, eyes, visits, dates."""

_OF_MANY = re.compile(
    r"(sites?|clinics?|hospitals?|cent(er|re)s?|batch(es)?|parts?|sets?|groups?|cohorts?|cameras?|folders?|data|dataset)"
    r"[\W_]*\d*",
    re.IGNORECASE,
)
"""Folders that hold photos of several patients."""

_MOST_OF_AN_EYE = 4
_MOST_IN_A_FOLDER = 16
"""Photos of one eye that one folder of a patient holds: seven fields in stereo, and some."""


def guess_patients(photos: list[LabelledPhoto], *, classes: bool) -> list[LabelledPhoto]:
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
    asked = [position for position, photo in enumerate(photos) if not photo.group]
    inside = {position: photos[position].file.rpartition("/")[0] for position in asked}
    shared = {folder: _place(folder, classes=classes) for folder in set(inside.values())}
    places = {position: shared[folder] for position, folder in inside.items()}
    shots: dict[str, Counter[tuple[str, str, str]]] = defaultdict(Counter)
    names: dict[int, str] = {}
    stems: dict[str, set[str]] = defaultdict(set)
    for position in asked:
        shown = named(photos[position].file)
        if shown is not None:
            stem, eye = shown
            names[position] = _NO_PATIENT.sub("", stem).strip("-_. ()")
            stems[places[position]].add(stem)
            shots[names[position]][eye, places[position], stem] += 1
    from_name = {name for name, where in shots.items() if name and not _returns(where)}
    views = {name for name in shots if name not in from_name and not any(map(str.isdigit, name))}
    held = {places[position] for position, name in names.items() if name in views}
    mixed = {places[position] for position, name in names.items() if name not in views}
    pairs = sum(len({eye for eye, _, _ in shots[name]}) > 1 for name in from_name)
    if _are_alike(stems) and max(map(len, stems.values())) > 1 and 2 * pairs < len(shots):
        held, mixed = set(stems), set()
    crowds = Counter((folder, photos[position].eye) for position, folder in inside.items())
    crowded = {shared[folder] for (folder, _), count in crowds.items() if count > _MOST_IN_A_FOLDER}
    from_folder = {place for place in held - mixed - crowded if _is_patient(place, alone=len(held) == 1)}
    sizes = Counter(name for position, name in names.items() if places[position] not in from_folder)
    if max((sizes[name] for name in from_name), default=0) < 2:
        from_name = set()
    guessed = list(photos)
    for position in asked:
        group, origin = "", ""
        if places[position] in from_folder:
            group, origin = places[position], "folder"
        elif names.get(position) in from_name:
            group, origin = names[position], "name"
        if group:
            guessed[position] = dataclasses.replace(photos[position], group=group, group_from=origin)
    return guessed


def _returns(where: Counter[tuple[str, str, str]]) -> bool:
    """Whether a name stands for one eye in several places, or too often in one, to be that of a patient."""
    eyes = Counter(eye for eye, _ in {(eye, place) for eye, place, _ in where})
    return max(eyes.values()) > 1 or max(where.values()) > _MOST_OF_AN_EYE


def _are_alike(places: Collection[str]) -> bool:
    """Whether several folders are named alike but for a number: `P01`, `P02`."""
    return len(places) > 1 and len({re.sub(r"\d+", "0", place) for place in places}) == 1


def _is_patient(place: str, *, alone: bool) -> bool:
    """Whether a folder may be that of a patient; one that is alone needs a number."""
    last = place.rpartition("/")[2]
    return bool(last) and not _OF_MANY.fullmatch(last) and not (alone and not any(map(str.isdigit, last)))


def _place(folder: str, *, classes: bool) -> str:
    """The path of a folder, without the steps that tell nothing of patients."""
    return "/".join(
        step
        for step in folder.split("/")
        if not (
            _ASIDE.fullmatch(step)
            or _NO_PATIENT.fullmatch(step)
            or part_named(step)
            or named_grade(step) is not None
            or (classes and step in ("0", "1", "2", "3", "4"))
        )
    )
