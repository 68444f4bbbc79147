"""What is said where a cluster cannot be joined."""

import functools
import socket
import threading

import pytest

from biranet.cluster import RUNNING, open_cluster
from biranet.errors import InputError

pytestmark = [pytest.mark.slow, pytest.mark.apart]


def test_where_no_cluster_runs_it_is_said_how_to_come_by_one(monkeypatch):
    services = pytest.importorskip("ray._private.services")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # Other clusters of this machine are not to be found.
    monkeypatch.setattr(services, "find_gcs_addresses", functools.cache(lambda: set()))
    monkeypatch.setattr(services, "find_bootstrap_address", lambda *_: None)
    with open_cluster(RUNNING) as cluster, pytest.raises(InputError) as refused:
        cluster.connect()
    assert str(refused.value) == (
        "this machine is a node of no Ray cluster; start one: ray start --head, or join one: ray start "
        "--address=HOST:PORT; or give local in place of auto, for a cluster of this command alone"
    )


@pytest.mark.parametrize("way", ["silent", "web"])
def test_an_address_at_which_no_cluster_answers_is_said_so(biranet, drawn_photos, tmp_path, way):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if way == "web":

            def answer():
                connection, _ = server.accept()
                with connection:
                    connection.recv(100)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

            threading.Thread(target=answer, daemon=True).start()
        else:
            server.close()
        answer = biranet("grade", drawn_photos, "--out", tmp_path / "parts", "--ray", f"127.0.0.1:{port}")
    start = f"ray start --head --port={port}"
    assert answer.err == f"biranet: no Ray cluster answers at 127.0.0.1:{port}; start its head there: {start}\n"
    assert (answer.status, (tmp_path / "parts").exists()) == (2, False)
