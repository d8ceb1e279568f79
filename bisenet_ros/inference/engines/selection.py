"""Which engine runs the network: the one asked for, or the fastest exact one that works here."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from bisenet_ros.checkpoints import load
from bisenet_ros.errors import ArgumentError
from bisenet_ros.inference.device import Compute, choose
from bisenet_ros.inference.engines.base import Pipeline, RunnableModel, Size
from bisenet_ros.inference.engines.registry import ENGINES
from bisenet_ros.inference.export import reader

log = logging.getLogger("bisenet_ros.inference")


@dataclass(frozen=True)
class RunningEngine:
    """An engine that runs.

    Attributes:
        name: one of ``ENGINES``.
        compute: device and precision in force.
        why: why it is this engine, in words.
        pipeline: takes batches.
    """

    name: str
    compute: Compute
    why: str
    pipeline: Pipeline


def read_model(path: Path) -> RunnableModel:
    """Read a weights file or an exported model.

    Raises:
        WeightsError: the file is missing, broken or not one of these.
        ArgumentError: the runtime that reads an exported model is not installed.
    """
    if reader.is_exported(path):
        file = reader.read(path)
        return RunnableModel(file.card, file.stride, file=file)
    network, card = load(path)
    return RunnableModel(card, network.stride, network=network)


def check(engine: str, device: str, precision: str) -> None:
    """Raise :class:`ArgumentError` for what no model could run with, before one is read."""
    if engine != "auto" and engine not in ENGINES:
        raise ArgumentError(f"engine is {engine!r}; expected auto, {', '.join(ENGINES)}")
    choose(device, precision)


def start(
    model: RunnableModel, engine: str, device: str, precision: str, size: Size
) -> RunningEngine:
    """Start an engine for a model.

    Args:
        model: what to run.
        engine: one of ``ENGINES``, or ``auto``, which goes on to the next best where one fails.
        device, precision: as :func:`bisenet_ros.inference.device.choose` takes them.
        size: (height, width) of the engine's input.

    Raises:
        ArgumentError: what is asked for does not exist, or not here.
    """
    names, why = candidates(model, engine, device)
    for name in names[:-1]:
        try:
            return _start(model, name, device, precision, size, why)
        except Exception as error:  # a runtime that is half installed fails in its own ways
            log.warning("engine %s does not work here: %s", name, error)
            why = f"{name}, which is faster, does not work here"
    return _start(model, names[-1], device, precision, size, why)


def _start(
    model: RunnableModel, name: str, device: str, precision: str, size: Size, why: str
) -> RunningEngine:
    compute = settle(model, name, device, precision)
    pipeline = ENGINES[name].start(model, compute, size)
    log.info("engine %s on %s, %s: %s", name, compute.device, compute.precision, why)
    return RunningEngine(name, pipeline.engine.compute, why, pipeline)


def candidates(model: RunnableModel, engine: str, device: str) -> tuple[list[str], str]:
    """The engines to try, the best first, and why these."""
    if model.file is None:
        return ([engine], "asked for") if engine != "auto" else _automatic(device)
    path = model.file.path
    runner = next(name for name, spec in ENGINES.items() if spec.reads == path.suffix.lower())
    if engine not in ("auto", runner):
        raise ArgumentError(
            f"engine is {engine!r}, but {path} is an exported model, which {runner} runs; "
            f"pass engine:={runner} or a .safetensors file"
        )
    return [runner], f"it runs {path.name}"


def _automatic(device: str) -> tuple[list[str], str]:
    """The fastest exact engines, as docs/performance.md measures them."""
    kind = choose(device).device.type
    suited = {name: spec for name, spec in ENGINES.items() if kind in spec.automatic}
    found = [name for name, spec in suited.items() if spec.installed]
    missing = [spec.extra for spec in suited.values() if not spec.installed]
    where = "a GPU" if kind == "cuda" else "a CPU"
    without = f" without the extra {missing[0]!r}" if missing else ""
    return found, f"the fastest exact engine on {where}{without}"


def settle(model: RunnableModel, engine: str, device: str, precision: str) -> Compute:
    """Device and precision for an engine.

    Raises:
        ArgumentError: the engine does not compute so; the message says what it does.
    """
    spec = ENGINES[engine]
    chosen = choose(device, precision)
    if device == "auto" and not spec.precisions(chosen.device.type):
        chosen = choose("cpu", precision)
    known = spec.precisions(chosen.device.type)
    if not known:
        kinds = " or ".join(kind for kind in ("cuda", "cpu") if spec.precisions(kind))
        raise ArgumentError(
            f"engine {engine} does not run on {chosen.device} here, only on {kinds}; "
            f"pass device:={kinds.split()[0]}"
        )
    if model.file is not None and model.file.precision == "int8":
        return replace(chosen, precision="int8")
    if chosen.precision in known:
        return chosen
    if precision == "auto":
        return replace(chosen, precision="fp32")
    raise ArgumentError(
        f"precision is {precision!r}, but engine {engine} computes {', '.join(known)} "
        f"on {chosen.device} here; pass one of these or auto"
    )
