"""Grade diabetic retinopathy from fundus photographs with BiRA-Net.

Research software, not a medical device.

| you want | you take |
|---|---|
| grades of photographs | `load`, `Grader`, `Prediction` |
| pictures of them, with maps drawn over | `Picture`, `NamedMap`, `Original` |
| lesions of photographs, counted and outlined | `load_lesions`, `LesionReader`, `Lesions`, `LesionFinding` |
| answers for eyes and patients | `PatientAnswer`, `EyeAnswer`, `PhotoAnswer`, `Subject` |
| what a model says of itself | `CheckpointInfo`, `StartedFrom`, `Normalization`, `Rules`, `OperatingPoint` |
| an engine of your own | `Predictor`, `Predicted` |
| the network in a training of your own | `create_model`, `BiraNet`, `RANet`, `PlainNet`, `Output` |
| the loss in a training of your own | `grading_loss`, `GradingLoss` |
| prepared photographs as a data set of torch | `PreparedPhotos` |
| a whole training, to log, tune and stop | `train`, `TrainConfig` with its four parts, `EpochResult`, `Progress` |
| figures with intervals of anybody's predictions | `measure`, `SupportsArray` |
| photos as a model sees them | `prepare_photo`, `Preparation`, `Prepared`, `Field`, `FieldCircle`, `Cut`, `Quality` |
| leaks, copies and contradictions found | `audit`, `Finding` |
| a photograph of nobody, to try things on | `draw_photo` |
| to catch what can go wrong | `BiranetError`, `InputError`, `PhotoError`, `RefusedError`, `InterruptedRunError` |

Prepared folders, reports and exported models are made by the command line: `biranet --help`.

Importing this package imports nothing heavy; each name loads what it needs when it is first used. The network, the loss
and training need torch, which `pip install "biranet[train]"` brings.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biranet.config import CalibrationConfig as CalibrationConfig
    from biranet.config import DataConfig as DataConfig
    from biranet.config import ModelConfig as ModelConfig
    from biranet.config import OptimizerConfig as OptimizerConfig
    from biranet.config import TrainConfig as TrainConfig
    from biranet.decisions.patients import EyeAnswer as EyeAnswer
    from biranet.decisions.patients import PatientAnswer as PatientAnswer
    from biranet.decisions.patients import PhotoAnswer as PhotoAnswer
    from biranet.decisions.patients import Subject as Subject
    from biranet.decisions.rules import OperatingPoint as OperatingPoint
    from biranet.decisions.rules import Rules as Rules
    from biranet.errors import BiranetError as BiranetError
    from biranet.errors import InputError as InputError
    from biranet.errors import InterruptedRunError as InterruptedRunError
    from biranet.errors import PhotoError as PhotoError
    from biranet.errors import RefusedError as RefusedError
    from biranet.evaluation.api import SupportsArray as SupportsArray
    from biranet.evaluation.api import measure as measure
    from biranet.inference.grader import Grader as Grader
    from biranet.inference.grader import load as load
    from biranet.inference.lesion_findings import LesionFinding as LesionFinding
    from biranet.inference.lesion_reader import LesionReader as LesionReader
    from biranet.inference.lesion_reader import load_lesions as load_lesions
    from biranet.inference.lesions import Lesions as Lesions
    from biranet.inference.original import Original as Original
    from biranet.inference.prediction import Prediction as Prediction
    from biranet.learning.checkpoint_info import CheckpointInfo as CheckpointInfo
    from biranet.learning.checkpoint_info import Normalization as Normalization
    from biranet.learning.checkpoint_info import StartedFrom as StartedFrom
    from biranet.learning.data import PreparedPhotos as PreparedPhotos
    from biranet.learning.epoch_result import EpochResult as EpochResult
    from biranet.learning.factory import create_model as create_model
    from biranet.learning.loss import GradingLoss as GradingLoss
    from biranet.learning.loss import grading_loss as grading_loss
    from biranet.learning.model import BiraNet as BiraNet
    from biranet.learning.model import Output as Output
    from biranet.learning.model import PlainNet as PlainNet
    from biranet.learning.model import RANet as RANet
    from biranet.learning.predictor import Predicted as Predicted
    from biranet.learning.predictor import Predictor as Predictor
    from biranet.learning.state import Progress as Progress
    from biranet.learning.train import train as train
    from biranet.photos.audit import audit as audit
    from biranet.photos.cut import Cut as Cut
    from biranet.photos.drawn.synthetic import draw_photo as draw_photo
    from biranet.photos.field import Field as Field
    from biranet.photos.findings import Finding as Finding
    from biranet.photos.overlay import NamedMap as NamedMap
    from biranet.photos.prepare import Preparation as Preparation
    from biranet.photos.prepare import Prepared as Prepared
    from biranet.photos.prepare import prepare_photo as prepare_photo
    from biranet.photos.quality import Quality as Quality
    from biranet.photos.round_edge import FieldCircle as FieldCircle
    from biranet.photos.sheet import Picture as Picture

    __version__: str

_HOMES = {
    "load": "inference.grader",
    "Grader": "inference.grader",
    "Prediction": "inference.prediction",
    "Picture": "photos.sheet",
    "NamedMap": "photos.overlay",
    "Original": "inference.original",
    "load_lesions": "inference.lesion_reader",
    "LesionReader": "inference.lesion_reader",
    "Lesions": "inference.lesions",
    "LesionFinding": "inference.lesion_findings",
    "PatientAnswer": "decisions.patients",
    "EyeAnswer": "decisions.patients",
    "PhotoAnswer": "decisions.patients",
    "Subject": "decisions.patients",
    "CheckpointInfo": "learning.checkpoint_info",
    "StartedFrom": "learning.checkpoint_info",
    "Normalization": "learning.checkpoint_info",
    "Rules": "decisions.rules",
    "OperatingPoint": "decisions.rules",
    "Predictor": "learning.predictor",
    "Predicted": "learning.predictor",
    "create_model": "learning.factory",
    "BiraNet": "learning.model",
    "RANet": "learning.model",
    "PlainNet": "learning.model",
    "Output": "learning.model",
    "grading_loss": "learning.loss",
    "GradingLoss": "learning.loss",
    "PreparedPhotos": "learning.data",
    "train": "learning.train",
    "EpochResult": "learning.epoch_result",
    "Progress": "learning.state",
    "TrainConfig": "config",
    "ModelConfig": "config",
    "DataConfig": "config",
    "OptimizerConfig": "config",
    "CalibrationConfig": "config",
    "measure": "evaluation.api",
    "SupportsArray": "evaluation.api",
    "prepare_photo": "photos.prepare",
    "Preparation": "photos.prepare",
    "Prepared": "photos.prepare",
    "Field": "photos.field",
    "FieldCircle": "photos.round_edge",
    "Cut": "photos.cut",
    "Quality": "photos.quality",
    "audit": "photos.audit",
    "Finding": "photos.findings",
    "draw_photo": "photos.drawn.synthetic",
    "BiranetError": "errors",
    "InputError": "errors",
    "PhotoError": "errors",
    "RefusedError": "errors",
    "InterruptedRunError": "errors",
}

__all__ = [  # noqa: RUF022 - in the order of the reference
    "load",
    "Grader",
    "Prediction",
    "Picture",
    "NamedMap",
    "Original",
    "load_lesions",
    "LesionReader",
    "Lesions",
    "LesionFinding",
    "PatientAnswer",
    "EyeAnswer",
    "PhotoAnswer",
    "Subject",
    "CheckpointInfo",
    "StartedFrom",
    "Normalization",
    "Rules",
    "OperatingPoint",
    "Predictor",
    "Predicted",
    "create_model",
    "BiraNet",
    "RANet",
    "PlainNet",
    "Output",
    "grading_loss",
    "GradingLoss",
    "PreparedPhotos",
    "train",
    "EpochResult",
    "Progress",
    "TrainConfig",
    "ModelConfig",
    "DataConfig",
    "OptimizerConfig",
    "CalibrationConfig",
    "measure",
    "SupportsArray",
    "prepare_photo",
    "Preparation",
    "Prepared",
    "Field",
    "FieldCircle",
    "Cut",
    "Quality",
    "audit",
    "Finding",
    "draw_photo",
    "BiranetError",
    "InputError",
    "PhotoError",
    "RefusedError",
    "InterruptedRunError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("biranet")
    elif name in _HOMES:
        from biranet.extras import require_extras

        with require_extras(f"biranet.{name}"):
            value = getattr(importlib.import_module(f"biranet.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module 'biranet' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, those too that nobody has asked for yet."""
    return sorted(__all__)
