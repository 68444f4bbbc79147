"""Evidence as a graph of plain operations, the way back through the network included: what ONNX can hold.

The way back is traced as autograd goes it, layer by layer, so it is known for every layer that autograd knows. Of each
convolution it needs the gradient of what goes in alone: where the stride is 1 that is a convolution again, with its
weights turned, which runtimes compute several times as fast as a transposed one.
"""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch._decomp import core_aten_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

from biranet.learning.evidence import Seen, conclude

_aten = torch.ops.aten


def trace_conclusion(model: nn.Module, temperature: float, seen: Seen) -> fx.GraphModule:
    """Trace `conclude` of a model.

    Args:
        model: In evaluation mode, as for `explain`; a network of ours.
        temperature: Of the rules.
        seen: What it sees of any image.

    Returns:
        From `Seen.vectors` and each of `Seen.maps`, of any number of images, to the parts of `Concluded`.
    """
    # A number that is no other side of a tensor, or the trace would take them for one.
    taken = {side for tensor in (seen.vectors, *seen.maps, *model.state_dict().values()) for side in tensor.shape}
    images = next(number for number in count(2) if number not in taken)
    inputs = [each[:1].expand(images, *each.shape[1:]) for each in (seen.vectors, *seen.maps)]
    trace = make_fx(
        partial(_conclude, model, temperature), _GRADIENTS, tracing_mode="symbolic", _allow_non_fake_inputs=True
    )
    return trace(*inputs)


def _conclude(model: nn.Module, temperature: float, vectors: Tensor, *maps: Tensor) -> tuple[Tensor, ...]:
    return tuple(conclude(model, temperature, vectors, *maps))


def gradient_of_convolution(
    gradient: Tensor, image: Tensor, weight: Tensor, bias_sizes: object, *how: Any
) -> tuple[Tensor, None, None]:
    """The gradient of what goes into a convolution, in place of all three."""
    stride, padding, dilation, transposed, _, groups, _ = how
    if transposed:
        raise NotImplementedError("the way back through a transposed convolution")
    reach = [step * (side - 1) for step, side in zip(dilation, weight.shape[2:], strict=True)]
    if set(stride) == {1}:
        its_padding = [cells - out for cells, out in zip(reach, padding, strict=True)]
        turned = _turn(weight, groups)
        back = _aten.convolution(gradient, turned, None, stride, its_padding, dilation, False, [0] * len(reach), groups)
    else:
        sides = zip(image.shape[2:], gradient.shape[2:], stride, padding, reach, strict=True)
        left = [its - (step * (cells - 1) + 1 + far - 2 * out) for its, cells, step, out, far in sides]
        back = _aten.convolution(gradient, weight, None, stride, padding, dilation, True, left, groups)
    return back, None, None


def gradient_of_average_pool(gradient: Tensor, image: Tensor, *how: Any) -> Tensor:
    """Each cell gives its gradient back to those that it is the average of, in equal parts."""
    kernel, stride, padding, ceil_mode, count_include_pad, divisor = how
    if divisor is not None or (ceil_mode and count_include_pad):
        raise NotImplementedError("the way back through an average of other parts")
    stride, rows, columns = stride or kernel, *image.shape[2:]
    counted = torch.ones_like(image[:1, :1])
    if count_include_pad:
        counted = nn.functional.pad(counted, (padding[1], padding[1], padding[0], padding[0]), value=1.0)
        counting = [0, 0]
    else:
        # With a margin that counts for nothing, into which the last windows may stand out.
        counted = nn.functional.pad(counted, (0, stride[1] - 1, 0, stride[0] - 1))
        counting = padding
    ones = gradient.new_ones([1, 1, *kernel])
    parts = _aten.convolution(counted, ones, None, stride, counting, [1, 1], False, [0, 0], 1)
    each = gradient / parts[:, :, : gradient.shape[2], : gradient.shape[3]]
    reached = zip(gradient.shape[2:], stride, kernel, padding, strict=True)
    reach = [(cells - 1) * step + wide - 2 * out for cells, step, wide, out in reached]
    # Where the last windows stand out, more is reached than there is; elsewhere the last cells may be in none.
    left = [0, 0] if ceil_mode else [rows - reach[0], columns - reach[1]]
    ones = ones.expand(image.shape[1], 1, *kernel)
    back: Tensor = _aten.convolution(each, ones, None, stride, padding, [1, 1], True, left, image.shape[1])
    return back[:, :, :rows, :columns]


def _turn(weight: Tensor, groups: int) -> Tensor:
    """Weights (out, in / groups, ...) of a convolution to those of its way back, (in, out / groups, ...)."""
    grouped = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    swapped = grouped.transpose(1, 2).reshape(-1, weight.shape[0] // groups, *weight.shape[2:])
    wide = [place for place, side in enumerate(weight.shape) if place > 1 and side > 1]
    return swapped.flip(wide) if wide else swapped


def _of_hardtanh(gradient: Tensor, image: Tensor, lowest: float, highest: float) -> Tensor:
    """Through ReLU6: a product, where runtimes take ten times as long to choose between two."""
    return gradient * ((image > lowest) & (image < highest)).to(gradient.dtype)


def _of_threshold(gradient: Tensor, image: Tensor, threshold: float) -> Tensor:
    """Through ReLU, likewise."""
    return gradient * (image > threshold).to(gradient.dtype)


_KNOWN: dict[Any, Callable[..., Any]] = dict(cast(Any, core_aten_decompositions)())

_GRADIENTS: dict[Any, Callable[..., Any]] = {
    # What follows is left to the export of ONNX, which knows ways forward alone.
    **{operation: way for operation, way in _KNOWN.items() if "backward" in str(operation)},
    _aten.convolution_backward.default: gradient_of_convolution,
    _aten.avg_pool2d_backward.default: gradient_of_average_pool,
    _aten.hardtanh_backward.default: _of_hardtanh,
    _aten.threshold_backward.default: _of_threshold,
}
