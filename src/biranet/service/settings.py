"""How a service runs: what it computes with, and what it takes at most."""

from dataclasses import dataclass, field
from pathlib import Path

from biranet.config import Device, Engine
from biranet.photos.datasets.name_pattern import NamePattern

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Hosts that only this machine reaches."""

HELD_REQUESTS = 8
"""How many requests of the largest size may be held in memory at a time."""


@dataclass(frozen=True)
class Model:
    """What computes.

    Attributes:
        path: The model's file, as `find_checkpoint` found it.
        engine: As `load_engine` takes it.
        device: As `load_engine` takes it.
    """

    path: Path
    engine: Engine = "auto"
    device: Device = "auto"


@dataclass(frozen=True)
class Limits:
    """What a service takes at most.

    Attributes:
        request_bytes: Length of a request.
        files: Photos of a request.
        seconds: How long a request may take to arrive, and a photo to be graded.
        waiting: Photos that wait for a worker.
        batch: Photos that are computed together.
    """

    request_bytes: int = 100_000_000
    files: int = 100
    seconds: float = 60
    waiting: int = 200
    batch: int = 16

    @property
    def held_bytes(self) -> int:
        """Bytes of requests that are held in memory at a time."""
        return HELD_REQUESTS * self.request_bytes


@dataclass(frozen=True)
class Settings:
    """How a service runs.

    Attributes:
        model: What computes.
        limits: What it takes at most.
        workers: Processes that grade.
        across_requests: Whether photos of several requests are computed together.
        pattern: How names of photos tell patient and eye; None where they tell nothing.
        token: What a request must bring; empty for nothing.
    """

    model: Model
    limits: Limits = field(default_factory=Limits)
    workers: int = 1
    across_requests: bool = False
    pattern: NamePattern | None = None
    token: str = field(default="", repr=False)
