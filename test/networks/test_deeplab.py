"""DeepLab v2, v3, v3+ and PSPNet: sizes, shapes, configs."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from inspect import signature

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_backbones import STEM_7X7, STEM_32_32_64, STEM_64_64_128, conv_bn, resnet, separable
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from bisenet_ros.networks import NETWORKS, TrainingOutput, build
from bisenet_ros.networks.pspnet import PyramidPooling, adaptive_mean

R50, R101 = (3, 4, 6, 3), (3, 4, 23, 3)
VAINF = {
    "separable": False,
    "decoder_layers": 1,
    "decoder_concatenation": "low_level_first",
}
MM = {
    "output_stride": 8,
    "backbone_options": {"stem_channels": [32, 32, 64]},
    "width": 512,
    "aspp_concatenation": "pooling_first",
    "projection_kernel": 3,
}
SEMSEG = {
    "backbone_options": {"stem_channels": [64, 64, 128], "first_block_dilation": "own"},
}
CAFFE = {"first_block_dilation": "own", "stride_on": "1x1", "ceil_pool": True}


def aspp(c: int, width: int, projection: int = 1) -> int:
    """A 1×1, three 3×3, the pooled 1×1, and the projection of all five."""
    branches = 2 * conv_bn(1, c, width) + 3 * conv_bn(3, c, width)
    return branches + conv_bn(projection, 5 * width, width)


def aspp_separable(c: int, width: int, projection: int = 1) -> int:
    return aspp(c, width, projection) + 3 * (separable(c, width) - conv_bn(3, c, width))


def last(c: int, classes: int) -> int:
    """A 1×1 convolution with a bias."""
    return c * classes + classes


def aux(classes: int) -> int:
    return conv_bn(3, 1024, 256) + last(256, classes)


MOBILENET = 1_811_712  # see test_backbones.py
# Options, parameters with their arithmetic, what spec and sources say, GMAC at 512×1024.
PUBLISHED = {
    "torchvision deeplabv3 resnet50": (
        ("deeplabv3", 21, {"output_stride": 8}),
        resnet(R50, STEM_7X7, 64) + aspp(2048, 256) + conv_bn(3, 256, 256) + last(256, 21),
        aux(21),
        (39_638_869, 42_004_074, 327.16),
    ),
    "torchvision deeplabv3 resnet101": (
        ("deeplabv3", 21, {"output_stride": 8, "backbone": "resnet101"}),
        resnet(R101, STEM_7X7, 64) + aspp(2048, 256) + conv_bn(3, 256, 256) + last(256, 21),
        aux(21),
        (58_630_997, 60_996_202, 482.31),
    ),
    "vainf deeplabv3 resnet50": (
        ("deeplabv3", 21, {"auxiliary": False}),
        resnet(R50, STEM_7X7, 64) + aspp(2048, 256) + conv_bn(3, 256, 256) + last(256, 21),
        0,
        (39_638_869, 39_638_869, 96.81),
    ),
    "vainf deeplabv3plus resnet50": (
        ("deeplabv3plus", 19, VAINF),
        resnet(R50, STEM_7X7, 64)
        + aspp(2048, 256)
        + conv_bn(1, 256, 48)
        + conv_bn(3, 304, 256)
        + last(256, 19),
        0,
        (39_761_331, 39_761_331, 119.10),
    ),
    "vainf deeplabv3plus resnet101": (
        ("deeplabv3plus", 19, {**VAINF, "backbone": "resnet101"}),
        resnet(R101, STEM_7X7, 64)
        + aspp(2048, 256)
        + conv_bn(1, 256, 48)
        + conv_bn(3, 304, 256)
        + last(256, 19),
        0,
        (58_753_459, 58_753_459, 157.89),
    ),
    "vainf deeplabv3plus mobilenet": (
        (
            "deeplabv3plus",
            19,
            {**VAINF, "backbone": "mobilenetv2", "backbone_options": {"padding": "block_input"}},
        ),
        MOBILENET + aspp(320, 256) + conv_bn(1, 24, 48) + conv_bn(3, 304, 256) + last(256, 19),
        0,
        (5_225_203, 5_225_203, 33.53),
    ),
    "semseg pspnet resnet50": (
        ("pspnet", 19, SEMSEG),
        resnet(R50, STEM_64_64_128, 128)
        + 4 * conv_bn(1, 2048, 512)
        + conv_bn(3, 4096, 512)
        + last(512, 19),
        aux(19),
        (46_715_347, 49_080_038, 368.25),
    ),
    "semseg pspnet resnet101": (
        ("pspnet", 19, {**SEMSEG, "backbone": "resnet101"}),
        resnet(R101, STEM_64_64_128, 128)
        + 4 * conv_bn(1, 2048, 512)
        + conv_bn(3, 4096, 512)
        + last(512, 19),
        aux(19),
        (65_707_475, 68_072_166, 523.41),
    ),
    "kazuto deeplabv2 resnet101": (
        ("deeplabv2", 21, {"backbone_options": CAFFE}),
        resnet(R101, STEM_7X7, 64) + 4 * (9 * 2048 * 21 + 21),
        0,
        (44_048_532, 44_048_532, 374.89),
    ),
    "mmsegmentation pspnet resnet50": (
        ("pspnet", 19, {"backbone_options": MM["backbone_options"]}),
        resnet(R50, STEM_32_32_64, 64)
        + 4 * conv_bn(1, 2048, 512)
        + conv_bn(3, 4096, 512)
        + last(512, 19),
        aux(19),
        (46_610_803, 48_975_494, 356.59),
    ),
    "mmsegmentation deeplabv3 resnet50": (
        ("deeplabv3", 19, {**MM, "refine": False}),
        resnet(R50, STEM_32_32_64, 64) + aspp(2048, 512, projection=3) + last(512, 19),
        aux(19),
        (65_748_339, 68_113_030, 539.08),
    ),
    "mmsegmentation deeplabv3plus resnet50": (
        ("deeplabv3plus", 19, {**MM, "auxiliary": True}),
        resnet(R50, STEM_32_32_64, 64)
        + aspp_separable(2048, 512, projection=3)
        + conv_bn(1, 256, 48)
        + separable(560, 512)
        + separable(512, 512)
        + last(512, 19),
        aux(19),
        (41_225_187, 43_589_878, 352.32),
    ),
}
# On the original Xception, whose parts test_backbones.py does not add up.
ONLY_MEASURED = {
    "vainf deeplabv3plus xception": (
        (
            "deeplabv3plus",
            19,
            {**VAINF, "backbone": "xception", "backbone_options": {"variant": "original"}},
        ),
        (37_050_011, 103.07),
    ),
    "vainf deeplabv3 xception": (
        (
            "deeplabv3",
            21,
            {"backbone": "xception", "backbone_options": {"variant": "original"}},
        ),
        (36_933_693, 81.03),
    ),
    "vainf deeplabv3 mobilenet": (
        (
            "deeplabv3",
            21,
            {"backbone": "mobilenetv2", "backbone_options": {"padding": "block_input"}},
        ),
        (5_113_877, 11.60),
    ),
}


def on_meta(architecture: str, classes: int, options: dict):
    with torch.device("meta"):
        return build(architecture, classes, **options)


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def multiply_adds(network: torch.nn.Module) -> float:
    """In 10⁹, at 512×1024."""
    with FlopCounterMode(display=False) as counter, torch.no_grad(), torch.device("meta"):
        network.eval()(torch.zeros(1, 3, 512, 1024))
    return counter.get_total_flops() / 2e9


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_multiply_adds_are_the_sources(name):
    built, without, auxiliary, (published, with_auxiliary, gmac) = PUBLISHED[name]
    network = on_meta(*built)
    assert count(network) == without + auxiliary == with_auxiliary
    assert published == without
    assert round(multiply_adds(network), 2) == gmac  # eval mode leaves the auxiliary head out


@pytest.mark.parametrize("name", ONLY_MEASURED)
def test_parameters_and_multiply_adds_on_the_other_backbones(name):
    (architecture, classes, options), (published, gmac) = ONLY_MEASURED[name]
    network = on_meta(architecture, classes, {**options, "auxiliary": False})
    assert count(network) == published
    assert round(multiply_adds(network), 2) == gmac


SMALL = {
    "deeplabv2": {"backbone": "resnet50", "backbone_options": {"width": 0.25}},
    "deeplabv3": {"backbone_options": {"width": 0.25}, "width": 16},
    "deeplabv3plus": {
        "backbone_options": {"width": 0.25},
        "width": 16,
        "low_level_width": 4,
        "auxiliary": True,
    },
    "pspnet": {"backbone_options": {"width": 0.25}, "width": 16},
}


def small(name: str, **changes):
    torch.manual_seed(0)
    network = build(name, 5, **{**SMALL[name], **changes})
    for module in network.modules():  # residual branches start at zero, which hides them
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return network


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("size", [(16, 16), (48, 80), (112, 32)])
def test_logits_come_at_the_networks_stride(name, stride, size):
    network = small(name, output_stride=stride).eval()
    assert network.stride == (4 if name == "deeplabv3plus" else stride)
    with torch.no_grad():
        logits = network(torch.randn(1, 3, *size))
    assert logits.shape == (1, 5, size[0] // network.stride, size[1] // network.stride)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [(0, 16), (24, 32), (32, 100), (33, 33)])
def test_sizes_between_multiples_are_refused_with_the_size(name, size):
    with pytest.raises(ValueError, match=f"{size[0]}×{size[1]}.*multiples of 16.*pad"):
        small(name).eval()(torch.zeros(1, 3, *size))


def test_pspnet_with_aligned_corners_takes_semsegs_crops():
    network = small("pspnet", align_corners=True).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 65, 97)).shape == (1, 5, 9, 13)
        assert network(torch.zeros(1, 3, 64, 97)).shape == (1, 5, 8, 13)
    with pytest.raises(ValueError, match="66×97.*16 or one more than multiples of 8"):
        network(torch.zeros(1, 3, 66, 97))


@pytest.mark.parametrize("name", SMALL)
def test_training_returns_the_auxiliary_logits_and_reaches_every_parameter(name):
    network = small(name).train()
    out = network(torch.randn(2, 3, 48, 80))
    losses = [out]
    if name != "deeplabv2":
        assert isinstance(out, TrainingOutput)
        (auxiliary,) = out.auxiliary
        at = network.config.output_stride
        assert auxiliary.shape == (2, 5, 48 // at, 80 // at)
        losses = [out.logits, auxiliary]
    sum(loss.square().mean() for loss in losses).backward()
    idle = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


@pytest.mark.parametrize("name", SMALL)
def test_without_auxiliary_head_training_returns_logits(name):
    out = small(name, auxiliary=False).train()(torch.randn(2, 3, 32, 32))
    assert isinstance(out, torch.Tensor)


@pytest.mark.parametrize("name", SMALL)
def test_one_image_in_training(name):
    network = small(name).train()
    if network.smallest_batch == 1:
        network(torch.randn(1, 3, 32, 32))
        return
    with pytest.raises(ValueError, match="batch of 1; .*at least 2.*pooling.*batch size"):
        network(torch.randn(1, 3, 32, 32))


def test_which_networks_train_on_one_image():
    assert {name: small(name).smallest_batch for name in SMALL} == {
        "deeplabv2": 1,
        "deeplabv3": 2,
        "deeplabv3plus": 2,
        "pspnet": 2,
    }
    small("pspnet", bins=[2, 3, 4, 6]).train()(torch.randn(1, 3, 64, 64))


@pytest.mark.parametrize("name", SMALL)
def test_the_copy_for_inference_has_no_auxiliary_head_and_the_same_logits(name):
    network = small(name).eval()
    slim = network.for_inference()
    assert not any(key.startswith("aux") for key in slim.state_dict())
    assert not slim.training
    images = torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        assert torch.equal(slim(images), network(images))


@pytest.mark.parametrize("name", SMALL)
def test_all_that_is_not_backbone_is_head(name):
    network = small(name)
    for key, _ in network.named_parameters():
        assert key.startswith("backbone.") != key.startswith(network.head_prefixes)
    assert network.architecture == name
    assert NETWORKS[name].network is type(network)


OTHER_BACKBONES = {
    "mobilenetv2": {},
    "mobilenetv2 block input": {"padding": "block_input"},
    "xception": {},
    "xception original": {"variant": "original"},
}


@pytest.mark.parametrize("name", [*SMALL, *OTHER_BACKBONES])
def test_torch_fx_traces_them(name):
    if name in SMALL:
        network = small(name)
    else:
        options = OTHER_BACKBONES[name]
        backbone = name.partition(" ")[0]
        network = small("deeplabv3plus", backbone=backbone, backbone_options=options)
    network.eval()
    traced = torch.fx.symbolic_trace(network)
    for size in ((96, 112), (112, 80)):
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            assert torch.equal(traced(images), network(images))
    with pytest.raises(ValueError, match="multiples of 16"):
        traced(torch.zeros(1, 3, 24, 32))


@pytest.mark.parametrize("name", SMALL)
def test_a_config_survives_json(name):
    config = small(name).config
    again = type(config)(**json.loads(json.dumps(vars(config))))
    assert again == config
    assert replace(again, auxiliary=False) == replace(config, auxiliary=False)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *((name, {"num_classes": value}) for name in SMALL for value in (0, -1, 10**7, 2.0, True)),
        *((name, {"backbone": "vgg16"}) for name in SMALL),
        *((name, {"output_stride": value}) for name in SMALL for value in (4, 32, "8", None)),
        *((name, {"backbone_options": value}) for name in SMALL for value in ({"x": 1}, [1], 3)),
        *((name, {"auxiliary": value}) for name in SMALL for value in ("no", 1)),
        ("deeplabv2", {"backbone": "mobilenetv2"}),
        ("pspnet", {"backbone": "xception"}),
        ("deeplabv2", {"rates": [6, 12, 18]}),
        ("deeplabv2", {"rates": [6, 12, 18, 10**6]}),
        ("deeplabv2", {"rates": "6"}),
        ("deeplabv3", {"width": 10**6}),
        ("deeplabv3", {"aspp_concatenation": "last"}),
        ("deeplabv3", {"projection_kernel": 5}),
        ("deeplabv3", {"refine": "yes"}),
        ("deeplabv3", {"separable": 2}),
        ("deeplabv3plus", {"width": 0}),
        ("deeplabv3plus", {"low_level_width": 10**6}),
        ("deeplabv3plus", {"decoder_concatenation": "first"}),
        ("deeplabv3plus", {"decoder_layers": 3}),
        ("deeplabv3plus", {"align_corners": "False"}),
        ("pspnet", {"bins": [1, 2, 3]}),
        ("pspnet", {"bins": [1, 2, 3, 10**6]}),
        ("pspnet", {"width": None}),
        ("pspnet", {"align_corners": 1}),
    ],
    ids=str,
)
def test_configs_out_of_range_are_refused_by_name(name, change):
    (field,) = change
    with pytest.raises(ValueError, match=f"{field}.* is .*; expected|{field} .*unexpected"):
        NETWORKS[name].config(**{"num_classes": 3, **change})


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="pspnet does not accept"):
        build("pspnet", 3, colours=1)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_the_mean_of_slices_is_adaptive_pooling(height, width, bins):
    x = torch.randn(1, 2, height, width)
    expected = F.adaptive_avg_pool2d(x, bins)
    assert torch.allclose(adaptive_mean(x, bins), expected, atol=1e-5)


@pytest.mark.parametrize("align_corners", [False, True])
def test_pyramid_pooling_exports_where_bins_do_not_divide_the_map(align_corners):
    """Other runtimes divide whole numbers towards zero, and lack adaptive pooling."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pyramid = PyramidPooling(8, (1, 2, 3, 6), align_corners).eval()
    x = torch.randn(1, 8, 13, 22)
    file = io.BytesIO()
    options = {"dynamo": False} if "dynamo" in signature(torch.onnx.export).parameters else {}
    torch.onnx.export(pyramid, (x,), file, opset_version=17, input_names=["x"], **options)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": x.numpy()})
    with torch.no_grad():
        assert np.abs(found - pyramid(x).numpy()).max() < 1e-5
