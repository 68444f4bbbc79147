"""What is said where a cluster cannot be joined."""

import functools

import pytest

from biranet.cluster import RUNNING, open_cluster
from biranet.errors import InputError


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
