"""Layer fusion: folds batch norms into convolutions, and finds additions and ReLUs to fuse.

Works on the ``torch.fx`` graph, so it does not matter how a network arranges its modules:
siblings, an ``nn.Sequential``, a functional ReLU after a residual addition.
"""

from __future__ import annotations

import copy
import logging
import operator
import threading
from typing import Any, NamedTuple

import torch
from torch import fx, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bisenet_ros.networks import SegmentationNetwork
from bisenet_ros.networks.base import check_size

log = logging.getLogger("bisenet_ros.inference")

ADDITIONS = (operator.add, operator.iadd, torch.add)
RELUS = (F.relu, torch.relu, torch.relu_)


class FusedPattern(NamedTuple):
    """A convolution with the addition and activation that are its only consumers.

    Attributes:
        conv: the convolution's node.
        addition: the node that adds another value to the convolution's output, or None; given only
            with the activation ``relu``.
        activation: ``relu``, ``relu6`` or ``none``.
        last: the pattern's output node; ``conv`` itself if nothing can be fused.
    """

    conv: fx.Node
    addition: fx.Node | None
    activation: str
    last: fx.Node


def inference_graph(network: SegmentationNetwork) -> nn.Module:
    """A copy of the network for inference, traced, with its batch norms folded.

    If ``torch.fx`` cannot trace the network, the copy is returned unfused, in eval mode: the same
    function, only slower.

    Args:
        network: not changed.
    """
    inference_copy = network.for_inference()
    try:
        graph = traced(inference_copy)
    except (fx.proxy.TraceError, TypeError, RuntimeError, ValueError) as error:
        log.info("%s runs unfused: torch.fx cannot trace it: %s", type(network).__name__, error)
        return inference_copy
    fold_batch_norms(graph)
    return graph


_TRACING = threading.Lock()


class _OneThreadTracer(fx.Tracer):
    """Traces what its own thread calls only.

    ``torch.fx`` replaces ``nn.Module.__call__`` for the whole process while it traces, and another
    thread may be running another network meanwhile: the node loads weights while it segments.
    """

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def call_module(
        self, m: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


def traced(network: nn.Module) -> fx.GraphModule:
    """The network as a graph that shares its modules; other threads are not disturbed."""
    with _TRACING:
        return fx.GraphModule(network, _OneThreadTracer().trace(network))


def fold_batch_norms(graph: fx.GraphModule) -> None:
    """Fold each batch norm into the convolution before it, or into a 1×1 one after it, in place.

    The network must be in eval mode. The result is the same function up to rounding.
    """
    modules = dict(graph.named_modules())
    calls = _call_counts(graph)
    for node in list(graph.graph.nodes):
        norm = _module(modules, node)
        if not isinstance(norm, nn.BatchNorm2d) or calls[node.target] > 1:
            continue
        before = node.args[0]
        conv = _module(modules, before)
        if isinstance(conv, nn.Conv2d) and calls[before.target] == 1 and len(before.users) == 1:
            _replace(modules, before, fuse_conv_bn_eval(copy.deepcopy(conv), norm))
            _skip(graph, node)
            continue
        after = next(iter(node.users)) if len(node.users) == 1 else None
        conv = _module(modules, after)
        if after is not None and isinstance(conv, nn.Conv2d) and calls[after.target] == 1:
            folded = _norm_before(conv, norm)
            if folded is not None:
                _replace(modules, after, folded)
                _skip(graph, node)
    graph.recompile()


def image_convolutions(graph: fx.GraphModule) -> list[nn.Conv2d]:
    """The convolutions that read the graph's input; empty if anything else reads it as well."""
    modules = dict(graph.named_modules())
    calls = _call_counts(graph)
    image = next(node for node in graph.graph.nodes if node.op == "placeholder")
    convs: list[nn.Conv2d] = []
    for user in image.users:
        conv = _module(modules, user)
        if isinstance(conv, nn.Conv2d) and calls[user.target] == 1:
            convs.append(conv)
        elif user.target not in (check_size, "size") and user.args[1:] != ("shape",):
            return []
    return convs


def fusible_convolutions(graph: fx.GraphModule) -> list[FusedPattern]:
    """Every convolution, in execution order, with the addition and activation that follow it."""
    patterns: list[FusedPattern] = []
    modules = dict(graph.named_modules())
    calls = _call_counts(graph)
    claimed: set[fx.Node] = set()
    for node in graph.graph.nodes:
        if not isinstance(_module(modules, node), nn.Conv2d) or calls[node.target] > 1:
            continue
        pattern = _pattern(modules, node)
        if pattern.last in claimed:
            pattern = FusedPattern(node, None, "none", node)  # both summands are convolutions
        claimed.add(pattern.last)
        patterns.append(pattern)
    return patterns


def replace_pattern(graph: fx.GraphModule, pattern: FusedPattern, module: nn.Module) -> None:
    """Replace the pattern by ``module``, called with the convolution's input and the summand."""
    conv, addition, last = pattern.conv, pattern.addition, pattern.last
    _replace(dict(graph.named_modules()), conv, module)
    if last is conv:
        return
    inputs = [conv.args[0]]
    if addition is not None:
        inputs += [summand for summand in addition.args if summand is not conv]
    with graph.graph.inserting_before(last):
        fused = graph.graph.call_module(str(conv.target), tuple(inputs))
    last.replace_all_uses_with(fused)
    for node in (last, addition, conv):
        if node is not None:
            graph.graph.erase_node(node)


def _pattern(modules: dict[str, nn.Module], conv: fx.Node) -> FusedPattern:
    following = _only_user(conv)
    if following is None:
        return FusedPattern(conv, None, "none", conv)
    if activation := _activation(modules, following):
        return FusedPattern(conv, None, activation, following)
    if following.target in ADDITIONS and len(following.args) == 2 and not following.kwargs:
        others = [summand for summand in following.args if summand is not conv]
        after = _only_user(following)
        # oneDNN has no operator for an addition with a ReLU6 behind it.
        relu = after is not None and _activation(modules, after) == "relu"
        if after is not None and relu and len(others) == 1 and isinstance(others[0], fx.Node):
            return FusedPattern(conv, following, "relu", after)
    return FusedPattern(conv, None, "none", conv)


def _activation(modules: dict[str, nn.Module], node: fx.Node) -> str:
    """``relu``, ``relu6``, or empty if the node is neither."""
    module = _module(modules, node)
    if isinstance(module, nn.ReLU) or node.target in RELUS:
        return "relu"
    if node.op == "call_method" and node.target in ("relu", "relu_"):
        return "relu"
    return "relu6" if isinstance(module, nn.ReLU6) or node.target is F.relu6 else ""


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _module(modules: dict[str, nn.Module], node: Any) -> nn.Module | None:
    """The module a node calls; None for any other node or value."""
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return None
    return modules[str(node.target)]


def _call_counts(graph: fx.GraphModule) -> dict[Any, int]:
    """How often each module is called; a shared module cannot be changed for one caller only."""
    counts: dict[Any, int] = {}
    for node in graph.graph.nodes:
        if node.op == "call_module":
            counts[node.target] = counts.get(node.target, 0) + 1
    return counts


def _norm_before(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d | None:
    """Fold the norm into the 1×1 convolution after it; None if padding or groups prevent it."""
    if conv.kernel_size != (1, 1) or conv.padding != (0, 0) or conv.groups != 1:
        return None
    assert norm.running_mean is not None and norm.running_var is not None
    scale = (norm.running_var + norm.eps).rsqrt() * norm.weight
    shift = norm.bias - norm.running_mean * scale
    folded = copy.deepcopy(conv)
    bias = (conv.weight * shift.view(1, -1, 1, 1)).sum((1, 2, 3))
    folded.weight = nn.Parameter((conv.weight * scale.view(1, -1, 1, 1)).detach())
    folded.bias = nn.Parameter((bias if conv.bias is None else bias + conv.bias).detach())
    return folded


def _replace(modules: dict[str, nn.Module], node: fx.Node, module: nn.Module) -> None:
    name = str(node.target)
    parent, _, child = name.rpartition(".")
    setattr(modules[parent], child, module)
    modules[name] = module


def _skip(graph: fx.GraphModule, node: fx.Node) -> None:
    """Remove a node; its users read its input instead."""
    node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
    graph.graph.erase_node(node)
    graph.delete_submodule(str(node.target))
