"""Photos and lists at addresses: a real server of S3 and one of HTTP, both on this machine."""

import csv
import functools
import http.server
import logging
import threading
import time
from importlib.util import find_spec

import pytest

from biranet.errors import InputError, PhotoError
from biranet.inference import addresses
from biranet.inference.addresses import address_state, parse_address, read_address
from biranet.inference.inputs import list_photos

pytest.importorskip("s3fs")
boto3 = pytest.importorskip("boto3")
moto = pytest.importorskip("moto.server")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the server's own libraries

SECRET = "s3cr3t"


@pytest.fixture(scope="module")
def bucket(drawn_photos):
    """Address of a bucket with five photos and a list of them."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_ACCESS_KEY_ID", "someone")
        patched.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patched.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patched.setenv("AWS_DEFAULT_REGION", "us-east-1")
        client = boto3.client("s3")
        client.create_bucket(Bucket="clinic")
        for file in sorted(drawn_photos.glob("*.jpg"))[:5]:
            client.upload_file(str(file), "clinic", f"eyes/{file.name}")
        client.put_object(Bucket="clinic", Key="eyes/notes.md", Body=b"none")
        rows = ["file,patient,camera", "drawn_0001_left.jpg,P1,A", "s3://clinic/eyes/drawn_0001_right.jpg,P1,B"]
        client.put_object(Bucket="clinic", Key="eyes/list.csv", Body="\n".join([*rows, "gone.jpg,P2,C"]).encode())
        yield "s3://clinic"
    server.stop()


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files, some slowly, and some to those who give the secret."""

    def send_head(self):
        if "slow" in self.path:
            time.sleep(0.5)
        return super().send_head()

    def do_GET(self):
        if "secret" in self.path and SECRET not in self.path:
            self.send_error(403)
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """Says nothing where nobody waits for its answer any more."""

    def handle_error(self, *_):
        pass


@pytest.fixture(scope="module")
def web(drawn_photos):
    """Address of a server of the drawn photos."""
    handler = functools.partial(Handler, directory=drawn_photos)
    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_photos_of_a_bucket_are_graded_as_those_of_a_folder(biranet, bucket, drawn_photos, checkpoint, tmp_path):
    command = ["--checkpoint", checkpoint, "--batch-size", 2]
    answer = biranet("grade", f"{bucket}/eyes", *command, "--workers", 2, "--out", tmp_path / "far.csv")
    assert answer.status == 0, answer.err
    assert "2 files are no photos by their ending and content, and are passed by: .csv, .md." in answer.out
    near = sorted(drawn_photos.glob("*.jpg"))[:5]
    assert biranet("grade", *near, *command, "--workers", 0, "--out", tmp_path / "near.csv").status == 0
    far, near = (rows_of(tmp_path / name) for name in ("far.csv", "near.csv"))
    assert [row.pop("file") for row in far] == [f"{bucket}/eyes/{row.pop('file').rpartition('/')[2]}" for row in near]
    assert far == near
    again = biranet("grade", f"{bucket}/eyes/", *command, "--workers", 0, "--out", tmp_path / "far.csv")
    assert "For 5 photos the answer of an earlier run was taken over." in again.out


def test_lists_name_photos_by_addresses_and_a_list_may_lie_at_one(biranet, bucket, web, checkpoint, tmp_path):
    (tmp_path / "list.csv").write_text(f"file,note\n{web}/drawn_0003_left.jpg,=1+1\n{bucket}/eyes/none.jpg,\n")
    command = ["--checkpoint", checkpoint, "--workers", 0, "--out", tmp_path / "g.csv"]
    answer = biranet("grade", f"{bucket}/eyes/list.csv", tmp_path / "list.csv", *command, "--overlay", tmp_path / "o")
    assert answer.status == 1, answer.err
    assert len(list((tmp_path / "o").iterdir())) == 3
    rows = rows_of(tmp_path / "g.csv")
    assert [(row["file"], row["status"], row["group"], row["camera"], row["note"]) for row in rows] == [
        (f"{bucket}/eyes/drawn_0001_left.jpg", "ok", "P1", "A", ""),
        (f"{bucket}/eyes/drawn_0001_right.jpg", "ok", "P1", "B", ""),
        (f"{bucket}/eyes/gone.jpg", "unreadable", "P2", "C", ""),
        (f"{web}/drawn_0003_left.jpg", "ok", "", "", "'=1+1"),
        (f"{bucket}/eyes/none.jpg", "unreadable", "", "", ""),
    ]
    assert rows[2]["reason"] == rows[4]["reason"] == "no such file"


def test_what_may_be_a_secret_is_used_and_never_written_down(biranet, web, checkpoint, tmp_path):
    photo = f"{web}/drawn_0001_left.jpg".replace("//", f"//me:{SECRET}@", 1)
    given = [photo, f"{web}/drawn_0001_right.jpg?secret={SECRET}", f"{web}/drawn_0002_left.jpg?secret=wrong"]
    answer = biranet("grade", *given, "--checkpoint", checkpoint, "--workers", 0, "--out", tmp_path / "g.csv")
    assert [(row["file"], row["status"], row["reason"]) for row in rows_of(tmp_path / "g.csv")] == [
        (f"{web}/drawn_0001_left.jpg", "ok", ""),
        (f"{web}/drawn_0001_right.jpg", "ok", ""),
        (f"{web}/drawn_0002_left.jpg", "unreadable", "no permission to read the file"),
    ]
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir()).decode() + answer.out + answer.err
    assert SECRET not in written and "wrong" not in written and ".g.csv.journal" in {p.name for p in tmp_path.iterdir()}
    with pytest.raises(InputError, match=r"jpg stands for several addresses, which differ in what may be a secret"):
        list_photos([parse_address(f"{web}/eye.jpg?n={number}") for number in (1, 2)])


def test_a_server_that_hangs_is_not_waited_for(web, monkeypatch):
    monkeypatch.setattr(addresses, "SILENCE_S", 0.2)
    with pytest.raises(PhotoError, match="the server did not answer in time"):
        read_address(parse_address(f"{web}/slow.jpg"))
    monkeypatch.setattr(addresses, "SILENCE_S", 60.0)
    monkeypatch.setattr(addresses, "WHOLE_S", 0.2)
    with pytest.raises(PhotoError, match="the server did not answer in time"):
        read_address(parse_address(f"{web}/slow.jpg"))


def test_a_server_that_goes_down_ends_the_run_and_loses_nothing(biranet, drawn_photos, checkpoint, tmp_path):
    def serve(port, photos):
        """Serve so many photos, then end."""

        class Ending(Handler):
            def do_GET(self):
                super().do_GET()
                served.append(self.path)
                if len(served) == photos:
                    threading.Thread(target=server.shutdown).start()

        served = []
        server = Server(("127.0.0.1", port), functools.partial(Ending, directory=drawn_photos))
        thread = threading.Thread(target=lambda: (server.serve_forever(), server.server_close()), daemon=True)
        thread.start()
        return server.server_port

    names = [path.name for path in sorted(drawn_photos.glob("*.jpg"))[:6]]
    port = serve(0, 2)
    command = [*(f"http://127.0.0.1:{port}/{name}" for name in names), "--checkpoint", checkpoint, "--workers", 0]
    answer = biranet("grade", *command, "--batch-size", 2, "--out", tmp_path / "g.csv")
    assert answer.status == 2 and answer.err == (
        f"biranet: http://127.0.0.1:{port}/{names[0]} cannot be read: the server cannot be reached; "
        "what was graded is kept, so run the same command again\n"
    )
    assert not (tmp_path / "g.csv").exists()
    serve(port, 6)
    answer = biranet("grade", *command, "--batch-size", 2, "--out", tmp_path / "g.csv")
    assert answer.status == 0 and "the answer of an earlier run was taken over" in answer.out


@pytest.mark.parametrize("place", ["bucket", "web"])
def test_a_file_that_is_too_long_is_not_read_to_its_end(request, place, monkeypatch):
    base = request.getfixturevalue(place)
    photo = parse_address(f"{base}/eyes/drawn_0001_left.jpg" if place == "bucket" else f"{base}/drawn_0001_left.jpg")
    assert len(read_address(photo)) > 1000
    monkeypatch.setattr("biranet.photos.formats.limits.FILE_LIMIT_BYTES", 1000)
    with pytest.raises(PhotoError, match="is a file of more than"):
        read_address(photo)


def test_a_photo_that_changed_in_its_bucket_is_known_by_the_mark_of_its_content(bucket):
    client, photo = boto3.client("s3"), parse_address(f"{bucket}/eyes/changing.jpg")
    client.put_object(Bucket="clinic", Key="eyes/changing.jpg", Body=b"1")
    before = address_state(photo)
    client.put_object(Bucket="clinic", Key="eyes/changing.jpg", Body=b"1")
    assert address_state(photo) == before != {}
    client.put_object(Bucket="clinic", Key="eyes/changing.jpg", Body=b"2")
    assert address_state(photo) != before
    client.delete_object(Bucket="clinic", Key="eyes/changing.jpg")
    with pytest.raises(PhotoError, match="no such file"):
        address_state(photo)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("az://clinic/eye.jpg", "az:// is no kind of address that is read; known are s3://, gs://, https://, http://"),
        ("file:///etc/passwd", "file:// is no kind of address that is read"),
        ("s3:///eye.jpg", "an address of s3:// begins with the name of a bucket"),
        ("s3://key:secret@clinic/eye.jpg", "an address of s3:// begins with the name of a bucket"),
        ("https:///eye.jpg", "an address of https:// begins with a server"),
        ("https://clinic.example:99999/eye.jpg", "an address of https:// begins with a server"),
        ("http://127.0.0.1:9/eye.jpg", "http://127.0.0.1:9/eye.jpg cannot be read: the server cannot be reached"),
        ("http://127.0.0.1:9/list.csv", "http://127.0.0.1:9/list.csv cannot be read: the server cannot be reached"),
        pytest.param(
            "gs://clinic/eye.jpg",
            "reading gs://clinic/eye.jpg needs gcsfs; install it with: pip install gcsfs",
            marks=pytest.mark.skipif(find_spec("gcsfs") is not None, reason="it is there"),
        ),
    ],
)
def test_what_cannot_be_reached_at_all_is_one_sentence(biranet, checkpoint, tmp_path, monkeypatch, given, sentence):
    monkeypatch.chdir(tmp_path)
    answer = biranet("grade", given, "--checkpoint", checkpoint, "--workers", 0)
    assert answer.status == 2 and answer.err.startswith(f"biranet: {sentence}") and answer.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_list_names_the_row_of_an_address_of_an_unknown_kind(biranet, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.csv").write_text("file\nfile:///etc/passwd\n")
    answer = biranet("grade", "list.csv", "--checkpoint", checkpoint)
    assert answer.err.startswith("biranet: list.csv, row 2, column 'file': file:// is no kind of address")
