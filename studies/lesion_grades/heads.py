"""Train many lesion heads on one frozen backbone, which looks at each view of a photo once for all of them.

The head is that of `biranet train-lesions`, but without the finest stage, narrower, and trained for fewer steps: there
are 31 of them, ten of which look at each photo.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from biranet.config import OptimizerConfig
from biranet.learning.backbone import load_backbone
from biranet.learning.lesions.loss import lesion_loss
from biranet.learning.lesions.network import LesionHead, Stages
from biranet.learning.lesions.patches import View, draw_patches, draw_view, read_square
from biranet.learning.lesions.settings import LesionConfig
from biranet.learning.normalization import backbone_normalization, normalize
from biranet.learning.schedule import Schedule, make_optimizer
from biranet.learning.shipped_models import find_checkpoint
from biranet.learning.tensors import open_tensors, write_tensors
from biranet.photos.datasets.masks import MaskedPhoto
from studies.lesion_grades.divisions import HeadName

CONFIG = LesionConfig(width=32, steps=250)
VIEWS = 2
"""So many views of each photo are learned from."""

FIRST_STAGE = 1
"""The stage at stride 4: the head begins with it."""

NORMALIZATION = backbone_normalization(CONFIG.backbone)

_FORMAT = "biranet-study-lesion-head"
_OPTIMIZER = OptimizerConfig(optimizer="adamw", lr=CONFIG.lr, weight_decay=1e-4, schedule="cosine")


def load_stages(weights: Path | None) -> Stages:
    """Build the frozen backbone, with ImageNet's weights."""
    chosen = LesionConfig(backbone_weights=None if weights is None else find_checkpoint(weights))
    return Stages(load_backbone(chosen.backbone_config), chosen.freeze).eval()


def load_heads(stages: Stages, folder: Path, names: Sequence[HeadName]) -> dict[HeadName, LesionHead]:
    """Read heads from the folder that they were trained into."""
    heads = {}
    for name in names:
        heads[name] = _new_head(stages).eval()
        with open_tensors(folder / f"{name}.safetensors", "a head of lesions") as stored:
            heads[name].load_state_dict(stored.tensors())
    return heads


def train_heads(
    stages: Stages,
    folder: Path,
    teaching: Mapping[HeadName, Sequence[MaskedPhoto]],
    out: Path,
) -> None:
    """Train all heads that are not in a folder yet.

    Args:
        stages: The backbone.
        folder: The folder of photos with masks.
        teaching: The photos that teach each head.
        out: The folder.
    """
    missing = [name for name in teaching if not (out / f"{name}.safetensors").exists()]
    out.mkdir(parents=True, exist_ok=True)
    started = time.process_time()
    photos = {photo.file: photo for name in missing for photo in teaching[name]}
    views = {file: list(_views(stages, folder, photos[file], number)) for number, file in enumerate(sorted(photos))}
    print(f"{len(views)} photos with masks, {time.process_time() - started:.0f} s", flush=True)
    for number, name in enumerate(missing):
        started = time.process_time()
        head = _train(stages, [view for photo in teaching[name] for view in views[photo.file]])
        seconds = time.process_time() - started
        header = {"format": _FORMAT, "photos": len(teaching[name]), "seconds": round(seconds, 1)}
        write_tensors(out / f"{name}.safetensors", head.state_dict(), header)
        print(f"head {number + 1} of {len(missing)}: {name}, {len(teaching[name])} photos, {seconds:.0f} s", flush=True)


def _new_head(stages: Stages) -> LesionHead:
    return LesionHead(stages.channels[FIRST_STAGE:], stages.strides[FIRST_STAGE:], CONFIG.width)


def _views(stages: Stages, folder: Path, photo: MaskedPhoto, number: int) -> Iterator[View]:
    """Turn, mirror, relight and resize a photo with its masks, each time otherwise; the backbone looks at each once."""
    square = read_square(folder, photo, CONFIG.image_size)
    for view in range(VIEWS):
        pixels, covered = draw_view(square, CONFIG, np.random.default_rng([CONFIG.seed, number, view]))
        maps = stages.frozen_maps(normalize(torch.from_numpy(pixels)[None], NORMALIZATION))
        # The image itself is not learned from.
        nothing = torch.zeros((), dtype=torch.half).expand(3, *pixels.shape[:2])
        yield View(nothing, [each[0].half() for each in maps[FIRST_STAGE:]], covered, square.known)


def _train(stages: Stages, views: Sequence[View]) -> LesionHead:
    torch.manual_seed(CONFIG.seed)
    head = _new_head(stages).train()
    optimizer = make_optimizer(head, _OPTIMIZER)
    schedule = Schedule(optimizer, _OPTIMIZER, CONFIG.steps)
    for step in range(CONFIG.steps):
        schedule.before_step(step)
        random = np.random.default_rng([CONFIG.seed, step])
        patches = draw_patches(views, stages.strides[FIRST_STAGE:], CONFIG, random)
        loss = lesion_loss(head(patches.frozen_maps), patches.coverage)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return head.eval()
