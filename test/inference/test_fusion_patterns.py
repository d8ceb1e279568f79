"""Which nodes of a graph are folded or fused, one small graph each; the values stay the same."""

from __future__ import annotations

import copy
import logging
import operator
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from bisenet_ros.inference.cpu import fused_conv
from bisenet_ros.inference.fusion import (
    fold_batch_norms,
    fusible_convolutions,
    image_convolutions,
    inference_graph,
)
from bisenet_ros.networks import SegmentationNetwork

Forward = Callable[[nn.Module, Tensor], Tensor]


class Layers(nn.Module):
    """Some layers, called as the test says."""

    def __init__(self, forward: Forward, **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


def norm(channels: int) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(channels, eps=0.1)
    nn.init.uniform_(made.running_mean, -1, 1)
    nn.init.uniform_(made.running_var, 0.5, 2)
    nn.init.uniform_(made.weight, 0.5, 2)
    nn.init.uniform_(made.bias, -1, 1)
    return made


def conv(c_in: int, c_out: int, kernel: int = 1, **more: object) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, kernel, **more)  # type: ignore[arg-type]


def traced(forward: Forward, **layers: nn.Module) -> fx.GraphModule:
    torch.manual_seed(0)
    return fx.symbolic_trace(Layers(forward, **layers).eval())


def norms(graph: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in graph.modules())


FOLDED = {
    "after a convolution": (lambda m, x: m.b(m.a(x)), {"a": conv(3, 4, 3), "b": norm(4)}),
    "after one without bias": (
        lambda m, x: m.b(m.a(x)),
        {"a": conv(3, 4, 3, bias=False, padding=1), "b": norm(4)},
    ),
    "before a convolution": (lambda m, x: m.b(m.a(x)), {"a": norm(3), "b": conv(3, 4)}),
    "before one without bias": (
        lambda m, x: m.b(m.a(x)),
        {"a": norm(3), "b": conv(3, 4, bias=False)},
    ),
    "before one with a stride": (
        lambda m, x: m.b(m.a(x)),
        {"a": norm(3), "b": conv(3, 4, stride=2)},
    ),
}
KEPT = {
    "before a wide kernel": (lambda m, x: m.b(m.a(x)), {"a": norm(3), "b": conv(3, 4, 3)}),
    "before padding": (lambda m, x: m.b(m.a(x)), {"a": norm(3), "b": conv(3, 4, padding=1)}),
    "before groups": (lambda m, x: m.b(m.a(x)), {"a": norm(3), "b": conv(3, 3, groups=3)}),
    "before two readers": (
        lambda m, x: (lambda y: m.b(y) + y.mean())(m.a(x)),
        {"a": norm(3), "b": conv(3, 4)},
    ),
    "before a convolution that is called twice": (
        lambda m, x: m.b(m.b(m.a(x))),
        {"a": norm(3), "b": conv(3, 3)},
    ),
    "after a convolution that is called twice": (
        lambda m, x: m.b(m.a(m.a(x))),
        {"a": conv(3, 3), "b": norm(3)},
    ),
    "after a convolution with another reader": (
        lambda m, x: (lambda y: m.b(y) + y)(m.a(x)),
        {"a": conv(3, 3), "b": norm(3)},
    ),
    "called twice": (lambda m, x: m.b(m.b(m.a(x))), {"a": conv(3, 3), "b": norm(3)}),
    "alone": (lambda m, x: m.b(x), {"b": norm(3)}),
}


@pytest.mark.parametrize(
    ("forward", "layers", "left"),
    [(*one, 0) for one in FOLDED.values()] + [(*one, 1) for one in KEPT.values()],
    ids=[*FOLDED, *KEPT],
)
def test_a_norm_is_folded_only_where_that_changes_nothing(forward, layers, left):
    graph = traced(forward, **copy.deepcopy(layers))
    folded = copy.deepcopy(graph)
    fold_batch_norms(folded)
    assert norms(folded) == left
    x = torch.randn(2, 3, 6, 7)
    with torch.no_grad():
        assert torch.allclose(folded(x), graph(x), atol=1e-5)


def test_one_norm_that_stays_does_not_keep_the_next():
    layers = {"a": conv(3, 3), "b": norm(3), "c": conv(3, 4, 3), "d": norm(4)}
    graph = traced(lambda m, x: m.d(m.c(m.b(m.a(m.a(x))))), **layers)
    fold_batch_norms(graph)
    assert norms(graph) == 1
    assert not hasattr(graph, "d") and hasattr(graph, "b")


def read_by(forward: Forward, **layers: nn.Module) -> list[str]:
    graph = traced(forward, **layers)
    found = image_convolutions(graph)
    names = {module: name for name, module in graph.named_modules()}
    return [names[module] for module in found]


def test_the_convolutions_that_read_the_image_are_found_or_none():
    a, b = conv(3, 4), conv(3, 4)
    assert read_by(lambda m, x: m.a(x) + m.b(x), a=a, b=b) == ["a", "b"]
    assert read_by(lambda m, x: m.b(m.a(x)), a=conv(3, 3), b=b) == ["a"]
    assert read_by(lambda m, x: m.a(x) + x.mean(), a=a) == []
    assert read_by(lambda m, x: m.a(x) + m.a(x), a=a) == []
    assert read_by(lambda m, x: m.a(F.relu(x)), a=a) == []


@pytest.mark.parametrize(
    "look",
    [lambda x: x.size(), lambda x: x.shape],
    ids=["size", "shape"],
)
def test_looking_at_the_images_size_is_not_reading_it(look):
    assert read_by(lambda m, x: m.a(x) * look(x)[3], a=conv(3, 4)) == ["a"]


class Checked(SegmentationNetwork):
    architecture, stride, multiple = "checked", 1, 1

    def __init__(self) -> None:
        super().__init__()
        self.a = conv(3, 4)

    def forward(self, images: Tensor) -> Tensor:
        self.check_size(images)
        return self.a(images)

    def for_inference(self) -> Checked:
        return copy.deepcopy(self).eval()


def test_checking_the_images_size_is_not_reading_it():
    graph = inference_graph(Checked())
    assert isinstance(graph, fx.GraphModule)
    assert image_convolutions(graph) == [graph.a]


def test_another_attribute_of_the_image_is_reading_it():
    assert read_by(lambda m, x: m.a(x) + x.real, a=conv(3, 3)) == []


PATTERNS = {
    "nothing": (lambda m, x: m.a(x).sigmoid(), [("a", "none", False)]),
    "functional relu": (lambda m, x: F.relu(m.a(x)), [("a", "relu", False)]),
    "torch.relu": (lambda m, x: torch.relu(m.a(x)), [("a", "relu", False)]),
    "method": (lambda m, x: m.a(x).relu(), [("a", "relu", False)]),
    "method in place": (lambda m, x: m.a(x).relu_(), [("a", "relu", False)]),
    "module": (lambda m, x: m.r(m.a(x)), [("a", "relu", False)]),
    "relu6": (lambda m, x: F.relu6(m.a(x)), [("a", "relu6", False)]),
    "module of relu6": (lambda m, x: m.six(m.a(x)), [("a", "relu6", False)]),
    "sum on the left": (lambda m, x: F.relu(m.a(x) + x), [("a", "relu", True)]),
    "sum on the right": (lambda m, x: F.relu(x + m.a(x)), [("a", "relu", True)]),
    # oneDNN has no operator for it.
    "sum before a relu6": (lambda m, x: F.relu6(x + m.a(x)), [("a", "none", False)]),
    "torch.add": (lambda m, x: F.relu(torch.add(x, m.a(x))), [("a", "relu", True)]),
    "iadd": (lambda m, x: F.relu(operator.iadd(m.a(x), x)), [("a", "relu", True)]),
    "sum without activation": (lambda m, x: (m.a(x) + x).tanh(), [("a", "none", False)]),
    "sum that two read": (
        lambda m, x: (lambda y: F.relu(y) + y)(m.a(x) + x),
        [("a", "none", False)],
    ),
    "sum with a number": (lambda m, x: F.relu(m.a(x) + 1.0), [("a", "none", False)]),
    "sum with itself": (
        lambda m, x: (lambda y: F.relu(y + y))(m.a(x)),
        [("a", "none", False)],
    ),
    "weighted sum": (
        lambda m, x: F.relu(torch.add(m.a(x), x, alpha=2)),
        [("a", "none", False)],
    ),
    "difference": (lambda m, x: F.relu(m.a(x) - x), [("a", "none", False)]),
    "two readers": (
        lambda m, x: (lambda y: F.relu(y) + y.tanh())(m.a(x)),
        [("a", "none", False)],
    ),
    "both are convolutions": (
        lambda m, x: F.relu(m.a(x) + m.b(x)),
        [("a", "relu", True), ("b", "none", False)],
    ),
    "called twice": (lambda m, x: F.relu(m.a(m.a(x))), []),
    "one after another": (
        lambda m, x: F.relu(m.b(F.relu(m.a(x)))),
        [("a", "relu", False), ("b", "relu", False)],
    ),
}


@pytest.mark.parametrize(("forward", "expected"), PATTERNS.values(), ids=PATTERNS)
def test_what_follows_a_convolution_is_fused_only_where_that_changes_nothing(forward, expected):
    layers = {"a": conv(3, 3), "b": conv(3, 3, 3, padding=1)}
    graph = traced(forward, **layers, r=nn.ReLU(), six=nn.ReLU6())
    found = [
        (str(p.conv.target), p.activation, p.addition is not None)
        for p in fusible_convolutions(graph)
    ]
    assert found == expected
    if not fused_conv.available(torch.float32):
        pytest.skip(f"torch {torch.__version__} has no such operator")
    fused = copy.deepcopy(graph)
    fused_conv.fuse(fused)
    fused.graph.lint()
    assert not any(isinstance(m, nn.Conv2d) for m in fused.modules())
    x = 4 * torch.randn(2, 3, 5, 6)
    with torch.inference_mode():
        assert torch.allclose(fused(x.clone()), graph(x.clone()), atol=1e-5)


class Fickle(SegmentationNetwork):
    """What it computes depends on its input."""

    architecture, stride, multiple = "fickle", 1, 1

    def forward(self, images: Tensor) -> Tensor:
        return images if images.mean() > 0 else -images

    def for_inference(self) -> Fickle:
        return copy.deepcopy(self).eval()


def test_that_a_network_runs_unfused_is_logged_with_the_reason(caplog):
    caplog.set_level(logging.INFO, logger="bisenet_ros.inference")
    assert isinstance(inference_graph(Fickle()), Fickle)
    (record,) = caplog.records
    assert record.getMessage().startswith("Fickle runs unfused: torch.fx cannot trace it: ")
    assert "control flow" in record.getMessage()
