"""What docs/serve.md shows, run as it stands there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from photo_files import dicom_photo
from warm import unmeasured

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
ADDRESS = "127.0.0.1:8000"


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def here(eyes, tmp_path):
    """A folder with the photos that the page speaks of."""
    for name, photo in {"left.png": "P1_OS.png", "right.png": "P1_OD.png"}.items():
        shutil.copy(eyes / photo, tmp_path / name)
    return tmp_path


def test_the_lines_of_the_shell_run(served, here):
    [text] = blocks("sh")
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    done = subprocess.run(
        ["sh", "-ec", text.replace("curl", "curl --fail --silent --show-error").replace(ADDRESS, served.url[7:])],
        cwd=here, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"predicted_grade"') == 6 and '"intended_use"' in done.stdout


@pytest.mark.parametrize(("number", "said"), list(enumerate([r"left\.png .+\nright\.png .+\n", r"\[.+\]\n"])))
def test_the_lines_of_python_run(served, here, number, said):
    program = blocks("python")[number].replace(ADDRESS, served.url[7:])
    done = subprocess.run([sys.executable, "-c", program], cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(said, done.stdout)


def test_limits_are_those_of_the_command():
    from biranet.commands.serve import Serve

    rows = dict(re.findall(r"^\| `--([\w-]+)` \| ([\d.]+) ", TEXT, re.MULTILINE))
    assert {name: float(value) for name, value in rows.items()} == {
        name.replace("_", "-"): float(getattr(Serve(), name))
        for name in ("max_megabytes", "max_files", "max_seconds", "max_waiting")
    }


@pytest.mark.slow
def test_the_steps_of_the_container_give_a_service_without_torch(here, launch):
    """No container is made here: what its steps run is run in an environment of its own, and then without a home."""
    lines = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", "").splitlines()
    steps = [line.removeprefix("RUN ") for line in lines if line.startswith("RUN ")]
    assert len(steps) == 2
    source, place = here / "source", here / "opt"
    for name in next(line for line in lines if line.startswith("COPY pyproject")).split()[1:-1]:
        source.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    reach = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", here / "reach", "python-multipart"],
        check=False, capture_output=True,
    )  # fmt: skip
    if reach.returncode:
        pytest.skip("there is no index of packages within reach")
    for step in steps:
        command = step.replace("/opt/biranet", str(place)).replace("/source", str(source))
        command = command.replace("python -m", f"{sys.executable} -m").replace("--no-cache-dir ", "")
        subprocess.run(["sh", "-ec", command], check=True, capture_output=True, text=True)
    installed = subprocess.run([place / "bin/pip", "list"], check=True, capture_output=True, text=True).stdout
    assert "biranet" in installed and "torch" not in installed
    environment = {"BIRANET_TOKEN": "0123456789abcdef", "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    flags = next(line for line in lines if line.startswith("ENTRYPOINT"))
    assert '"--host", "0.0.0.0"' in flags and "USER 65534:65534" in lines
    # No home that could be written, not even by root, who may run this.
    program = ["env", "HOME=/proc/nowhere", place / "bin/biranet"]
    with launch(here / "run", "--host", "0.0.0.0", program=program, environment=environment) as service:
        service.session.headers["authorization"] = "Bearer 0123456789abcdef"
        answer = service.post("/v1/grade", (here / "left.png").read_bytes())
        assert answer.json()["photos"][0]["status"] == "ok"
        answer = service.post("/v1/grade", dicom_photo(1, "77", "L"))
        assert [answer.json()["photos"][0][name] for name in ("eye", "group_from")] == ["left", "header"]
        # Its file system may be read only.
        assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before
        assert list(service.home.iterdir()) == []


READ_ONLY = """
mount --bind "$HOME" "$HOME"
for each in "$HOME" /; do mount -o remount,ro,bind "$each"; done
cd /
exec "$@"
"""


@pytest.mark.parametrize("user", [0, 65534])
def test_a_service_grades_on_a_file_system_that_is_read_only(here, launch, user):
    """As the container is run, without rights: in a view of its own of the file system, which only root can make."""
    apart = ["unshare", "--mount", "sh", "-ec", READ_ONLY, "sh"]
    bare = f"setpriv --reuid {user} --regid {user} --clear-groups --bounding-set=-all --inh-caps=-all env".split()
    environment = {name: value for name, value in unmeasured().items() if name != "XDG_CONFIG_HOME"}

    def can(*command):
        tried = {**environment, "HOME": str(here)}
        return subprocess.run(command, env=tried, cwd="/", capture_output=True, check=False).returncode == 0

    if not (shutil.which("unshare") and shutil.which("setpriv") and can(*apart, *bare, "true")):
        pytest.skip("no file system of its own can be made here: that takes root, unshare and setpriv")
    if not can(*bare, sys.executable, "-c", "import biranet"):
        pytest.skip("no other user can read this interpreter or biranet")
    assert not can(*apart, "touch", here / "new")
    program = [*apart, *bare, sys.executable, "-m", "biranet"]
    with launch(here / "run", "--workers", 1, program=program, environment=environment) as service:
        status = Path(f"/proc/{service.process.pid}/status").read_text()
        assert f"\nUid:\t{user}\t" in status and re.search(r"\nCapEff:\t0+\n", status)
        answer = service.post("/v1/grade", (here / "left.png").read_bytes())
        assert answer.json()["photos"][0]["status"] == "ok"
        answer = service.post("/v1/grade", dicom_photo(1, "77", "L"))
        assert [answer.json()["photos"][0][name] for name in ("eye", "group_from")] == ["left", "header"]
        assert "patients of DICOM headers get other names at each start" in service.log.read_text()


NGINX = """
error_log stderr;
pid {place}/pid;
events {{}}
http {{
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    {server}
}}
"""


def test_nginx_takes_the_block_that_is_shown(tmp_path):
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None or shutil.which("openssl") is None:
        pytest.skip("there is no nginx, or no openssl, here")
    [server] = blocks("nginx")
    for shown, here in {
        "/etc/ssl/grades.example.pem": f"{tmp_path}/pem",
        "/etc/ssl/private/grades.example.key": f"{tmp_path}/key",
        "/var/log/nginx/grades.log": f"{tmp_path}/log",
        "listen 443": "listen 127.0.0.1:8443",  # only root may listen there
    }.items():
        assert shown in server
        server = server.replace(shown, here)
    names = ["-subj", "/CN=grades.example", "-keyout", tmp_path / "key", "-out", tmp_path / "pem"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *names], check=True, capture_output=True
    )
    (tmp_path / "nginx.conf").write_text(NGINX.format(place=tmp_path, server=server))
    done = subprocess.run(
        [nginx, "-t", "-e", "stderr", "-p", tmp_path, "-c", tmp_path / "nginx.conf"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "[warn]" not in done.stderr, done.stderr


def test_systemd_takes_the_unit_that_is_shown(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd here")
    [unit] = blocks("ini")
    assert "ExecStart=/opt/biranet/bin/biranet serve " in unit
    (tmp_path / "biranet.service").write_text(unit.replace("/opt/biranet/bin/biranet", sys.executable))
    command = ["systemd-analyze", "verify", tmp_path / "biranet.service"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "biranet.service" not in done.stderr, done.stderr
