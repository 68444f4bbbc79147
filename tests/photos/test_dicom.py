import io
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import convert_color_space

from biranet.errors import PhotoError
from biranet.photos.read import read_photo, read_scaled

LITTLE, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
DEFLATED, RLE, JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50"
JPEG_2000, JPEG_LOSSLESS, JPEG_LS = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80"


@pytest.fixture(scope="module")
def pixels():
    coarse = Image.fromarray(np.random.default_rng(5).integers(0, 255, (6, 9, 3), dtype=np.uint8))
    return np.array(coarse.resize((120, 80), Image.Resampling.BICUBIC))


def dataset(values, colours="RGB", *, syntax=LITTLE, bits=None, frames=1, **further):
    """A DICOM photograph of the values (H, W) or (H, W, 3), or of encoded bytes with the shape in `further`."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    made = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    made.SOPClassUID, made.Modality = meta.MediaStorageSOPClassUID, "OP"
    made.PatientName = "Doe^Jane"
    made.Rows, made.Columns = further.pop("shape", values.shape[:2] if hasattr(values, "shape") else None)
    made.SamplesPerPixel = 1 if colours in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR") else 3
    made.PhotometricInterpretation = colours
    if made.SamplesPerPixel == 3:
        made.PlanarConfiguration = further.pop("planar", 0)
    deep = hasattr(values, "dtype") and values.dtype == np.uint16
    made.BitsAllocated = 16 if deep else 8
    made.BitsStored = bits or made.BitsAllocated
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = 0
    if frames > 1:
        made.NumberOfFrames = frames
    if isinstance(values, bytes):
        made.PixelData = encapsulate([values])
        made["PixelData"].VR = "OB"
    else:
        if made.get("PlanarConfiguration") == 1:
            values = np.moveaxis(values, 2, 0)
        order = ">" if syntax == BIG else "<"
        data = np.ascontiguousarray(values).astype(values.dtype.newbyteorder(order)).tobytes()
        made.PixelData = data + bytes(len(data) % 2)
        made["PixelData"].VR = "OW" if deep else "OB"
    for name, value in further.items():
        setattr(made, name, value)
    return made


def written(made):
    file = io.BytesIO()
    pydicom.dcmwrite(file, made, enforce_file_format=True)
    return file.getvalue()


def encoded(pixels, kind, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def reason(source):
    with pytest.raises(PhotoError) as caught:
        read_photo(source)
    assert caught.value.status == "unreadable"
    assert "Doe" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("syntax", [LITTLE, IMPLICIT, BIG])
@pytest.mark.parametrize("planar", [0, 1])
def test_uncompressed_colours_are_kept(pixels, syntax, planar):
    scaled = read_scaled(written(dataset(pixels, syntax=syntax, planar=planar)), 10)
    assert (scaled.pixels == pixels).all()
    assert (scaled.width_px, scaled.height_px) == (120, 80)


@pytest.mark.parametrize("subsampled", [False, True])
def test_ybr(pixels, subsampled):
    ybr = convert_color_space(pixels, "RGB", "YBR_FULL")
    if subsampled:
        ybr[:, 1::2, 1:] = ybr[:, ::2, 1:]
        pixels = convert_color_space(ybr, "YBR_FULL", "RGB")
        ybr = np.concatenate([ybr[:, ::2, :1], ybr[:, 1::2, :1], ybr[:, ::2, 1:]], axis=2)
        made = dataset(ybr, "YBR_FULL_422", shape=pixels.shape[:2])
    else:
        made = dataset(ybr, "YBR_FULL")
    assert np.abs(read_photo(written(made)).astype(int) - pixels).max() <= 3


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("syntax", [LITTLE, BIG])
def test_monochrome_fills_eight_bits(bits, syntax):
    ramp = np.linspace(0, 2**bits - 1, 64 * 64).reshape(64, 64)
    stored = ramp.astype(np.uint8 if bits == 8 else np.uint16)
    black_is_0 = read_photo(written(dataset(stored, "MONOCHROME2", bits=bits, syntax=syntax)))
    assert np.abs(black_is_0 - (ramp * 255 / (2**bits - 1))[:, :, None]).max() <= 1.5
    white_is_0 = read_photo(written(dataset(stored, "MONOCHROME1", bits=bits, syntax=syntax)))
    assert (white_is_0 == 255 - black_is_0).all()


def test_a_dark_photo_stays_dark_where_the_bits_are_known():
    dark = np.full((8, 8), 200, np.uint16)
    assert (read_photo(written(dataset(dark, "MONOCHROME2", bits=12))) == round(200 * 255 / 4095)).all()


def test_twelve_bits_that_are_called_sixteen(pixels):
    read = read_photo(written(dataset(pixels.astype(np.uint16) * 16)))
    assert np.abs(read.astype(int) - pixels).max() <= 1


def test_palette():
    indices = np.arange(64, dtype=np.uint8).reshape(8, 8)
    tables = [np.arange(256, dtype=np.uint16)[::step] * 257 for step in (1, -1, 1)]
    further = {}
    for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        further[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        further[f"{name}PaletteColorLookupTableData"] = table.astype("<u2").tobytes()
    read = read_photo(written(dataset(indices, "PALETTE COLOR", **further)))
    assert (read == np.stack([indices, 255 - indices, indices], axis=2)).all()


@pytest.mark.parametrize("colours", ["RGB", "MONOCHROME2"])
def test_rle(pixels, colours):
    stored = pixels if colours == "RGB" else pixels[:, :, 0].copy()
    made = dataset(stored, colours)
    made.compress(RLE)
    assert (read_photo(written(made)) == stored.reshape(80, 120, -1)).all()


@pytest.mark.parametrize("colours", ["RGB", "YBR_RCT", "MONOCHROME2"])
def test_jpeg_2000(pixels, colours):
    stored = pixels[:, :, 0].copy() if colours == "MONOCHROME2" else pixels
    codestream = encoded(stored, "JPEG2000", irreversible=False, no_jp2=True, mct=int(colours == "YBR_RCT"))
    read = read_photo(written(dataset(codestream, colours, syntax=JPEG_2000, shape=(80, 120))))
    assert (read == stored.reshape(80, 120, -1)).all()


@pytest.mark.parametrize("colours", ["YBR_FULL_422", "RGB", "MONOCHROME2"])
def test_jpeg(pixels, colours):
    stored = pixels[:, :, 0].copy() if colours == "MONOCHROME2" else pixels
    frame = encoded(stored, "JPEG", quality=95, keep_rgb=colours == "RGB")
    read = read_photo(written(dataset(frame, colours, syntax=JPEG, shape=(80, 120))))
    assert np.abs(read.astype(int) - read_photo(frame)).max() <= 3


@pytest.mark.parametrize("syntax", [LITTLE, IMPLICIT])
def test_files_without_preamble_or_head(pixels, syntax):
    made = dataset(pixels, syntax=syntax)
    whole = written(made)
    assert (read_photo(whole[132:]) == pixels).all()
    bare = io.BytesIO()
    made.preamble = None
    del made.file_meta
    pydicom.dcmwrite(bare, made, implicit_vr=syntax == IMPLICIT, little_endian=True)
    assert bare.getvalue()[:2] == b"\x08\0"
    assert (read_photo(bare.getvalue()) == pixels).all()


@pytest.mark.parametrize(
    ("further", "words"),
    [
        ({"Modality": "OPT"}, "an OCT scan"),
        ({"Modality": "CT"}, "another modality than photography"),
        ({"Rows": 13_000, "Columns": 13_000}, "more than 150 million pixels"),
        ({"PixelRepresentation": 1}, "signed values"),
    ],
)
def test_what_is_no_photograph_says_so(pixels, further, words):
    assert words in reason(written(dataset(pixels, **further)))


def test_a_report_has_no_photograph(pixels):
    made = dataset(pixels)
    del made.PixelData
    assert reason(written(made)) == "is a DICOM file without a photograph"


@pytest.mark.parametrize(
    ("syntax", "name"), [(JPEG_LOSSLESS, "JPEG Lossless"), (JPEG_LS, "JPEG-LS Lossless"), ("1.2.3.4", "of its own")]
)
def test_a_syntax_that_is_not_read_is_named(pixels, syntax, name):
    message = reason(written(dataset(b"\xff\xd8 some bytes", syntax=syntax, shape=(8, 8))))
    assert name in message
    assert "export it as JPEG, PNG or TIFF" in message


def test_deep_colours_in_jpeg_2000_say_so(pixels):
    codestream = encoded(pixels, "JPEG2000", irreversible=False, no_jp2=True)
    deep = bytearray(codestream)
    deep[42:51:3] = b"\x0b\x0b\x0b"  # one less than the bits of each colour
    assert "12 bits a colour" in reason(written(dataset(bytes(deep), syntax=JPEG_2000, shape=(80, 120))))


def test_a_file_compressed_as_a_whole_is_not_unpacked():
    made = dataset(np.zeros((1000, 1000, 3), np.uint8), syntax=DEFLATED)
    assert "Deflated" in reason(written(made))


def test_a_file_that_is_cut_short_says_how_much_is_there(pixels):
    data = written(dataset(pixels))
    start = len(data) - pixels.size
    assert reason(data[: start + int(0.637 * pixels.size)]) == "is cut short: the first 63 % of the picture can be read"
    for share in (0.02, 0.3, 0.6):
        assert reason(data[: int(share * start)])


def test_damage_in_a_jpeg_inside_is_noticed(pixels):
    frame = bytearray(encoded(pixels, "JPEG", quality=95))
    assert reason(written(dataset(bytes(frame[: len(frame) // 2]), "YBR_FULL_422", syntax=JPEG, shape=(80, 120))))
    frame[-900:-500] = bytes(400)
    assert "damaged" in reason(written(dataset(bytes(frame), "YBR_FULL_422", syntax=JPEG, shape=(80, 120))))


def test_without_pydicom_the_extra_is_named(pixels, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert 'pip install "biranet[dicom]"' in reason(written(dataset(pixels)))


def test_pydicom_keeps_quiet(pixels, caplog):
    with caplog.at_level(logging.DEBUG):
        assert "colours of a kind" in reason(written(dataset(pixels)).replace(b"RGB ", b"Doe "))
    assert not caplog.records
    assert not logging.getLogger("pydicom").disabled


def test_reading_other_photos_does_not_import_pydicom(pixels):
    code = "import sys, biranet.photos.read; sys.exit('pydicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("name", "difference"),
    [
        ("SC_rgb_dcmtk_+eb+cr.dcm", 2),
        ("SC_rgb_jpeg_dcmtk.dcm", 2),
        ("SC_rgb_jpeg_lossy_gdcm.dcm", 4),
        ("SC_rgb_gdcm_KY.dcm", 0),
        ("SC_ybr_full_422_uncompressed.dcm", 2),
        ("SC_rgb_rle_16bit.dcm", 0.5),
    ],
)
def test_files_of_other_programs_show_the_same_bars(name, difference):
    # DCMTK and GDCM wrote the same test picture, which comes with pydicom, in many ways.
    bars = read_photo(Path(get_testdata_file("SC_rgb_rle.dcm", download=False)))
    read = read_photo(Path(get_testdata_file(name, download=False)))
    assert np.abs(read.astype(int) - bars).mean() <= difference


@pytest.mark.real
def test_a_real_fundus_camera_file(real_data):
    photo = read_photo(real_data / "odd_formats" / "issue_3.dcm")
    assert photo.shape == (2136, 3216, 3)
    red, green, blue = photo[800:1300, 1300:1900].mean(axis=(0, 1))
    assert red > green > blue
    assert photo[:20, :20].max() < 30
