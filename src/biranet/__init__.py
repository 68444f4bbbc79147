"""Grade diabetic retinopathy from fundus photographs with BiRA-Net.

Research software, not a medical device.

`load(checkpoint)` gives a grader; `BiraNet`, `RANet`, `build_model`, `grading_loss` and `GradingLoss` are for those who
train themselves. Importing this package imports nothing heavy; each name loads what it needs when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biranet.inference.grader import load as load
    from biranet.learning.loss import GradingLoss as GradingLoss
    from biranet.learning.loss import grading_loss as grading_loss
    from biranet.learning.model import BiraNet as BiraNet
    from biranet.learning.model import RANet as RANet
    from biranet.learning.model import build_model as build_model

_HOMES = {
    "BiraNet": "learning.model",
    "GradingLoss": "learning.loss",
    "RANet": "learning.model",
    "build_model": "learning.model",
    "grading_loss": "learning.loss",
    "load": "inference.grader",
}

__all__ = ["BiraNet", "GradingLoss", "RANet", "build_model", "grading_loss", "load"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'biranet' has no attribute {name!r}")
    return getattr(importlib.import_module(f"biranet.{_HOMES[name]}"), name)
