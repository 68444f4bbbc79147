"""Worker processes of a data loader: they leave signals to the main process."""

import signal

import cv2


def start_worker(_number: int) -> None:
    """Set a worker process up.

    Ctrl-C reaches every process of the terminal; only the main one may act on it, and it needs its workers until the state
    is saved. SIGTERM, with which the loader ends its workers, must not run the handler inherited from the main process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(1)
