"""Merging the groups of expanding depthwise convolutions changes no result."""

import pytest
import torch
from torch import nn

from bisenet_ros.inference.cpu import regrouping
from bisenet_ros.inference.cpu.regrouping import regroup, regroup_for_amx
from bisenet_ros.inference.fusion import inference_graph
from bisenet_ros.networks import build


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("channels", "expansion"), [(8, 6), (16, 2), (24, 3), (64, 6)])
def test_the_same_outputs(channels, expansion, bias, stride):
    conv = nn.Conv2d(
        channels, channels * expansion, 3, stride, 1, groups=channels, bias=bias
    ).double()
    image = torch.randn(2, channels, 9, 11, dtype=torch.float64)
    with torch.no_grad():
        wanted = conv(image)
        assert regroup(nn.Sequential(conv)) == 1
        assert conv.groups == channels // 8 and conv.weight.shape[1] == 8
        assert torch.allclose(conv(image), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(8, 8, 3, groups=8),
        nn.Conv2d(8, 48, 3),
        nn.Conv2d(8, 48, 3, groups=4),
        nn.Conv2d(12, 24, 3, groups=12),
        nn.ConvTranspose2d(8, 16, 3, groups=8),
    ],
    ids=["one output", "dense", "groups of two", "12 channels", "transposed"],
)
def test_other_convolutions_stay(conv):
    before = conv.weight.clone()
    assert regroup(nn.Sequential(conv)) == 0
    assert torch.equal(conv.weight, before)


def test_a_whole_network_computes_the_same():
    torch.manual_seed(0)
    graph = inference_graph(build("bisenetv2", 5).eval()).double()
    image = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        wanted = graph(image)
        assert regroup(graph) == 8  # three layers of stride 2, five of stride 1
        assert torch.allclose(graph(image), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("precision", "amx", "changed"),
    [("bf16", True, True), ("fp32", True, False), ("bf16", False, False)],
)
def test_only_where_it_is_faster(monkeypatch, precision, amx, changed):
    monkeypatch.setattr(regrouping, "cpu_has_amx_bf16", lambda: amx)
    conv = nn.Conv2d(16, 96, 3, groups=16)
    regroup_for_amx(nn.Sequential(conv), precision)
    assert (conv.groups == 2) is changed
