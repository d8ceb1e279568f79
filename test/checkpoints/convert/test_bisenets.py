"""BiSeNet checkpoints of CoinCheung and mmsegmentation answer here what they answer there."""

from __future__ import annotations

import re

import numpy as np
import pytest
import seeded
import torch
from torch import nn

from bisenet_ros.checkpoints.convert import Converted, coincheung, convert, mmsegmentation_bisenet
from bisenet_ros.errors import WeightsError
from bisenet_ros.networks import SegmentationNetwork, build

CLOSE = 1e-5  # of the largest logit; the contract allows 1e-4
SEEN = 1e-3  # what a mistake must change at least
# source → the network's own name there, and the options that its keys or its project fix
SOURCES = {
    "coincheung_bisenetv2": ("bisenetv2", {"aggregation": "nearest"}),
    "coincheung_bisenetv2_2020": (
        "bisenetv2",
        {"aggregation": "bilinear_aligned", "auxiliary_head": "plain"},
    ),
    "mmsegmentation_bisenetv2": (
        "bisenetv2",
        {"aggregation": "bilinear", "aggregation_bias": True, "auxiliary": False},
    ),
    "coincheung_bisenetv1": ("bisenetv1", {"fusion": "conv_bn", "classifier_bias": True}),
    "coincheung_bisenetv1_2021": ("bisenetv1", {"fusion": "mlp", "classifier_bias": True}),
    "coincheung_bisenetv1_2020": ("bisenetv1", {"fusion": "mlp", "classifier_bias": False}),
    "mmsegmentation_bisenetv1_r18": ("bisenetv1", {"fusion": "conv_bn_relu", "channels": 128}),
    "mmsegmentation_bisenetv1_r50": (
        "bisenetv1",
        {"backbone": "resnet50", "backbone_width": 1.0, "channels": 512},
    ),
}
REFUSED = {
    "coincheung_bisenetv2_pixel_shuffle": ("1216 channels", "pixel-shuffle head of September 2020"),
    "coincheung_bisenetv1_pixel_shuffle": ("1216 channels", "pixel-shuffle head of September 2020"),
    "coincheung_bisenetv2_first": ("256 channels", "first week in May 2020"),
}
NORMALISATION = {
    "coincheung": ((0.3257, 0.3690, 0.3223), (0.2112, 0.2148, 0.2115)),
    "mmsegmentation": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def checkpoint(name: str) -> dict[str, torch.Tensor]:
    facts = seeded.manifest(name)
    return seeded.fill(facts["shapes"], facts["gain"])


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> dict[str, Converted]:
    """Every source's network, converted from a file as its training script writes it."""
    made = {}
    for name in SOURCES:
        path = tmp_path_factory.mktemp(name) / "model.pth"
        state = checkpoint(name)
        torch.save({"state_dict": state} if name.startswith("mmseg") else state, path)
        made[name] = convert(path, "cityscapes")
    return made


def errors(name: str, network: SegmentationNetwork) -> dict[str, float]:
    """Largest difference to the source's logits, relative to the largest of these, by head."""
    found = {"logits": logits(network)}
    if network.config.auxiliary:
        # Two images, and only the network itself in training mode: norms stay as converted.
        network.training = True
        with torch.no_grad():
            output = network(seeded.images().repeat(2, 1, 1, 1))
        network.training = False
        found |= {f"auxiliary{i}": a[:1, :4].numpy() for i, a in enumerate(output.auxiliary)}
    wanted = seeded.reference(name)
    assert found.keys() == wanted.keys()
    return {
        key: float(np.abs(found[key] - wanted[key]).max() / np.abs(wanted[key]).max())
        for key in wanted
    }


def logits(network: nn.Module) -> np.ndarray:
    with torch.no_grad():
        return network(seeded.images()).numpy()


@pytest.mark.parametrize("name", SOURCES)
def test_logits_are_the_sources_own(converted, name):
    worst = errors(name, converted[name].network)
    assert max(worst.values()) < CLOSE, worst


@pytest.mark.parametrize("name", SOURCES)
def test_what_was_told_from_the_keys(converted, name):
    made, (architecture, options) = converted[name], SOURCES[name]
    assert made.source == name.split("_")[0]
    assert made.card.architecture == architecture
    assert made.card.options.items() >= {"num_classes": 19, **options}.items()
    assert not made.unplaced and not made.unfilled and not made.counters
    assert (made.card.mean, made.card.std) == NORMALISATION[made.source]
    assert made.match.why


@pytest.mark.parametrize("name", SOURCES)
def test_every_tensor_but_the_dropped_is_in_the_network(converted, name):
    made = converted[name]
    dropped = set(made.dropped)
    assert len(made.network.state_dict()) == len(seeded.manifest(name)["shapes"]) - len(dropped)
    assert all(key.startswith("auxiliary_head.") for key in dropped)
    assert bool(dropped) == (name == "mmsegmentation_bisenetv2")
    if not dropped:
        parameters = sum(p.numel() for p in made.network.parameters())
        assert parameters == seeded.manifest(name)["parameters"]


@pytest.mark.parametrize("name", REFUSED)
def test_generations_with_other_arithmetic_are_refused_by_name(tmp_path, name):
    path = tmp_path / "model.pth"
    torch.save(checkpoint(name), path)
    with pytest.raises(WeightsError) as caught:
        convert(path, "cityscapes")
    for words in (str(path), *REFUSED[name]):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_first_bisenet_with_its_in_place_norms_is_refused(tmp_path):
    state = checkpoint("coincheung_bisenetv1_2020")
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(WeightsError, match="in-place norms and leaky ReLU"):
        convert(tmp_path / "model.pth", "cityscapes")


@pytest.mark.parametrize(
    ("tables", "names"),
    [
        (
            (coincheung.V2_TABLE, coincheung.V2_EXPANDED),
            ["coincheung_bisenetv2"],
        ),
        (
            (coincheung.V2_TABLE, coincheung.V2_PLAIN),
            ["coincheung_bisenetv2_2020"],
        ),
        ((coincheung.V1_TABLE,), ["coincheung_bisenetv1", "coincheung_bisenetv1_2021"]),
        ((mmsegmentation_bisenet.V2_TABLE,), ["mmsegmentation_bisenetv2"]),
        ((mmsegmentation_bisenet.V1_TABLE,), ["mmsegmentation_bisenetv1_r18"]),
    ],
)
def test_no_rule_is_dead(tables, names):
    keys = [key for name in names for key in seeded.manifest(name)["shapes"]]
    dead = [
        rule.pattern
        for table in tables
        for rule in table
        if not any(re.fullmatch(rule.pattern, key) for key in keys)
    ]
    # A convolution before a norm has no bias, but the pair of rules names both.
    assert not [pattern for pattern in dead if "weight|bias" not in pattern]


# --- planted mistakes: each must be seen, or the parity above would prove little


def other(name: str, converted: dict[str, Converted], **options: object) -> SegmentationNetwork:
    """The same tensors under other options."""
    made = converted[name]
    network = build(made.card.architecture, **{**made.card.options, **options})
    network.load_state_dict(made.network.state_dict())
    return network.eval()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *(
            (name, {"aggregation": aggregation})
            for name in SOURCES
            if "v2" in name
            for aggregation in ("nearest", "bilinear", "bilinear_aligned")
        ),
        ("coincheung_bisenetv1", {"fusion": "conv_bn_relu"}),
        ("mmsegmentation_bisenetv1_r18", {"fusion": "conv_bn"}),
    ],
)
def test_another_option_is_seen(converted, name, options):
    if converted[name].card.options.items() >= options.items():
        return
    found = logits(other(name, converted, **options))
    wanted = seeded.reference(name)["logits"]
    assert np.abs(found - wanted).max() / np.abs(wanted).max() > SEEN


@pytest.mark.parametrize(
    ("name", "bias"),
    [
        ("coincheung_bisenetv2", "head.conv_out.1.bias"),
        ("coincheung_bisenetv2", "bga.left1.1.bias"),
        ("mmsegmentation_bisenetv2", "bga.left1.2.bias"),
        ("mmsegmentation_bisenetv2", "bga.right2.2.bias"),
        ("coincheung_bisenetv1", "conv_out.conv_out.bias"),
        ("coincheung_bisenetv1", "cp.arm32.bn_atten.bias"),
        ("mmsegmentation_bisenetv1_r18", "ffm.bn.bias"),
    ],
)
def test_a_lost_bias_is_seen(converted, name, bias):
    network = other(name, converted)
    network.get_parameter(bias).data.zero_()
    wanted = seeded.reference(name)["logits"]
    assert np.abs(logits(network) - wanted).max() / np.abs(wanted).max() > 10 * CLOSE


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("mmsegmentation_bisenetv2", "bga.left1.0.weight", "bga.right2.0.weight"),
        ("mmsegmentation_bisenetv2", "bga.left2.0.weight", "bga.right1.0.weight"),
        ("mmsegmentation_bisenetv2", "segment.S3.0.dwconv1.1.bias", "segment.S3.0.dwconv2.1.bias"),
        (
            "mmsegmentation_bisenetv1_r18",
            "cp.arm16.conv_atten.weight",
            "cp.arm32.conv_atten.weight",
        ),
        (
            "mmsegmentation_bisenetv1_r18",
            "cp.conv_head16.conv.weight",
            "cp.conv_head32.conv.weight",
        ),
        ("mmsegmentation_bisenetv1_r18", "sp.conv2.conv.weight", "sp.conv3.conv.weight"),
    ],
)
def test_two_tensors_in_each_others_place_are_seen(converted, name, first, second):
    network = other(name, converted)
    state = network.state_dict()
    one = state[first].clone()
    state[first].copy_(state[second])
    state[second].copy_(one)
    wanted = seeded.reference(name)["logits"]
    assert np.abs(logits(network) - wanted).max() / np.abs(wanted).max() > SEEN
