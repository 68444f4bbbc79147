"""Whether the maps of heads are faithful to them, by what is taken away and given back, as in the study of evidence."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from biranet.learning.checkpoint_info import Normalization
from biranet.learning.evidence import referral_log_odds
from biranet.learning.model import BiraNet
from biranet.learning.normalization import normalize
from studies.evidence.maps import GRID, RANDOM, Seen, to_grid
from studies.evidence.measures import curves
from studies.evidence.sums import CHANCE
from studies.taught.heads import Answers, maps_of

_TOGETHER = 8
"""Photos in a batch."""


def follow(
    network: BiraNet, normalization: Normalization, seen: Mapping[str, Seen], answers: Answers
) -> Iterator[dict[str, Any]]:
    """Take away and give back what each map of some heads marks most.

    Args:
        network: The whole network, in evaluation mode.
        normalization: What it expects.
        seen: The photos by name.
        answers: What the heads said of them, in their order.

    Yields:
        Of each photo, what `studies.evidence.sums.areas` takes.
    """

    @torch.inference_mode()
    def score(photos: NDArray[np.uint8]) -> NDArray[np.float64]:
        parts = torch.from_numpy(np.ascontiguousarray(photos)).split(_TOGETHER)
        scores = [referral_log_odds(network(normalize(part, normalization)).logits) for part in parts]
        return np.asarray(torch.cat(scores).double().numpy())

    for place, photo in enumerate(seen.values()):
        maps = {name: to_grid(values) for name, values in maps_of(answers, place).items()}
        random = np.random.default_rng(place)
        maps |= {f"{CHANCE}_{number}": random.random((GRID, GRID)) for number in range(RANDOM)}
        scores = score(np.stack([photo.pixels, photo.filled])).tolist()
        yield {
            "scores": dict(zip(("photo", "filled"), scores, strict=True)),
            "maps": {name: {"curves": curves(values, photo, score)} for name, values in maps.items()},
        }
