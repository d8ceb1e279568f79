"""Layer fusion changes results by rounding only, however a network arranges its modules."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from bisenet_ros.inference.cpu import fused_conv
from bisenet_ros.inference.cuda import plain
from bisenet_ros.inference.cuda.network import fuse_bias_and_relu
from bisenet_ros.inference.fusion import fold_batch_norms, fusible_convolutions, inference_graph
from bisenet_ros.networks import NETWORKS, SegmentationNetwork, build


def randomise(network: nn.Module) -> None:
    """Batch norms that are not the identity."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("deeplabv3plus", {"backbone": "mobilenetv2"}),
    ("deeplabv3plus", {"backbone": "xception"}),
    ("deeplabv3plus", {"backbone": "xception", "backbone_options": {"variant": "original"}}),
    ("bisenetv1", {"fusion": "conv_bn_relu"}),
    ("pspnet", {"backbone_options": {"stem_channels": [32, 32, 64], "width": 0.25}}),
]


@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in NETWORKS), *OTHERS])
def test_no_batch_norm_remains_in_any_network_and_no_logit_changes(name, options):
    torch.manual_seed(0)
    # In float64: 50 layers magnify what float32 rounds away.
    network = build(name, 3, **options).eval().double()
    randomise(network)
    images = torch.randn(1, 3, 96, 96, dtype=torch.float64)
    graph = inference_graph(network)
    assert isinstance(graph, fx.GraphModule) and norms(network) > 20 and norms(graph) == 0
    with torch.no_grad():
        wanted, found = network(images), graph(images)
    assert (wanted - found).abs().max() <= 1e-10 * wanted.abs().max()


class Siblings(nn.Module):
    """Convolutions and batch norms as siblings, a residual, a shared layer, a leading norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.shortcut = nn.Conv2d(8, 8, 1)
        self.bn3 = nn.BatchNorm2d(8)
        self.shared = nn.Conv2d(8, 8, 1)
        self.bn4 = nn.BatchNorm2d(8)
        self.pointwise = nn.Conv2d(8, 4, 1)
        self.bn5 = nn.BatchNorm2d(4)
        self.padded = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.depthwise(x)) + self.bn3(self.shortcut(x)))
        x = self.shared(self.shared(x))
        x = self.pointwise(self.bn4(x).sigmoid() + self.bn4(x))
        return self.padded(self.bn5(x).tanh()).relu()


def traced(network: nn.Module) -> fx.GraphModule:
    graph = fx.symbolic_trace(copy.deepcopy(network).eval())
    fold_batch_norms(graph)
    return graph


@pytest.mark.parametrize(
    "merge", [fused_conv.fuse, lambda g: fuse_bias_and_relu(g, plain.bias_relu)]
)
def test_siblings_residuals_and_functional_activations_are_merged(merge):
    if not fused_conv.available(torch.float32):
        pytest.skip(f"torch {torch.__version__} has no such operator")
    torch.manual_seed(1)
    network = Siblings().eval()
    randomise(network)
    images = torch.randn(2, 3, 12, 20)
    graph = traced(network)
    assert norms(graph) == 1, "the one that is called twice stays"
    merged = copy.deepcopy(graph)
    merge(merged)
    with torch.inference_mode():
        wanted = network(images)
        for found in (graph(images), merged(images)):
            assert (wanted - found).abs().max() <= 1e-5 * wanted.abs().max()


def test_each_activation_is_merged_once():
    graph = traced(Siblings())
    found = {
        str(p.conv.target): (p.activation, p.addition is not None)
        for p in fusible_convolutions(graph)
    }
    assert found == {
        "conv1": ("relu6", False),
        "depthwise": ("relu", True),
        "shortcut": ("none", False),
        "pointwise": ("none", False),
        "padded": ("relu", False),
    }


def test_a_norm_before_a_padded_convolution_stays():
    """At the border the convolution sees the padding, which is not normalised."""
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=1))
    assert norms(traced(network)) == 1
    assert norms(traced(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1)))) == 0


class Untraceable(SegmentationNetwork):
    """Has control flow that depends on its input."""

    architecture, stride, multiple = "untraceable", 1, 1

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(images if images.mean() > 0 else -images)

    def for_inference(self) -> Untraceable:
        return copy.deepcopy(self).eval()


def test_a_network_that_cannot_be_traced_runs_unfused():
    network = Untraceable()
    graph = inference_graph(network)
    images = torch.randn(1, 3, 8, 8)
    assert isinstance(graph, Untraceable) and torch.equal(graph(images), network(images))


def test_another_thread_computes_on_while_a_network_is_traced():
    torch.manual_seed(0)
    running = inference_graph(build("bisenetv2", 3, head_width=8).eval())
    loaded = build("bisenetv2", 3, head_width=8).eval()
    images = torch.randn(1, 3, 32, 32)
    errors: list[BaseException] = []
    stop = threading.Event()

    def compute() -> None:
        try:
            with torch.inference_mode():
                expected = running(images)
                while not stop.is_set():
                    assert torch.equal(running(images), expected)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=compute)
    thread.start()
    graphs = [inference_graph(loaded) for _ in range(5)]
    stop.set()
    thread.join()
    assert not errors, errors
    assert all(isinstance(graph, fx.GraphModule) and norms(graph) == 0 for graph in graphs)
