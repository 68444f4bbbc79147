"""Look at each photo once: the backbone at several sizes, and all lesion heads on what it sees."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biranet.files import atomic_write
from biranet.learning.data import PreparedPhotos
from biranet.learning.lesion_branch.pooling import pool_lesions
from biranet.learning.normalization import normalize
from biranet.learning.transforms import Pixels, augment_fundus, resize
from studies.lesion_grades.divisions import HeadName
from studies.lesion_grades.heads import NORMALIZATION, Backbone, FastHead

LESION_PX = (1280, 512)
"""Sizes at which lesions are looked for."""

WHOLE_PX = (256, 512, 1280)
"""Sizes at which the features of the backbone are averaged."""

BIRANET_PX = 320
"""The size at which BiRA-Net sees photos; that of the model that ships."""

TURNED = 4
"""So many random changes of a photo BiRA-Net learns from, beside the photo itself."""

Arrays = dict[str, npt.NDArray[np.float32 | np.float16]]


@torch.inference_mode()
def look(backbone: Backbone, heads: Mapping[HeadName, FastHead], pixels: Pixels, seed: int) -> Arrays:
    """Keep all that will be asked about a photo.

    Args:
        backbone: The backbone.
        heads: The heads that look at it.
        pixels: The prepared photo; sizes above its own are left out.
        seed: Of its random changes.

    Returns:
        By name: `means_256` and so on, the averages of features, (1, C); `lesions_1280_HEAD` and so on, what
        `pool_lesions` gives, (V,); `maps_320`, features of the photo, of its mirror image and of its random changes,
        (2 + TURNED, C, 10, 10).
    """
    kept: Arrays = {}
    for size_px in (each for each in WHOLE_PX if each <= len(pixels)):
        straight, mirrored = (backbone.maps(_image([each], size_px)) for each in (pixels, pixels[:, ::-1]))
        kept[f"means_{size_px}"] = straight[-1].mean(dim=(2, 3)).numpy()
        if size_px in LESION_PX:
            both = (head(straight).sigmoid() + head(mirrored).sigmoid().flip(-1) for head in heads.values())
            vectors = pool_lesions(torch.cat(list(both)) / 2).numpy()
            kept |= {f"lesions_{size_px}_{name}": vector for name, vector in zip(heads, vectors, strict=True)}
    small = resize(pixels, BIRANET_PX)
    turned = [augment_fundus(small, np.random.default_rng([seed, number])) for number in range(TURNED)]
    shown = _image([small, small[:, ::-1], *turned], BIRANET_PX)
    kept[f"maps_{BIRANET_PX}"] = backbone.maps(shown)[-1].half().numpy()
    return kept


def _image(photos: Sequence[Pixels], size_px: int) -> Tensor:
    return normalize(torch.from_numpy(np.stack([resize(each, size_px) for each in photos])), NORMALIZATION)


def look_at_all(
    backbone: Backbone,
    heads: Sequence[Mapping[HeadName, FastHead]],
    photos: PreparedPhotos,
    out: Path,
) -> None:
    """Look at all photos of a prepared folder that were not looked at yet.

    Args:
        backbone: The backbone.
        heads: Those that look at each photo.
        photos: The photos.
        out: Folder for what is kept, a file a photo: what `look` gives, and `seconds` of one core.
    """
    out.mkdir(parents=True, exist_ok=True)
    for row in range(len(photos)):
        path = out / f"{row}.npz"
        if path.exists():
            continue
        started = time.process_time()
        kept = look(backbone, heads[row], photos.photo(row), row)
        seconds = time.process_time() - started
        with atomic_write(path) as file:
            np.savez(file, allow_pickle=False, seconds=np.array(seconds, np.float32), **kept)
        if row % 20 == 0:
            print(f"{out.name}: {row + 1} of {len(photos)}, {seconds:.2f} s of one core", flush=True)


def read_kept(folder: Path, count: int) -> list[Arrays]:
    """Read what was kept of all photos."""
    kept = []
    for row in range(count):
        with np.load(folder / f"{row}.npz") as stored:
            kept.append({name: stored[name] for name in stored.files})
    return kept
