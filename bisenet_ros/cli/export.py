"""``python -m bisenet_ros export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np

    from bisenet_ros.inference.export.calibration import LabelledPair

CALIBRATION = 128  # images at most; more change the ranges no more


def export(
    out: Annotated[Path, typer.Argument(help="file to write: NAME.onnx, or NAME.xml for OpenVINO")],
    weights: Annotated[
        Path | None, typer.Option(help="weights file; without it the one shipped")
    ] = None,
    size: Annotated[
        str, typer.Option(help="input size, HEIGHTxWIDTH; empty: as the weights say")
    ] = "",
    int8: Annotated[bool, typer.Option("--int8", help="quantise to int8")] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(help="folder with images/ and labels/, to set and to score int8 by"),
    ] = None,
    max_drop: Annotated[
        float, typer.Option(help="points of mIoU that int8 may lose", min=0, max=100)
    ] = 1.0,
    json: Annotated[Path | None, typer.Option(help="write what was measured here")] = None,
) -> None:
    """Write the network as ONNX or OpenVINO IR; the node takes the file as weights."""
    from rich.console import Console

    from bisenet_ros.errors import ArgumentError
    from bisenet_ros.inference.export.reader import SUFFIXES
    from bisenet_ros.system.atomic_files import check_writable, staged, write_json

    if out.suffix.lower() not in SUFFIXES:
        raise ArgumentError(f"{out} should end in {' or '.join(SUFFIXES)}")
    if int8 != (calibrate is not None):
        raise ArgumentError("--int8 and --calibrate DIR go together; give both or neither")
    check_writable(out, "the output")
    if json is not None:
        check_writable(json, "--json")
    with staged(out.parent, "the output") as scratch:
        target = scratch / "results" / out.name
        facts = _export(target, weights, size, calibrate, max_drop)
    if json is not None:
        write_json(json, {"file": str(out), **facts})
    for name, value in facts.items():
        Console().print(f"{name}: {value}", highlight=False)


def _export(
    target: Path, weights: Path | None, size: str, calibrate: Path | None, max_drop: float
) -> dict[str, Any]:
    """Write ``target`` and check it; returns what was measured."""
    from bisenet_ros.checkpoints import load
    from bisenet_ros.cli.sizes import parse_size
    from bisenet_ros.inference.export import writer
    from bisenet_ros.inference.export.calibration import labelled_images
    from bisenet_ros.system.share import SHIPPED_WEIGHTS, share_file

    source = weights or share_file(SHIPPED_WEIGHTS)
    network, card = load(source)
    height, width = parse_size(size, "--size") if size else card.resolution
    fitted = tuple(-(-side // network.stride) * network.stride for side in (height, width))
    facts: dict[str, Any] = {"weights": str(source), "input": f"{fitted[0]}x{fitted[1]}"}
    if calibrate is None:
        writer.write(target, network, card, (fitted[0], fitted[1]))
        images = _noise((fitted[0], fitted[1]))
        facts["difference"] = writer.check(target, network, card, images)
        return facts
    pairs = labelled_images(calibrate)
    plain = target.parent.parent / f"float32{target.suffix}"
    writer.write(plain, network, card, (fitted[0], fitted[1]))
    examples = _examples(pairs[::2], len(card.labels), (fitted[0], fitted[1]))
    facts["difference"] = writer.check(plain, network, card, examples[:2])
    writer.write(target, network, card, (fitted[0], fitted[1]), examples)
    return {**facts, **_compare(plain, target, pairs[1::2], len(card.labels), max_drop)}


def _examples(pairs: list[LabelledPair], classes: int, size: tuple[int, int]) -> list[np.ndarray]:
    """Up to ``CALIBRATION`` of the images, evenly chosen, at the input's size."""
    import cv2

    chosen = pairs[:: -(-len(pairs) // CALIBRATION)]
    return [cv2.resize(pair.read(classes)[0], (size[1], size[0])) for pair in chosen]


def _noise(size: tuple[int, int]) -> list[np.ndarray]:
    """Two images that nobody has seen: noise, and noise of a tenth of the contrast."""
    import numpy as np

    random = np.random.default_rng(0)
    return [
        random.integers(0, 256, (*size, 3), np.uint8),
        random.integers(115, 141, (*size, 3), np.uint8),
    ]


def _compare(
    plain: Path, quantised: Path, pairs: list[LabelledPair], classes: int, max_drop: float
) -> dict[str, Any]:
    """Score both files; BarNotMet if int8 loses more than ``max_drop`` points of mIoU."""
    from bisenet_ros.errors import BarNotMet
    from bisenet_ros.inference import Segmenter
    from bisenet_ros.inference.export.calibration import score

    figures = {}
    for name, path in (("fp32", plain), ("int8", quantised)):
        segmenter = Segmenter(path, device="cpu", precision="fp32")
        scored = score(lambda image, s=segmenter: s([image])[0].mask, pairs, classes)  # type: ignore[misc]
        figures[name] = 100 * scored.miou
    drop = figures["fp32"] - figures["int8"]
    if not drop <= max_drop:
        raise BarNotMet(
            f"int8 scores {figures['int8']:.2f} % mIoU and float32 {figures['fp32']:.2f} % on "
            f"{len(pairs)} images: it loses {drop:.2f} points, at most {max_drop:g} were allowed, "
            "so nothing was written; calibrate with more or other images, or raise --max-drop"
        )
    return {
        "scored_images": len(pairs),
        "miou_fp32": figures["fp32"],
        "miou_int8": figures["int8"],
        "drop": drop,
    }
