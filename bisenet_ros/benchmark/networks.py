"""What each network costs: parameters, multiply-adds, and milliseconds beside BiSeNetV2's."""

from __future__ import annotations

import inspect
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from bisenet_ros.benchmark.pairs import PairedTimes
from bisenet_ros.benchmark.pipelines import CLASSES, random_weights
from bisenet_ros.benchmark.roofline import cost
from bisenet_ros.errors import ArgumentError
from bisenet_ros.inference import Segmenter
from bisenet_ros.networks import NETWORKS, build
from bisenet_ros.networks.layers import round_up

REFERENCE = "bisenetv2"  # whose milliseconds the others' are divided by
CAMERA = (48, 96)  # of the images measured; small, since only the network is timed
WARM_UP = 2  # pairs
GOVERNED = ("num_classes", "auxiliary")  # set by the data and by training, not by users


@dataclass(frozen=True)
class Variant:
    """A network on one backbone at one output stride.

    Attributes:
        network: a key of ``NETWORKS``.
        backbone, output_stride: its options; None if it has none.
    """

    network: str
    backbone: str | None = None
    output_stride: int | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The options by name."""
        chosen = {"backbone": self.backbone, "output_stride": self.output_stride}
        return {name: value for name, value in chosen.items() if value is not None}


def variants(names: Iterable[str]) -> list[Variant]:
    """Every backbone and output stride of the networks; each network's default comes first."""
    found = []
    for name in names:
        if name not in NETWORKS:
            raise ArgumentError(f"--network is {name!r}; expected one of {', '.join(NETWORKS)}")
        spec = NETWORKS[name]
        found += [
            Variant(name, backbone, stride)
            for stride in spec.strides or (None,)
            for backbone in spec.backbones or (None,)
        ]
    return found


def describe(variant: Variant, size: tuple[int, int], num_classes: int = CLASSES) -> dict[str, Any]:
    """A variant's size and work, as plain values; nothing is computed or allocated.

    Args:
        variant: what to describe.
        size: (height, width) of the images; rounded up to what the network takes.
        num_classes: channels of the logits.
    """
    with torch.device("meta"):
        whole = build(variant.network, num_classes, **variant.options)
        network = build(variant.network, num_classes, **variant.options, auxiliary=False).eval()
    height, width = (round_up(side, network.multiple) for side in size)
    parameters = _count(network)
    return {
        "name": variant.network,
        "options": variant.options,
        "backbone": variant.backbone,
        "output_stride": variant.output_stride or network.stride,
        "logits_stride": network.stride,
        "multiple": network.multiple,
        "parameters": parameters,
        "auxiliary_parameters": _count(whole) - parameters,
        "multiply_adds": cost(network, (height, width)).macs,
    }


def _count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def options(name: str) -> dict[str, dict[str, Any]]:
    """A network's options: default and meaning of each, by name, without those set by the data."""
    config = NETWORKS[name].config
    meanings: dict[str, str] = {}
    for documented in reversed(config.__mro__):
        meanings |= _documented(documented)
    return {
        item.name: {"default": _default(item), "help": meanings.get(item.name, "")}
        for item in fields(config)
        if item.name not in GOVERNED
    }


def _default(item: Any) -> Any:
    value = item.default if item.default is not MISSING else item.default_factory()
    return list(value) if isinstance(value, tuple) else value


def _documented(config: type) -> dict[str, str]:
    """The text of each attribute in the class's docstring."""
    text = inspect.cleandoc(config.__doc__ or "").partition("Attributes:")[2]
    found: dict[str, str] = {}
    for entry in re.split(r"\n {4}(?=\w)", text):
        names, colon, said = entry.partition(":")
        if colon and re.fullmatch(r"[\w, ]+", names.strip()):
            meaning = " ".join(said.split()).replace("``", "")
            found |= dict.fromkeys((name.strip() for name in names.split(",")), meaning)
    return found


@dataclass(frozen=True)
class Measuring:
    """How to measure.

    Attributes:
        size: (height, width) of the networks' input.
        device, precision, engine: as for :class:`Segmenter`.
        pairs: measured pairs after the warm-up.
    """

    size: tuple[int, int]
    device: str
    precision: str
    engine: str
    pairs: int


def measure(
    rows: list[dict[str, Any]], plan: Measuring, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Time every row's network, each in turn with BiSeNetV2, and write the figures into the rows.

    Each gets ``median_ms``, ``ratio_to_bisenetv2`` (the median over the pairs) and
    ``ratio_quarters`` (its quartiles). Only the network's forward pass is timed.

    Args:
        rows: of :func:`describe`.
        plan: how to measure.
        progress: called with what is being timed.

    Returns:
        Engine, precision and device in use.
    """
    with tempfile.TemporaryDirectory(prefix="bisenet-networks-") as folder:
        path = Path(folder) / "weights.safetensors"
        reference = _segmenter(Variant(REFERENCE), plan, path)
        for row in rows:
            variant = Variant(row["name"], **row["options"])
            progress(" ".join(map(str, (variant.network, *variant.options.values()))))
            times = _pairs(_segmenter(variant, plan, path), reference, plan.pairs)
            row["median_ms"] = median(times.first)
            row["ratio_to_bisenetv2"] = times.ratio
            row["ratio_quarters"] = list(times.spread)
        return {
            "engine": reference.engine.name,
            "precision": reference.compute.precision,
            "device": str(reference.compute.device),
            "pairs": plan.pairs,
        }


def _segmenter(variant: Variant, plan: Measuring, path: Path) -> Segmenter:
    random_weights(path, plan.size, variant.network, **variant.options)
    return Segmenter(path, plan.device, plan.precision, plan.engine, plan.size)


def _pairs(network: Segmenter, reference: Segmenter, count: int) -> PairedTimes:
    image = np.random.default_rng(0).integers(0, 256, (*CAMERA, 3), np.uint8)
    times = PairedTimes([], [])
    for index in range(-WARM_UP, count):
        first, second = (each([image])[0].times.forward for each in (network, reference))
        if index >= 0:
            times.first.append(first)
            times.second.append(second)
    return times
