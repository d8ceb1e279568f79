"""The network made fast is the same network."""

import pytest
import torch

from bisenet_ros.checkpoints import load
from bisenet_ros.inference.cuda import plain
from bisenet_ros.inference.cuda.network import ConvBiasReLU, fast_network, join_bias_and_relu
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


def test_joining_leaves_the_function_as_it_was(network):
    slim = inference_graph(network).double()
    images = torch.randn(1, 3, 32, 64, dtype=torch.float64)
    with torch.inference_mode():
        before = slim(images)
        join_bias_and_relu(slim, plain.bias_relu)
        after = slim(images)
    assert torch.allclose(before, after, rtol=1e-12, atol=1e-12)


def test_every_convolution_with_a_relu_is_joined(network):
    slim = inference_graph(network)
    relus = sum(isinstance(module, torch.nn.ReLU) for module in slim.modules())
    join_bias_and_relu(slim, plain.bias_relu)
    joined = [module for module in slim.modules() if isinstance(module, ConvBiasReLU)]
    assert len(joined) == relus > 20
    assert not any(isinstance(module, torch.nn.ReLU) for module in slim.modules())
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
