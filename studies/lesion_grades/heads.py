"""Train many lesion heads on one frozen backbone, which looks at each view of a photo once for all of them.

The head is that of `biranet train-lesions`; it learns from views and patches that are drawn once for all heads, not
anew in each round, and for fewer steps: there are many of them, up to ten of which look at each photo.
"""

import dataclasses
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import pandas as pd
import torch
from torch import Tensor, nn

from biranet.config import OptimizerConfig
from biranet.learning.backbone import load_backbone
from biranet.learning.lesion_branch.head import LesionHead, average_to_cells
from biranet.learning.lesion_settings import CELL_PX, PATCH_STEP_PX
from biranet.learning.lesions.loss import lesion_loss
from biranet.learning.lesions.network import Stages
from biranet.learning.lesions.patches import MaskedSquare, TurnedSquare, draw_patches, draw_view
from biranet.learning.lesions.settings import LesionConfig
from biranet.learning.normalization import backbone_normalization, normalize
from biranet.learning.schedule import Schedule, make_optimizer
from biranet.learning.shipped_models import find_checkpoint
from biranet.learning.tensors import open_tensors, write_tensors
from studies.lesion_grades.divisions import HeadName

CONFIG = LesionConfig(image_size=1280, steps=1000)
STRIDES = (CELL_PX, 4, 8, 16, 32)
"""Those of the maps that a head is given: of all stages, the finest one averaged to the cells of its answer."""

NORMALIZATION = backbone_normalization(CONFIG.backbone)

_FORMAT = "biranet-study-lesion-head"
_OPTIMIZER = OptimizerConfig(optimizer="adamw", lr=CONFIG.lr, weight_decay=1e-4, schedule="cosine")


def load_stages(weights: Path | None) -> Stages:
    """Build the frozen backbone, with ImageNet's weights."""
    chosen = LesionConfig(backbone_weights=None if weights is None else find_checkpoint(weights))
    return Stages(load_backbone(chosen.backbone_config), chosen.freeze).eval()


class Backbone:
    """The frozen backbone, computed by ONNX Runtime, which takes a third of the time.

    Args:
        weights: See `load_stages`.
        path: Where it is exported to.

    Attributes:
        channels: Of the maps that it gives.
    """

    def __init__(self, weights: Path | None, path: Path) -> None:
        stages = load_stages(weights)
        self.channels = stages.channels
        path.parent.mkdir(parents=True, exist_ok=True)
        self._session = _compile(stages, [torch.zeros(1, 3, PATCH_STEP_PX, PATCH_STEP_PX)], path)

    def maps(self, image: Tensor) -> list[Tensor]:
        """Give the maps of a head, of images (B, 3, H, W), at `STRIDES`."""
        finest, *others = _run(self._session, [image])
        return [average_to_cells(finest, 2), *others]


class FastHead:
    """A lesion head, computed by ONNX Runtime."""

    def __init__(self, head: LesionHead, channels: Sequence[int], path: Path) -> None:
        cells = [PATCH_STEP_PX // stride for stride in STRIDES]
        maps = [torch.zeros(1, count, side, side) for count, side in zip(channels, cells, strict=True)]
        self._session = _compile(_OfMaps(head).eval(), maps, path)

    def __call__(self, maps: Sequence[Tensor]) -> Tensor:
        """Return what the head does."""
        [logits] = _run(self._session, maps)
        return logits


class _OfMaps(nn.Module):
    """A head that takes its maps one by one."""

    def __init__(self, head: LesionHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, *maps: Tensor) -> Tensor:
        logits: Tensor = self.head(maps)
        return logits


def _compile(network: nn.Module, inputs: Sequence[Tensor], path: Path) -> onnxruntime.InferenceSession:
    names = [f"input_{number}" for number in range(len(inputs))]
    sizes = {name: {0: "batch", 2: f"height_{name}", 3: f"width_{name}"} for name in names}
    with warnings.catch_warnings():
        # torch's older way, which takes seconds: it warns that it is old, and that it follows one way through the code.
        warnings.simplefilter("ignore")
        torch.onnx.export(network, tuple(inputs), path, dynamo=False, input_names=names, dynamic_axes=sizes)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(path, options)


def _run(session: onnxruntime.InferenceSession, inputs: Sequence[Tensor]) -> list[Tensor]:
    given = {f"input_{number}": each.numpy() for number, each in enumerate(inputs)}
    return [torch.from_numpy(each) for each in session.run(None, given)]


def head_path(folder: Path, name: HeadName) -> Path:
    """Say where a head lies."""
    return folder / f"{name}.safetensors"


def describe_heads(folder: Path, names: Sequence[HeadName]) -> pd.DataFrame:
    """Say how many photos have taught each head, and what that cost."""
    described = []
    for name in names:
        with open_tensors(head_path(folder, name), "a head of lesions") as stored:
            described.append({"head": str(name), **{key: stored.header[key] for key in ("photos", "seconds")}})
    return pd.DataFrame(described)


def load_head(backbone: Backbone, folder: Path, name: HeadName) -> LesionHead:
    """Read a head from the folder that it was trained into."""
    head = _new_head(backbone.channels).eval()
    with open_tensors(head_path(folder, name), "a head of lesions") as stored:
        head.load_state_dict(stored.tensors())
    return head


def load_heads(backbone: Backbone, folder: Path, names: Sequence[HeadName]) -> dict[HeadName, FastHead]:
    """Read heads, ready to look at photos."""
    return {
        name: FastHead(
            load_head(backbone, folder, name), backbone.channels, head_path(folder, name).with_suffix(".onnx")
        )
        for name in names
    }


class Teacher(NamedTuple):
    """A photo that heads learn from.

    Attributes:
        name: Its name, another one than that of any other.
        group: Its visit.
        read: Reads it, with what is drawn in it.
        seed: Of its random views.
        views: So many of them are learned from; they are drawn once for all heads.
        patches: So many of each view.
    """

    name: str
    group: str
    read: Callable[[], MaskedSquare]
    seed: Sequence[int]
    views: int
    patches: int


def train_heads(backbone: Backbone, teaching: Mapping[HeadName, Sequence[Teacher]], out: Path) -> None:
    """Train all heads that are not in a folder yet.

    Args:
        backbone: The backbone.
        teaching: The photos that teach each head.
        out: The folder.
    """
    missing = [name for name in teaching if not (head_path(out, name)).exists()]
    out.mkdir(parents=True, exist_ok=True)
    started = time.process_time()
    teachers = {teacher.name: teacher for name in missing for teacher in teaching[name]}
    patches = {name: _draw(backbone, teacher) for name, teacher in teachers.items()}
    print(f"{len(patches)} photos to learn from, {time.process_time() - started:.0f} s", flush=True)
    for number, name in enumerate(missing):
        started = time.process_time()
        head = _train(backbone.channels, [patches[teacher.name] for teacher in teaching[name]])
        seconds = time.process_time() - started
        header = {"format": _FORMAT, "photos": len(teaching[name]), "seconds": round(seconds, 1)}
        write_tensors(head_path(out, name), head.state_dict(), header)
        print(f"head {number + 1} of {len(missing)}: {name}, {len(teaching[name])} photos, {seconds:.0f} s", flush=True)


def _new_head(channels: Sequence[int]) -> LesionHead:
    return LesionHead(channels, STRIDES, CONFIG.width)


class _Drawn(NamedTuple):
    """Patches of a photo: maps at `STRIDES`, float16, and the share of each cell that is lesion."""

    maps: list[Tensor]
    coverage: Tensor


def _draw(backbone: Backbone, teacher: Teacher) -> _Drawn:
    """Turn, mirror, relight and resize a photo with its masks, each time otherwise, and draw patches of each view."""
    square, drawn = teacher.read(), []
    config = dataclasses.replace(CONFIG, batch_size=teacher.patches)
    for view in range(teacher.views):
        random = np.random.default_rng([CONFIG.seed, *teacher.seed, view])
        pixels, covered = draw_view(square, CONFIG, random)
        maps = [each[0].half() for each in backbone.maps(normalize(torch.from_numpy(pixels)[None], NORMALIZATION))]
        # The image itself is not learned from.
        nothing = torch.zeros(()).expand(0, *pixels.shape[:2])
        drawn.append(draw_patches([TurnedSquare(nothing, maps, covered, square.known)], STRIDES, config, random))
    return _Drawn(
        [torch.cat(each).half() for each in zip(*(patches.frozen_maps for patches in drawn), strict=True)],
        torch.cat([patches.coverage for patches in drawn]),
    )


def _train(channels: Sequence[int], drawn: Sequence[_Drawn]) -> LesionHead:
    torch.manual_seed(CONFIG.seed)
    head, random = _new_head(channels).train(), np.random.default_rng(CONFIG.seed)
    optimizer = make_optimizer(head, _OPTIMIZER)
    schedule = Schedule(optimizer, _OPTIMIZER, CONFIG.steps)
    maps = [torch.cat(each) for each in zip(*(photo.maps for photo in drawn), strict=True)]
    coverage = torch.cat([photo.coverage for photo in drawn])
    for step in range(CONFIG.steps):
        schedule.before_step(step)
        chosen = random.choice(len(coverage), CONFIG.batch_size, replace=False)
        loss = lesion_loss(head([each[chosen].float() for each in maps]), coverage[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return head.eval()
