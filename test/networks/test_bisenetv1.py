"""BiSeNetV1: its size, shapes and options; values are pinned in test/checkpoints/convert."""

from __future__ import annotations

import pytest
import torch
from torch import fx, nn

from bisenet_ros.networks import SegmentationNetwork, TrainingOutput, build
from bisenet_ros.networks.bisenetv1 import FUSIONS, BiSeNetV1, BiSeNetV1Config


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def network(**options: object) -> BiSeNetV1:
    made = build("bisenetv1", **{"num_classes": 19, **options})
    assert isinstance(made, BiSeNetV1)
    return made


def cbr(c_in: int, c_out: int, kernel: int) -> int:
    """Parameters of convolution without bias and batch norm."""
    return kernel * kernel * c_in * c_out + 2 * c_out


def resnet18() -> int:
    """Stem, then per stage two blocks of two 3×3, and a 1×1 shortcut where channels change."""
    total, c_in = cbr(3, 64, 7), 64
    for c in (64, 128, 256, 512):
        total += cbr(c_in, c, 3) + 3 * cbr(c, c, 3) + (cbr(c_in, c, 1) if c != c_in else 0)
        c_in = c
    return total


def resnet50(width: int) -> int:
    """``width`` channels in the stem; blocks of 1×1, 3×3, 1×1 with four times the channels out."""
    total, c_in = cbr(3, width, 7), width
    for stage, blocks in enumerate((3, 4, 6, 3)):
        c = width << stage
        for block in range(blocks):
            total += cbr(c_in, c, 1) + cbr(c, c, 3) + cbr(c, 4 * c, 1)
            total += cbr(c_in, 4 * c, 1) if block == 0 else 0
            c_in = 4 * c
    return total


def around(c16: int, c32: int, classes: int) -> dict[str, int]:
    """Parameters of the parts around a backbone with so many channels, at 128."""
    refine16, refine32 = (cbr(c, 128, 3) + cbr(128, 128, 1) for c in (c16, c32))
    return {
        "sp": cbr(3, 64, 7) + 2 * cbr(64, 64, 3) + cbr(64, 128, 1),
        "cp": refine16 + refine32 + 2 * cbr(128, 128, 3) + cbr(c32, 128, 1),
        "ffm": 2 * cbr(256, 256, 1),
        "conv_out": cbr(256, 256, 3) + 257 * classes,
        "conv_out16": cbr(128, 64, 3) + 65 * classes,
        "conv_out32": cbr(128, 64, 3) + 65 * classes,
    }


@pytest.mark.parametrize(
    ("options", "backbone", "channels"),
    [
        ({}, resnet18(), (256, 512)),
        ({"backbone": "resnet50"}, resnet50(16), (256, 512)),
        ({"backbone": "resnet50", "num_classes": 11}, resnet50(16), (256, 512)),
    ],
)
def test_parameters_are_what_the_layers_add_up_to(options, backbone, channels):
    made = network(**options)
    parts = around(*channels, made.config.num_classes)
    parts["cp"] += backbone
    assert {name: count(getattr(made, name)) for name in parts} == parts
    assert count(made) == sum(parts.values())
    lean = made.for_inference()
    assert count(lean) == sum(parts.values()) - parts["conv_out16"] - parts["conv_out32"]


def test_with_resnet18_the_counts_are_the_published_codes():
    assert (count(network()), count(network().for_inference())) == (13_425_721, 13_275_539)
    assert count(network(fusion="mlp")) == 13_392_441  # 256·256 + 2·256 less, 2·256·64 more


def multiply_adds(made: SegmentationNetwork) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        made.to("meta")(torch.zeros(1, 3, 512, 1024, device="meta"))
    return counter.get_total_flops() // 2


def test_multiply_adds_at_512_by_1024():
    assert round(multiply_adds(network().for_inference()) / 1e9, 2) == 29.58


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
@pytest.mark.parametrize("size", [(32, 32), (64, 96), (160, 32)])
def test_logits_come_at_an_eighth(backbone, size):
    made = network(num_classes=5, backbone=backbone, channels=32).eval()
    with torch.no_grad():
        logits = made(torch.randn(2, 3, *size))
    assert logits.shape == (2, 5, size[0] // 8, size[1] // 8)
    assert logits.isfinite().all()


def test_training_mode_returns_auxiliary_logits_and_every_parameter_learns():
    made = network(num_classes=4, channels=16)
    output = made(torch.randn(2, 3, 64, 96))
    assert isinstance(output, TrainingOutput)
    assert output.logits.shape == (2, 4, 8, 12)
    assert [tuple(a.shape) for a in output.auxiliary] == [(2, 4, 8, 12), (2, 4, 4, 6)]
    sum((x * x).mean() for x in (output.logits, *output.auxiliary)).backward()
    assert all(p.grad is not None for p in made.parameters())
    assert isinstance(made.for_inference()(torch.randn(1, 3, 64, 96)), torch.Tensor)
    without = network(num_classes=4, channels=16, auxiliary=False)
    assert isinstance(without(torch.randn(2, 3, 64, 96)), torch.Tensor)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_single_image_cannot_be_trained_on_and_the_message_says_why(fusion):
    made = network(num_classes=2, channels=16, fusion=fusion)
    with pytest.raises(ValueError, match="batch of 1;.*at least 2 images.*global pooling"):
        made(torch.randn(1, 3, 64, 64))
    assert made.eval()(torch.randn(1, 3, 64, 64)).shape == (1, 2, 8, 8)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_it_can_be_traced(fusion):
    made = network(num_classes=3, channels=16, fusion=fusion).for_inference()
    images = torch.randn(1, 3, 64, 32)
    with torch.no_grad():
        assert torch.equal(fx.symbolic_trace(made)(images), made(images))


@pytest.mark.parametrize("size", [(360, 480), (33, 64), (0, 32)])
def test_sizes_between_multiples_are_refused_with_the_size(size):
    with pytest.raises(ValueError, match=f"{size[0]}×{size[1]}.*multiples of 32"):
        network(channels=16).eval()(torch.zeros(1, 3, *size))


@pytest.mark.parametrize(
    "changes",
    [
        {"num_classes": 0},
        {"num_classes": 10**9},
        {"backbone": "resnet101"},
        {"backbone_width": 3},
        {"channels": 6},
        {"channels": 10**6},
        {"fusion": "sum"},
        {"classifier_bias": 1},
        {"auxiliary": "yes"},
    ],
)
def test_options_out_of_range_are_refused_by_name(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        BiSeNetV1Config(**{"num_classes": 3, **changes})


def test_the_resnet50_is_a_quarter_as_wide_unless_told_otherwise():
    assert BiSeNetV1Config(3, backbone="resnet50").backbone_width == 0.25
    assert BiSeNetV1Config(3).backbone_width == 1.0
    assert BiSeNetV1Config(3, backbone="resnet50", backbone_width=1.0).backbone_width == 1.0


def test_the_attention_scales_channels_between_one_and_two_times():
    """x·sigmoid + x (figure 2b), at the bounds of the sigmoid."""
    fusion = network(num_classes=2, channels=16).eval().ffm
    halves = torch.randn(2, 16, 4, 4), torch.randn(2, 16, 4, 4)
    with torch.no_grad():
        x = fusion.convblk(torch.cat(halves, 1))
        for shift, factor in ((-100.0, 1.0), (0.0, 1.5), (100.0, 2.0)):
            fusion.bn.weight.zero_()
            fusion.bn.bias.fill_(shift)
            assert torch.allclose(fusion(*halves), factor * x)
