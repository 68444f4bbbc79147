"""What a training leaves for people to read: `history.jsonl`, TensorBoard scalars, and photos with their attention."""

import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import summary

from biranet.errors import InputError
from biranet.files import write_bytes
from biranet.learning.data import PreparedPhotos
from biranet.learning.history import HISTORY_NAME, read_history
from biranet.learning.predictor import Predictor
from biranet.photos.overlay import draw_attention
from biranet.setting_names import setting

PHOTOS_SHOWN = 4


class HistoryWriter:
    """Writes what people watch of a run: its history, and TensorBoard.

    Args:
        run: The run folder.
        epochs_done: Epochs that are finished; what is recorded of later ones, before a kill, is dropped.
    """

    def __init__(self, run: Path, epochs_done: int) -> None:
        self.run = run
        self.rows = [row for row in read_history(run) if row["epoch"] <= epochs_done]
        self.board = _Board(run / "tensorboard", first_step=epochs_done + 1)

    def add_epoch(self, row: dict[str, Any]) -> None:
        """Write one epoch: numbers become scalars.

        Args:
            row: `epoch`, from 1, and what was measured in it.
        """
        self.rows.append(row)
        lines = "".join(json.dumps(each, allow_nan=False) + "\n" for each in self.rows)
        write_bytes(self.run / HISTORY_NAME, lines.encode())
        for name, value in row.items():
            if name != "epoch" and value is not None:
                self.board.add(summary.scalar(name, value), row["epoch"])
        self.board.flush()

    def add_attention(self, predictor: Predictor, photos: PreparedPhotos, epoch: int) -> None:
        """Show the first photos with the attention of each stream.

        Args:
            predictor: The model.
            photos: Where the photos come from.
            epoch: Epoch, from 1.
        """
        for row in range(min(PHOTOS_SHOWN, len(photos))):
            photo = photos.photo(row)
            masks = predictor.predict(photo[None]).attention[0]
            pictures = [photo, *draw_attention(photo, masks)]
            shown = summary.image(f"attention/{row}", np.concatenate(pictures, axis=1), dataformats="HWC")
            self.board.add(shown, epoch)
        self.board.flush()


class _Board:
    """A file of TensorBoard whose name, unlike that of `SummaryWriter`, does not hold the name of the machine.

    Args:
        folder: Where it stands, beside those of earlier parts of the run.
        first_step: What these hold of this step and later ones is not shown.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        # TensorBoard reads the files in the order of their names.
        self._path = folder / f"events.out.tfevents.{seconds:010d}.{nanoseconds:09d}"
        self._waiting = io.BytesIO()
        self._write(Event(step=first_step, file_version="brain.Event:2"))
        self._write(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))
        self.flush()

    def add(self, value: Any, step: int) -> None:
        """Add a summary."""
        self._write(Event(step=step, summary=value))

    def flush(self) -> None:
        """Write what was added; between epochs the file is not open, so a training may end anywhere."""
        try:
            with self._path.open("ab") as file:
                file.write(self._waiting.getvalue())
        except OSError as error:
            raise InputError(
                f"cannot write {self._path}: {error.strerror or error}; make room and go on with "
                f"{setting('resume', True)}"
            ) from error
        self._waiting = io.BytesIO()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        RecordWriter(self._waiting).write(event.SerializeToString())
