"""Every map that is compared, of one photo, on one grid."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from captum.attr import LayerGradCam, LayerGradientXActivation
from numpy.typing import NDArray
from torch import Tensor, nn

from biranet.learning.evidence import referral_log_odds
from biranet.learning.lesions.finder import BranchFinder
from biranet.learning.model import BiraNet
from biranet.learning.normalization import normalize
from biranet.learning.predictor import Predictor
from biranet.learning.torch_predictor import TorchPredictor
from biranet.learning.transforms import Pixels
from biranet.lesion_kinds import LESIONS

GRID = 20
"""Cells a side on which maps are compared: as many as evidence has at 320 pixels, twice those of the attention."""

COARSE = 10
"""Patches a side that occlusion covers, one after the other."""

LIT = 10
"""Pixels whose brightest channel is below are the darkness around the field."""

BLUR_FRACTION, NEAR_FRACTION = 1 / 20, 1 / 40
"""Standard deviations of blurs, of the side: one that leaves no lesion, and what a place is told from by contrast."""

RANDOM = 2
"""How many maps by chance."""

_Map = NDArray[np.float64]
Score = Callable[[NDArray[np.uint8]], NDArray[np.float64]]
"""From photos (N, H, H, 3) to the log-odds of referral (N,)."""


@dataclass(frozen=True)
class Seen:
    """A photo as the network sees it, and what it is filled with where something is taken away.

    Attributes:
        pixels: (H, H, 3), uint8, RGB.
        lit: (GRID, GRID), which cells lie in the field.
        filled: The photo blurred until no lesion is left, like `pixels`.
    """

    pixels: Pixels
    lit: NDArray[np.bool_]
    filled: Pixels

    @classmethod
    def of(cls, pixels: Pixels) -> "Seen":
        """Find the field, and blur it."""
        light = (pixels.max(axis=2) >= LIT).astype(np.float32)
        # Averages over the field alone, so that the darkness around it does not flow in.
        spread = np.maximum(blur(light, BLUR_FRACTION), 1e-3)
        blurred = blur(pixels * light[:, :, None], BLUR_FRACTION) / spread[:, :, None]
        filled = np.rint(np.where(light[:, :, None] > 0, blurred, pixels)).astype(np.uint8)
        return cls(pixels, to_grid(light) >= 0.5, filled)


def blur(values: NDArray[np.floating] | NDArray[np.uint8], fraction: float) -> NDArray[np.float32]:
    """Blur by a Gaussian whose standard deviation is a share of the side."""
    return np.asarray(cv2.GaussianBlur(np.asarray(values, np.float32), (0, 0), fraction * len(values)))


def to_grid(values: NDArray[np.floating], cells: int = GRID) -> _Map:
    """Bring a map to the grid: by averages from a finer one, linearly from a coarser one."""
    method = cv2.INTER_AREA if len(values) > cells else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.asarray(values, np.float32), (cells, cells), interpolation=method), np.float64)


class Mapper:
    """Makes the maps.

    Args:
        trained: The trained network, on the CPU.
        fast: The same, for many photos.
        finder: What finds lesions, if there is one.
    """

    def __init__(self, trained: TorchPredictor, fast: Predictor, finder: BranchFinder | None) -> None:
        assert isinstance(trained.model, BiraNet)
        self._network: BiraNet = trained.model.eval()
        self.info, self._fast, self._finder = trained.info, fast, finder

    def score(self, photos: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the log-odds of referral (N,) of photos (N, H, H, 3)."""
        shares = self._fast.predict(photos).probabilities.astype(np.float64)
        return np.asarray(np.log(shares[:, 2:].sum(axis=1)) - np.log(shares[:, :2].sum(axis=1)))

    def maps(self, seen: Seen, photo: Path, seed: int) -> dict[str, _Map]:
        """Make every map of a photo: (GRID, GRID), higher where more speaks for referral.

        Args:
            seen: The photo as the network sees it.
            photo: Its file, in which lesions are looked for.
            seed: Of the maps by chance.
        """
        said = self._fast.predict(seen.pixels[None])
        assert said.evidence is not None
        green = seen.pixels[:, :, 1].astype(np.float32)
        random = np.random.default_rng(seed)
        made = {
            "evidence": to_grid(said.evidence[0]),
            **self._by_gradient(seen.pixels),
            "occlusion": to_grid(self._occlusion(seen)),
            "attention_a": to_grid(said.attention[0, 0]),
            "attention_b": to_grid(said.attention[0, 1]),
            "dark": 255 - to_grid(green),
            "bright": to_grid(green),
            "contrast": to_grid(np.abs(green - blur(green, NEAR_FRACTION))),
            **{f"chance_{number}": random.random((GRID, GRID)) for number in range(RANDOM)},
        }
        if self._finder is not None:
            made["lesions"] = to_grid(self._finder.find(photo).shares[: len(LESIONS)].sum(axis=0))
        return made

    def _occlusion(self, seen: Seen) -> _Map:
        """What the score loses where a patch is blurred."""
        side = len(seen.pixels) // COARSE
        photos = np.repeat(seen.pixels[None], COARSE * COARSE, axis=0)
        for number, photo in enumerate(photos):
            patch = tuple(slice(side * place, side * (place + 1)) for place in divmod(number, COARSE))
            photo[patch] = seen.filled[patch]
        scores = np.concatenate([self.score(part) for part in np.array_split(photos, 5)])
        return np.asarray(self.score(seen.pixels[None])[0] - scores).reshape(COARSE, COARSE)

    def _by_gradient(self, pixels: Pixels) -> dict[str, _Map]:
        """Maps that need a gradient, by captum: of the feature map, and of that of stride 16 before it."""
        image = normalize(torch.from_numpy(pixels[None].copy()), self.info.normalization).requires_grad_()
        last = self._network.frozen
        assert isinstance(last, nn.Sequential)
        before = _last_of_stride(last, 16)
        made = {
            "gradcam": LayerGradCam(self._score_image, last).attribute(image, relu_attributions=True),
            "gradient_x_features": LayerGradientXActivation(self._score_image, last).attribute(image),
            "gradient_x_features_16": LayerGradientXActivation(self._score_image, before).attribute(image),
        }
        return {name: to_grid(maps.detach()[0].sum(dim=0).double().numpy()) for name, maps in made.items()}

    def _score_image(self, image: Tensor) -> Tensor:
        """The log-odds of referral of images."""
        return referral_log_odds(self._network(image).logits)


def _last_of_stride(layers: nn.Sequential, stride: int) -> nn.Module:
    """The last layer whose feature map has this stride."""
    features, found = torch.zeros(1, 3, 64, 64), layers[0]
    with torch.no_grad():
        for layer in layers:
            features = layer(features)
            if features.shape[-1] * stride == 64:
                found = layer
    return found
