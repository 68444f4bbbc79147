"""Worker processes of data loaders: start them, hand over their batches, and notice when one dies."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeVar

import cv2
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from biranet.errors import InputError
from biranet.photos.parallel import check_main_guard, end_with_main_process
from biranet.setting_names import setting
from biranet.signals import STOPPING, stop_signals_blocked

Item = TypeVar("Item", covariant=True)


class WorkerError(InputError):
    """A process that loads photos died, or could not be started."""


class Loader(DataLoader[Item]):
    """A data loader whose workers are set up as ours, and are looked at before anything waits for them.

    Args:
        photos: The data set.
        workers: Number of processes; 0 loads in this one.
        **settings: As `DataLoader` takes them.
    """

    def __init__(self, photos: Any, workers: int, **settings: Any) -> None:
        # The workers are the parallelism; and a fork would copy the threads of OpenCV half.
        cv2.setNumThreads(1)
        super().__init__(photos, num_workers=workers, worker_init_fn=start_worker, **settings)

    def __iter__(self) -> Any:
        """Start the workers, or go on with those there are.

        Raises:
            WorkerError: If they cannot be started.
        """
        try:
            if self.num_workers:
                check_main_guard(self.multiprocessing_context)
            with stop_signals_blocked():
                return super().__iter__()
        except OSError as error:
            raise WorkerError(
                f"processes that load photos cannot be started: {error.strerror or error}; load them in this one with "
                f"{setting('workers', 0)}"
            ) from error


@contextmanager
def worker_errors(advice: str) -> Iterator[None]:
    """Say in one sentence that a worker process of a data loader died, which it does where memory runs out.

    Args:
        advice: What to do then.

    Raises:
        WorkerError: If one died.
    """
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        # Only workers are connected to; one that dies handing a batch over breaks the connection before torch notices.
        if isinstance(error, RuntimeError) and not any(sign in str(error) for sign in _SIGNS_OF_DEATH):
            raise
        raise WorkerError(
            f"a process that loads photos was ended from outside or ran out of memory; {advice}"
        ) from error


_SIGNS_OF_DEATH = ("DataLoader worker", "Pin memory thread exited", "Too many open files")
"""Words of torch's errors about a worker that died."""


def start_worker(_number: int) -> None:
    """Set a worker process of a data loader up.

    Ctrl-C, and a signal to a whole job, reach every process of the group. Only the main one may act on it, and it needs
    its workers until the batch is done and the state is saved, so they leave the group. They end when it does.
    """
    os.setpgrp()
    end_with_main_process()
    for number in STOPPING:
        # SIGTERM stays with torch, whose handler lets the main process end a worker without calling that an error.
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(1)


def pack(tensors: tuple[torch.Tensor, ...]) -> tuple[Callable[[Any], tuple[torch.Tensor, ...]], tuple[Any]]:
    """Make what carries tensors from a worker to the main process: what unpacks it, and what to unpack.

    They go through shared memory, where there is room for them. Left to torch, a batch that finds none, as in a
    container with 64 MB of it, would be lost without a word, and waited for without an end; here it goes through the
    pipe.
    """
    try:
        return _from_shared, (bytes(ForkingPickler.dumps(tensors)),)
    except (RuntimeError, OSError):
        return _from_arrays, (tuple(tensor.numpy() for tensor in tensors),)


def _from_shared(packed: bytes) -> tuple[torch.Tensor, ...]:
    tensors: tuple[torch.Tensor, ...] = ForkingPickler.loads(packed)
    return tensors


def _from_arrays(arrays: tuple[NDArray[Any], ...]) -> tuple[torch.Tensor, ...]:
    return tuple(map(torch.from_numpy, arrays))
