"""What tests of reading share: files to read, how they lie, and why one is refused."""

import io

import numpy as np
import pytest
from PIL import Image

from biranet.errors import PhotoError
from biranet.photos.formats import PhotoFile
from biranet.photos.read import decode_photo, read_photo, read_source

ORIENTATIONS = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda stored: np.rot90(stored, 1),
}
"""EXIF orientations, and what each makes of the stored pixels."""


def encoded(picture, kind, **options):
    """The bytes of a picture, or of its pixels, as a file of a kind that Pillow writes."""
    buffer = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(buffer, kind, **options)
    return buffer.getvalue()


def read_scaled(source, min_side_px):
    """Decode a picture file, or its bytes, with a shorter side of at least `min_side_px` pixels."""
    return decode_photo(PhotoFile(read_source(source)), min_side_px)


def reason(source):
    """Why a file is refused; in these tests the patient of a header is called Doe."""
    with pytest.raises(PhotoError) as caught:
        read_photo(source)
    assert caught.value.status == "unreadable"
    assert "Doe" not in str(caught.value)
    return str(caught.value)


def dicom_photo(seed, patient, *eyes):
    """A DICOM photograph of a drawn eye."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset

    from biranet.photos.drawn.synthetic import draw_photo

    pixels = draw_photo(4, seed, 160, 128)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.1.2.1", "1.2.3"
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
    made = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    made.SOPClassUID, made.Modality, made.PatientID = meta.MediaStorageSOPClassUID, "OP", patient
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.PixelData = np.ascontiguousarray(pixels).tobytes()
    for tag, eye in zip(("ImageLaterality", "Laterality"), eyes, strict=False):
        setattr(made, tag, eye)
    file = io.BytesIO()
    pydicom.dcmwrite(file, made, enforce_file_format=True)
    return file.getvalue()
