"""The values of every network and option are pinned; mistakes and other options show."""

from __future__ import annotations

import deeplab_pins
import numpy as np
import pytest
import torch
from deeplab_pins import CASES

TOLERANCE = 1e-5  # of the largest logit; other processors add up in another order
SEEN = 1e-3  # what a mistake must change at least


@pytest.fixture(scope="module")
def kept():
    with np.load(deeplab_pins.FILE) as arrays:
        return dict(arrays)


def test_each_case_is_kept(kept):
    assert kept.keys() == CASES.keys()


@pytest.mark.parametrize("case", CASES)
def test_values_are_the_kept_ones(case, kept):
    network = deeplab_pins.network(case)
    logits = deeplab_pins.answer(network)
    height, width = deeplab_pins.size(network)
    if "ceil" not in case and "original" not in case:
        assert logits.shape[2:] == (height // network.stride, width // network.stride)
    assert deeplab_pins.difference(logits, kept[case]) < TOLERANCE


def test_no_two_options_give_the_same_values(kept):
    """An option that changed nothing would not be in use."""
    cases = list(kept)
    for i, first in enumerate(cases):
        for second in cases[:i]:
            scale = np.abs(kept[first]).max()
            assert np.abs(kept[first] - kept[second]).max() > SEEN * scale, (first, second)


def lose_bias(network):
    network.classifier.bias.data.zero_()


def reverse_rates(network):
    branches = list(network.aspp.convs)[1:]
    kinds = [(b.conv.padding, b.conv.dilation) for b in reversed(branches)]
    for branch, (padding, dilation) in zip(branches, kinds, strict=True):
        branch.conv.padding, branch.conv.dilation = padding, dilation


def double_last_rate(network):
    conv = network.aspp.convs[3].conv
    conv.padding = conv.dilation = (36, 36)


def forget_dilation(network):
    for block in network.backbone.layer4:
        block.conv2.padding = block.conv2.dilation = (1, 1)


def dilate_first_block(network):
    conv = network.backbone.layer4[0].conv2
    conv.padding = conv.dilation = (2, 2)


def swap_branches(network):
    convs = network.aspp.convs
    convs[1], convs[2] = convs[2], convs[1]


def lose_pooling(network):
    network.aspp.pooling.embed.relu.register_forward_hook(lambda _m, _i, out: out * 0)


def lose_relu(network):
    network.aspp.project.relu = torch.nn.Identity()


@pytest.mark.parametrize(
    ("case", "mistake"),
    [
        ("deeplabv3", lose_bias),
        ("deeplabv3", reverse_rates),
        ("deeplabv3", double_last_rate),
        ("deeplabv3", forget_dilation),
        ("deeplabv3", dilate_first_block),
        ("deeplabv3", swap_branches),
        ("deeplabv3", lose_pooling),
        ("deeplabv3", lose_relu),
        ("pspnet", lose_bias),
        ("deeplabv3plus", lose_bias),
        ("deeplabv3plus mobilenetv2", swap_branches),
    ],
)
def test_mistakes_show(case, mistake, kept):
    network = deeplab_pins.network(case)
    mistake(network)
    logits = deeplab_pins.answer(network)
    assert deeplab_pins.difference(logits, kept[case]) > SEEN


# An option, and another value of it under which the same weights load.
OPTIONS = [
    ("deeplabv2", {"rates": [24, 18, 12, 6]}),
    ("bisenetv2-large", {"aggregation": "bilinear"}),
    ("bisenetv2-large", {"aggregation": "bilinear_aligned"}),
    ("bisenetv1 resnet50", {"fusion": "conv_bn_relu"}),
    ("deeplabv3 os8", {"backbone_options": {"width": 0.25, "first_block_dilation": "own"}}),
    ("deeplabv3", {"aspp_concatenation": "pooling_first"}),
    ("deeplabv3", {"output_stride": 8}),
    ("deeplabv3", {"backbone_options": {"width": 0.25, "stride_on": "1x1"}}),
    ("deeplabv3", {"backbone_options": {"width": 0.25, "multi_grid": [1, 2, 1]}}),
    ("deeplabv3plus", {"decoder_concatenation": "low_level_first"}),
    ("deeplabv3plus", {"align_corners": True}),
    ("deeplabv3plus", {"output_stride": 8}),
    ("deeplabv3plus mobilenetv2", {"backbone_options": {"padding": "block_input"}}),
    ("pspnet", {"align_corners": True}),
    ("pspnet", {"bins": [6, 3, 2, 1]}),
    ("pspnet", {"bins": [1, 2, 3, 5]}),
]


@pytest.mark.parametrize(("case", "change"), OPTIONS, ids=lambda value: str(value))
def test_another_value_of_an_option_shows_with_the_same_weights(case, change, kept):
    network = deeplab_pins.network(case)
    config = {**vars(network.config), **change}
    other = deeplab_pins.build(network.architecture, **config).eval()
    other.load_state_dict(network.state_dict())
    logits = deeplab_pins.answer(other)
    assert deeplab_pins.difference(logits, kept[case]) > SEEN
