"""The steps of scripts/gpu_check.py that measure time: sizes, cameras, files and engines."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_context import Context, frames, installed, scratch

from bisenet_ros.benchmark.pipelines import warm_up
from bisenet_ros.errors import ArgumentError, BisenetError
from bisenet_ros.inference import Segmenter
from bisenet_ros.system.optional import needed
from bisenet_ros.system.share import SHIPPED_WEIGHTS, share_file


def measured(context: Context, folder: Path, **changes: Any) -> dict[str, Any]:
    """One benchmark, as `python -m bisenet_ros benchmark` runs it."""
    from bisenet_ros.benchmark.pipelines import random_weights
    from bisenet_ros.benchmark.run import BenchmarkPlan, run

    size = context.size(*changes.pop("size", (512, 1024)))
    weights = random_weights(folder / "random.safetensors", size)
    plan = {
        "weights": weights,
        "random": True,
        "device": context.device,
        "precision": "auto",
        "engines": ("torch",),
        "size": size,
        "camera": context.size(*changes.pop("camera", (720, 1280))),
        "cameras": 1,
        "threads": torch.get_num_threads(),
        "usual": True,
        "pairs": context.count(40),
        "cpu_load": 0,
        **changes,
    }
    return run(BenchmarkPlan(**plan), lambda what: print(what, flush=True))


def measured_alone(context: Context, folder: Path, **changes: Any) -> dict[str, Any]:
    """The row of one engine that is not compared with anything."""
    found = measured(context, folder, usual=False, floor=False, **changes)
    row: dict[str, Any] = found["rows"][-1]
    return row


def benchmark(context: Context) -> None:
    """512×1024 from 720×1280 in every precision, each in turn with the usual pipeline."""
    with scratch() as folder:
        for precision in reversed(context.precisions):  # the fastest first
            context.note(**{precision: measured(context, folder, precision=precision)})


def cameras(context: Context) -> None:
    """One, two and four cameras on one model (goal 7)."""
    rows: dict[str, float] = {}
    with scratch() as folder:
        for count in (1, 2) if context.dry_run else (1, 2, 4):
            rows[str(count)] = measured_alone(context, folder, cameras=count)["median_ms"]
            ratios = {n: value / rows["1"] for n, value in rows.items()}
            context.note(median_ms=rows, ratio_to_one=ratios)


def large(context: Context) -> None:
    """1024×2048 from 1080×1920."""
    with scratch() as folder:
        pairs = context.count(20)
        found = measured(context, folder, size=(1024, 2048), camera=(1080, 1920), pairs=pairs)
        context.note(**found)


def files(context: Context) -> None:
    """Each shipped weights file, timed alone: which one is for this machine."""
    rows: dict[str, Any] = {}
    with scratch() as folder:
        for path in sorted(share_file(SHIPPED_WEIGHTS).parent.glob("*.safetensors")):
            rows[path.stem] = measured_alone(context, folder, weights=path, random=False)
            context.note(files=rows)
    assert rows, "there are no weights files"


def engines(context: Context) -> None:
    """Every engine that starts here, TensorRT also in int8; why the others do not."""
    from bisenet_ros.inference.engines import ENGINES

    rows: dict[str, Any] = {}
    with scratch() as folder:
        for name in ENGINES:
            rows[name] = attempt(partial(one_engine, context, folder, name))
            context.note(engines=rows)
        rows["tensorrt int8"] = attempt(partial(in_int8, context, folder))
        context.note(engines=rows)
    failed = [name for name, row in rows.items() if "failed" in row]
    assert not failed, f"{', '.join(failed)} broke"


def attempt(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was measured, or why nothing was: a runtime that breaks is a result, too."""
    try:
        return measure()
    except (BisenetError, ImportError) as error:
        return {"left_out": str(error)}
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"[:500]}


def one_engine(context: Context, folder: Path, name: str) -> dict[str, Any]:
    """An engine in its fastest exact precision."""
    from bisenet_ros.inference.engines import ENGINES

    if context.dry_run and name not in ("torch", "onnxruntime"):
        return {"left_out": "dry run"}
    if not ENGINES[name].precisions(context.device):
        return {"left_out": f"does not run on {context.device}"}
    return measured_alone(context, folder, engines=(name,))


def in_int8(context: Context, folder: Path) -> dict[str, Any]:
    """TensorRT in int8 on the shipped weights, and how much of the mask that changes.

    The network quantised for it is taken from beside the weights, or made where NNCF is installed.
    """
    size = context.size(512, 1024)
    weights = quantised_weights(context, size, folder)
    plan = {"weights": weights, "random": False, "engines": ("tensorrt",), "precision": "int8"}
    row = measured_alone(context, folder, **plan)
    images, _ = frames(context.size(720, 1280))
    masks = []
    for engine, precision in (("torch", "fp32"), ("tensorrt", "int8")):
        segmenter = Segmenter(weights, context.device, precision, engine, size)
        warm_up(segmenter, 1, lambda what: print(what, flush=True))
        masks.append(np.stack([segmenter([image], "bgr")[0].mask for image in images]))
    return {**row, "mask_differs": float((masks[0] != masks[1]).mean())}


def quantised_weights(context: Context, size: tuple[int, int], folder: Path) -> Path:
    """A copy of the shipped weights with a network quantised for ``size`` beside it."""
    from bisenet_ros.checkpoints import load
    from bisenet_ros.inference.export.quantised import find, padded_size, quantise

    needed("tensorrt", "", "the engine tensorrt")
    shipped = share_file(SHIPPED_WEIGHTS)
    network, card = load(shipped)
    try:
        content = find(shipped, padded_size(network, size))
    except ArgumentError:
        if not (installed("nncf") and installed("onnx")):
            raise
        examples = [np.ascontiguousarray(image[..., ::-1]) for image in frames(size)[0]]
        content = quantise(network, card, shipped, size, examples)
    weights = folder / shipped.name
    shutil.copyfile(shipped, weights)
    weights.with_name(f"{shipped.stem}-int8.onnx").write_bytes(content)
    return weights
