"""What a training leaves for people to read: `history.jsonl`, TensorBoard scalars, and photos with their attention."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from biranet.files import parse_json, write_bytes
from biranet.learning.data import Draw, PreparedPhotos
from biranet.photos.overlay import overlay_attention

HISTORY_NAME = "history.jsonl"
PHOTOS_SHOWN = 4


def read_history(run: Path) -> list[dict[str, Any]]:
    """Read the epochs of a run, oldest first; empty where none is finished."""
    path = run / HISTORY_NAME
    if not path.exists():
        return []
    return [parse_json(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Record:
    """Writes the record of one run.

    Args:
        run: The run folder.
        epochs_done: Epochs that are finished; what is recorded of later ones, before a kill, is dropped.
    """

    def __init__(self, run: Path, epochs_done: int) -> None:
        self.run = run
        self.rows = read_history(run)[:epochs_done]
        self.board = SummaryWriter(str(run / "tensorboard"), purge_step=epochs_done + 1)

    def add_epoch(self, row: dict[str, Any]) -> None:
        """Record one epoch: numbers become scalars.

        Args:
            row: `epoch`, from 1, and what was measured in it.
        """
        self.rows.append(row)
        lines = "".join(json.dumps(each, allow_nan=False) + "\n" for each in self.rows)
        write_bytes(self.run / HISTORY_NAME, lines.encode())
        for name, value in row.items():
            if name != "epoch" and value is not None:
                self.board.add_scalar(name, value, row["epoch"])

    @torch.no_grad()
    def add_attention(self, model: nn.Module, photos: PreparedPhotos, device: torch.device, epoch: int) -> None:
        """Show the first photos with the attention of each stream.

        Args:
            model: On `device`; put into evaluation mode.
            photos: Where the photos come from.
            device: Where the model is.
            epoch: Epoch, from 1.
        """
        model.eval()
        for row in range(min(PHOTOS_SHOWN, len(photos))):
            image, _, _ = photos[Draw(row)]
            photo = photos.photo(row)
            masks = model(image[None].to(device)).attention[0].float().cpu().numpy()
            pictures = [photo, *(overlay_attention(photo, mask) for mask in masks)]
            self.board.add_image(f"attention/{row}", np.concatenate(pictures, axis=1), epoch, dataformats="HWC")

    def close(self) -> None:
        """Flush TensorBoard."""
        self.board.close()
