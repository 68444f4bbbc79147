"""What the header of a DICOM file says in words: for `biranet.photos.privacy` alone, which lets none of them out."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from biranet.photos.formats.dicom_file import DicomFile, silence_pydicom
from biranet.photos.formats.format import HeaderField

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset

_EYE_CODES = {"7771000": "left", "G-A101": "left", "24028007": "right", "G-A100": "right"}
"""Left and right in SNOMED, by its newer and its older codes."""

_MAX_SEQUENCE_BYTES = 1_000_000
"""A longer sequence of a DICOM header, which pydicom would take apart at once, is searched as bytes."""


def patient_and_eyes(file: DicomFile) -> tuple[str, str, str, set[str]]:
    """Read whom a DICOM file shows.

    Args:
        file: The file.

    Returns:
        The patient's id, name and birth date, each perhaps empty; and every eye that is named anywhere: none, `left`,
        `right` or both.

    Raises:
        Exception: What pydicom raises for a damaged header.
    """
    with _open_header(file) as header:
        patient, name, born = (
            str(header.get(keyword) or "").strip() for keyword in ("PatientID", "PatientName", "PatientBirthDate")
        )
        return patient, name, born, set(_eyes(header))


def header_fields(file: DicomFile) -> Iterator[HeaderField]:
    """Go through the fields of the header that hold words or dates.

    Args:
        file: The file.

    Yields:
        The fields; bytes where a sequence was not taken apart.

    Raises:
        Exception: What pydicom raises for a damaged header.
    """
    with _open_header(file) as header:
        for element in _elements(header):
            if isinstance(element, bytes):
                yield "DICOM", "", element
                continue
            text = str(element.value or "")
            if element.VR == "PN":
                yield "DICOM", "patient name", text.replace("^", " ")
            elif element.VR in ("DA", "DT"):
                yield "DICOM", "date", text
            elif element.VR in ("LO", "SH", "LT", "ST", "UT", "UC", "UN", "CS"):
                yield "DICOM", element.keyword or "private", text


@contextmanager
def _open_header(file: DicomFile) -> Iterator["Dataset"]:
    """Open the header of a DICOM file; inside of the block neither warnings nor the log of pydicom are heard."""
    with warnings.catch_warnings(), silence_pydicom():
        warnings.simplefilter("ignore")
        yield file.header()


def _eyes(header: "Dataset") -> Iterator[str]:
    """Every eye that a header names: for the picture, for its frames, in either way to say which part of the body."""
    for element in _elements(header):
        if isinstance(element, bytes):
            continue
        if element.keyword in ("ImageLaterality", "Laterality", "FrameLaterality"):
            eye = {"L": "left", "R": "right"}.get(str(element.value or "").strip())
        elif element.keyword == "AnatomicRegionModifierSequence":
            eye = next(
                (_EYE_CODES[code] for item in element.value if (code := item.get("CodeValue")) in _EYE_CODES), None
            )
        else:
            continue
        if eye:
            yield eye


def _elements(header: "Dataset") -> "Iterator[DataElement | bytes]":
    """All elements of a header, at any depth; bytes of sequences that are too long to take apart."""
    for tag in sorted(header.keys()):
        raw = header.get_item(tag)
        value = getattr(raw, "value", None)
        if isinstance(value, bytes) and len(value) > _MAX_SEQUENCE_BYTES and raw.VR in (None, "SQ", "UN"):
            yield value
            continue
        element = header[tag]
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from _elements(item)
