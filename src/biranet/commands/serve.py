"""The command that serves grading to other programs and to people."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from biranet.commands.flags import Command, check_counts
from biranet.config import Device, Engine
from biranet.errors import InputError
from biranet.grades import DISCLAIMER


@dataclass(frozen=True)
class Serve(Command):
    """Serve grading by HTTP: a page for people, REST and the Open Inference Protocol for programs."""

    checkpoint: Annotated[Path | None, arg(metavar="FILE|NAME")] = None
    """Model to grade with: a file such as RUN/best.safetensors, one that `biranet export` wrote, or the name of a model
    that ships; the default one of `biranet models` when not given."""
    host: str = "127.0.0.1"
    """Where to listen. Any other host than this machine's own needs a token."""
    port: int = 8000
    """Port to listen at; 0 takes one that is free."""
    token_file: Annotated[Path | None, arg(metavar="FILE")] = None
    """File with the token that requests must bring; without it, the environment variable BIRANET_TOKEN is asked."""
    workers: int | None = None
    """Processes that grade; as many as there are processors when not given."""
    batch_size: int = 16
    """Photos that are computed together."""
    across_requests: bool = False
    """Compute photos of several requests together, which may pay on a GPU. The last digits of an answer then depend on
    who else asks; else they are those of `biranet grade` on the same photos."""
    max_megabytes: float = 100
    """Length of a request at most, in millions of bytes; eight times as much may be held in memory for all requests."""
    max_files: int = 100
    """Photos of a request at most."""
    max_seconds: float = 60
    """Seconds that a request may take to arrive, and a photo to be graded."""
    max_waiting: int = 200
    """Photos that may wait for a worker; beyond that, requests are asked to come again."""
    name_pattern: Annotated[str, arg(metavar="PATTERN")] = ""
    """How the names of files tell patient and eye, as for `biranet grade`."""
    engine: Engine = "auto"
    """What computes, as for `biranet grade`."""
    device: Device = "auto"
    """Where to compute; auto takes a GPU where there is one and the engine can."""

    def run(self) -> int:
        """Serve until a signal comes."""
        from biranet.learning.onnx_predictor import thread_count
        from biranet.learning.shipped_models import describe_model, find_checkpoint
        from biranet.photos.datasets.name_pattern import NamePattern
        from biranet.service.access import check_host, read_token
        from biranet.service.server import serve
        from biranet.service.settings import Limits, Model, Settings

        workers = thread_count() if self.workers is None else self.workers
        check_counts(
            workers=(workers, 1),
            batch_size=(self.batch_size, 1),
            max_files=(self.max_files, 1),
            max_waiting=(self.max_waiting, self.max_files),
        )
        if not 0 <= self.port < 65_536:
            raise InputError(f"--port must lie between 0 and 65535, not {self.port}")
        for flag, value, most in (("megabytes", self.max_megabytes, 10_000), ("seconds", self.max_seconds, 86_400)):
            if not 0 < value <= most:
                raise InputError(f"--max-{flag} must lie above 0 and be at most {most}, not {value:g}")
        token = read_token(self.token_file)
        check_host(self.host, token)
        pattern = NamePattern(self.name_pattern) if self.name_pattern else None
        model = Model(find_checkpoint(self.checkpoint), self.engine, self.device)
        limits = Limits(
            round(1e6 * self.max_megabytes), self.max_files, self.max_seconds, self.max_waiting, self.batch_size
        )

        def announce(address: str) -> None:
            print(f"Model: {describe_model(model.path)}\n{DISCLAIMER}\nServing at {address} until Ctrl-C", flush=True)

        serve(Settings(model, limits, workers, self.across_requests, pattern, token), self.host, self.port, announce)
        return 0
