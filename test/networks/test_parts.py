"""Parts of the networks on small maps, against the same thing written out; and initial values."""

from __future__ import annotations

import pytest
import seeded
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.networks import build
from bisenet_ros.networks.aspp import ASPP, AuxiliaryHead, SeparableConvBNReLU
from bisenet_ros.networks.pspnet import PyramidPooling
from bisenet_ros.networks.xception import Block, Xception, XceptionConfig


def filled(module: nn.Module) -> nn.Module:
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    module.load_state_dict(seeded.fill(shapes))
    return module.eval()


def norm_relu(x: Tensor, layer: nn.Module) -> Tensor:
    bn = layer.bn
    return F.relu(F.batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias))


def plain_conv(x: Tensor, layer: nn.Module, dilation: int = 1, groups: int = 1) -> Tensor:
    """A convolution that keeps the size, batch norm, ReLU."""
    weight = layer.conv.weight
    padding = dilation * (weight.shape[-1] // 2)
    return norm_relu(F.conv2d(x, weight, None, 1, padding, dilation, groups), layer)


def plain_block(x: Tensor, layer: nn.Module, dilation: int) -> Tensor:
    if not isinstance(layer, SeparableConvBNReLU):
        return plain_conv(x, layer, dilation)
    x = plain_conv(x, layer.depthwise, dilation, groups=x.shape[1])
    return plain_conv(x, layer.pointwise)


@pytest.mark.parametrize("stride", [16, 8])
@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("kernel", [1, 3])
def test_the_atrous_pyramid_is_the_papers(stride, separable, first, kernel):
    order = "pooling_first" if first else "pooling_last"
    pyramid = filled(ASPP(6, 4, stride, separable, order, kernel))
    x = torch.randn(2, 6, 41, 43)  # every tap of every rate falls inside
    one, *others = pyramid.convs
    maps = [plain_conv(x, one)]
    for layer, rate in zip(others, (6, 12, 18), strict=True):  # arXiv 1706.05587, section 3.3
        assert isinstance(layer, SeparableConvBNReLU) is separable
        maps.append(plain_block(x, layer, rate * 16 // stride))
    mean = plain_conv(x.mean(dim=(2, 3), keepdim=True), pyramid.pooling.embed).expand(2, 4, 41, 43)
    maps.insert(0 if first else len(maps), mean)
    assert pyramid.project.conv.kernel_size == (kernel, kernel)
    with torch.no_grad():
        wanted = plain_conv(torch.cat(maps, 1), pyramid.project)
        assert torch.allclose(pyramid(x), wanted, atol=1e-4)


@pytest.mark.parametrize("aligned", [False, True])
def test_the_pooling_pyramid_is_the_papers(aligned):
    pyramid = filled(PyramidPooling(8, (1, 2, 3, 6), aligned))
    x = torch.randn(2, 8, 13, 12)
    maps = [x]
    for bins, layer in zip((1, 2, 3, 6), pyramid.convs, strict=True):
        pooled = plain_conv(F.adaptive_avg_pool2d(x, bins), layer)
        assert pooled.shape == (2, 2, bins, bins)
        maps.append(F.interpolate(pooled, (13, 12), mode="bilinear", align_corners=aligned))
    with torch.no_grad():
        assert torch.allclose(pyramid(x), torch.cat(maps, 1), atol=1e-5)


def test_the_auxiliary_head_has_a_quarter_of_the_channels():
    head = filled(AuxiliaryHead(16, 3))
    x = torch.randn(2, 16, 5, 7)
    assert head.conv.conv.weight.shape == (4, 16, 3, 3) and head.classifier.kernel_size == (1, 1)
    wanted = F.conv2d(plain_conv(x, head.conv), head.classifier.weight, head.classifier.bias)
    with torch.no_grad():
        assert torch.allclose(head(x), wanted, atol=1e-5)
    assert isinstance(head.drop, nn.Dropout2d) and head.drop.p == 0.1


def geometry(conv: nn.Conv2d) -> tuple[int, int, int]:
    return conv.stride[0], conv.padding[0], conv.dilation[0]


@pytest.mark.parametrize(
    ("variant", "stride", "third", "middle", "leave", "last"),
    [
        ("aligned", 32, (2, 1), (1, 1), (2, 1), (1, 1)),
        ("aligned", 16, (2, 1), (1, 1), (1, 1), (2, 2)),
        ("aligned", 8, (1, 1), (2, 2), (1, 2), (4, 4)),
        ("original", 16, (2, 1), (1, 1), (1, 2), (2, 1)),
        ("original", 8, (1, 2), (2, 2), (1, 4), (4, 1)),
    ],
)
def test_where_an_xception_strides_and_dilates(variant, stride, third, middle, leave, last):
    """Stride and dilation of third, middle and exit blocks; dilation and padding of the last."""
    with torch.device("meta"):
        network = Xception(XceptionConfig(stride, variant))
    aligned = variant == "aligned"
    assert len(network.middle) == (16 if aligned else 8)
    assert len(network.block1.convs) == (3 if aligned else 2)
    assert geometry(network.conv1)[:2] == (2, 1 if aligned else 0)
    assert geometry(network.conv2)[:2] == (1, 1 if aligned else 0)
    for block, (s, dilation) in (
        (network.block1, (2, 1)),
        (network.block2, (2, 1)),
        (network.block3, third),
        (network.exit, leave),
    ):
        assert block.shortcut[0].stride == (s, s)
        assert (block.pool is not None) == (s > 1 and not aligned)
        strides = [geometry(conv.depthwise)[0] for conv in block.convs]
        assert strides == [1] * (len(strides) - 1) + [s if aligned else 1]
        assert {geometry(conv.depthwise)[1:] for conv in block.convs} == {(dilation, dilation)}
    for block in network.middle:
        assert block.shortcut is None and block.pool is None and len(block.convs) == 3
        assert {geometry(conv.depthwise) for conv in block.convs} == {(1, *middle)}
    dilation, padding = last
    assert {geometry(conv.depthwise) for conv in network.last} == {(1, padding, dilation)}
    widths = [conv.pointwise.out_channels for conv in network.last]
    assert widths == ([1536, 1536, 2048] if aligned else [1536, 2048])
    assert [conv.bn is not None for conv in network.last] == [aligned or w != 2048 for w in widths]
    assert network.shrinks == 2 * len(network.last) * (dilation - padding)


def test_a_blocks_shortcut_is_itself_where_shapes_agree():
    assert Block([8, 12, 8], 1, 1, True).shortcut is None
    assert Block([8, 8, 12], 1, 1, True).shortcut is not None
    assert Block([8, 8, 8], 2, 1, False).shortcut is not None
    assert Block([8, 8, 8], 2, 1, True).pool is None
    assert Block([8, 8, 8], 1, 1, False).pool is None
    pool = Block([8, 8, 8], 2, 1, False).pool
    assert (pool.kernel_size, pool.stride, pool.padding) == (3, 2, 1)


NARROW = {"backbone_options": {"width": 0.25}, "width": 32, "auxiliary": True}
NETWORKS = {
    "deeplabv3": NARROW,
    "deeplabv3plus": {**NARROW, "low_level_width": 8},
    "pspnet": NARROW,
    "bisenetv1": {"backbone": "resnet18", "backbone_width": 0.25, "channels": 32},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_training_starts_from_small_logits_and_residual_branches_of_nothing(name):
    torch.manual_seed(0)
    network = build(name, 6, **NETWORKS[name])
    modules = dict(network.named_modules())
    main = network.output_convolutions()[0]
    assert float(modules[main].weight.detach().std()) == pytest.approx(0.01, rel=0.3)
    for one in network.output_convolutions():
        assert modules[one].bias is None or not modules[one].bias.any()
    last = "bn2" if name == "bisenetv1" else "bn3"
    norms = [m for n, m in modules.items() if n.startswith(("backbone", "cp")) and n.endswith(last)]
    assert norms and not any(bool(norm.weight.any()) for norm in norms)


@pytest.mark.parametrize(
    ("name", "auxiliary"),
    [
        ("deeplabv3", [(4, 6)]),
        ("deeplabv3plus", [(4, 6)]),
        ("pspnet", [(8, 12)]),
        ("bisenetv1", [(8, 12), (4, 6)]),
    ],
)
def test_auxiliary_logits_come_in_training_alone(name, auxiliary):
    with torch.device("meta"):
        network = build(name, 6, **NETWORKS[name])
        images = torch.zeros(2, 3, 64, 96)
        output = network(images)
        assert isinstance(network.eval()(images), Tensor)
    assert [tuple(a.shape) for a in output.auxiliary] == [(2, 6, *size) for size in auxiliary]


def test_a_pyramid_that_never_pools_the_whole_map_trains_on_one_image():
    with torch.device("meta"):
        for bins, smallest in (((1, 2, 3, 6), 2), ((2, 3, 6, 8), 1), ((6, 3, 2, 1), 2)):
            assert build("pspnet", 3, **{**NARROW, "bins": bins}).smallest_batch == smallest


def test_networks_that_round_up_inside_say_so():
    with torch.device("meta"):
        plain = build("deeplabv3", 3, **NARROW)
        ceil = build(
            "deeplabv3", 3, **{**NARROW, "backbone_options": {"width": 0.25, "ceil_pool": True}}
        )
    assert (plain.aligned, plain.input_step) == (True, 16)
    assert (ceil.aligned, ceil.input_step) == (False, 16)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("deeplabv3plus", {"separable": 1}),
        ("deeplabv3plus", {"decoder_layers": 3}),
        ("pspnet", {"backbone": "mobilenetv2"}),
        ("pspnet", {"bins": (1, 2, 3)}),
    ],
)
def test_other_values_of_options_are_refused_by_name(name, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        build(name, 3, **options)


def test_pspnet_has_two_backbones():
    with torch.device("meta"):
        for backbone, blocks in (("resnet50", 6), ("resnet101", 23)):
            network = build("pspnet", 3, **{**NARROW, "backbone": backbone})
            assert len(network.backbone.layer3) == blocks


def test_the_classifiers_of_bisenetv1_have_a_bias_if_asked_for():
    with torch.device("meta"):
        for bias in (True, False):
            network = build("bisenetv1", 3, **NETWORKS["bisenetv1"], classifier_bias=bias)
            modules = dict(network.named_modules())
            found = {modules[name].bias is not None for name in network.output_convolutions()}
            assert found == {bias}
