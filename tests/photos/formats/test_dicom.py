import io
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import filereader
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import convert_color_space

from biranet.photos.formats import PhotoFile
from biranet.photos.privacy.metadata import identifiers, patient_and_eye
from biranet.photos.read import decode_photo, read_photo
from photo_files import encoded, read_scaled, reason

LITTLE, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
DEFLATED, RLE, JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50"
JPEG_2000, JPEG_LOSSLESS, JPEG_LS = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80"


@pytest.fixture(scope="module")
def pixels():
    coarse = Image.fromarray(np.random.default_rng(5).integers(0, 255, (6, 9, 3), dtype=np.uint8))
    return np.array(coarse.resize((120, 80), Image.Resampling.BICUBIC))


def dataset(values, colors="RGB", *, syntax=LITTLE, bits=None, frames=1, **further):
    """A DICOM photograph of the values (H, W) or (H, W, 3), or of encoded bytes with the shape in `further`."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    made = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    made.SOPClassUID, made.Modality = meta.MediaStorageSOPClassUID, "OP"
    made.PatientName = "Doe^Jane"
    made.Rows, made.Columns = further.pop("shape", values.shape[:2] if hasattr(values, "shape") else None)
    made.SamplesPerPixel = 1 if colors in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR") else 3
    made.PhotometricInterpretation = colors
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


@pytest.mark.parametrize("colors", ["RGB", "MONOCHROME2"])
def test_rle(pixels, colors):
    stored = pixels if colors == "RGB" else pixels[:, :, 0].copy()
    made = dataset(stored, colors)
    made.compress(RLE)
    assert (read_photo(written(made)) == stored.reshape(80, 120, -1)).all()


@pytest.mark.parametrize("colors", ["RGB", "YBR_RCT", "MONOCHROME2"])
def test_jpeg_2000(pixels, colors):
    stored = pixels[:, :, 0].copy() if colors == "MONOCHROME2" else pixels
    codestream = encoded(stored, "JPEG2000", irreversible=False, no_jp2=True, mct=int(colors == "YBR_RCT"))
    read = read_photo(written(dataset(codestream, colors, syntax=JPEG_2000, shape=(80, 120))))
    assert (read == stored.reshape(80, 120, -1)).all()


@pytest.mark.parametrize("colors", ["YBR_FULL_422", "RGB", "MONOCHROME2"])
def test_jpeg(pixels, colors):
    stored = pixels[:, :, 0].copy() if colors == "MONOCHROME2" else pixels
    frame = encoded(stored, "JPEG", quality=95, keep_rgb=colors == "RGB")
    read = read_photo(written(dataset(frame, colors, syntax=JPEG, shape=(80, 120))))
    assert np.abs(read.astype(int) - read_photo(frame)).max() <= 3


def several(coded, **options):
    """A DICOM of encoded frames, each a piece of its own."""
    made = dataset(coded[0], **options)
    made.PixelData = encapsulate(coded, has_bot=False)
    made["PixelData"].VR = "OB"
    return made


@pytest.mark.parametrize("black", [False, True])
def test_none_of_several_frames_is_taken(pixels, black):
    frames = np.concatenate([np.zeros_like(pixels) if black else 255 - pixels, pixels])
    assert reason(written(dataset(frames, frames=2, shape=(80, 120)))).startswith("holds 2 frames, and nothing says")
    coded = [encoded(frame, "JPEG") for frame in (pixels, pixels, pixels)]
    made = several(coded, colors="YBR_FULL_422", syntax=JPEG, shape=(80, 120), frames=3)
    assert reason(written(made)).startswith("holds 3 frames, and nothing says")


def test_frames_that_are_not_announced_are_counted(pixels):
    assert "its header says 3 frames, 86,400 bytes, and 28,800 bytes are there" in reason(
        written(dataset(pixels, frames=3))
    )
    coded = [encoded(pixels, "JPEG"), encoded(255 - pixels, "JPEG")]
    made = several(coded, colors="YBR_FULL_422", syntax=JPEG, shape=(80, 120))
    assert "its header says 1 frame, and 2 are there" in reason(written(made))
    made.NumberOfFrames = 5
    assert "its header says 5 frames, and 2 are there" in reason(written(made))


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"colors": "MONOCHROME2"}, "120 x 80 pixels, 9,600 bytes, and 28,800 bytes are there"),
        ({"colors": "YBR_FULL_422"}, "120 x 80 pixels, 19,200 bytes, and 28,800 bytes are there"),
        ({"shape": (80, 60)}, "60 x 80 pixels, 14,400 bytes, and 28,800 bytes are there"),
        ({"shape": (80, 119)}, "119 x 80 pixels, 28,560 bytes, and 28,800 bytes are there"),
        ({"shape": (120, 80)}, "80 x 120 pixels, and its lines fit together as 120 x 80"),
        ({"SamplesPerPixel": 1, "PixelData": bytes(9600)}, "3 values a pixel by its colours, and 1 by their number"),
        ({"PlanarConfiguration": 1}, "stored in planes, and they are stored pixel by pixel"),
    ],
)
def test_pixels_that_do_not_fit_the_header_are_refused(pixels, changed, found):
    message = reason(written(dataset(pixels, **changed)))
    assert "contradicts itself" in message
    assert found in message


def test_planes_that_are_called_pixels(pixels):
    made = dataset(pixels, planar=1)
    made.PlanarConfiguration = 0
    assert "stored pixel by pixel, and they are stored in planes" in reason(written(made))


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
@pytest.mark.parametrize(
    "lie",
    [
        {"Rows": 120, "Columns": 80},
        {"Rows": 8, "Columns": 8},
        {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2"},
        {"SamplesPerPixel": 1},
        {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11},
        {"PlanarConfiguration": 1},
    ],
)
def test_a_frame_that_knows_itself_is_believed(pixels, kind, lie):
    frame = encoded(pixels, kind, **({"no_jp2": True} if kind == "JPEG2000" else {}))
    options = ("RGB", JPEG_2000) if kind == "JPEG2000" else ("YBR_FULL_422", JPEG)
    made = dataset(frame, options[0], syntax=options[1], shape=(80, 120))
    expected = read_photo(written(made))
    for name, value in lie.items():
        setattr(made, name, value)
    assert (read_photo(written(made)) == expected).all()


def test_colours_that_a_frame_tells_are_believed(pixels):
    jfif = encoded(pixels, "JPEG", quality=95)
    adobe = jfif[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\1" + jfif[2:]
    stored = encoded(pixels, "JPEG", quality=95, keep_rgb=True)
    mixed = encoded(pixels, "JPEG2000", no_jp2=True, mct=1)
    for frame, syntax in ((jfif, JPEG), (adobe, JPEG), (stored, JPEG), (mixed, JPEG_2000)):
        for colors in ("RGB", "YBR_FULL", "YBR_FULL_422"):
            read = read_photo(written(dataset(frame, colors, syntax=syntax, shape=(80, 120))))
            assert np.abs(read.astype(int) - pixels).mean() < 6, (syntax, colors)


def test_a_coding_that_the_frame_shows_is_believed(pixels):
    jpeg, other = encoded(pixels, "JPEG"), encoded(pixels, "JPEG2000", irreversible=False, no_jp2=True)
    for syntax in (JPEG, JPEG_2000, RLE):
        assert (read_photo(written(dataset(other, "RGB", syntax=syntax, shape=(80, 120)))) == pixels).all()
        read = read_photo(written(dataset(jpeg, "YBR_FULL_422", syntax=syntax, shape=(80, 120))))
        assert np.abs(read.astype(int) - read_photo(jpeg)).max() <= 3


def test_a_frame_of_jpeg_ls_is_named(pixels):
    frame = b"\xff\xd8\xff\xf7\0\x0b\x08\0\x50\0\x78\x01\x01\x11\0" + bytes(60)
    made = dataset(frame, "MONOCHROME2", syntax=JPEG, shape=(80, 120))
    assert reason(written(made)).startswith("is a JPEG-LS picture, which this program does not read")


def test_a_jpeg_inside_may_lack_its_end_mark(pixels):
    frame = encoded(pixels, "JPEG", quality=95)
    whole, open_ended = (dataset(data, "YBR_FULL_422", syntax=JPEG, shape=(80, 120)) for data in (frame, frame[:-2]))
    assert (read_photo(written(open_ended)) == read_photo(written(whole))).all()


@pytest.mark.parametrize("rows", [40, 160])
def test_an_rle_frame_of_another_length(pixels, rows):
    made = dataset(pixels)
    made.compress(RLE)
    made.Rows = rows
    message = reason(written(made))
    assert "its header says 4,800 pixels, and 9,600 are there" in message if rows == 40 else "damaged" in message
    made.Rows, made.Columns = 120, 80
    assert "its lines fit together as 120 x 80" in reason(written(made))
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    assert "its header says 1 bytes a pixel, and 3 are there" in reason(written(made))


def test_a_picture_inside_is_looked_at_before_it_is_decoded():
    frame = encoded(np.zeros((4000, 4000, 3), np.uint8), "JPEG2000", no_jp2=True)
    assert len(frame) < 8000
    message = reason(written(dataset(frame, syntax=JPEG_2000, shape=(600, 600))))
    assert message.startswith("claims 16 million pixels in ")


def test_a_header_of_countless_parts_is_not_read(pixels):
    data = written(dataset(pixels))
    at = data.index(b"\xe0\x7f\x10\0")
    element, sequence = b"\x01\x70\x10\0LO\0\0", b"\x01\x70\x10\x10SQ\0\0\xff\xff\xff\xff"
    item = b"\xfe\xff\0\xe0\xff\xff\xff\xff"
    for flood in (element * 100_000, sequence + item + element * 100_000, sequence + item * 100_000):
        assert "countless parts" in reason(data[:at] + flood + data[at:])
    assert "countless parts" in reason(data[:132] + bytes(2_000_000))
    # What stands behind the pixels does not count.
    assert (read_photo(data + bytes(2_000_000)) == pixels).all()


def test_an_eye_that_a_header_contradicts_is_not_used(photo_bytes, run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed, eyes in enumerate((("R", ""), ("R", "L"))):
        made = dataset(np.array(Image.open(io.BytesIO(photo_bytes(seed)))))
        made.ImageLaterality, made.Laterality = eyes
        (photos / f"{seed}.dcm").write_bytes(written(made))
    manifest = run(photos, tmp_path / "out")
    assert manifest["eye"].tolist() == ["right", ""]
    assert manifest["header_eye"].tolist() == ["right", "contradictory"]


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


def test_a_file_is_parsed_once_for_header_and_photo(pixels, monkeypatch):
    calls, read_partial = [], filereader.read_partial

    def counting(*args, **options):
        calls.append(args)
        return read_partial(*args, **options)

    monkeypatch.setattr(filereader, "read_partial", counting)
    data = dataset(pixels)
    data.PatientID, data.ImageLaterality = "Doe 17", "L"
    file = PhotoFile(written(data))
    before = patient_and_eye(file), identifiers(file)
    photos = [decode_photo(file, None).pixels for _ in range(2)]
    assert before == (patient_and_eye(file), identifiers(file))
    assert before[0][1] == "left"
    assert all((photo == pixels).all() for photo in photos)
    assert len(calls) == 1
