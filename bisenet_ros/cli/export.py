"""``python -m bisenet_ros export``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bisenet_ros.cli.options import Weights
from bisenet_ros.datasets import DATASETS, open_set
from bisenet_ros.errors import ArgumentError, DataError

if TYPE_CHECKING:
    import numpy as np

    from bisenet_ros.datasets import LabelledSet
    from bisenet_ros.metrics.dataset import Predict

WORTH_TRAINING = 0.3  # points of mIoU that int8 loses


def export(
    out: Annotated[Path, typer.Argument(help="file to write: NAME.onnx, or NAME.xml for OpenVINO")],
    weights: Weights = None,
    size: Annotated[
        str, typer.Option(help="input size, HEIGHTxWIDTH; empty: from the weights")
    ] = "",
    int8: Annotated[bool, typer.Option("--int8", help="quantise to int8")] = False,
    tensorrt: Annotated[
        bool,
        typer.Option("--tensorrt", help="--int8 for the engine tensorrt; OUT beside the weights"),
    ] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(help="labelled data set: half of it sets the ranges of int8, half scores it"),
    ] = None,
    dataset: Annotated[
        str, typer.Option(help="how it is laid out: " + ", ".join(DATASETS))
    ] = "camvid",
    split: Annotated[str, typer.Option(help="which part of it")] = "val",
    max_drop: Annotated[
        float,
        typer.Option(help="largest drop in mIoU for int8, in percentage points", min=0, max=100),
    ] = 1.0,
    json: Annotated[Path | None, typer.Option(help="write the measurements to this file")] = None,
) -> None:
    """Export the network as ONNX or OpenVINO IR, which the node also takes as weights."""
    from rich.console import Console

    from bisenet_ros.inference.export.reader import SUFFIXES
    from bisenet_ros.system.atomic_files import check_writable, staged, write_json

    if out.suffix not in SUFFIXES:
        raise ArgumentError(f"{out} has the wrong suffix; expected {' or '.join(SUFFIXES)}")
    if int8 != (calibrate is not None):
        raise ArgumentError("--int8 and --calibrate DIR go together; give both or neither")
    if tensorrt:
        _check_tensorrt(out, int8, weights)
    if out.is_dir():
        raise ArgumentError(f"the output {out} is a folder; pass the path of a file")
    if json is not None:
        check_writable(json, "--json")
    calibration = None
    if calibrate is not None:
        calibration = partial(open_set, dataset, calibrate, split)
    with staged(out.parent, "the output") as scratch:
        target = scratch / "results" / out.name
        facts = _export(target, weights, size, calibration, max_drop, tensorrt)
    if json is not None:
        write_json(json, {"file": str(out), **facts})
    for name, value in facts.items():
        Console().print(f"{name}: {value}", highlight=False, markup=False)
    if facts.get("drop", 0.0) > WORTH_TRAINING:
        Console().print(
            "note: train --int8 --weights FILE, some hundred steps at a low learning rate, gets "
            "weights that lose less",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _export(
    target: Path,
    weights: Path | None,
    size: str,
    calibration: Callable[[], LabelledSet] | None,
    max_drop: float,
    tensorrt: bool,
) -> dict[str, Any]:
    """Write ``target`` and check it; returns what was measured."""
    from bisenet_ros.checkpoints import load
    from bisenet_ros.cli.inference_options import check_classes
    from bisenet_ros.cli.sizes import parse_size
    from bisenet_ros.inference.export import writer
    from bisenet_ros.inference.export.calibration import calibration_images
    from bisenet_ros.inference.export.quantised import quantise
    from bisenet_ros.inference.export.quantised_engine import predictor
    from bisenet_ros.networks.layers import round_up_size
    from bisenet_ros.system.share import SHIPPED_WEIGHTS, share_file

    source = weights or share_file(SHIPPED_WEIGHTS)
    network, card = load(source)
    asked = parse_size(size, "--size") if size else card.resolution
    fitted = round_up_size(asked, network.input_step)
    facts: dict[str, Any] = {"weights": str(source), "input": f"{fitted[0]}x{fitted[1]}"}
    if calibration is None:
        writer.write(target, network, card, fitted)
        facts["difference"] = writer.check(target, network, card, _noise(fitted))
        return facts
    labelled = calibration()
    check_classes(source, card.labels, labelled.source, labelled.labels)
    if len(labelled) < 2:
        raise DataError(f"{labelled.source}: expected at least 2 images, to calibrate and to score")
    plain = target.parent.parent / f"float32{target.suffix}"
    writer.write(plain, network, card, fitted)
    examples = calibration_images(replace(labelled, samples=labelled.samples[::2]), fitted)
    facts["difference"] = writer.check(plain, network, card, examples[:2])
    if tensorrt:
        content = quantise(network, card, source, fitted, examples)
        target.write_bytes(content)
        int8 = predictor(content, network, card, fitted)
    else:
        writer.write(target, network, card, fitted, examples)
        int8 = _served(target)
    scored = replace(labelled, samples=labelled.samples[1::2])
    return {**facts, **_compare(_served(plain), int8, scored, max_drop)}


def _check_tensorrt(out: Path, int8: bool, weights: Path | None) -> None:
    """Refuse what the engine tensorrt would not find."""
    from bisenet_ros.system.share import SHIPPED_WEIGHTS, share_file

    folder = (weights or share_file(SHIPPED_WEIGHTS)).parent
    if not int8:
        raise ArgumentError(
            "--tensorrt is for --int8 alone; in fp16 and fp32 the engine takes the weights file"
        )
    if out.suffix.lower() != ".onnx" or out.parent.resolve() != folder.resolve():
        raise ArgumentError(
            f"{out} is not beside the weights, where the engine tensorrt looks for it; "
            f"pass {folder / 'NAME.onnx'}"
        )


def _noise(size: tuple[int, int]) -> list[np.ndarray]:
    """Two random images: noise, and noise at a tenth of the contrast."""
    import numpy as np

    random = np.random.default_rng(0)
    return [
        random.integers(0, 256, (*size, 3), np.uint8),
        random.integers(115, 141, (*size, 3), np.uint8),
    ]


def _served(path: Path) -> Predict:
    from bisenet_ros.inference import Segmenter

    segmenter = Segmenter(path, device="cpu", precision="fp32")
    return lambda image: segmenter([image])[0].mask


def _compare(
    plain: Predict, quantised: Predict, labelled: LabelledSet, max_drop: float
) -> dict[str, Any]:
    """Score both models; BarNotMet if int8 loses more than ``max_drop`` points of mIoU."""
    from bisenet_ros.errors import BarNotMet
    from bisenet_ros.metrics.dataset import evaluate

    figures = {
        name: 100 * evaluate(predict, labelled, len(labelled.labels)).scores.miou
        for name, predict in (("fp32", plain), ("int8", quantised))
    }
    drop = figures["fp32"] - figures["int8"]
    if not drop <= max_drop:
        raise BarNotMet(
            f"int8 scores {figures['int8']:.2f} % mIoU and float32 {figures['fp32']:.2f} % on "
            f"{len(labelled)} images: it loses {drop:.2f} points, more than "
            f"--max-drop {max_drop:g}, so nothing was written; calibrate with more or different "
            "images, or raise --max-drop"
        )
    return {
        "scored_images": len(labelled),
        "miou_fp32": figures["fp32"],
        "miou_int8": figures["int8"],
        "drop": drop,
    }
