"""Backbones: sizes, names, and what dilation must not change."""

from __future__ import annotations

import pytest
import seeded
import torch
from torch.nn import functional as F

from bisenet_ros.networks.backbones import BACKBONES, backbone_config, build_backbone
from bisenet_ros.networks.mobilenetv2 import MobileNetV2Config
from bisenet_ros.networks.resnet import ResNet, ResNetConfig
from bisenet_ros.networks.xception import Block, XceptionConfig

NARROW = {"width": 0.25}


def seed(module: torch.nn.Module) -> torch.nn.Module:
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    module.load_state_dict(seeded.fill(shapes, seeded.RESIDUAL_GAIN))
    return module.eval()


def conv_bn(kernel: int, c_in: int, c_out: int, groups: int = 1) -> int:
    """Weights of a convolution without bias, and the two numbers per channel of a batch norm."""
    return kernel * kernel * c_in // groups * c_out + 2 * c_out


def resnet(blocks: tuple[int, ...], stem: int, c: int) -> int:
    """Bottlenecks of 1×1, 3×3 and 1×1, and a 1×1 shortcut in the first of each stage."""
    total = stem
    for width, count in zip((64, 128, 256, 512), blocks, strict=True):
        total += conv_bn(1, c, 4 * width)
        for _ in range(count):
            total += conv_bn(1, c, width) + conv_bn(3, width, width) + conv_bn(1, width, 4 * width)
            c = 4 * width
    return total


STEM_7X7 = conv_bn(7, 3, 64)
STEM_32_32_64 = conv_bn(3, 3, 32) + conv_bn(3, 32, 32) + conv_bn(3, 32, 64)
STEM_64_64_128 = conv_bn(3, 3, 64) + conv_bn(3, 64, 64) + conv_bn(3, 64, 128)
# Two 3×3 convolutions per block, two blocks per stage, a 1×1 shortcut in all stages but the first.
RESNET18 = STEM_7X7 + sum(
    conv_bn(3, c_in, c) + 3 * conv_bn(3, c, c) + (conv_bn(1, c_in, c) if c_in != c else 0)
    for c_in, c in ((64, 64), (64, 128), (128, 256), (256, 512))
)


@pytest.mark.parametrize(
    ("config", "parameters", "published"),
    [
        # What torchvision publishes, without the classifier: 11,689,512 − 513,000 and so on.
        (ResNetConfig(18), RESNET18, 11_176_512),
        (ResNetConfig(50), resnet((3, 4, 6, 3), STEM_7X7, 64), 23_508_032),
        (ResNetConfig(101), resnet((3, 4, 23, 3), STEM_7X7, 64), 42_500_160),
        (
            ResNetConfig(50, stem_channels=(32, 32, 64)),
            resnet((3, 4, 6, 3), STEM_32_32_64, 64),
            23_527_264,
        ),
        (
            ResNetConfig(50, stem_channels=(64, 64, 128)),
            resnet((3, 4, 6, 3), STEM_64_64_128, 128),
            23_631_808,
        ),
    ],
)
def test_parameters_of_resnets(config, parameters, published):
    with torch.device("meta"):
        network = ResNet(config)
    assert sum(p.numel() for p in network.parameters()) == parameters == published


def test_parameters_of_mobilenetv2():
    with torch.device("meta"):
        network = build_backbone("mobilenetv2", 16, {})
    # torchvision's 3,504,872 without the 1280 wide layer (320·1280 + 2·1280) and the classifier.
    expected = 3_504_872 - conv_bn(1, 320, 1280) - (1280 * 1000 + 1000)
    assert sum(p.numel() for p in network.parameters()) == expected == 1_811_712


def separable(c_in: int, c_out: int) -> int:
    """A depthwise 3×3 and a pointwise convolution, each with its batch norm."""
    return conv_bn(3, c_in, c_in, groups=c_in) + conv_bn(1, c_in, c_out)


def test_parameters_of_the_aligned_xception():
    with torch.device("meta"):
        network = build_backbone("xception", 16, {})
    stem = conv_bn(3, 3, 32) + conv_bn(3, 32, 64)
    entry = sum(
        separable(c_in, c) + 2 * separable(c, c) + conv_bn(1, c_in, c)
        for c_in, c in ((64, 128), (128, 256), (256, 728))
    )
    middle = 16 * 3 * separable(728, 728)
    leave = separable(728, 728) + separable(728, 1024) + separable(1024, 1024)
    leave += conv_bn(1, 728, 1024)
    last = separable(1024, 1536) + separable(1536, 1536) + separable(1536, 2048)
    total = stem + entry + middle + leave + last
    assert sum(p.numel() for p in network.parameters()) == total


@pytest.mark.parametrize(("depth", "keys"), [(18, 120), (50, 318), (101, 624)])
def test_names_of_resnets_are_torchvisions(depth, keys):
    with torch.device("meta"):
        names = set(ResNet(ResNetConfig(depth)).state_dict())
    assert len(names) == keys
    assert {
        "conv1.weight",
        "bn1.running_mean",
        "layer1.0.conv1.weight",
        "layer2.0.downsample.0.weight",
        "layer4.1.bn2.num_batches_tracked",
    } <= names


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_features_come_at_their_strides(name, stride):
    options = NARROW if name.startswith("resnet") else {}
    with torch.device("meta"):
        backbone = build_backbone(name, stride, options).eval()
        features = backbone(torch.zeros(2, 3, 64, 160))
    for field, at in (("stride4", 4), ("stride8", 8), ("stride16", 16), ("stride32", 32)):
        found, channels = getattr(features, field), getattr(backbone.channels, field)
        at = min(at, stride)
        assert found.shape == (2, channels, 64 // at, 160 // at)


def test_channels_of_the_resnets_that_bisenetv1_takes():
    assert ResNet(ResNetConfig(18)).channels == (64, 128, 256, 512)
    assert ResNet(ResNetConfig(50, width=0.25)).channels == (64, 128, 256, 512)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet50", NARROW),
        ("resnet50", {**NARROW, "stride_on": "1x1", "first_block_dilation": "own"}),
        ("resnet50", {**NARROW, "stem_channels": [32, 32, 64]}),
        ("mobilenetv2", {}),
        ("xception", {}),
    ],
)
def test_dilation_computes_what_strides_leave_out(name, options):
    """At the pixels that the strided network has, the dilated one has the same values.

    That is what the atrous algorithm is for (arXiv 1606.00915, section 3.1).
    """
    strided = seed(build_backbone(name, 32, options))
    images = seeded.images(64, 96)
    with torch.no_grad():
        expected = strided(images).stride32
    for stride, step in ((8, 4), (16, 2)):
        dilated = build_backbone(name, stride, options).eval()
        dilated.load_state_dict(strided.state_dict())
        with torch.no_grad():
            found = dilated(images).stride32
        assert found.shape[-2:] == (64 // stride, 96 // stride)
        tolerance = 1e-5 * expected.abs().max()
        assert torch.allclose(found[..., ::step, ::step], expected, atol=tolerance)


def test_the_first_block_with_its_own_dilation_computes_something_else():
    strided = seed(ResNet(ResNetConfig(width=0.25)))
    options = {"first_block_dilation": "own", "output_stride": 8, "width": 0.25}
    dilated = ResNet(ResNetConfig(**options)).eval()
    dilated.load_state_dict(strided.state_dict())
    images = seeded.images(64, 96)
    with torch.no_grad():
        expected, found = strided(images).stride32, dilated(images).stride32[..., ::4, ::4]
    assert (found - expected).abs().max() > 1e-2 * expected.abs().max()


def test_dilations_of_the_four_kinds_of_resnet():
    def dilations(**options):
        backbone = ResNet(ResNetConfig(width=0.25, **options))
        stages = (backbone.layer3, backbone.layer4)
        return [[block.conv2.dilation[0] for block in stage] for stage in stages]

    assert dilations(output_stride=8) == [[1, 2, 2, 2, 2, 2], [2, 4, 4]]
    assert dilations(output_stride=16) == [[1] * 6, [1, 2, 2]]
    assert dilations(output_stride=8, first_block_dilation="own") == [[2] * 6, [4] * 3]
    assert dilations(output_stride=16, multi_grid=(1, 2, 4)) == [[1] * 6, [2, 4, 8]]


def test_the_stride_is_on_the_convolution_named():
    for stride_on, strides in (("3x3", (1, 2)), ("1x1", (2, 1))):
        block = ResNet(ResNetConfig(width=0.25, stride_on=stride_on)).layer2[0]
        assert (block.conv1.stride[0], block.conv2.stride[0]) == strides


def test_pooling_in_ceil_mode_adds_a_row_and_a_column():
    with torch.device("meta"):
        backbone = ResNet(ResNetConfig(width=0.25, output_stride=8, ceil_pool=True))
        assert backbone(torch.zeros(2, 3, 64, 96)).stride32.shape[-2:] == (9, 13)


def test_the_border_of_mobilenetv2_is_what_the_option_says():
    """Padding before the expansion: the border is relu6(bn(0)) in place of 0."""
    inside = seed(build_backbone("mobilenetv2", 16, {"padding": "block_input"})).features[4]
    outside = seed(build_backbone("mobilenetv2", 16, {"padding": "depthwise"})).features[4]
    outside.load_state_dict(inside.state_dict())
    x = torch.randn(1, 24, 12, 12)
    with torch.no_grad():
        first, second = inside(x), outside(x)
    assert torch.allclose(first[..., 1:, 1:], second[..., 1:, 1:], atol=1e-5)
    assert not torch.allclose(first[..., 0, :], second[..., 0, :], atol=1e-3)


@pytest.mark.parametrize("aligned", [True, False])
def test_an_xception_block_step_by_step(aligned):
    block = seed(Block([8, 12, 12], 2, 1, aligned))
    x = torch.randn(2, 8, 10, 14)

    def norm(value, bn):
        return F.batch_norm(value, bn.running_mean, bn.running_var, bn.weight, bn.bias)

    y = x
    for i, conv in enumerate(block.convs):
        stride = 2 if aligned and i == 1 else 1
        y = F.conv2d(F.relu(y), conv.depthwise.weight, None, stride, 1, groups=y.shape[1])
        if aligned:
            y = F.relu(norm(y, conv.bn_depthwise))
        y = norm(F.conv2d(y, conv.pointwise.weight), conv.bn)
    if not aligned:
        y = F.max_pool2d(y, 3, 2, 1)
    y = y + norm(F.conv2d(x, block.shortcut[0].weight, None, 2), block.shortcut[1])
    with torch.no_grad():
        assert torch.allclose(block(x), y, atol=1e-5)


def test_the_original_xception_refuses_images_that_it_would_consume():
    with torch.device("meta"):
        backbone = build_backbone("xception", 16, {"variant": "original"}).eval()
        assert backbone(torch.zeros(1, 3, 80, 96)).stride32.shape[-2:] == (1, 2)
        with pytest.raises(ValueError, match="0×2.*lose 4 rows.*larger input"):
            backbone(torch.zeros(1, 3, 64, 96))


@pytest.mark.parametrize(
    ("config", "change"),
    [
        (ResNetConfig, {"depth": 34}),
        (ResNetConfig, {"output_stride": 4}),
        (ResNetConfig, {"first_block_dilation": "next"}),
        (ResNetConfig, {"stride_on": "3×3"}),
        (ResNetConfig, {"stem_channels": (64, 64)}),
        (ResNetConfig, {"stem_channels": 64}),
        (ResNetConfig, {"stem_channels": (10**9,)}),
        (ResNetConfig, {"stem_channels": (64.0,)}),
        (ResNetConfig, {"ceil_pool": 1}),
        (ResNetConfig, {"multi_grid": (1, 2)}),
        (ResNetConfig, {"multi_grid": (1, 2, 10**6)}),
        (ResNetConfig, {"width": 4}),
        (ResNetConfig, {"width": float("nan")}),
        (MobileNetV2Config, {"output_stride": "16"}),
        (MobileNetV2Config, {"padding": "same"}),
        (XceptionConfig, {"output_stride": None}),
        (XceptionConfig, {"variant": "65"}),
    ],
)
def test_configs_out_of_range_are_refused_by_name(config, change):
    (name,) = change
    with pytest.raises(ValueError, match=f"{name} is .*; expected "):
        config(**change)


def test_resnet18_has_no_dilated_form():
    with pytest.raises(ValueError, match="output_stride is 8.*depth 18"):
        ResNetConfig(18, output_stride=8)


@pytest.mark.parametrize("options", [{"depth": 101}, {"output_stride": 8}, {"colour": 1}, [], None])
def test_backbone_options_that_do_not_fit_are_refused(options):
    with pytest.raises(ValueError, match="backbone_options"):
        backbone_config("resnet50", 16, options)
