"""Which engine runs the network: the one asked for, or the fastest exact one that works here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path as FilePath

from bisenet_ros.checkpoints import Card, load
from bisenet_ros.errors import ArgumentError, BisenetError
from bisenet_ros.inference.cpu.pipeline import PixelPath
from bisenet_ros.inference.device import Compute, choose
from bisenet_ros.inference.engines.base import Engine, Path
from bisenet_ros.inference.engines.onnx_runtime import (
    CUDA,
    TENSORRT,
    OnnxRuntimeEngine,
    load_onnxruntime,
)
from bisenet_ros.inference.engines.openvino import OpenVinoEngine, load_openvino
from bisenet_ros.inference.engines.torch import TorchEngine
from bisenet_ros.inference.engines.torch_compile import CompileEngine
from bisenet_ros.inference.export import reader as exported
from bisenet_ros.inference.export.graph import ServedNetwork, to_onnx
from bisenet_ros.networks import SegmentationNetwork
from bisenet_ros.system.optional import installed

log = logging.getLogger("bisenet_ros.inference")

ENGINES = ("torch", "compile", "openvino", "onnxruntime")
# What each computes in; the best first. docs/performance.md has the measurements.
ON_CPU = {
    "torch": ("bf16", "fp32"),
    "compile": ("bf16", "fp32"),
    "openvino": ("bf16", "fp32"),
    "onnxruntime": ("fp32",),
}
ON_CUDA = {
    "torch": ("fp16", "bf16", "fp32"),
    "compile": ("fp16", "bf16", "fp32"),
    "onnxruntime": ("fp16", "fp32"),
}
LOADERS = {"openvino": load_openvino, "onnxruntime": load_onnxruntime}  # engines that need one


@dataclass(frozen=True)
class Model:
    """A loaded weights file, or an exported model.

    Attributes:
        card: its card.
        stride: input pixels for one logit.
        network: in eval mode, float32; None for an exported model.
        file: the exported model; None for a weights file.
    """

    card: Card
    stride: int
    network: SegmentationNetwork | None = None
    file: exported.Exported | None = None

    @classmethod
    def read(cls, path: FilePath) -> Model:
        """Read either kind of file; WeightsError or ArgumentError tell what is wrong with it."""
        if exported.is_exported(path):
            file = exported.read(path)
            return cls(file.card, file.stride, file=file)
        network, card = load(path)
        return cls(card, network.stride, network=network)


@dataclass(frozen=True)
class Running:
    """An engine that runs.

    Attributes:
        name: one of ``ENGINES``.
        compute: device and precision in force.
        why: why it is this engine, in words.
        path: takes batches.
    """

    name: str
    compute: Compute
    why: str
    path: Path


def check(engine: str, device: str, precision: str) -> None:
    """Raise :class:`ArgumentError` for what no model could run with, before one is read."""
    if engine != "auto" and engine not in ENGINES:
        raise ArgumentError(f"engine is {engine!r}; expected auto, {', '.join(ENGINES)}")
    choose(device, precision)


def start(model: Model, engine: str, device: str, precision: str, size: tuple[int, int]) -> Running:
    """Start an engine for a model.

    Args:
        model: what to run.
        engine: one of ``ENGINES``, or ``auto``.
        device, precision: as :func:`bisenet_ros.inference.device.choose` takes them.
        size: (height, width) of the engine's input.

    Raises:
        ArgumentError: what is asked for does not exist, or not here.
    """
    names, why = candidates(model, engine, device)
    for name in names:
        try:
            compute = settle(model, name, device, precision)
            path = build(model, name, compute, size)
        except BisenetError as error:
            if name == names[-1]:
                raise
            log.warning("engine %s does not work here: %s", name, error)
            why = f"{name}, which is faster, does not work here"
            continue
        log.info("engine %s on %s, %s: %s", name, compute.device, compute.precision, why)
        return Running(name, path.engine.compute, why, path)
    raise AssertionError("candidates() returned none")


def candidates(model: Model, engine: str, device: str) -> tuple[list[str], str]:
    """The engines to try, the best first, and why these."""
    if model.file is None:
        return ([engine], "asked for") if engine != "auto" else _automatic(device)
    reader = "openvino" if model.file.path.suffix.lower() == exported.IR else "onnxruntime"
    if engine not in ("auto", reader):
        raise ArgumentError(
            f"engine is {engine!r}, but {model.file.path} is an exported model, which {reader} "
            f"runs; pass engine:={reader} or a .safetensors file"
        )
    return [reader], f"it runs {model.file.path.name}"


def _automatic(device: str) -> tuple[list[str], str]:
    """The fastest exact engines, as docs/performance.md measures them."""
    if choose(device).device.type == "cuda":
        return ["torch"], "the fastest exact engine on a GPU"
    if installed("openvino"):
        return ["openvino", "torch"], "the fastest exact engine on a CPU"
    return ["torch"], "the fastest exact engine on a CPU without the extra 'openvino'"


def settle(model: Model, engine: str, device: str, precision: str) -> Compute:
    """Device and precision for an engine.

    Raises:
        ArgumentError: the engine does not compute so; the message says what it does.
    """
    chosen = choose(device, precision)
    if device == "auto" and chosen.device.type == "cuda" and _cpu_only(engine):
        chosen = choose("cpu", precision)
    known = ON_CPU if chosen.device.type == "cpu" else ON_CUDA
    if engine not in known:
        raise ArgumentError(f"engine {engine} runs on the CPU only; pass device:=cpu")
    if model.file is not None and model.file.precision == "int8":
        return replace(chosen, precision="int8")
    if chosen.precision in known[engine] and not _lacks_tensorrt(engine, chosen, precision):
        return chosen
    if precision == "auto":
        return replace(chosen, precision="fp32")
    raise ArgumentError(
        f"precision is {precision!r}, but engine {engine} computes {', '.join(known[engine])} "
        f"on {chosen.device}; pass one of these or auto"
    )


def _cpu_only(engine: str) -> bool:
    """Whether the engine, as it is installed, has no use for a GPU."""
    if engine != "onnxruntime":
        return engine not in ON_CUDA
    return not {CUDA, TENSORRT} & set(load_onnxruntime().get_available_providers())


def _lacks_tensorrt(engine: str, chosen: Compute, precision: str) -> bool:
    """Whether 16 bit, not asked for by name, would need a provider that is not there."""
    if engine != "onnxruntime" or chosen.precision != "fp16" or precision != "auto":
        return False
    return TENSORRT not in load_onnxruntime().get_available_providers()


def build(model: Model, engine: str, compute: Compute, size: tuple[int, int]) -> Path:
    """The way through the engine of that name; raises what its constructor raises."""
    card, network = model.card, model.network
    if engine == "torch" and compute.device.type == "cuda" and network is not None:
        return _on_gpu(network, card, compute, size)
    return PixelPath(_engine(model, engine, compute, size), card.labels.palette(), size)


def _on_gpu(
    network: SegmentationNetwork, card: Card, compute: Compute, size: tuple[int, int]
) -> Path:
    """The pixels on the GPU too, where that works."""
    from bisenet_ros.inference.cuda.pipeline import CudaPath

    return CudaPath(network, card, compute, size)


def _engine(model: Model, engine: str, compute: Compute, size: tuple[int, int]) -> Engine:
    card, network = model.card, model.network
    served: dict[str, Callable[..., Engine]] = {
        "openvino": OpenVinoEngine,
        "onnxruntime": OnnxRuntimeEngine,
    }
    if model.file is not None:
        return served[engine](model.file.path, model.stride, compute)
    assert network is not None
    if engine in served:
        LOADERS[engine]()  # before the work of exporting
        content = to_onnx(ServedNetwork(network, card.mean, card.std), size)
        return served[engine](content, model.stride, compute)
    kinds = {"torch": TorchEngine, "compile": CompileEngine}
    return kinds[engine](network, card.mean, card.std, compute)
