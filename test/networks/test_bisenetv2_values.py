"""BiSeNetV2 computes what CoinCheung's own implementation computes, and mistakes are seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import seeded
import torch
from torch import Tensor, nn

from bisenet_ros.networks import BiSeNetV2, BiSeNetV2Config, bisenetv2

CLOSE = 1e-5  # of the largest logit
SEEN = 1e-3


def network(**options: object) -> BiSeNetV2:
    """In eval mode, filled by the names of its tensors, which are CoinCheung's."""
    made = BiSeNetV2(BiSeNetV2Config(19, **options))  # type: ignore[arg-type]
    shapes = {name: list(tensor.shape) for name, tensor in made.state_dict().items()}
    made.load_state_dict(seeded.fill(shapes))
    return made.eval()


def plain(**options: object) -> BiSeNetV2:
    """The network of 2020, whose classifiers had no ``nn.Sequential`` around them."""
    made = BiSeNetV2(BiSeNetV2Config(19, auxiliary_head="plain", **options))  # type: ignore[arg-type]
    state = seeded.fill(seeded.manifest("coincheung_bisenetv2_2020")["shapes"])
    made.load_state_dict({_in_sequential(name): tensor for name, tensor in state.items()})
    return made.eval()


def _in_sequential(name: str) -> str:
    return name.replace(".conv_out.", ".conv_out.1.")


def error(made: BiSeNetV2, wanted: np.ndarray) -> float:
    with torch.no_grad():
        return relative(made(seeded.images()), wanted)


def relative(found: Tensor, wanted: np.ndarray) -> float:
    return float(np.abs(found.numpy() - wanted).max() / np.abs(wanted).max())


@pytest.fixture(scope="module")
def current() -> dict[str, np.ndarray]:
    return seeded.reference("coincheung_bisenetv2")


@pytest.fixture(scope="module")
def of_2020() -> dict[str, np.ndarray]:
    return seeded.reference("coincheung_bisenetv2_2020")


def test_logits_are_those_of_the_current_implementation(current):
    assert error(network(), current["logits"]) < CLOSE


def test_logits_are_those_of_the_implementation_of_2020(of_2020):
    assert error(plain(aggregation="bilinear_aligned"), of_2020["logits"]) < CLOSE


@pytest.mark.parametrize("generation", ["current", "of_2020"])
def test_auxiliary_logits_are_theirs(generation, request):
    wanted = request.getfixturevalue(generation)
    made = network() if generation == "current" else plain(aggregation="bilinear_aligned")
    made.training = True  # the network alone: norms and dropout stay in eval mode
    with torch.no_grad():
        output = made(seeded.images().repeat(2, 1, 1, 1))
    assert len(output.auxiliary) == 4
    for i, found in enumerate(output.auxiliary):
        assert relative(found[:1, :4], wanted[f"auxiliary{i}"]) < CLOSE


def test_parameters_of_both_generations_are_the_manifests():
    for made, name in (
        (network(), "coincheung_bisenetv2"),
        (plain(), "coincheung_bisenetv2_2020"),
    ):
        facts = seeded.manifest(name)
        assert sum(p.numel() for p in made.parameters()) == facts["parameters"]


def test_biases_in_the_aggregation_are_two_of_its_width():
    with_bias, without = (network(aggregation_bias=bias, auxiliary=False) for bias in (True, False))
    extra = set(with_bias.state_dict()) - set(without.state_dict())
    assert extra == {"bga.left1.2.bias", "bga.right2.2.bias"}
    count = [sum(p.numel() for p in made.parameters()) for made in (with_bias, without)]
    assert count == [3_358_627 + 2 * 128, 3_358_627]


@pytest.mark.parametrize("aggregation", ["bilinear", "bilinear_aligned"])
def test_another_aggregation_is_seen(current, aggregation):
    assert error(network(aggregation=aggregation), current["logits"]) > SEEN


@pytest.mark.parametrize("aggregation", ["nearest", "bilinear"])
def test_another_aggregation_is_seen_in_the_one_of_2020(of_2020, aggregation):
    assert error(plain(aggregation=aggregation), of_2020["logits"]) > SEEN


def test_a_relu_in_place_of_the_sigmoid_is_seen(current, monkeypatch):
    made = network()
    monkeypatch.setattr(bisenetv2.torch, "sigmoid", torch.relu)
    assert error(made, current["logits"]) > SEEN


def _replace(path: str, module: nn.Module) -> Callable[[BiSeNetV2], None]:
    def change(made: BiSeNetV2) -> None:
        parent, _, child = path.rpartition(".")
        setattr(made.get_submodule(parent), child, module)

    return change


def _zero(path: str) -> Callable[[BiSeNetV2], None]:
    return lambda made: made.get_parameter(path).data.zero_()


def _looser_norms(made: BiSeNetV2) -> None:
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3


def _dropout(made: BiSeNetV2) -> None:
    torch.manual_seed(0)
    made.head.drop.train()


MISTAKES = {
    "no bias in the classifier": _zero("head.conv_out.1.bias"),
    "no shift in the aggregation's norm": _zero("bga.conv.1.bias"),
    "no scale in the last norm of a residual branch": _zero("segment.S4.1.conv2.1.weight"),
    "mean pooling in the stem": _replace("segment.S1S2.right", nn.AvgPool2d(3, 2, 1)),
    "max pooling in the aggregation": _replace("bga.left2.2", nn.MaxPool2d(3, 2, 1)),
    "pooling that leaves the border out": _replace(
        "bga.left2.2", nn.AvgPool2d(3, 2, 1, count_include_pad=False)
    ),
    "no ReLU after the depthwise convolution": _replace("segment.S5_4.1.dwconv.2", nn.Identity()),
    "a ReLU after the first of two": lambda made: made.segment.S5_4[0].dwconv1.append(nn.ReLU()),
    "no ReLU after the aggregation": _replace("bga.conv.2", nn.Identity()),
    "a looser epsilon": _looser_norms,
    "dropout": _dropout,
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_seen(current, mistake):
    made = network()
    MISTAKES[mistake](made)
    assert error(made, current["logits"]) > 20 * CLOSE
