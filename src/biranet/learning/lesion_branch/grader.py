"""A network that grades, with a lesion branch beside it whose findings correct its answer.

Our own idea, no part of the method. The way of a batch of images (B, 3, H, W):

    small     n x n pixels of the image averaged to one                    (B, 3, H / n, W / n)
    model     what it says of the small image                              logits z: (B, K)
    stages    of the model's frozen backbone, but of the image itself      as `LesionHead` takes them
    maps      lesions, the mean over the image and its mirror image        (B, 5, H / 4, W / 4)
    vector    `pool_lesions`                                               v: (B, V)
    answer    log_softmax(z) * sharpness + W v + bias                      logits: (B, K)

The last line is fitted once the model and the branch are trained, as temperature and thresholds are, on answers for
photos that neither had seen. It is linear in v, so what a kind of lesion did to the answer can be told in closed form
(`biranet.learning.evidence`).
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from biranet.errors import InputError
from biranet.grades import GRADE_COUNT
from biranet.learning.backbone import FrozenLayers, cut_all, maps_of
from biranet.learning.flip import FlipAverage
from biranet.learning.lesion_branch.head import LesionHead
from biranet.learning.lesion_branch.pooling import VALUES, pool_lesions
from biranet.learning.lesion_settings import PATCH_STEP_PX, LesionBranch
from biranet.learning.model import Output

_OWN = "lesions."
"""How the names of the tensors begin that are not the model's."""


class Correction(nn.Module):
    """A linear function of the vector of lesions, added to the logarithms of probabilities.

    Attributes:
        sharpness: Factor on the logarithms, the inverse of a temperature.
        weight: (K, V).
        bias: (K,).
    """

    sharpness: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, num_grades: int = GRADE_COUNT) -> None:
        super().__init__()
        # Buffers: no training changes them.
        self.register_buffer("sharpness", torch.ones(()))
        self.register_buffer("weight", torch.zeros(num_grades, VALUES))
        self.register_buffer("bias", torch.zeros(num_grades))

    def forward(self, logits: Tensor, vectors: Tensor) -> Tensor:
        """Correct logits (B, K), or (B, K, n), by the vectors (B, V) of their photos."""
        added = vectors @ self.weight.T + self.bias
        return logits.log_softmax(dim=1) * self.sharpness + added[(...,) + (None,) * (logits.dim() - 2)]


class LesionGrader(nn.Module):
    """A network that grades, corrected by what a lesion branch finds.

    `state_dict` and `load_state_dict` have the model's own names, and others for what is added. It is no part for other
    modules.

    Args:
        model: Returns `Output`; a network of ours whose whole backbone is frozen, or that within a `FlipAverage`.
        stages: For each stage of the backbone the number of its layers up to its end, as `Backbone.stages` has them.
        branch: What the lesion branch is.

    Raises:
        InputError: If the backbone is not frozen as a whole, or cannot be cut into stages.

    Example:
        >>> from biranet.config import ModelConfig
        >>> from biranet.learning.backbone import load_backbone
        >>> from biranet.learning.model import build_model
        >>> config = ModelConfig(backbone="test_resnet", pretrained=False, freeze="stage4")
        >>> stages = load_backbone(config).stages
        >>> network = LesionGrader(build_model(config), stages, LesionBranch(width=8, factor=2)).eval()
        >>> network(torch.rand(2, 3, 64, 64)).logits.shape, network.find(torch.rand(2, 3, 64, 64)).shape
        (torch.Size([2, 5]), torch.Size([2, 5, 16, 16]))
    """

    def __init__(self, model: nn.Module, stages: Mapping[str, int], branch: LesionBranch) -> None:
        super().__init__()
        self.model, self.factor = model, branch.factor
        graded = model.model if isinstance(model, FlipAverage) else model
        frozen = graded.frozen
        if not isinstance(frozen, FrozenLayers) or not stages or len(frozen) < max(stages.values()):
            raise InputError("lesions are found on a backbone that is frozen as a whole, and cut into stages")
        # Within a tuple they are no modules of this one: they are the model's.
        self._stages = tuple(cut_all(list(frozen), stages.values()))
        with torch.inference_mode():
            device = next(frozen.parameters()).device
            maps = maps_of(self._stages, torch.zeros(1, 3, PATCH_STEP_PX, PATCH_STEP_PX, device=device))
        strides = [PATCH_STEP_PX // each.shape[2] for each in maps]
        self.lesions = nn.ModuleDict(
            {"head": LesionHead([each.shape[1] for each in maps], strides, branch.width), "correction": Correction()}
        )

    def shrink(self, image: Tensor) -> Tensor:
        """Make images (B, 3, H, W) what the model itself sees of them."""
        return functional.avg_pool2d(image, self.factor)

    def find(self, image: Tensor) -> Tensor:
        """Find lesions in images (B, 3, H, W): of each cell the share that is each kind, (B, 5, H / 4, W / 4)."""
        # One after the other: both in one batch would take twice the memory.
        straight, mirrored = (
            self.lesions["head"](maps_of(self._stages, each)).sigmoid() for each in (image, image.flip(-1))
        )
        shares: Tensor = (straight + mirrored.flip(-1)) / 2
        return shares

    def correct(self, logits: Tensor, vectors: Tensor) -> Tensor:
        """Correct what the model says, as `Correction` does."""
        corrected: Tensor = self.lesions["correction"](logits, vectors)
        return corrected

    def forward(self, image: Tensor) -> Output:
        """Grade images (B, 3, H, W), normalized as the backbone's weights expect."""
        output: Output = self.model(self.shrink(image))
        return output._replace(logits=self.correct(output.logits, pool_lesions(self.find(image))))

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Give the weights: the model's by the names they have without lesions, and those that are added."""
        added = self.lesions.state_dict(prefix=_OWN)
        return OrderedDict([*self.model.state_dict(*args, **kwargs).items(), *added.items()])

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take weights by these names."""
        added = {name.removeprefix(_OWN): value for name, value in state_dict.items() if name.startswith(_OWN)}
        self.lesions.load_state_dict(added, strict, assign)
        own = {name: value for name, value in state_dict.items() if not name.startswith(_OWN)}
        return self.model.load_state_dict(own, strict, assign)
