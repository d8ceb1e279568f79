"""Selects the engine: the requested one, or the fastest exact one that works on this machine."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from bisenet_ros.checkpoints import load
from bisenet_ros.errors import ArgumentError
from bisenet_ros.inference.device import INT8, Compute, choose
from bisenet_ros.inference.engines.base import Pipeline, RunnableModel, Size
from bisenet_ros.inference.engines.registry import ENGINES
from bisenet_ros.inference.export import reader

log = logging.getLogger("bisenet_ros.inference")


@dataclass(frozen=True)
class RunningEngine:
    """A started engine.

    Attributes:
        name: one of ``ENGINES``.
        why: why this engine was selected, in words.
        pipeline: processes batches.
    """

    name: str
    why: str
    pipeline: Pipeline

    @property
    def compute(self) -> Compute:
        """Device and precision in use; its ``fallback`` may change while it runs."""
        return self.pipeline.engine.compute


def read_model(path: Path) -> RunnableModel:
    """Read a weights file or an exported model.

    Raises:
        WeightsError: the file is missing, broken or not one of these.
        ArgumentError: the runtime that reads an exported model is not installed.
    """
    if reader.is_exported(path):
        file = reader.read(path)
        return RunnableModel(file.card, file.stride, file.input_step, file=file)
    network, card = load(path)
    return RunnableModel(card, network.stride, network.input_step, network=network, path=path)


def check(engine: str, device: str, precision: str) -> None:
    """Raise :class:`ArgumentError` for arguments that are wrong for any model, before loading."""
    if engine != "auto" and engine not in ENGINES:
        raise ArgumentError(f"engine is {engine!r}; expected auto, {', '.join(ENGINES)}")
    choose(device, precision)


def start(
    model: RunnableModel, engine: str, device: str, precision: str, size: Size
) -> RunningEngine:
    """Start an engine for a model.

    Args:
        model: what to run.
        engine: one of ``ENGINES``, or ``auto``, which tries the next best if one fails.
        device, precision: as for :func:`bisenet_ros.inference.device.choose`.
        size: (height, width) of the engine's input.

    Raises:
        ArgumentError: the engine, device or precision is unknown or not available here.
    """
    names, why = candidates(model, engine, device)
    for name in names[:-1]:
        try:
            return _start(model, name, device, precision, size, why)
        except Exception as error:  # a half-installed runtime can raise anything
            log.warning("engine %s does not work on this machine: %s", name, error)
            why = f"{name}, which is faster, does not work on this machine"
    return _start(model, names[-1], device, precision, size, why)


def _start(
    model: RunnableModel, name: str, device: str, precision: str, size: Size, why: str
) -> RunningEngine:
    compute = resolve_compute(model, name, device, precision)
    pipeline = ENGINES[name].start(model, compute, size)
    log.info("engine %s on %s, %s: %s", name, compute.device, compute.precision, why)
    return RunningEngine(name, why, pipeline)


def candidates(model: RunnableModel, engine: str, device: str) -> tuple[list[str], str]:
    """The engines to try, the best first, and the reason."""
    if model.file is None:
        return ([engine], "requested") if engine != "auto" else _automatic(device)
    path = model.file.path
    runner = next(name for name, spec in ENGINES.items() if spec.reads == path.suffix.lower())
    if engine not in ("auto", runner):
        raise ArgumentError(
            f"engine is {engine!r}, but {path} is an exported model, which needs {runner}; "
            f"pass engine:={runner} or a .safetensors file"
        )
    return [runner], f"required by {path.name}"


def _automatic(device: str) -> tuple[list[str], str]:
    """The fastest exact engines, as measured in docs/performance.md."""
    kind = choose(device).device.type
    suitable = {name: spec for name, spec in ENGINES.items() if kind in spec.automatic}
    available = [name for name, spec in suitable.items() if spec.installed]
    missing = [spec.extra for spec in suitable.values() if not spec.installed]
    where = "a GPU" if kind == "cuda" else "a CPU"
    without = f" without the extra {missing[0]!r}" if missing else ""
    return available, f"the fastest exact engine on {where}{without}"


def resolve_compute(model: RunnableModel, engine: str, device: str, precision: str) -> Compute:
    """Resolve device and precision for an engine.

    Raises:
        ArgumentError: the engine does not support them; the message says what it supports.
    """
    spec = ENGINES[engine]
    chosen = choose(device, precision)
    if device == "auto" and not spec.precisions(chosen.device.type):
        chosen = choose("cpu", precision)
    supported = spec.precisions(chosen.device.type)
    if not supported:
        kinds = " or ".join(kind for kind in ("cuda", "cpu") if spec.precisions(kind))
        raise ArgumentError(
            f"engine {engine} does not run on {chosen.device} here, only on {kinds}; "
            f"pass device:={kinds.split()[0]}"
        )
    if model.file is not None and model.file.precision == INT8:
        return replace(chosen, precision=INT8)
    if chosen.precision in supported:
        return chosen
    if precision == "auto":
        return replace(chosen, precision="fp32")
    if precision == INT8:
        raise ArgumentError(
            f"precision is 'int8', but {engine} takes int8 from models exported with --int8 alone; "
            "export one and pass it as weights, or pass engine:=tensorrt on a GPU"
        )
    raise ArgumentError(
        f"precision is {precision!r}, but engine {engine} supports {', '.join(supported)} "
        f"on {chosen.device} here; pass one of these or auto"
    )
