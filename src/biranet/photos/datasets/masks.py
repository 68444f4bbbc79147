"""Masks of lesions, as data sets publish them: which photos have some, and where each kind of lesion is drawn."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from biranet.errors import InputError
from biranet.photos.datasets.parts import find_part
from biranet.photos.datasets.photo_folder import PhotoFolder


class MaskFile(NamedTuple):
    """Where one kind of lesion is drawn.

    Attributes:
        file: Path relative to the folder of photos.
        bit: The bit of its pixels that is set where it is drawn, from 0; None where the file shows nothing else.
    """

    file: str
    bit: int | None = None


@dataclass(frozen=True)
class MaskedPhoto:
    """A photo in which somebody has drawn lesions.

    Attributes:
        file: Path relative to the folder of photos.
        masks: The masks by kind, of `biranet.lesion_kinds.KINDS`; a kind without one was looked for and not found.
        drawn: The kinds that were looked for; of others nothing is known.
        split: `train`, `validation`, `test` or empty.
        group: Photos of one patient or visit share it; empty where nothing tells.
        source: Name of the data set.
    """

    file: str
    masks: Mapping[str, MaskFile]
    drawn: tuple[str, ...]
    split: str
    group: str
    source: str


class MaskedPhotos(NamedTuple):
    """The photos of a folder in which lesions are drawn.

    Attributes:
        photos: Those with masks, by path.
        unmasked: Those without any: whether nothing was found in them, or nobody looked, is not known.
    """

    photos: list[MaskedPhoto]
    unmasked: list[str]


@dataclass(frozen=True)
class MaskLayout:
    """One way in which photos and the masks of their lesions lie in a folder.

    Attributes:
        signature: What such a folder is known by, in words.
        find: Lists the photos of a folder; no masked ones where it is laid out otherwise.
    """

    signature: str
    find: Callable[[PhotoFolder], MaskedPhotos]


def _unknown(folder: PhotoFolder, file: str) -> str:
    return ""


def masks_in_folders(
    source: str,
    signature: str,
    *,
    photo: str,
    mask: str,
    kinds: Mapping[str, str],
    group: Callable[[PhotoFolder, str], str] = _unknown,
) -> MaskLayout:
    """Make the layout of a data set whose masks lie in folders named after what they show, one file a kind and photo.

    Args:
        source: Name of the data set.
        signature: See `MaskLayout`.
        photo: Pattern of the paths of photos, with the group `id`, and `part` where the set has parts.
        mask: Pattern of the paths of masks, with the same groups, and `kind`.
        kinds: What `kind` says, and our kind for it.
        group: Tells the patient or visit of a photo; nobody's when not given.
    """
    of_photo, of_mask = (re.compile(rf"(?P<above>(?:.*/)?){pattern}") for pattern in (photo, mask))

    def find(folder: PhotoFolder) -> MaskedPhotos:
        photos = {_key(match): match for file in folder.files if (match := of_photo.fullmatch(file))}
        masks: dict[tuple[str, ...], dict[str, MaskFile]] = {}
        for match in filter(None, map(of_mask.fullmatch, folder.files)):
            key, kind = _key(match), kinds[match["kind"]]
            if key not in photos:
                raise InputError(f"{folder.path / match[0]} is the mask of a photo that is not there: {match['id']}")
            masks.setdefault(key, {})[kind] = MaskFile(match[0])
        drawn = tuple(kind for kind in kinds.values() if any(kind in each for each in masks.values()))
        masked = [
            MaskedPhoto(file, masks[key], drawn, find_part(key[1]), group(folder, file), source)
            for key in sorted(masks)
            for file in [photos[key][0]]
        ]
        return MaskedPhotos(masked, [photos[key][0] for key in sorted(photos.keys() - masks.keys())])

    return MaskLayout(signature, find)


def _key(match: re.Match[str]) -> tuple[str, ...]:
    return match["above"], match.groupdict().get("part") or "", match["id"]
