"""Fused or not, the numbers are the same."""

import copy

import pytest
import torch
from torch import fx, nn

from bisenet_ros.checkpoints import load
from bisenet_ros.inference.cpu import fused_conv as fused
from bisenet_ros.inference.device import choose
from bisenet_ros.inference.engines.torch import TorchEngine
from bisenet_ros.inference.fusion import inference_graph
from bisenet_ros.system.cpu import cpu_has_bf16

DTYPES = [torch.float32, *([torch.bfloat16] if cpu_has_bf16() else [])]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_fused_network_computes_the_same(small_weights, dtype):
    if not fused.available(dtype):
        pytest.skip(f"torch {torch.__version__} has no such operator")
    network = inference_graph(load(small_weights)[0]).to(dtype)
    other = copy.deepcopy(network)
    fused.fuse(other)
    assert any(isinstance(module, fused.FusedConv) for module in other.modules())
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
    fused.fuse(network)
    kinds = [type(module) for module in network.children()]
    assert kinds == [fused.FusedConv, nn.Dropout, nn.ReLU, fused.FusedConv]
    convs = [module for module in network.modules() if isinstance(module, fused.FusedConv)]
    assert [conv.activation for conv in convs] == ["none", "none"]


def test_a_network_that_is_not_traced_has_its_convolutions_replaced():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    fused.fuse(network)
    assert [type(module) for module in network] == [fused.FusedConv, nn.ReLU]


def test_without_the_operator_the_engine_runs_all_the_same(small_weights, monkeypatch):
    network, card = load(small_weights)
    images = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    first = TorchEngine(network, card.mean, card.std, choose("cpu", "fp32"))(images)

    def missing(*_):
        raise AttributeError("no such operator")

    monkeypatch.setattr(fused.FusedConv, "forward", missing)
    assert not fused.available(torch.float32)
    plain = TorchEngine(network, card.mean, card.std, choose("cpu", "fp32"))
    assert torch.allclose(plain(images), first, rtol=1e-4, atol=1e-4)
