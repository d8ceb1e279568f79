"""Fused convolutions give the same results as separate layers."""

import copy

import pytest
import torch
from torch import fx, nn

from bisenet_ros.checkpoints import load
from bisenet_ros.inference.cpu import fused_conv
from bisenet_ros.inference.device import choose
from bisenet_ros.inference.engines.torch import TorchEngine
from bisenet_ros.inference.fusion import inference_graph
from bisenet_ros.system.cpu import cpu_has_bf16

DTYPES = [torch.float32, *([torch.bfloat16] if cpu_has_bf16() else [])]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_fused_network_computes_the_same(small_weights, dtype):
    if not fused_conv.available(dtype):
        pytest.skip(f"torch {torch.__version__} has no such operator")
    network = inference_graph(load(small_weights)[0]).to(dtype)
    other = copy.deepcopy(network)
    fused_conv.fuse(other)
    assert any(isinstance(module, fused_conv.FusedConv) for module in other.modules())
    limit = 1e-5 if dtype == torch.float32 else 0.02
    # The weights are laid out for the first size and must serve the others.
    for shape in ((2, 3, 64, 96), (1, 3, 96, 32), (5, 3, 32, 32), (1, 3, 256, 256)):
        x = torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            wanted, found = network(x), other(x)
        assert (wanted - found).abs().max() <= limit * wanted.abs().max()


def test_only_a_relu_right_after_a_convolution_goes():
    layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout(), nn.ReLU(), nn.Conv2d(4, 4, 1))
    network = fx.symbolic_trace(layers)
    fused_conv.fuse(network)
    kinds = [type(module) for module in network.children()]
    assert kinds == [fused_conv.FusedConv, nn.Dropout, nn.ReLU, fused_conv.FusedConv]
    convs = [module for module in network.modules() if isinstance(module, fused_conv.FusedConv)]
    assert [conv.activation for conv in convs] == ["none", "none"]


def test_a_network_that_is_not_traced_has_its_convolutions_replaced():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    fused_conv.fuse(network)
    assert [type(module) for module in network] == [fused_conv.FusedConv, nn.ReLU]


def test_the_engine_runs_without_the_operator(small_weights, monkeypatch):
    network, card = load(small_weights)
    images = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    first = TorchEngine(network, card.mean, card.std, choose("cpu", "fp32"))(images)

    def missing(*_):
        raise AttributeError("no such operator")

    monkeypatch.setattr(fused_conv.FusedConv, "forward", missing)
    assert not fused_conv.available(torch.float32)
    plain = TorchEngine(network, card.mean, card.std, choose("cpu", "fp32"))
    assert torch.allclose(plain(images), first, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False},
        {"stride": 2, "padding": 1},
        {"dilation": 2, "padding": (2, 1)},
        {"groups": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("activation", fused_conv.ACTIVATIONS)
def test_a_fused_convolution_is_the_layers_one_by_one(options, activation):
    if not fused_conv.available(torch.float32):
        pytest.skip(f"torch {torch.__version__} has no such operator")
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, 3, **options)
    fused = fused_conv.FusedConv(conv, activation)
    then = {"none": lambda x: x, "relu": torch.relu, "relu6": lambda x: x.clamp(0, 6)}[activation]
    with torch.inference_mode():
        for size in ((2, 4, 12, 10), (1, 4, 7, 21)):
            x = 9 * torch.randn(size)
            wanted = conv(x)
            assert torch.allclose(fused(x), then(wanted), atol=1e-4)
            if activation == "relu":  # the only one that oneDNN has behind a sum
                other = 9 * torch.randn(wanted.shape)
                assert torch.allclose(fused(x, other), then(wanted + other), atol=1e-4)


@pytest.mark.parametrize("error", [AttributeError, NotImplementedError, RuntimeError, TypeError])
def test_an_operator_that_fails_in_any_way_is_not_used(monkeypatch, error):
    def fail(*_):
        raise error("no")

    monkeypatch.setattr(fused_conv.FusedConv, "forward", fail)
    assert fused_conv.available(torch.float32) is False


@pytest.mark.parametrize("wrong", ["relu", "relu6", "sum"])
def test_an_operator_that_computes_something_else_is_not_used(monkeypatch, wrong):
    if not fused_conv.available(torch.float32):
        pytest.skip(f"torch {torch.__version__} has no such operator")
    right = fused_conv.FusedConv.forward

    def forward(self, x, other=None):
        found = right(self, x, other)
        kind = "sum" if other is not None else "relu6" if self.limits else "relu"
        return found + 0.1 if kind == wrong else found

    monkeypatch.setattr(fused_conv.FusedConv, "forward", forward)
    assert fused_conv.available(torch.float32) is False
