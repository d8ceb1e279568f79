"""A narrower copy of a trained network, made of its strongest channels.

Whole channels are removed, as in Li et al., "Pruning Filters for Efficient ConvNets" (arXiv
1608.08710), but ranked by what the next layers get of them: the variance of a channel, which its
batch norm states, times the squares of the weights that read it. The mean of a removed channel is
taken up by the next batch norm's statistics as soon as training goes on.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from bisenet_ros.inference.fusion import ADDITIONS, RELUS, traced
from bisenet_ros.networks import SegmentationNetwork

Network = TypeVar("Network", bound=SegmentationNetwork)
PRODUCTS = (operator.mul, operator.imul, torch.mul)
SIGMOID_SLOPE = 0.25  # its largest


class _Channels(NamedTuple):
    """The channels of a tensor: (C,) each, their ids and mean and variance over its pixels."""

    ids: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    @property
    def power(self) -> np.ndarray:
        return self.variance + self.mean**2


def narrow(source: Network, config: Any) -> Network:
    """A network of ``config`` with the strongest channels of ``source``, in eval mode.

    Auxiliary heads are left out. Channels that are added to or multiplied with each other are kept
    or removed together.

    Args:
        source: a trained network; not changed.
        config: of the same class as the source's, in no layer wider than that.

    Raises:
        ValueError: a layer would be wider, or has channels that cannot be followed.
    """
    source = source.for_inference()
    target = type(source)(replace(config, auxiliary=False)).eval()
    graph = _Graph(source)
    kept = graph.strongest({name: conv.out_channels for name, conv in _convolutions(target)})
    modules = dict(source.named_modules())
    state = target.state_dict()
    if state.keys() != source.state_dict().keys():
        raise ValueError("the two networks have other layers; expected other widths alone")
    for name, (inputs, outputs) in graph.layers.items():
        rows = torch.from_numpy(np.flatnonzero(kept[outputs]))
        columns = torch.from_numpy(np.flatnonzero(kept[inputs]))
        for key, tensor in modules[name].state_dict().items():
            chosen = tensor[rows] if tensor.ndim else tensor
            if tensor.ndim == 4 and tensor.shape[1] == len(inputs):
                chosen = chosen[:, columns]
            if state[f"{name}.{key}"].shape != chosen.shape:
                raise ValueError(
                    f"{name}.{key} would be {tuple(chosen.shape)}; expected "
                    f"{tuple(state[f'{name}.{key}'].shape)}"
                )
            state[f"{name}.{key}"] = chosen
    target.load_state_dict(state)
    return target


def _convolutions(network: nn.Module) -> Iterator[tuple[str, nn.Conv2d]]:
    return ((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))


class _Graph:
    """Which channels of a network belong together, and how much the layers that read them get.

    Ids of channels are numbered from 0. Ids of one class, whose first id ``_root`` holds, are kept
    or removed together.

    Attributes:
        layers: the ids of the input and output channels of each convolution and batch norm.
    """

    def __init__(self, network: SegmentationNetwork) -> None:
        self.layers: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._root: list[int] = []
        self._importance: list[float] = []
        self._made: dict[str, np.ndarray] = {}  # new ids, by the convolution that makes them
        graph = traced(network)
        self._modules = dict(graph.named_modules())
        found: dict[fx.Node, _Channels] = {}
        for node in graph.graph.nodes:
            inputs = [found[x] for x in node.all_input_nodes if x in found]
            channels = self._image() if node.op == "placeholder" else self._after(node, inputs)
            if channels is not None:
                found[node] = channels

    def strongest(self, widths: dict[str, int]) -> np.ndarray:
        """Which ids to keep, so that each convolution puts out as many channels as ``widths``.

        Raises:
            ValueError: a convolution has fewer.
        """
        root = np.array([self._find(i) for i in range(len(self._root))])
        importance = np.zeros(len(root))
        np.add.at(importance, root, self._importance)
        kept = np.ones(len(root), bool)
        for name, ids in self._made.items():
            width = widths.get(name, 0)
            if not 0 < width <= len(ids):
                raise ValueError(f"{name} has {len(ids)} channels; expected at least {width}")
            weakest = np.argsort(-importance[root[ids]], kind="stable")[width:]
            kept[root[ids[weakest]]] = False
        return kept[root]

    def _image(self) -> _Channels:
        ids = self._new(3)
        return _Channels(ids, np.zeros(3), np.ones(3))  # normalised

    def _after(self, node: fx.Node, inputs: list[_Channels]) -> _Channels | None:
        module = self._modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, nn.Conv2d):
            return self._convolved(node, module, *inputs)
        if isinstance(module, nn.BatchNorm2d):
            (before,) = inputs
            self.layers[str(node.target)] = before.ids, before.ids
            return _Channels(before.ids, _numbers(module.bias), _numbers(module.weight) ** 2)
        if not inputs or node.target == "size" or node.args[1:] == ("shape",):
            return None  # numbers, not channels
        if node.target in (torch.cat, torch.concat):
            parts = [np.concatenate(x) for x in zip(*inputs, strict=True)]
            return _Channels(*parts)
        if node.target in (*ADDITIONS, *PRODUCTS) and len(inputs) == 2:
            a, b = inputs
            return self._joined(a, b, product=node.target in PRODUCTS)
        first = inputs[0]
        if isinstance(module, nn.ReLU) or node.target in RELUS:
            return _Channels(first.ids, *_rectified(first.mean, first.variance))
        if node.target in (torch.sigmoid, F.sigmoid, "sigmoid"):
            mean = 1 / (1 + np.exp(-first.mean))
            return _Channels(first.ids, mean, first.variance * SIGMOID_SLOPE**2)
        return first  # pooling, resizing, dropout: channel by channel

    def _convolved(self, node: fx.Node, conv: nn.Conv2d, before: _Channels) -> _Channels:
        name = str(node.target)
        if name in self.layers:
            raise ValueError(f"{name} runs twice; its channels cannot be followed")
        weight = _numbers(self._folded(node, conv))
        squares = (weight**2).sum((2, 3))  # out, in / groups
        if conv.groups == 1:
            ids = self._made[name] = self._new(conv.out_channels)
            for id_, share in zip(before.ids, before.variance * squares.sum(0), strict=True):
                self._importance[id_] += float(share)
            variance = squares @ before.variance
        elif conv.groups == conv.in_channels:
            each = conv.out_channels // conv.in_channels
            ids = np.repeat(before.ids, each)
            variance = squares[:, 0] * np.repeat(before.variance, each)
        else:
            raise ValueError(f"{name} has {conv.groups} groups; expected 1 or one per channel")
        self.layers[name] = before.ids, ids
        return _Channels(ids, np.zeros(len(ids)), variance)

    def _folded(self, node: fx.Node, conv: nn.Conv2d) -> Tensor:
        """The weights as the batch norm behind scales them, so that layers can be compared."""
        after = next(iter(node.users)) if len(node.users) == 1 else None
        norm = self._modules.get(str(after.target)) if after is not None else None
        if not isinstance(norm, nn.BatchNorm2d) or norm.running_var is None:
            return conv.weight
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        return conv.weight * scale[:, None, None, None]

    def _joined(self, a: _Channels, b: _Channels, product: bool) -> _Channels:
        if len(a.ids) != len(b.ids):
            raise ValueError(f"{len(a.ids)} channels meet {len(b.ids)}; they cannot be followed")
        for x, y in zip(a.ids, b.ids, strict=True):
            first, second = sorted((self._find(int(x)), self._find(int(y))))
            self._root[second] = first
        if product:
            return _Channels(a.ids, a.mean * b.mean, a.power * b.power - (a.mean * b.mean) ** 2)
        return _Channels(a.ids, a.mean + b.mean, a.variance + b.variance)

    def _new(self, count: int) -> np.ndarray:
        ids = np.arange(len(self._root), len(self._root) + count)
        self._root.extend(ids.tolist())
        self._importance.extend([0.0] * count)
        return ids

    def _find(self, id_: int) -> int:
        while self._root[id_] != id_:
            id_ = self._root[id_]
        return id_


def _numbers(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def _rectified(mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of max(x, 0) for normally distributed x."""
    deviation = np.sqrt(np.maximum(variance, 1e-12))
    ratio = mean / deviation
    density = np.exp(-(ratio**2) / 2) / math.sqrt(2 * math.pi)
    share = torch.special.ndtr(torch.from_numpy(ratio)).numpy()
    first = mean * share + deviation * density
    second = (mean**2 + variance) * share + mean * deviation * density
    return first, np.maximum(second - first**2, 0)
