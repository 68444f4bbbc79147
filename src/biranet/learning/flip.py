"""Test-time augmentation: predict the mean over a photo and its mirror image, which is no part of the method."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from biranet.config import ModelConfig
from biranet.learning.model import Output


class FlipAverage(nn.Module):
    """A model that answers with the mean over a photo and its mirror image: test-time augmentation by a flip.

    In training mode it is the model alone. In evaluation mode its logits are the logarithms of the mean probabilities,
    and its attention the mean of the two masks, the second one mirrored back. `state_dict` and `load_state_dict` have
    the model's own names, so a checkpoint is the same with it and without. It is no part for other modules.

    Args:
        model: Returns `Output`.

    Example:
        >>> from biranet.learning.model import PlainNet
        >>> model = PlainNet(nn.Conv2d(3, 8, kernel_size=7, stride=4), channels=8)
        >>> flipping, photo = FlipAverage(model).eval(), torch.rand(1, 3, 64, 64)
        >>> torch.allclose(flipping(photo).logits, flipping(photo.flip(-1)).logits, atol=1e-6)
        True
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Output:
        """Grade images (B, 3, H, W), normalized as the backbone's weights expect."""
        straight: Output = self.model(image)
        if self.training:
            return straight
        # One after the other: both in one batch would take twice the memory.
        mirrored: Output = self.model(image.flip(-1))
        return self.average(straight, mirrored)

    @staticmethod
    def average(straight: Output, mirrored: Output) -> Output:
        """Make one answer of those for photos and for their mirror images."""
        # In logarithms, which a probability too small for a float does not leave empty.
        both = torch.logaddexp(straight.logits.log_softmax(dim=1), mirrored.logits.log_softmax(dim=1))
        return Output(both - math.log(2), (straight.attention + mirrored.attention.flip(-1)) / 2)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Give the weights by the names they have without the flip."""
        return self.model.state_dict(*args, **kwargs)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take weights by the names they have without the flip."""
        return self.model.load_state_dict(state_dict, strict, assign)


def with_test_time_flip(model: nn.Module, config: ModelConfig) -> nn.Module:
    """Wrap a model in `FlipAverage` where its configuration has a flip at test time.

    Args:
        model: What `build_model`, or a function like it, has made of `config`.
        config: Says whether there is a flip.

    Returns:
        The wrapped model, or `model` itself.
    """
    return FlipAverage(model) if config.test_time_flip else model
