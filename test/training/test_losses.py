"""Losses against plain versions that look at one pixel after the other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bisenet_ros.errors import ArgumentError
from bisenet_ros.networks import TrainingOutput
from bisenet_ros.training import losses
from bisenet_ros.training.losses import CrossEntropy, Dice, OhemCrossEntropy, Sum, with_auxiliary
from bisenet_ros.training.weighting import class_weights

LOSSES = (CrossEntropy(), OhemCrossEntropy(), Dice(), Dice("sigmoid", 0.0), Sum(Dice()))


def batch(seed: int, classes: int = 4, side: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    logits = torch.tensor(random.normal(0, 2, (2, classes, side, side)), dtype=torch.float32)
    ids = random.choice([*range(classes), 255], (2, side, side))
    return logits.requires_grad_(), torch.tensor(ids)


def pixels(logits: torch.Tensor, labels: torch.Tensor):
    """(probabilities, id) of each labelled pixel."""
    shares = logits.detach().double().softmax(1)
    for n, y, x in np.ndindex(*labels.shape):
        if labels[n, y, x] != 255:
            yield shares[n, :, y, x].numpy(), int(labels[n, y, x])


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_cross_entropy_is_the_weighted_mean_over_labelled_pixels(seed):
    logits, labels = batch(seed)
    weight = torch.tensor([0.5, 2.0, 1.0, 3.0])
    found = list(pixels(logits, labels))
    weights = [float(weight[i]) for _, i in found]
    expected = sum(w * -math.log(p[i]) for w, (p, i) in zip(weights, found, strict=True))
    assert float(CrossEntropy(weight)(logits, labels).detach()) == pytest.approx(
        expected / sum(weights), rel=1e-4
    )


@given(st.integers(0, 1000), st.floats(0.05, 0.95), st.floats(0.0, 1.0))
@settings(max_examples=30, deadline=None)
def test_ohem_keeps_the_hard_pixels_and_at_least_a_share(seed, threshold, kept):
    logits, labels = batch(seed)
    losses = sorted((-math.log(p[i]) for p, i in pixels(logits, labels)), reverse=True)
    hard = [loss for loss in losses if loss > -math.log(threshold)]
    least = int(kept * len(losses))
    chosen = hard if len(hard) >= least else losses[:least]
    expected = sum(chosen) / len(chosen) if chosen else 0.0
    found = OhemCrossEntropy(threshold, kept)(logits, labels)
    assert float(found.detach()) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_dice_leaves_out_ignored_pixels_and_absent_classes(activation):
    logits, labels = batch(3)
    labels[labels == 2] = 1
    shares = (logits.softmax(1) if activation == "softmax" else logits.sigmoid()).detach()
    terms = []
    for c in (0, 1, 3):
        overlap = both = 0.0
        for n, y, x in np.ndindex(*labels.shape):
            if labels[n, y, x] == 255:
                continue
            truth = float(labels[n, y, x] == c)
            overlap += truth * float(shares[n, c, y, x])
            both += truth + float(shares[n, c, y, x])
        terms.append(1 - (2 * overlap + 1) / (both + 1))
    assert float(Dice(activation)(logits, labels).detach()) == pytest.approx(
        np.mean(terms), rel=1e-4
    )


def test_dice_of_the_truth_is_zero():
    _, labels = batch(1)
    sure = torch.nn.functional.one_hot(labels.where(labels != 255, 0), 4).movedim(-1, 1) * 100.0
    assert float(Dice()(sure, labels)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_without_labels_gives_zero_and_no_gradient(loss):
    logits, labels = batch(2)
    value = loss(logits, torch.full_like(labels, 255))
    value.backward()
    assert float(value.detach()) == 0
    assert logits.grad is not None and not logits.grad.any()


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_falls_along_its_gradient(loss: nn.Module):
    logits, labels = batch(4)
    before = loss(logits, labels)
    before.backward()
    assert logits.grad is not None
    with torch.no_grad():
        after = loss(logits - 0.5 * logits.grad / logits.grad.norm(), labels)
    assert float(after) < float(before.detach())


def test_the_auxiliary_loss_is_the_sum_over_the_heads():
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (1, 16, 16))
    logits, first, second = (torch.randn(1, 3, side, side) for side in (2, 8, 4))
    loss = CrossEntropy(class_weights("log", np.array([0.5, 0.4, 0.1])))
    head, auxiliary = with_auxiliary(loss, TrainingOutput(logits, (first, second)), labels)
    alone, nothing = with_auxiliary(loss, logits, labels)
    assert float(head) == float(alone) and float(nothing) == 0
    others = [float(with_auxiliary(loss, one, labels)[0]) for one in (first, second)]
    assert float(auxiliary) == pytest.approx(sum(others))


SHARES = np.array([0.6, 0.3, 0.1, 0.0])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("log", 1 / np.log(1.1 + np.array([0.6, 0.3, 0.1, 0.1]))),
        ("inverse", 1 / np.array([0.6, 0.3, 0.1, 0.1])),
        ("median", 0.2 / np.array([0.6, 0.3, 0.1, 0.1])),
    ],
)
def test_class_weights_follow_their_formula_with_mean_one(kind, expected):
    found = class_weights(kind, SHARES)
    assert found is not None
    np.testing.assert_allclose(found.numpy(), expected / expected.mean(), rtol=1e-6)


def test_class_weights_may_be_given_or_none():
    assert class_weights("none", SHARES) is None
    assert class_weights("1,2, 3,0", SHARES).tolist() == [1, 2, 3, 0]  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["often", "1,2", "1,2,3,-4", "1,2,x,4"])
def test_wrong_class_weights_are_refused(kind):
    with pytest.raises(ArgumentError, match="class_weights"):
        class_weights(kind, SHARES)


def test_the_defaults_are_those_of_the_paper_and_the_recipe():
    ohem = OhemCrossEntropy()
    assert math.exp(-ohem.limit) == pytest.approx(0.7) and ohem.kept == 1 / 16
    assert ohem.weight is None and CrossEntropy().weight is None
    assert (Dice().activation, Dice().smooth) == ("softmax", 1.0)


@pytest.mark.parametrize("loss", [CrossEntropy, lambda weight: OhemCrossEntropy(weight=weight)])
def test_class_weights_follow_the_module_but_stay_out_of_checkpoints(loss):
    made = loss(torch.ones(3))
    assert made.state_dict() == {}
    assert made.double().weight.dtype == torch.float64
    assert [name for name, _ in made.named_buffers()] == ["weight"]


def test_the_losses_of_a_sum_are_its_modules():
    made = Sum(CrossEntropy(torch.ones(4)), Dice())
    assert len(list(made.children())) == 1 and len(list(made.modules())) == 4
    logits, labels = batch(3)
    parts = [float(loss(logits, labels).detach()) for loss in made.losses]
    assert float(made(logits, labels).detach()) == pytest.approx(sum(parts))


def test_ohem_weighs_hard_pixels_by_their_class():
    logits = torch.zeros(1, 2, 1, 4)  # every pixel as uncertain as the other
    labels = torch.tensor([[[0, 0, 1, 255]]])
    weight = torch.tensor([1.0, 5.0])
    assert float(OhemCrossEntropy(0.9, 1.0, weight)(logits, labels)) == pytest.approx(math.log(2))
    sure = torch.tensor([[[[9.0, 9.0, 9.0, 0.0]], [[0.0, 0.0, 0.0, 0.0]]]])
    found = float(OhemCrossEntropy(0.7, 0.0, weight)(sure, labels))  # only the wrong one is hard
    assert found == pytest.approx(9.0, abs=1e-3)


def test_small_weights_and_single_pixels_count_in_full():
    logits = torch.tensor([[[[2.0, 0.0]], [[0.0, 1.0]], [[0.0, 0.0]]]])
    labels = torch.tensor([[[1, 255]]])
    exact = -float(logits.double().log_softmax(1)[0, 1, 0, 0])
    tiny = torch.full((3,), 1e-3)  # all pixels together weigh less than one
    assert float(CrossEntropy(tiny)(logits, labels)) == pytest.approx(exact)
    share = logits.softmax(1)[0, :, 0, 0]  # the unlabelled pixel counts nowhere
    for smooth in (0.0, 0.01, 1.0):
        expected = 1 - (2 * share[1] + smooth) / (share[1] + 1 + smooth)
        found = float(Dice(smooth=smooth)(logits, labels))
        assert found == pytest.approx(float(expected), rel=1e-5)


def test_ohem_weighs_pixels_of_different_loss():
    logits = torch.tensor([[[[0.0, 0.0]], [[3.0, -1.0]]]])
    labels = torch.tensor([[[0, 1]]])
    weight = torch.tensor([1.0, 5.0])
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none").flatten()
    expected = float((losses * weight).sum() / weight.sum())
    found = float(OhemCrossEntropy(0.99, 1.0, weight)(logits, labels))
    assert found == pytest.approx(expected)


def test_in_two_processes_the_mean_is_over_the_pixels_of_both(monkeypatch):
    """The average of what both get, each for its own pixels, is the mean over all of them."""
    shares = [(torch.tensor(6.0), torch.tensor(3.0)), (torch.tensor(5.0), torch.tensor(1.0))]
    found = []
    for rank, (total, count) in enumerate(shares):
        other = shares[1 - rank][1]
        monkeypatch.setattr(losses, "world", lambda rank=rank: (2, rank))
        monkeypatch.setattr(
            losses.dist, "all_reduce", lambda tensor, other=other: tensor.add_(other)
        )
        found.append(losses.over_all(total, count))
    assert sum(found) / 2 == (6 + 5) / (3 + 1)
    assert [float(count) for _, count in shares] == [3.0, 1.0]  # their own, as before
