import hmac
import io
import logging
import multiprocessing
import os
import re
import stat
import struct
import time
import warnings
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, PngImagePlugin

from biranet.errors import InputError, PhotoError
from biranet.photos.formats import PhotoFile
from biranet.photos.privacy import metadata
from biranet.photos.privacy.identifiers import KINDS, identifier_kinds, kinds_in_field
from biranet.photos.privacy.metadata import group_from_comment
from biranet.photos.privacy.pseudonyms import KEY_BYTES, key_problem, keyed_hash
from biranet.photos.read import read_photo

NATIONAL_NUMBER = "12345678901"
XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmp:CreateDate="2019-03-12T10:11:12" xmp:CreatorTool="GIMP 2.10"
 xmpMM:InstanceID="xmp.iid:12345678-90">
<dc:creator><rdf:Seq><rdf:li>Jane Doe</rdf:li></rdf:Seq></dc:creator><photoshop:City>Lund</photoshop:City>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.fixture
def own_key(tmp_path, monkeypatch):
    """A home of its own for the secret key."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "biranet" / "group.key"


def identifiers(data):
    return metadata.identifiers(PhotoFile(data))


def patient_and_eye(data):
    return metadata.patient_and_eye(PhotoFile(data))


def saved(kind="JPEG", **options):
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (90, 40, 20)).save(file, kind, **options)
    return file.getvalue()


def exif(base=(), gps=(), inner=()):
    tags = Image.Exif()
    for name, value in dict(base).items():
        tags[ExifTags.Base[name]] = value
    tags.get_ifd(ExifTags.IFD.GPSInfo).update({ExifTags.GPS[name]: value for name, value in dict(gps).items()})
    tags.get_ifd(ExifTags.IFD.Exif).update({ExifTags.Base[name]: value for name, value in dict(inner).items()})
    return tags


def jpeg_with(marker, content):
    """A JPEG with one more segment after its start."""
    data = saved()
    return data[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content + data[2:]


def iptc(**fields):
    numbers = {"city": 90, "byline": 80, "created": 55, "caption": 120}
    block = b"".join(
        b"\x1c\x02" + bytes([numbers[name]]) + struct.pack(">H", len(text)) + text.encode()
        for name, text in fields.items()
    )
    return b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(block)) + block


def png_with(kind, content):
    data = saved("PNG")
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return data[:-12] + chunk + data[-12:]


@pytest.mark.parametrize(
    ("comment", "found"),
    [
        (b"Topcon 12.03.2019", "comment: date"),
        (b"Canon 2019:03:12 10:00:00", "comment: date"),
        (b"Kowa VX-10 Patient: 004512", "comment: number"),
        (b"Topcon TRC-50", ""),
        (b"CREATOR: gd-jpeg v1.0 (using IJG JPEG v62), quality = 90", ""),
        (b"LEAD Technologies Inc. V1.01", ""),
    ],
)
def test_what_people_write_behind_a_signature_is_seen(comment, found):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", comment=comment)
    assert identifiers(file.getvalue()) == found
    assert bool(group_from_comment(file.getvalue())) == bool(found)


def test_what_a_program_writes_by_itself_is_not_reported():
    plain = exif({"Make": "Canon", "Model": "Canon EOS 20D", "Software": "Firmware 2019:03:12", "Orientation": 1})
    assert identifiers(saved()) == ""
    assert identifiers(saved(exif=plain, icc_profile=b"\0" * 128 + b"2019:03:12 10:11:12", quality=30)) == ""
    assert identifiers(saved("PNG")) == identifiers(saved("TIFF")) == identifiers(saved("WEBP")) == ""


@pytest.mark.parametrize(
    "text",
    [
        "Created by GIMP",
        "CREATOR: gd-jpeg v1.0 (using IJG JPEG v62), quality = 90",
        "Lavc58.134.100",
        "Optimized by JPEGmini 3.18.2.210033067-TBTBLN 0x99a4cbcd",
        "Intel(R) JPEG Library, version [2.0.18.50]",
        "File written by Adobe Photoshop 5.2",
        "OLYMPUS DIGITAL CAMERA",
        "Firmware Version 1.1.1 2019-03-12",
        "Left Eye",
        "Fundus Photo",
        "g157dca32f4",
        "640 x 480",
        "",
        "000000",
    ],
)
def test_texts_that_tell_nothing_of_a_person(text):
    assert identifier_kinds(text) == set() == kinds_in_field("UserComment", text)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (NATIONAL_NUMBER, {"number"}),
        ("900101-1234", {"number"}),
        ("12345678Z", {"number"}),
        ("ID: 4711", {"number"}),
        ("12345", {"number"}),
        ("RSSMRA85T10A562S", {"number"}),
        ("2014:03:21 10:11:12", {"date"}),
        ("20140321", {"date"}),
        ("20140321101112", {"date"}),
        ("21.03.2014", {"date"}),
        ("3/21/14", {"date"}),
        ("21 Mar 2014", {"date"}),
        ("March 21, 2014", {"date"}),
        ("Jane Doe", {"name"}),
        ("DOE^JANE", {"name"}),
        ("Müller, Anna", {"name"}),
        ("patient: Jane", {"name"}),
        ("张伟", {"name"}),
        ("jane.doe@example.org", {"contact"}),
        ("+46 70 123 45 67", {"contact"}),
        ("55.7047, 13.1910", {"place"}),
        ("Lund University", {"place"}),
        ("Jane Doe 12345678901 21.03.2014 Eye Clinic", {"name", "number", "date", "place"}),
    ],
)
def test_texts_that_tell_of_a_person_a_date_or_a_place(text, kinds):
    assert identifier_kinds(text) == kinds
    comment = identifiers(saved(comment=text.encode()))
    assert set(comment.removeprefix("comment: ").split(", ")) == kinds
    # Kinds alone: no word or number of the text is repeated.
    assert not set(re.findall(r"\w{3,}", text.lower())) & set(re.findall(r"\w{3,}", comment.lower()))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (saved(exif=exif({"DateTime": "2019:03:12 10:11:12"})), "EXIF: date"),
        (saved(exif=exif({"Artist": "Jane Doe"})), "EXIF: name"),
        (saved(exif=exif({"Artist": "Anonymous", "DateTime": "0000:00:00 00:00:00"})), ""),
        (saved(exif=exif({"ImageDescription": f"visit of {NATIONAL_NUMBER}"})), "EXIF: number"),
        (saved(exif=exif(inner={"UserComment": b"ASCII\0\0\0Jane Doe"})), "EXIF: name"),
        (saved(exif=exif(inner={"BodySerialNumber": "42"})), "EXIF: number"),
        (saved(exif=exif(inner={"CameraOwnerName": "J. Doe", "DateTimeOriginal": "2019:01:02"})), "EXIF: name, date"),
        (saved(exif=exif(inner={"MakerNote": b"\0\1\2Firmware Version 1.1.1\0"})), ""),
        (saved(exif=exif(inner={"MakerNote": b"\0\1\x022019:03:12 10:11:12\0"})), "EXIF: date"),
        (saved(exif=exif({"XPAuthor": "Jane Doe".encode("utf-16-le")})), "EXIF: name"),
        (saved(exif=exif(gps={"GPSLatitude": (55.0, 42.0, 1.0)})), "EXIF: place"),
        (saved(exif=exif(gps={"GPSLatitude": (0.0, 0.0, 0.0), "GPSVersionID": b"\2\3\0\0"})), ""),
        (saved(comment=b"Jane Doe", exif=exif({"DateTime": "2019:03:12 10:11:12"})), "comment: name; EXIF: date"),
        (jpeg_with(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP.encode()), "XMP: name, date, place"),
        (jpeg_with(0xED, iptc(city="Lund", byline="Jane Doe", created="20190312")), "IPTC: name, date, place"),
        (jpeg_with(0xED, iptc(caption="no findings")), ""),
        (jpeg_with(0xE5, b"CAMERA\0\1\2 2019-03-12 10:11:12\0"), "other header data: date"),
        (saved("WEBP", exif=exif({"Artist": "Jane Doe"})), "EXIF: name"),
        (saved("WEBP", xmp=XMP.encode()), "XMP: name, date, place"),
        (saved("TIFF", tiffinfo={315: "Jane Doe", 306: "2019:03:12 10:11:12"}), "TIFF tags: name, date"),
        (saved("TIFF", tiffinfo={270: "Jane Doe", 305: "IrfanView"}), "TIFF tags: name"),
        (saved("GIF", comment=b"Jane Doe"), "comment: name"),
        (png_with(b"tEXt", b"Author\0Jane Doe"), "PNG text: name"),
        (png_with(b"tEXt", b"Software\0GIMP 20190312"), ""),
        (png_with(b"zTXt", b"Comment\0\0" + zlib.compress(b"born 01.02.1950")), "PNG text: date"),
        (png_with(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP.encode()), "XMP: name, date, place"),
        (png_with(b"tIME", b"\x07\xe3\3\x0c\1\1\1"), "PNG text: date"),
        (png_with(b"eXIf", exif({"Artist": "Jane Doe"}).tobytes()[6:]), "EXIF: name"),
        (
            png_with(
                b"tEXt", b"Raw profile type exif\0\nexif\n 99\n" + exif({"Artist": "A B"}).tobytes().hex().encode()
            ),
            "EXIF: name",
        ),
    ],
)
def test_every_kind_of_header_is_looked_into(data, found):
    assert identifiers(data) == found


def test_png_text_by_pillow_is_found_before_and_after_the_pixels():
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", f"patient {NATIONAL_NUMBER}", zip=True)
    info.add_itxt("Title", "Jane Doe")
    assert identifiers(saved("PNG", pnginfo=info)) == "PNG text: name, number"


def test_every_page_of_a_tiff_is_looked_into():
    file = io.BytesIO()
    second = Image.new("L", (4, 4))
    second.encoderinfo = {"tiffinfo": {315: "Jane Doe"}}
    Image.new("L", (4, 4)).save(file, "TIFF", save_all=True, append_images=[second])
    assert identifiers(file.getvalue()) == "TIFF tags: name"


SEEDS = [
    saved(comment=b"Jane Doe", exif=exif({"Artist": "Jane Doe"}, {"GPSLatitude": (5.0, 4.0, 1.0)})),
    jpeg_with(0xED, iptc(city="Lund")),
    jpeg_with(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP.encode()),
    png_with(b"zTXt", b"Comment\0\0" + zlib.compress(b"born 01.02.1950")),
    saved("TIFF", tiffinfo={315: "Jane Doe"}),
    saved("WEBP", exif=exif({"Artist": "Jane Doe"})),
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_damaged_headers_never_raise(data, draw):
    data = bytearray(data[: draw.draw(st.integers(0, len(data)))])
    for _ in range(draw.draw(st.integers(0, 8)) if data else 0):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    assert isinstance(identifiers(bytes(data)), str)


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_never_raise(data):
    identifiers(data)
    identifiers(b"\xff\xd8" + data)


def test_a_cut_exif_block_is_still_searched():
    block = exif({"DateTime": "2019:03:12 10:11:12"}).tobytes()
    assert identifiers(jpeg_with(0xE1, b"Exif\0\0XX" + block[8:])) == "EXIF: date"


def test_a_jpeg_costs_little_time():
    data = saved(comment=b"g157dca32f4", exif=exif({"Make": "Canon", "Model": "EOS"})) + bytes(3_000_000)
    identifiers(data)
    times = []
    for _ in range(20):
        started = time.perf_counter()
        identifiers(data)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.002


LENGTH = 60_000
HOSTILE = {
    "crosses": "X" * 40 + " Clinic",
    "removed": "anonym" * 500 + "!a?",
    "removed apart": "anonym!1" * (LENGTH // 8) + "a",
    "one word": "A" * LENGTH,
    "words": "Aa " * (LENGTH // 3) + "1",
    "initials": "A." * (LENGTH // 2),
    "signs": "-" * LENGTH + "a",
    "spaces": "dr" + " " * LENGTH + "1",
    "months": "jan" * (LENGTH // 3),
    "digits": "1" * LENGTH + "a",
    "days": "1 " * (LENGTH // 2) + "jan",
    "degrees": "1.2345" + " " * LENGTH + "1.2345",
    "mail": "a.@" * (LENGTH // 3),
    "tags": "<a" * (LENGTH // 2),
    "long tag": "<" + "a" * LENGTH,
    "attributes": "<a " + "b:c=" * (LENGTH // 4),
}


def _look_into_all_headers(text):
    hostile = text.encode()
    xmp = b"http://ns.adobe.com/xap/1.0/\0"
    for data in (
        jpeg_with(0xFE, hostile),
        saved(exif=exif(inner={"UserComment": b"ASCII\0\0\0" + hostile})),
        saved(exif=exif({"Artist": text})),
        jpeg_with(0xE1, xmp + hostile),
        jpeg_with(0xE1, xmp + b"<dc:title>" + hostile),
        jpeg_with(0xE1, xmp + b"<a dc:title='" + hostile + b"'>"),
        jpeg_with(0xE5, hostile),
        png_with(b"tEXt", b"Comment\0" + hostile),
        png_with(b"tEXt", hostile + b"\0" + hostile),
        png_with(b"zTXt", b"XML:com.adobe.xmp\0\0" + zlib.compress(hostile * 16)),
    ):
        identifiers(data)
    group_from_comment(jpeg_with(0xFE, hostile))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_text_stalls_the_search(text, own_key):
    looking = multiprocessing.get_context("fork").Process(target=_look_into_all_headers, args=(text,))
    looking.start()
    looking.join(20)
    code = looking.exitcode
    looking.kill()
    looking.join()
    assert code == 0, "took more than 20 seconds, where less than one is usual" if code is None else "failed"


def test_long_texts_still_tell():
    assert identifiers(jpeg_with(0xFE, HOSTILE["crosses"].encode())) == "comment: place"
    long = "Jane Doe, born 12.03.2019" + " and more words" * 1000
    assert identifiers(saved(comment=long.encode())) == "comment: date"
    assert identifiers(saved(comment=b"\0" * 5000 + b"Jane Doe")) == "comment: name"
    for text in ("XXXX", "xx!xx 12", "Anonymous", "anonymous 12", "anon-7", "n/a", "nonenone", "De-Identified", "00_0"):
        assert kinds_in_field("Artist", text) == set(), text
    for text in ("Xaver", "none left", "Anonymous Jane", "0a"):
        assert kinds_in_field("Artist", text) == {"name"}, text
    for text in ("Anne-Marie O’Hara Doe", "A. Doe", "DOE, J. JANE"):
        assert identifier_kinds(text) == {"name"}, text


def test_the_key_is_made_once_for_its_user_alone(own_key):
    first = keyed_hash(NATIONAL_NUMBER)
    assert re.fullmatch(r"k[0-9a-f]{16}", first)
    assert keyed_hash(NATIONAL_NUMBER) == first != keyed_hash("12345678902")
    assert stat.S_IMODE(own_key.stat().st_mode) == 0o600
    key = own_key.read_bytes()
    assert len(key) == KEY_BYTES
    assert first == "k" + hmac.digest(key, NATIONAL_NUMBER.encode(), "sha256").hex()[:16]
    assert list(own_key.parent.iterdir()) == [own_key]


def test_another_key_gives_other_names(own_key, tmp_path, monkeypatch):
    first = keyed_hash("x")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
    assert keyed_hash("x") != first


def test_without_a_setting_the_key_lies_in_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for setting in ("", "relative/path"):
        monkeypatch.setenv("XDG_CONFIG_HOME", setting)
        keyed_hash("x")
    assert (tmp_path / ".config" / "biranet" / "group.key").is_file()


def test_it_is_told_before_whether_a_key_can_be_kept(own_key, tmp_path, monkeypatch):
    assert key_problem() == "" and not own_key.exists()  # none is made for the question
    own_key.parent.mkdir(parents=True)
    own_key.write_bytes(b"short")
    assert "is not a key of 32 bytes" in key_problem()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    assert "name another one with XDG_CONFIG_HOME" in key_problem()
    monkeypatch.setenv("XDG_CONFIG_HOME", "/" + "x" * 300)  # a name that is too long cannot even be looked for
    assert "File name too long" in key_problem()


def test_a_user_without_a_home_has_no_key(monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    assert "this user has no home" in key_problem()
    with pytest.raises(InputError, match="this user has no home"):
        keyed_hash("x")


def _hash_after(barrier, results):
    barrier.wait()
    results.put(keyed_hash("x"))


def test_processes_that_make_the_key_at_once_agree(own_key):
    context = multiprocessing.get_context("fork")
    for _ in range(5):
        own_key.unlink(missing_ok=True)
        barrier, results = context.Barrier(4), context.Queue()
        workers = [context.Process(target=_hash_after, args=(barrier, results)) for _ in range(4)]
        for worker in workers:
            worker.start()
        assert len({results.get(timeout=60) for _ in workers}) == 1
        for worker in workers:
            worker.join()
        assert list(own_key.parent.iterdir()) == [own_key]


def test_a_key_that_cannot_be_made_or_read_is_one_sentence(own_key):
    own_key.parent.parent.write_text("a file where the folder should be")
    with pytest.raises(InputError, match=r"group\.key: .*XDG_CONFIG_HOME"):
        keyed_hash("x")
    own_key.parent.parent.unlink()
    own_key.parent.mkdir(parents=True)
    own_key.write_bytes(b"short")
    with pytest.raises(InputError, match="is not a key of 32 bytes"):
        keyed_hash("x")


def test_a_comment_is_a_group_unless_a_program_wrote_it(own_key):
    visit = group_from_comment(saved(comment=b"g157dca32f4\0"))
    assert visit == keyed_hash("g157dca32f4")
    assert (
        group_from_comment(saved(comment=b"Created by GIMP"))
        == group_from_comment(saved())
        == group_from_comment(saved("PNG"))
        == ""
    )


def test_a_file_that_is_no_dicom_has_no_identity(own_key):
    assert patient_and_eye(saved()) == ("", "") == patient_and_eye(bytes(128) + b"DICM" + b"\xff" * 40)
    assert not own_key.exists()


def _dicom(path, **changes):
    pydicom = pytest.importorskip("pydicom")
    header = pydicom.dcmread(path, stop_before_pixels=True)
    for name, value in changes.items():
        setattr(header, name, value)
    file = io.BytesIO()
    header.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _small_dicom():
    """A header without pixels that names patient and eye; the explicit syntax, with preamble and head."""
    pydicom = pytest.importorskip("pydicom")
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.5.1", "1.2.3"
    made = pydicom.dataset.FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    made.SpecificCharacterSet, made.SOPClassUID = "ISO_IR 100", meta.MediaStorageSOPClassUID
    made.PatientName, made.PatientID, made.PatientBirthDate = "Doe^Jane", NATIONAL_NUMBER, "19400101"
    made.InstanceNumber, made.ImageLaterality = "7777", "R"
    return made


def _written(made, **options):
    import pydicom

    file = io.BytesIO()
    pydicom.dcmwrite(file, made, **options)
    return file.getvalue()


@pytest.mark.parametrize("implicit", [False, True])
def test_a_dicom_file_without_preamble_tells_the_same(own_key, implicit):
    made = _small_dicom()
    whole = _written(made, enforce_file_format=True)
    made.preamble = None
    del made.file_meta
    bare = _written(made, implicit_vr=implicit, little_endian=True)
    assert b"DICM" not in bare
    for data in (whole, whole[132:], bare):
        assert patient_and_eye(data) == (keyed_hash(NATIONAL_NUMBER), "right")
        assert identifiers(data) == "DICOM: name, number, date"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_the_header_that_is_searched_is_that_of_the_photo_that_is_decoded(own_key, kind):
    # A preamble may make one file of two formats; what is decoded is the DICOM.
    data = saved(kind)[:128].ljust(128, b"\0") + _written(_small_dicom(), enforce_file_format=True)[128:]
    with pytest.raises(PhotoError, match="without a photograph"):
        read_photo(data)
    assert identifiers(data) == "DICOM: name, number, date"
    assert patient_and_eye(data) == (keyed_hash(NATIONAL_NUMBER), "right")


@pytest.mark.parametrize("preamble", [True, False])
def test_words_of_a_dicom_header_are_never_said_aloud(own_key, capfd, caplog, preamble):
    data = _written(_small_dicom(), enforce_file_format=True)[0 if preamble else 132 :]
    odd = data.replace(b"7777", b"Jane").replace(b"ISO_IR 100", b"Jane_Roe87")
    assert odd.count(b"Jane") == 3
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert patient_and_eye(odd) == (keyed_hash(NATIONAL_NUMBER), "right")
        assert identifiers(odd).startswith("DICOM: name, number, date")
    assert not warned
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
    assert not logging.getLogger("pydicom").disabled


def _frame_eye(made, eye, groups="SharedFunctionalGroupsSequence"):
    from pydicom import Dataset

    anatomy, group = Dataset(), Dataset()
    anatomy.FrameLaterality = eye
    group.FrameAnatomySequence = [anatomy]
    setattr(made, groups, [group])


def _eye_code(made, code):
    from pydicom import Dataset

    region, modifier = Dataset(), Dataset()
    modifier.CodeValue = code
    region.AnatomicRegionModifierSequence = [modifier]
    made.AnatomicRegionSequence = [region]


@pytest.mark.parametrize(
    ("said", "eye"),
    [
        ({}, ""),
        ({"ImageLaterality": "B"}, ""),
        ({"Laterality": "L"}, "left"),
        ({"shared": "R"}, "right"),
        ({"per frame": "L"}, "left"),
        ({"code": "24028007"}, "right"),
        ({"code": "G-A101", "ImageLaterality": "L", "shared": "L"}, "left"),
        ({"ImageLaterality": "R", "shared": "L"}, "contradictory"),
        ({"ImageLaterality": "R", "Laterality": "L"}, "contradictory"),
        ({"shared": "R", "code": "7771000"}, "contradictory"),
    ],
)
def test_the_eye_is_found_wherever_a_dicom_header_says_it(own_key, said, eye):
    made = _small_dicom()
    del made.ImageLaterality
    for tag, value in said.items():
        if tag == "shared":
            _frame_eye(made, value)
        elif tag == "per frame":
            _frame_eye(made, value, "PerFrameFunctionalGroupsSequence")
        elif tag == "code":
            _eye_code(made, value)
        else:
            setattr(made, tag, value)
    assert patient_and_eye(_written(made, enforce_file_format=True))[1] == eye


@pytest.mark.real
def test_a_dicom_header_names_patient_and_eye(real_data, own_key):
    path = real_data / "odd_formats" / "issue_3.dcm"
    assert patient_and_eye(path.read_bytes()) == ("", "right"), "the file is anonymised"
    assert identifiers(path.read_bytes()) == "DICOM: date, place"
    known = _dicom(path, PatientName="Doe^Jane", PatientID=NATIONAL_NUMBER, ImageLaterality="L")
    assert identifiers(known) == "DICOM: name, number, date, place"
    assert patient_and_eye(known) == (keyed_hash(NATIONAL_NUMBER), "contradictory")
    named = _dicom(path, PatientName="Doe^Jane", PatientID="", ImageLaterality="", Laterality="B")
    group, eye = patient_and_eye(named)
    assert group not in ("", patient_and_eye(known)[0])
    assert eye == ""
    later = _dicom(path, PatientName="Doe^Jane", PatientID="", PatientBirthDate="19400101")
    assert patient_and_eye(later)[0] not in ("", group)


@pytest.mark.real
def test_real_files_as_published_and_with_what_was_scrubbed_put_back(real_data, own_key):
    visit = real_data / "images512" / "idrid" / "IDRiD_001.jpg"
    data = visit.read_bytes()
    assert identifiers(data) == ""
    mate = (real_data / "images512" / "idrid" / "IDRiD_002.jpg").read_bytes()
    other = (real_data / "images512" / "idrid" / "IDRiD_055.jpg").read_bytes()
    assert group_from_comment(data) == group_from_comment(mate) != group_from_comment(other)
    for name in ("HRF_04_g.jpg", "HRF_07_dr.jpg", "21_training.tif", "skimage_retina.jpg"):
        assert identifiers((real_data / "odd_formats" / name).read_bytes()) == "", name
    with_number = data[:2] + b"\xff\xfe\x00\x0d" + NATIONAL_NUMBER.encode() + data[2:]
    assert identifiers(with_number) == "comment: number"
    with Image.open(visit) as picture:
        file = io.BytesIO()
        tags = exif({"Artist": "Jane Doe", "DateTime": "2014:03:21 10:11:12"}, {"GPSLatitude": (19.0, 8.0, 1.0)})
        picture.save(file, "JPEG", exif=tags, comment=b"")
    assert identifiers(file.getvalue()) == "EXIF: name, date, place"
    assert KINDS == ("name", "number", "contact", "date", "place")
