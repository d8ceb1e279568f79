"""The optimised network computes the same function."""

import pytest
import torch

from bisenet_ros.checkpoints import load
from bisenet_ros.inference.cuda import plain
from bisenet_ros.inference.cuda.network import ConvBiasReLU, fast_network, fuse_bias_and_relu
from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.fusion import inference_graph

CPU = torch.device("cpu")


@pytest.fixture
def network(small_weights):
    torch.manual_seed(3)
    network, _ = load(small_weights)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -1, 1)
            torch.nn.init.uniform_(module.bias, -1, 1)
    return network


def test_fusing_does_not_change_the_function(network):
    graph = inference_graph(network).double()
    images = torch.randn(1, 3, 32, 64, dtype=torch.float64)
    with torch.inference_mode():
        before = graph(images)
        fuse_bias_and_relu(graph, plain.bias_relu)
        after = graph(images)
    assert torch.allclose(before, after, rtol=1e-12, atol=1e-12)


def test_every_convolution_with_a_relu_is_fused(network):
    graph = inference_graph(network)
    relus = sum(isinstance(module, torch.nn.ReLU) for module in graph.modules())
    fuse_bias_and_relu(graph, plain.bias_relu)
    joined = [module for module in graph.modules() if isinstance(module, ConvBiasReLU)]
    assert len(joined) == relus > 20
    assert not any(isinstance(module, torch.nn.ReLU) for module in graph.modules())
    assert all(module.conv.bias is None for module in joined)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_copy_is_in_the_precision_asked_for(network, precision):
    compute = Compute(CPU, precision)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fast = fast_network(network, compute, plain.bias_relu, compiled=False)
    images = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        expected, got = network(images), fast(images.to(compute.dtype))
    assert got.dtype == compute.dtype
    tolerance = 1e-4 if precision == "fp32" else 0.1
    assert (got.float() - expected).abs().max() < tolerance * expected.abs().max()
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
