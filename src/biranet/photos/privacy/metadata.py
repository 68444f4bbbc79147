"""What the header of a photo file tells of people: kinds and places for the manifest, keyed hashes for groups.

The words themselves never leave this module. The patterns by which they are judged take 20 ms to make, so only who asks
for them waits for them.
"""

import warnings
from contextlib import suppress
from itertools import islice

from biranet.photos import CONTRADICTORY
from biranet.photos.formats import PhotoFile
from biranet.photos.formats.dicom import DICOM
from biranet.photos.formats.dicom_header import patient_and_eyes
from biranet.photos.formats.jpeg import comments
from biranet.photos.privacy.pseudonyms import keyed_hash

_BLOCKS = ("comment", "EXIF", "XMP", "IPTC", "PNG text", "TIFF tags", "DICOM", "other header data")
_MAX_FIELDS = 10_000


def identifiers(file: PhotoFile) -> str:
    """Name where the header of a photo file holds what looks like a person, a date or a place.

    JPEG comments, EXIF, XMP, IPTC, PNG text, TIFF tags and DICOM headers are read; what lies behind the pixels of a
    JPEG is not. A header that is damaged is read as far as it goes.

    Args:
        file: The photo file.

    Returns:
        Places and kinds in a fixed order, such as `comment: number; EXIF: date, place`, never the words; empty where
        nothing was found.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (8, 8)).save(file, "JPEG", comment="Jane Doe 12.03.2019")
        >>> identifiers(PhotoFile(file.getvalue()))
        'comment: name, date'
    """
    from biranet.photos.privacy.identifiers import KINDS, kinds_in_bytes, kinds_in_field

    if file.format is None:
        return ""
    by_block: dict[str, set[str]] = {}
    # Damaged headers make parsers raise anything; what was found before counts.
    with warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        for block, name, value in islice(file.format.header_fields(file.opened), _MAX_FIELDS):
            kinds = kinds_in_bytes(value) if isinstance(value, bytes) else kinds_in_field(name, value)
            by_block.setdefault(block, set()).update(kinds)
    return "; ".join(
        f"{block}: {', '.join(kind for kind in KINDS if kind in by_block[block])}"
        for block in _BLOCKS
        if by_block.get(block)
    )


def group_from_comment(data: bytes) -> str:
    """Name the group that the JPEG comment stands for: in some published sets it is a patient or a visit.

    Args:
        data: Bytes of the photo file.

    Returns:
        Keyed hash of the first comment; empty where there is none, or only the signature of a program.

    Raises:
        InputError: If the key cannot be read or made.
    """
    from biranet.photos.privacy.identifiers import identifier_kinds, is_placeholder, is_software_signature

    for text in comments(data):
        if not is_placeholder(text) and (not is_software_signature(text) or identifier_kinds(text)):
            return keyed_hash(text)
    return ""


def identity_and_eye(file: PhotoFile) -> tuple[str, str]:
    """Read who the patient is and which eye is shown from the header of a DICOM file.

    Args:
        file: The photo file.

    Returns:
        What identifies the patient, which is to go no further than `keyed_hash`: the id, or else name and birth date,
        empty where they were removed. The eye, wherever the header says it: `left`, `right`, `contradictory` where it
        says both, or empty. Both empty for a file that is not DICOM.
    """
    if file.format is not DICOM:
        return "", ""
    from biranet.photos.privacy.identifiers import is_placeholder

    try:
        patient, name, born, eyes = patient_and_eyes(file.opened)
    except Exception:  # A damaged header tells nothing; whether the photo can be used is for the reader to say.
        return "", ""
    if is_placeholder(patient):
        patient = "" if is_placeholder(name) else f"{name}\n{born}"
    return patient, CONTRADICTORY if len(eyes) > 1 else "".join(eyes)


def patient_and_eye(file: PhotoFile) -> tuple[str, str]:
    """Read group and eye from the header of a DICOM file.

    Args:
        file: The photo file.

    Returns:
        The group, which is the keyed hash of who the patient is, and the eye; each as `identity_and_eye` reads it.

    Raises:
        InputError: If the key cannot be read or made.
    """
    patient, eye = identity_and_eye(file)
    return keyed_hash(patient) if patient else "", eye
