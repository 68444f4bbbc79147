"""The Open Inference Protocol, as a client of others speaks it."""

import base64
import json
import subprocess
import sys

import numpy as np
import pytest

from biranet.inference.prediction import COLUMN_TYPES

TRITON = """
import sys
from pathlib import Path
import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

address, *files = sys.argv[1:]
client = InferenceServerClient(address)
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("idrid_lite0")
assert client.get_server_metadata()["name"] == "biranet"
described = client.get_model_metadata("idrid_lite0")
photos = InferInput("photos", [len(files)], "BYTES")
photos.set_data_from_numpy(np.array([Path(file).read_bytes() for file in files], dtype=object))
answer = client.infer("idrid_lite0", [photos], request_id="seven")
assert answer.get_response()["id"] == "seven"
for output in described["outputs"]:
    values = answer.as_numpy(output["name"])
    assert values.shape == (len(files),)
    print([each.decode() if isinstance(each, bytes) else each for each in values.tolist()])
wanted = [InferRequestedOutput("decision")]
assert answer.as_numpy("decision").tolist() == client.infer("idrid_lite0", [photos], outputs=wanted).as_numpy("decision").tolist()
"""  # noqa: E501


def test_tritonclient_gets_the_answers_of_rest(served, eyes):
    """In a process of its own: gevent, which it stands on, is nothing for the process of the tests."""
    names = ["P1_OD.png", "notes.jpg", "P2_right.png", "P2_left.png"]
    files = [str(eyes / name) for name in names]
    address = served.url.removeprefix("http://")
    done = subprocess.run([sys.executable, "-c", TRITON, address, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    columns = [name for name in COLUMN_TYPES if name != "file"]
    nan = float("nan")
    tensors = [eval(line, {"nan": nan}) for line in done.stdout.splitlines()]
    form = [("files", ("", (eyes / name).read_bytes())) for name in names]
    rows = served.post("/v1/grade", files=form).json()["photos"]
    for column, values in zip(columns, tensors, strict=True):
        empty = {str: "", int: -1, float: nan}[COLUMN_TYPES[column]]
        assert [empty if row[column] is None else row[column] for row in rows] == pytest.approx(values, nan_ok=True)


def infer(served, request, data=b"", **headers):
    text = request if isinstance(request, bytes) else json.dumps(request).encode()
    return served.post("/v2/models/idrid_lite0/infer", text + data, headers=headers)


def asked(photo="", **changes):
    return {"inputs": [{"name": "photos", "datatype": "BYTES", "shape": [1], "data": [photo], **changes}]}


def test_photos_may_stand_in_the_json(served, eyes):
    photo = base64.b64encode((eyes / "P1_OD.png").read_bytes()).decode()
    answer = infer(served, asked(photo) | {"outputs": [{"name": "predicted_grade"}, {"name": "p0"}]}).json()
    [grade, share] = answer["outputs"]
    [row] = served.post("/v1/grade", (eyes / "P1_OD.png").read_bytes()).json()["photos"]
    assert grade == {"name": "predicted_grade", "datatype": "INT64", "shape": [1], "data": [row["predicted_grade"]]}
    assert share["data"] == [row["p0"]]
    assert (answer["model_name"], "id" in answer) == ("idrid_lite0", False)


@pytest.mark.parametrize(
    ("request_", "data", "headers", "sentence"),
    [
        (b"{", b"", {}, "the body is not JSON: "),
        (b"[" * 100_000, b"", {}, "the body is not JSON: recursion limit exceeded"),
        ({"inputs": []}, b"", {}, "inputs: List should have at least 1 item"),
        ([], b"", {}, "the body is JSON, but no request: {"),
        (asked(name="image"), b"", {}, "inputs.0.name: Input should be 'photos'"),
        (asked("not base64"), b"", {}, "photos in photos must be in base64, or in binary behind the JSON"),
        (asked("AA==AAAA"), b"", {}, "photos in photos must be in base64, or in binary behind the JSON"),
        (asked(shape=[2]), b"", {}, "the shape [2] of photos is not that of its 1 photos"),
        (asked(shape=[0], data=[]), b"", {}, "the shape [0] of photos is not that of its 0 photos"),
        (asked() | {"outputs": [{"name": "x"}]}, b"", {}, "there is no output 'x'; the outputs are: status, "),
        (asked(), b"", {"inference-header-content-length": "9999"}, "inference-header-content-length is not"),
        (asked(), b"", {"inference-header-content-length": "9" * 5000}, "inference-header-content-length is not"),
        (asked(parameters={"binary_data_size": 9}), b"", {}, "binary_data_size is 9, and 0 bytes stand behind"),
        (b'{"id": "\\ud800"}', b"", {}, "the body is not JSON: "),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused_in_a_sentence(served, request_, data, headers, sentence):
    answer = infer(served, request_, data, **headers)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(sentence), answer.text


def test_a_binary_tensor_that_ends_too_early_is_refused(served):
    text = json.dumps(asked(parameters={"binary_data_size": 6})).encode()
    for data in (b"\x05\0\0\0ab", b"\x02\0\0\0ab\x01"):
        request = text.replace(b": 6", b": %d" % len(data))
        answer = infer(served, request, data, **{"inference-header-content-length": str(len(request))})
        assert (answer.status_code, answer.json()["error"]) == (400, "the binary tensor photos ends within a photo")


@pytest.mark.parametrize(
    ("text", "data", "sentence"),
    [
        (json.dumps(asked(data=[""] * 101)), b"", "the request brings more than 100 photos"),
        (
            json.dumps(asked(parameters={"binary_data_size": 404})),
            bytes(404),
            "the request brings more than 100 photos",
        ),
        (json.dumps(asked(data=[""] * 5000)), b"", "the JSON of the request holds more values than 100 photos need"),
    ],
)
def test_a_request_of_too_many_values_is_refused_before_it_keeps_others_waiting(served, text, data, sentence):
    answer = infer(served, text.encode(), data, **{"inference-header-content-length": str(len(text))})
    assert (answer.status_code, answer.json()["error"]) == (413, sentence)


def test_another_model_is_not_there(served):
    for path in ("", "/ready"):
        assert served.get(f"/v2/models/other{path}").status_code == 404
    assert served.post("/v2/models/other/infer", b"{}").json()["error"].startswith("no model 'other' answers here")


def test_the_model_is_described(served):
    described = served.get("/v2/models/idrid_lite0").json()
    assert described["inputs"] == [{"name": "photos", "datatype": "BYTES", "shape": [-1]}]
    assert {"name": "p4", "datatype": "FP64", "shape": [-1]} in described["outputs"]
    assert np.all([output["shape"] == [-1] for output in described["outputs"]])
    assert "versions" not in described  # which clients would ask for by addresses of their own
    assert served.get("/v2/health/ready").json() == {"ready": True}
    assert served.get("/v2/models/idrid_lite0/ready").json() == {"name": "idrid_lite0", "ready": True}
