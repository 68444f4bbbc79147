"""What do the shared frozen layers and the bilinear form save? Training steps, measured in turns in one run.

python benchmarks/model.py [--out results.json]

Peers: two separate copies of the frozen layers, as the method is usually drawn; the written-out outer product (B, C*C)
with one Linear. Only the ratios count; the seconds are those of the machine.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from biranet.config import ModelConfig
from biranet.learning.loss import grading_loss
from biranet.learning.model import BilinearHead, build_model
from records import start_record, write_record

ROUNDS = 7


class SeparateFrozenLayers(nn.Module):
    """The same network with a copy of the frozen layers for each stream."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.frozen_b = model, copy.deepcopy(model.frozen)

    def forward(self, image: Tensor) -> Tensor:
        vector_a, _ = self.model.stream_a(self.model.frozen(image))
        vector_b, _ = self.model.stream_b(self.frozen_b(image))
        return self.model.head(vector_a, vector_b)


class OuterProductHead(nn.Module):
    """The head as it is usually written: outer product, signed square root, norm, Linear."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels * channels, 5)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        product = (a[:, :, None] * b[:, None, :]).flatten(1)
        root = product.sign() * (product.abs() + 1e-12).sqrt()
        return self.linear(nn.functional.normalize(root))


def time_interleaved(first: Callable[[], None], second: Callable[[], None]) -> dict[str, float]:
    """Time two things in turns and return medians and their ratio."""
    seconds: list[list[float]] = [[], []]
    for turn in range(ROUNDS + 1):
        for place, work in enumerate((first, second)):
            started = time.perf_counter()
            work()
            if turn:  # the first turn warms up
                seconds[place].append(time.perf_counter() - started)
    ours, peer = (statistics.median(values) for values in seconds)
    ratio = statistics.median(b / a for a, b in zip(*seconds, strict=True))
    return {"ours_seconds": round(ours, 4), "peer_seconds": round(peer, 4), "peer_over_ours": round(ratio, 3)}


def training_step(forward: Callable[[], Tensor]) -> Callable[[], None]:
    grades = torch.arange(8) % 5
    return lambda: grading_loss(forward(), grades).backward()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    start_record(parser)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    results = {}
    images = torch.rand(8, 3, 224, 224)
    for backbone in ("tf_efficientnet_lite0", "resnet18"):
        model = build_model(ModelConfig(backbone=backbone, pretrained=False)).train()
        separate = SeparateFrozenLayers(model)
        results[f"shared frozen layers, {backbone}, 224 px"] = time_interleaved(
            training_step(lambda model=model: model(images).logits),
            training_step(lambda separate=separate: separate(images)),
        )
    for channels in (320, 2048):
        a, b = (torch.rand(8, channels, requires_grad=True) for _ in range(2))
        head, outer_product = BilinearHead(channels), OuterProductHead(channels)
        results[f"bilinear form, C = {channels}"] = time_interleaved(
            training_step(lambda head=head, a=a, b=b: head(a, b)),
            training_step(lambda peer=outer_product, a=a, b=b: peer(a, b)),
        )
    write_record({"threads": torch.get_num_threads(), "steps": results}, arguments.out, ("torch", "timm"))


if __name__ == "__main__":
    main()
