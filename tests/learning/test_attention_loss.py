"""The term that teaches attention with masks: what it is, what teaches nothing, and that it can be learned from."""

import math

import pytest
import torch

from biranet.errors import InputError
from biranet.learning.attention_loss import attention_loss


def masks(*, seed=0, photos=3, streams=2, side=4):
    return torch.rand(photos, streams, side, side, generator=torch.Generator().manual_seed(seed))


def test_it_is_the_divergence_of_the_weights_from_what_is_drawn():
    attention, shares = masks(seed=1), masks(seed=2)
    by_pair = [
        sum(
            q / drawn.sum() * torch.log(q / drawn.sum() / (a / looked.sum()))
            for q, a in zip(drawn, looked, strict=True)
        )
        for drawn, looked in zip(shares.flatten(0, 1).flatten(1), attention.flatten(0, 1).flatten(1), strict=True)
    ]
    assert attention_loss(attention, shares).item() == pytest.approx(float(torch.stack(by_pair).mean()), rel=1e-5)
    # How bright a mask is, and how much of its cells a lesion fills, does not matter: where, does.
    assert attention_loss(attention / 3, shares * 0.1).item() == pytest.approx(
        attention_loss(attention, shares).item(), rel=1e-5
    )


def test_its_ends():
    shares = torch.zeros(1, 1, 4, 4)
    shares[0, 0, 1, 2] = 0.01
    assert attention_loss(torch.full_like(shares, 0.7), shares).item() == pytest.approx(math.log(16))
    assert attention_loss(shares, shares).item() == pytest.approx(0)
    nowhere = attention_loss(1 - torch.ceil(shares), shares)
    assert 10 < nowhere < 20  # far, and finite


def test_photos_without_masks_teach_nothing():
    attention, shares = masks(seed=1).requires_grad_(), masks(seed=2)
    shares[1] = 0  # looked for, and nothing found
    shares[2, 0] = torch.nan  # nobody looked
    shares[2, 1, 0, 0] = torch.nan  # not all of it is known
    loss = attention_loss(attention, shares)
    loss.backward()
    assert loss.item() == pytest.approx(attention_loss(masks(seed=1)[:1], shares[:1]).item())
    assert attention.grad[0].abs().sum() > 0 and attention.grad[1:].abs().sum() == 0
    nothing = attention_loss(attention, torch.full_like(shares, torch.nan))
    nothing.backward()
    assert nothing.item() == 0 and torch.isfinite(attention.grad).all()


def test_half_precision_is_computed_in_full():
    attention, shares = masks(seed=1), masks(seed=2)
    found = attention_loss(attention.bfloat16(), shares)
    assert found.dtype == torch.float32 and found.item() == pytest.approx(
        attention_loss(attention, shares).item(), 0.02
    )


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"must both be \(B, S, h, w\), not \(3, 2, 4, 4\) and \(3, 1, 4, 4\)"):
        attention_loss(masks(), masks(streams=1))
    with pytest.raises(InputError, match="must both be"):
        attention_loss(masks()[0], masks()[0])
    with pytest.raises(FloatingPointError, match="attention"):
        attention_loss(torch.full((1, 1, 2, 2), torch.nan), torch.ones(1, 1, 2, 2))
