import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

from biranet.config import OptimizerConfig
from biranet.errors import InputError
from biranet.grades import GRADES
from biranet.learning.loss import CrossEntropy, GradingLoss, grading_loss, make_loss

PAIRS = list(itertools.product(GRADES, GRADES))
COUNTS = (2, 3, 5, 7)
"""Numbers of ordered grades that the loss is tried with."""


def _logits(predicted, seed=0, count=5):
    """Logits (K,) whose largest is that of `predicted`, far from a tie."""
    logits = np.random.default_rng(seed).normal(size=count)
    logits[predicted] = logits.max() + 1
    return logits


def _written_out(logits, grade):
    """The loss of one photo as the design states it, in plain numpy."""
    probabilities = np.exp(logits) / np.exp(logits).sum()
    predicted = int(np.argmax(probabilities))
    weight = (abs(predicted - grade) + 1) / sum(abs(j - grade) + 1 for j in range(len(logits)))
    return weight * -np.log(probabilities[grade])


def _weight(predicted, grade):
    """The weight the loss gives a photo: its loss over its cross-entropy."""
    logits, truth = torch.tensor(_logits(predicted))[None], torch.tensor([grade])
    return (grading_loss(logits, truth) / functional.cross_entropy(logits, truth)).item()


@pytest.mark.parametrize(
    ("count", "predicted", "grade"),
    [(count, *pair) for count in COUNTS for pair in itertools.product(range(count), repeat=2)],
)
def test_one_photo_is_as_the_formula_says(count, predicted, grade):
    logits = _logits(predicted, seed=10 * predicted + grade, count=count)
    given, expected = (torch.tensor(logits)[None], torch.tensor([grade])), _written_out(logits, grade)
    assert grading_loss(*given).item() == pytest.approx(expected, rel=1e-12)
    assert GradingLoss("unit")(*given).item() == pytest.approx(count * expected, rel=1e-12)


@pytest.mark.parametrize("count", COUNTS)
def test_a_batch_is_the_mean_of_its_photos(count):
    pairs = list(itertools.product(range(count), repeat=2))
    logits = np.stack([_logits(predicted, seed, count) for seed, (predicted, _) in enumerate(pairs)])
    grades = [grade for _, grade in pairs]
    expected = np.mean([_written_out(row, grade) for row, grade in zip(logits, grades, strict=True)])
    assert grading_loss(torch.tensor(logits), torch.tensor(grades)).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_grades_of_any_integer_kind_are_grades(dtype):
    logits, grades = torch.randn(6, 3), torch.arange(6) % 3
    assert torch.equal(grading_loss(logits, grades.to(dtype)), grading_loss(logits, grades))
    assert torch.equal(CrossEntropy(0.2)(logits, grades.to(dtype)), CrossEntropy(0.2)(logits, grades))


def test_weights_lie_between_a_fifteenth_and_a_third_and_average_a_fifth():
    weights = np.array([[_weight(predicted, grade) for predicted in GRADES] for grade in GRADES])
    assert weights.min() == pytest.approx(1 / 15)
    assert weights.max() == pytest.approx(1 / 3)
    np.testing.assert_allclose(weights.mean(axis=1), 1 / 5)


def test_the_further_off_the_prediction_the_larger_the_weight():
    for grade in GRADES:
        weights = [_weight(predicted, grade) for predicted in sorted(GRADES, key=lambda other: abs(other - grade))]
        assert weights == sorted(weights)
        assert weights[0] < weights[-1]


def test_unit_is_five_times_the_published_scale():
    logits, grades = torch.randn(9, 5, dtype=torch.float64), torch.arange(9) % 5
    assert torch.allclose(grading_loss(logits, grades, "unit"), 5 * grading_loss(logits, grades, "paper"))
    assert torch.equal(GradingLoss("unit")(logits, grades), grading_loss(logits, grades, "unit"))
    assert torch.equal(GradingLoss()(logits, grades), grading_loss(logits, grades, "paper"))


def test_the_gradient_is_the_weighted_gradient_of_the_log_likelihood():
    # The released code built the loss from detached numbers: it had no gradient at all.
    for predicted, grade in PAIRS:
        logits = torch.tensor(_logits(predicted))[None].requires_grad_()
        grading_loss(logits, torch.tensor([grade])).backward()
        probabilities = logits.detach().softmax(dim=1)[0].numpy()
        weight = (abs(predicted - grade) + 1) / sum(abs(j - grade) + 1 for j in range(5))
        expected = weight * (probabilities - np.eye(5)[grade])
        np.testing.assert_allclose(logits.grad[0].numpy(), expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("count", COUNTS)
def test_the_gradient_agrees_with_finite_differences(count):
    pairs = list(itertools.product(range(count), repeat=2))
    logits = torch.tensor(np.stack([_logits(predicted, count=count) for predicted, _ in pairs]), requires_grad=True)
    grades = torch.tensor([grade for _, grade in pairs])
    assert torch.autograd.gradcheck(lambda scores: grading_loss(scores, grades), logits)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_single(dtype):
    logits = torch.randn(6, 5).to(dtype).requires_grad_()
    grades = torch.arange(6) % 5
    loss = grading_loss(logits, grades)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, grading_loss(logits.detach().float(), grades))
    loss.backward()
    assert logits.grad.dtype == dtype
    assert logits.grad.abs().sum() > 0


def test_certain_and_wrong_stays_finite():
    logits = torch.tensor([[1e4, 0, 0, 0, 0]], requires_grad=True)
    loss = grading_loss(logits, torch.tensor([4]))
    loss.backward()
    assert loss.item() == pytest.approx(1e4 / 3)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("loss", [GradingLoss(), CrossEntropy()])
@pytest.mark.parametrize(
    ("grades", "message"),
    [
        (torch.tensor([0, 7]), "from 0 to 4"),
        (torch.tensor([-1, 0]), "from 0 to 4"),
        (torch.tensor([0.0, 1.0]), "integers"),
        (torch.tensor([0, 1, 2]), r"not \(2, 5\) and \(3,\)"),
        (torch.tensor([[0], [1]]), r"not \(2, 5\) and \(2, 1\)"),
    ],
)
def test_bad_grades_raise(loss, grades, message):
    with pytest.raises(ValueError, match=message):
        loss(torch.zeros(2, 5), grades)


@pytest.mark.parametrize("loss", [GradingLoss(), CrossEntropy()])
@pytest.mark.parametrize("shape", [(2, 1), (2, 0), (3, 5), (2, 5, 1), (5,)])
def test_bad_logits_raise(loss, shape):
    with pytest.raises(InputError, match=r"logits \(B, K\) of at least two grades, and grades \(B,\), not \("):
        loss(torch.zeros(shape), torch.zeros(2, dtype=torch.long))


@pytest.mark.parametrize("loss", [GradingLoss(), CrossEntropy()])
def test_a_grade_that_the_logits_do_not_have_raises(loss):
    with pytest.raises(InputError, match="from 0 to 2, as the logits are of 3"):
        loss(torch.zeros(2, 3), torch.tensor([0, 3]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight_scale": "Unit"}, "weight_scale must be 'paper' or 'unit', not 'Unit'"),
        ({"label_smoothing": 1.0}, "label_smoothing must be at least 0 and below 1, not 1.0"),
        ({"label_smoothing": -0.1}, "label_smoothing must be at least 0 and below 1"),
    ],
)
def test_wrong_settings_raise(settings, message):
    with pytest.raises(InputError, match=message):
        GradingLoss(**settings)
    with pytest.raises(InputError, match=message):
        grading_loss(torch.zeros(1, 5), torch.tensor([0]), **settings)


@pytest.mark.parametrize("loss", [GradingLoss(), CrossEntropy()])
def test_an_empty_batch_raises(loss):
    with pytest.raises(ValueError, match="empty batch"):
        loss(torch.zeros(0, 5), torch.zeros(0, dtype=torch.long))


@pytest.mark.parametrize("loss", [GradingLoss(), CrossEntropy()])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_logits_that_are_no_numbers_raise(loss, value):
    logits = torch.zeros(3, 5)
    logits[1, 2] = value
    with pytest.raises(FloatingPointError, match="not all finite"):
        loss(logits, torch.tensor([0, 1, 2]))


def test_cross_entropy_is_the_usual_one():
    logits, grades = torch.randn(7, 5), torch.arange(7) % 5
    assert torch.equal(CrossEntropy()(logits, grades), functional.cross_entropy(logits, grades))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2, 0.9])
def test_smoothed_labels_are_as_written_out(smoothing, count):
    half = smoothing / 2
    for predicted, grade in itertools.product(range(count), repeat=2):
        logits = _logits(predicted, seed=grade, count=count)
        target = [half if abs(other - grade) == 1 else 0.0 for other in range(count)]
        target[grade] = 1 - sum(target)
        written = -np.dot(target, logits - np.log(np.exp(logits).sum()))
        given = torch.tensor(logits)[None], torch.tensor([grade])
        assert CrossEntropy(smoothing)(*given).item() == pytest.approx(written, rel=1e-6)
        weight = (abs(predicted - grade) + 1) / sum(abs(j - grade) + 1 for j in range(count))
        assert GradingLoss("paper", smoothing)(*given).item() == pytest.approx(weight * written, rel=1e-6)


def test_the_settings_choose_the_loss():
    logits, grades = torch.randn(9, 5), torch.arange(9) % 5
    for config, expected in (
        (OptimizerConfig(), GradingLoss()),
        (OptimizerConfig(weight_scale="unit", label_smoothing=0.3), GradingLoss("unit", 0.3)),
        (OptimizerConfig(loss="ce", label_smoothing=0.3), CrossEntropy(0.3)),
    ):
        assert torch.equal(make_loss(config)(logits, grades), expected(logits, grades))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("compiled", [False, True])
def test_without_checks_it_is_one_compiled_graph_of_the_same_values_and_gradients(compiled, smoothing):
    loss = GradingLoss("unit", smoothing, check=False)
    # The graph is what is asked for here; this backend runs it without a compiler.
    loss = torch.compile(loss, fullgraph=True, backend="aot_eager") if compiled else loss
    grades = torch.arange(9) % 5
    logits, same = (torch.randn(9, 5, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in range(2))
    value, expected = loss(logits, grades), grading_loss(same, grades, "unit", smoothing)
    assert torch.equal(value, expected)
    value.backward(), expected.backward()
    assert torch.equal(logits.grad, same.grad)


def test_what_is_not_looked_at_does_not_pass_for_a_loss():
    wrong = torch.full((1, 5), float("nan")), torch.tensor([0])
    assert grading_loss(*wrong, check=False).isnan()
    with pytest.raises(FloatingPointError):
        grading_loss(*wrong)
    with pytest.raises(InputError, match=r"takes logits \(B, K\)"):
        grading_loss(torch.zeros(2, 5), torch.tensor([0]), check=False)
