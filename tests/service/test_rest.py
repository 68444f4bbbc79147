"""The answers of the service: those of the command line and of Python, to the last digit; a refusal for the rest."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

import biranet as package
from biranet.grades import GRADE_NAMES
from biranet.learning.shipped_models import DEFAULT, read_model_card
from biranet.photos.cut import Cut
from biranet.photos.drawn.synthetic import draw_photo
from biranet.photos.field import Field
from biranet.photos.overlay import NamedMap, draw_layer, draw_map
from biranet.photos.round_edge import FieldCircle
from biranet.service.uploads import OF_EACH
from biranet.typed_tables import plain
from photo_files import dicom_photo


def parts(*files, **fields):
    """The parts of a form."""
    named = [("files", (file.name, file.read_bytes())) for file in files]
    return named + [(name, (None, value)) for name, value in fields.items()]


def read_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_rows_are_those_of_the_command_line_to_the_last_digit(served, eyes, biranet, tmp_path, monkeypatch):
    monkeypatch.chdir(eyes)
    files = sorted(eyes.iterdir())
    out = tmp_path / "grades.jsonl"
    names = [file.name for file in files]
    assert biranet("grade", *names, "--name-pattern", "{patient}_{eye}", "--out", out, "--workers", 0).status == 1
    answer = served.post("/v1/grade", files=parts(*files))
    assert answer.status_code == 200
    assert answer.json() == {
        "photos": read_lines(out),
        "eyes": read_lines(tmp_path / "grades_eyes.jsonl"),
        "patients": read_lines(tmp_path / "grades_patients.jsonl"),
    }
    assert {row["status"] for row in answer.json()["photos"]} == {"ok", "unreadable", "ungradable"}
    assert [row["decision"] for row in answer.json()["patients"]]


def test_one_photo_is_answered_as_by_python_to_the_last_digit(served, eyes):
    file = eyes / "P2_left.png"
    prediction = package.load().grade(file)
    whose = {"group": "7", "group_from": "labels", "eye": "right", "eye_from": "labels"}
    expected = {name: plain(value) for name, value in prediction.values().items()} | {"file": None} | whose
    raw = served.post("/v1/grade", file.read_bytes(), params={"patient": "7", "eye": "OD"})
    assert raw.json()["photos"] == [expected]
    form = served.post("/v1/grade", files=[("files", ("x", file.read_bytes())), ("patient", (None, "7"))])
    assert form.json()["photos"] == [{**expected, "file": "x", "eye": None, "eye_from": None}]
    viewed = served.post("/v1/view", file.read_bytes(), params={"name": "x", "patient": "7", "eye": "re"}).json()
    assert viewed["photo"] == {**expected, "file": "x"}
    assert (
        viewed["words"]["title"] == f"Grade {prediction.grade} ({GRADE_NAMES[prediction.grade]}), {prediction.decision}"
    )


def test_both_eyes_of_a_patient_may_come_in_one_form(served, eyes, tmp_path):
    """As `Grader.grade_patient` answers for them, and as the command line does by the names of the files."""
    left, right = eyes / "P1_OS.png", eyes / "P1_OD.png"
    form = [("files", ("a", left.read_bytes())), ("files", ("b", right.read_bytes()))]
    form += [("eye", (None, "OS")), ("eye", (None, "OD")), ("patient", (None, "P1"))]
    said = served.post("/v1/grade", files=form).json()
    named = served.post("/v1/grade", files=parts(left, right)).json()
    answer = package.load().grade_patient([left], [right], patient="P1")
    [patient] = said["patients"]
    assert [answer.decision, answer.grade] == [patient["decision"], patient["predicted_grade"]]
    assert [row["eye"] for row in said["eyes"]] == ["left", "right"]
    assert [row["eye_from"] for row in said["photos"]] == ["labels"] * 2
    origins = {"patient_from": "labels", "eye_from": "labels"}
    assert [{**row, **origins} for row in named["patients"]] == said["patients"]


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [
        (b"", 422, "the request brings no photo; give it as body, or in the field files of a form"),
        (b"no photo", 415, "is not a picture in a format that is read (JPEG, PNG, TIFF, …)"),
        (b"%PDF-1.7", 415, "is a PDF document, which this program does not read; export it as JPEG, PNG or TIFF"),
        ("half.png", 422, "is cut short: the first 25 % of the picture can be read"),
    ],
)
def test_a_body_that_is_no_photo_is_refused_with_the_sentence_of_the_command_line(
    served, eyes, content, status, sentence
):
    content = (eyes / content).read_bytes() if isinstance(content, str) else content
    for path in ("/v1/grade", "/v1/view"):
        answer = served.post(path, content)
        assert answer.status_code == status
        assert sentence in answer.json()["error"]


def test_a_photo_that_was_read_and_cannot_be_graded_is_answered_with_what_to_do(served, eyes):
    answer = served.post("/v1/grade", (eyes / "P2_right.png").read_bytes())
    [row] = answer.json()["photos"]
    assert (answer.status_code, row["status"], row["predicted_grade"]) == (200, "ungradable", None)
    assert row["action"] == "retake: too dark (more light, or a wider pupil)"
    viewed = served.post("/v1/view", files=parts(eyes / "P2_right.png")).json()
    assert (viewed["width"], viewed["height"], viewed["maps"]) == (320, 256, []) and viewed["picture"]
    viewed = served.post("/v1/view", files=parts(eyes / "notes.jpg")).json()
    assert (viewed["photo"]["status"], viewed["width"], viewed["picture"]) == ("unreadable", None, None)


FILE_PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
PICTURE = ("files", ("a.png", b"x"))
CONTRADICTION = (
    "Q_OD.png is of the eye 'left' by the request, and of 'right' by its name; correct one of them, or say "
    "patient_from or eye_from=entered where a person knows better"
)
FORM = (
    "photos are files in files; patient may be said once for all of them, patient_from, eye, eye_from once or, in "
    "their order, for each"
)


@pytest.mark.parametrize(
    ("form", "status", "sentence"),
    [
        ([("patient", (None, "1"))], 422, "the form brings no photo; give photos as files in the field files"),
        ([("image", ("a.png", b"x"))], 422, f"the form has a field 'image' that is a file; {FORM}"),
        ([("files", (None, "x"))], 422, f"the form has a field 'files' that is no file; {FORM}"),
        ([PICTURE, *[("eye", (None, "OD"))] * 2], 422, f"the form says eye 2 times; {FORM}"),
        ([PICTURE, *[("patient", (None, "1"))] * 2], 422, f"the form says patient 2 times; {FORM}"),
        ([PICTURE, ("eye", (None, "third"))], 422, "'third' is not an eye; write left or right, L or R, OS or OD"),
        ([PICTURE, ("patient", (None, "1" * 20_000))], 400, "the form cannot be read: Part exceeded maximum size"),
        ([("files", ("Q_OD.png", b"x")), ("eye", (None, "OS"))], 422, CONTRADICTION),
        ([PICTURE, ("eye_from", (None, "hearsay"))], 422, "'hearsay' is nothing that patient or eye may be known from"),
        ([("files", ("x" * 5000, b"x"))], 400, "the form cannot be read: "),
    ],
)  # fmt: skip
def test_a_form_that_is_wrong_is_refused_in_a_sentence(served, form, status, sentence):
    answer = served.post("/v1/grade", files=form)
    assert (answer.status_code, answer.json()["error"][: len(sentence)]) == (status, sentence)


SAID = [
    # What is said of a right eye of P1 by its name, or of a left eye by its header; and whose it is then.
    ("P1_OD.png", {"patient": "P1", "eye": "OD"}, ("P1", "labels", "right", "labels")),
    ("P1_OD.png", {"patient": "P1", "patient_from": "name"}, ("P1", "name", "right", "name")),
    ("P1_OD.png", {"patient": "7", "patient_from": "entered"}, ("7", "entered", "right", "name")),
    (
        "P1_OD.png",
        {"patient_from": "entered", "eye": "OS", "eye_from": "entered"},
        (None, "entered", "left", "entered"),
    ),
    ("x.dcm", {"patient": "7", "eye": "OS"}, ("7", "labels", "left", "labels")),
    ("x.dcm", {"patient": "7", "eye": "OD"}, ("7", "labels", None, None)),
    ("x.dcm", {"patient": "7", "eye": "OD", "eye_from": "name"}, ("7", "labels", None, None)),
    ("x.dcm", {"patient": "7", "eye": "OD", "eye_from": "entered"}, ("7", "labels", "right", "entered over header")),
    ("x.dcm", {"patient": "7", "eye": "OD", "eye_from": "header"}, ("7", "labels", "left", "header")),
    ("x.dcm", {"patient": "7", "eye_from": "entered"}, ("7", "labels", None, "entered")),
]


@pytest.mark.parametrize(("name", "fields", "whose"), SAID)
def test_what_a_person_entered_counts_more_than_names_and_headers(served, eyes, name, fields, whose):
    data = (eyes / name).read_bytes() if name.endswith("png") else dicom_photo(1, "12345", "L")
    form = [("files", (name, data)), *((field, (None, value)) for field, value in fields.items())]
    for answer in (
        served.post("/v1/grade", files=form),
        served.post("/v1/grade", data, params=fields | {"name": name}),
    ):
        [row] = answer.json()["photos"]
        assert (row["group"], row["group_from"], row["eye"], row["eye_from"]) == whose
        against = "right eye: it was entered, the header of the file says the other eye"
        reasons = [patient["reason"] for patient in answer.json()["patients"]]
        assert any(against in reason for reason in reasons) == (row["eye_from"] == "entered over header")


def test_programs_are_told_what_may_be_said_of_patient_and_eye(served):
    described = served.get("/openapi.json").json()["paths"]["/v1/grade"]["post"]
    schemas = {each["name"]: each["schema"] for each in described["parameters"]}
    form = described["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    for name in ("patient_from", "eye_from"):
        assert schemas[name] == form[name]["items"]
        for source in schemas[name]["enum"]:
            answer = served.post("/v1/grade", dicom_photo(1, "12345", "L"), params={name: source})
            assert answer.status_code == 200, answer.text


def test_what_an_answer_says_of_its_photos_can_be_sent_back(served):
    sent = {"a.dcm": "L", "b.dcm": "L", "c.dcm": ""}
    files = [("files", (name, dicom_photo(1, "12345", eye))) for name, eye in sent.items()]
    said = [("patient", "7"), ("eye", "OS"), ("eye", "OD"), ("eye", "OD")]
    said += [("eye_from", source) for source in ("header", "entered", "name")]
    said += [("patient_from", source) for source in ("labels", "entered", "name")]
    first = served.post("/v1/grade", files=files + [(name, (None, value)) for name, value in said]).json()
    assert [row["eye_from"] for row in first["photos"]] == ["header", "entered over header", "name"]
    assert [row["group_from"] for row in first["photos"]] == ["labels", "entered", "name"]
    told = [(name, (None, row[name.replace("patient", "group")])) for row in first["photos"] for name in OF_EACH]
    assert served.post("/v1/grade", files=[*files, ("patient", (None, "7")), *told]).json() == first


def test_a_name_may_be_as_long_as_a_path(served):
    name = "folder/" * 580 + "a.png"  # 4,065 bytes
    [row] = served.post("/v1/grade", files=[("files", (name, b"x"))]).json()["photos"]
    assert row["file"] == name


def test_head_is_answered_as_get_without_a_body(served):
    addresses = ("/", "/page/page.js", "/healthz", "/readyz", "/metrics", "/v1/models", "/v2", "/openapi.json", "/no")
    for address in (*addresses, "/v1/grade"):
        got, head = served.get(address), served.session.head(served.url + address, timeout=30)
        assert (head.status_code, head.content) == (got.status_code, b""), address
        assert set(got.headers) == set(head.headers)
        if address != "/metrics":
            assert head.headers["content-length"] == str(len(got.content))
    assert re.search(r" HEAD /healthz 200 ", served.log.read_text())


def test_different_photos_of_a_patient_have_different_names(served, eyes):
    left, right = ((eyes / name).read_bytes() for name in ("P1_OS.png", "P1_OD.png"))
    form = [("files", ("a.png", left)), ("files", ("a.png", right)), ("patient", (None, "1"))]
    answer = served.post("/v1/grade", files=form)
    assert answer.status_code == 422 and "two photos are called 'a.png'" in answer.json()["error"]
    assert len(served.post("/v1/grade", files=form[:2]).json()["photos"]) == 2


def test_a_body_that_is_no_form_is_refused(served):
    for content_type, body in (
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"nothing"),
        ("multipart/form-data; boundary=x", FILE_PART + b"ab"),
    ):
        answer = served.post("/v1/grade", body, headers={"content-type": content_type})
        assert answer.status_code in (400, 422) and answer.json()["error"].startswith("the form "), answer.text


@pytest.mark.parametrize(
    ("charset", "status"),
    [("UTF-8", 200), ("ISO-8859-1", 200), ("undefined", 400), ("idna", 400), ("unicode_escape", 400), ("hex", 400)],
)
def test_a_form_may_not_choose_how_its_names_are_decoded(served, charset, status):
    """Python decodes by names that no browser knows, to what no answer can hold."""
    body = FILE_PART.replace(b'"a"', b'"\\ud800..a"') + b"x\r\n--x--\r\n"
    answer = served.post(
        "/v1/grade", body, headers={"content-type": f"multipart/form-data; charset={charset}; boundary=x"}
    )
    assert answer.status_code == status, answer.text
    if status == 400:
        assert answer.json()["error"].startswith("the form names its files in ")


def decoded(text, mode):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert(mode))


def test_maps_lie_over_the_picture(served, tmp_path):
    """A field in a corner of a photo that is larger than the picture."""
    photo = np.zeros((2000, 3000, 3), np.uint8)
    photo[100:1380, 1300:2900] = np.asarray(Image.fromarray(draw_photo(grade=4, seed=7)).resize((1600, 1280)))
    Image.fromarray(photo).save(tmp_path / "eye.jpg", quality=95)
    viewed = served.post("/v1/view", files=parts(tmp_path / "eye.jpg")).json()
    assert (viewed["width"], viewed["height"]) == (3000, 2000)
    picture = decoded(viewed["picture"], "RGB")
    assert picture.shape == (1365, 2048, 3)
    small = np.asarray(Image.fromarray(photo).resize((2048, 1365)), float)
    assert np.abs(picture - small).mean() < 3
    assert [each["name"] for each in viewed["maps"]] == [
        f"{name}{kind}" for name in ("attention_a", "attention_b", "evidence") for kind in ("", "_stretched")
    ]
    cut = package.load().grade(tmp_path / "eye.jpg").original.cut
    for each in viewed["maps"]:
        layer = decoded(each["png"], "RGBA")
        assert layer.shape == (1365, 2048, 4) and set(np.unique(layer[..., 3])) == {0, 255}
        columns = np.nonzero(layer[..., 3])[1]
        scale = 2048 / 3000
        ends = [end * scale for end in (cut.field.left_px, cut.field.left_px + cut.field.side_px)]
        np.testing.assert_allclose([columns.min(), columns.max() + 1], np.clip(ends, 0, 2048), atol=1)
        shown = np.unique(layer[layer[..., 3] > 0][:, :3] @ [65536, 256, 1]).tolist()
        assert set(shown) <= {int(color[1:], 16) for color in each["scale"]["colors"]}
    assert viewed["maps"][0]["scale"]["low"] == 0 and viewed["maps"][0]["label"] == "attention of stream A"


def test_a_layer_is_what_is_drawn_over_a_photo():
    photo = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    values = np.random.default_rng(1).random((5, 5))
    circle = FieldCircle(40, 30, 20)
    for field in (Field(15, 5, 50), Field(-10, -20, 100), Field(20, 10, 40, circle)):
        cut = Cut(field, 80, 60)
        drawn = draw_map(photo, cut, NamedMap("", values), opacity=1)
        layer = draw_layer(cut, NamedMap("", values))
        opaque = layer[..., 3] == 255
        assert opaque.any() and ((layer[..., 3] == 0) | opaque).all()
        grey = (drawn == 150).all(axis=-1)  # the line around what the network saw
        np.testing.assert_array_equal(drawn[opaque & ~grey], layer[opaque & ~grey][:, :3])
        np.testing.assert_array_equal(opaque[~circle.mask((60, 80))].any(), field.circle is None)


def test_the_card_of_the_model_is_told(served):
    [listed] = served.get("/v1/models").json()["models"]
    card = served.get(f"/v1/models/{listed['name']}").json()
    assert {name: card[name] for name in listed} == listed
    assert card["sha256"] == read_model_card(DEFAULT).weights_sha256
    assert card["engine"] == "onnxruntime" and card["limits"] and card["intended_use"]
    figures = card["metrics"][0]["figures"]
    assert figures["quadratic_weighted_kappa"]["name"] == "Quadratic weighted kappa"
    answer = served.get("/v1/models/other")
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": f"no model 'other' answers here, only {listed['name']}"},
    )


def test_what_is_not_there_is_told_in_the_same_form(served):
    assert served.get("/nowhere").json() == {"error": "there is no such address here"}
    answer = served.get("/v1/grade")
    assert (answer.status_code, answer.json()) == (405, {"error": "this address takes POST alone"})
    answer = served.post("/v1/grade/", b"x", allow_redirects=False)
    assert (answer.status_code, answer.json()) == (404, {"error": "there is no such address here"})
    assert served.get("/page/..%2Fapp.py").status_code == 404
    assert served.get("/healthz").json() == {"status": "ok"}
    [model] = served.get("/v1/models").json()["models"]
    assert served.get("/readyz").json() == {"status": "ok", "model": model["name"], "sha256": model["sha256"]}


def test_every_answer_has_the_headers_that_keep_photos_on_the_machine(served):
    for answer in (served.get("/"), served.get("/nowhere"), served.post("/v1/grade", b"no photo")):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; img-src 'self' blob: data:")
        # What the default does not hold for.
        assert all(f"; {what} 'none'" in policy for what in ("base-uri", "form-action", "frame-ancestors"))
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert served.post("/v1/grade", b"no photo").headers["cache-control"] == "no-store"


def test_a_request_that_is_repeated_is_graded_once(served, eyes):
    def ask(file, key="a key of my own"):
        return served.post("/v1/grade", files=parts(eyes / file), headers={"idempotency-key": key})

    first = ask("P1_OD.png")
    graded = served.metric('biranet_photos_total{status="ok"}')
    again = ask("P1_OD.png")
    assert (again.status_code, again.content) == (200, first.content)
    assert served.metric('biranet_photos_total{status="ok"}') == graded
    other = ask("P1_OS.png")
    assert other.status_code == 422 and "was used for another request" in other.json()["error"]
    assert ask("P1_OD.png", "x" * 300).status_code == 400


def test_nothing_of_a_photo_is_logged(served, eyes):
    name, patient = "Erika_Mustermann.png", "Musterpatient"
    form = [("files", (name, (eyes / "P1_OD.png").read_bytes())), ("patient", (None, patient))]
    answer = served.post("/v1/grade?name=Erika", files=form, headers={"x-request-id": "number-1"})
    assert answer.headers["x-request-id"] == "number-1"
    served.get("/Erika/Mustermann?Musterpatient")
    served.post("/v1/grade", files=form, headers={"x-request-id": "Erika Mustermann"})
    log = served.log.read_text()
    assert "request=number-1 POST /v1/grade 200" in log
    assert not any(word in log for word in ("Erika", "Muster"))
    assert not any(word in served.get("/metrics").text for word in ("Erika", "Muster"))


def test_nothing_is_written_anywhere(served, eyes):
    """Not even by ONNX Runtime, which left to itself keeps at home what it tells its makers."""
    assert served.post("/v1/grade", files=parts(*sorted(eyes.iterdir()))).status_code == 200
    assert list(served.home.rglob("*")) == []


def test_another_site_cannot_ask_by_a_name_of_its_own(served):
    answer = served.get("/v1/models", headers={"host": "evil.example"})
    assert answer.status_code == 421
    assert requests.get(served.url.replace("127.0.0.1", "localhost") + "/healthz", timeout=10).status_code == 200


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 415), ("none", 415)]
)
def test_a_page_of_another_site_cannot_send_photos(served, site, status):
    """It need not be led here for that: a form goes anywhere."""
    assert served.post("/v1/grade", b"no photo", headers={"sec-fetch-site": site}).status_code == status
    assert served.get("/", headers={"sec-fetch-site": site}).status_code == 200  # as by a link


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://[", None])
def test_nor_can_it_by_a_browser_that_tells_its_origin_alone(served, origin):
    own = origin is None
    answer = served.post("/v1/grade", b"no photo", headers={"origin": served.url if own else origin})
    assert answer.status_code == (415 if own else 403)


def test_no_torch_is_loaded(served, eyes):
    assert served.post("/v1/grade", files=parts(eyes / "P1_OD.png")).status_code == 200
    processes = [served.process.pid, *served.workers()]
    assert len(processes) == 3
    for number in processes:
        assert "libtorch" not in Path(f"/proc/{number}/maps").read_text()
