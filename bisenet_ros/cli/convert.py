"""``python -m bisenet_ros convert``."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bisenet_ros.checkpoints.convert import PRESETS, SOURCES, Converted, IncompleteError
from bisenet_ros.errors import ArgumentError, DataError

if TYPE_CHECKING:
    import numpy as np

    from bisenet_ros.inference.trial import Trial

SUFFIX = ".safetensors"
SHOWN = 8  # classes listed by share


def convert(
    context: typer.Context,
    checkpoint: Annotated[Path, typer.Argument(help="file of torch.save, or safetensors")],
    out: Annotated[Path, typer.Argument(help="weights file to write: NAME.safetensors")],
    classes: Annotated[
        str,
        typer.Option(
            help=f"{', '.join(PRESETS)}, or a YAML file such as config/labels/camvid.yaml"
        ),
    ],
    mean: Annotated[
        str, typer.Option(help="mean of RGB images in 0–1: R,G,B; empty: as the source publishes")
    ] = "",
    std: Annotated[str, typer.Option(help="their standard deviation; goes with --mean")] = "",
    source: Annotated[
        str, typer.Option(help=f"{', '.join(SOURCES)}; empty: told by the keys")
    ] = "",
    option: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE of the network that the keys cannot tell; may be repeated"),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="convert what fits of an incomplete checkpoint")
    ] = False,
    size: Annotated[
        str, typer.Option(help="input size, HEIGHTxWIDTH; empty: the preset's, or 512x1024")
    ] = "",
    image: Annotated[
        Path | None, typer.Option(help="photo to segment; the overlay goes to NAME.png beside OUT")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="write what was found and done here")] = None,
) -> None:
    """Make a weights file from another project's checkpoint."""
    from bisenet_ros.checkpoints.convert import convert as convert_checkpoint
    from bisenet_ros.cli.assignments import parse_assignments
    from bisenet_ros.cli.sizes import parse_size
    from bisenet_ros.cli.terminal import command_line
    from bisenet_ros.system.atomic_files import write_json

    _check_paths(checkpoint, out, image, json)
    photo = None if image is None else _read_image(image)
    try:
        converted = convert_checkpoint(
            checkpoint,
            classes,
            _triple(mean, "--mean"),
            _triple(std, "--std"),
            source or None,
            parse_assignments(option or [], "--option"),
            allow_missing,
            parse_size(size, "--size") if size else None,
            command_line(context),
        )
    except IncompleteError as error:
        _print_incomplete(error)
        if json is not None:
            lists = {"unplaced": list(error.unplaced), "unfilled": list(error.unfilled)}
            write_json(json, {"error": str(error), **lists})
        raise
    facts = _facts(checkpoint, out, converted)
    facts |= _write(out, converted, photo)
    if json is not None:
        write_json(json, facts)
    _print(facts, converted)


def _check_paths(checkpoint: Path, out: Path, image: Path | None, json: Path | None) -> None:
    """ArgumentError unless every output can be written and replaces nothing that was passed."""
    from bisenet_ros.system.atomic_files import check_writable

    if out.suffix.lower() != SUFFIX:
        raise ArgumentError(f"{out} should end in {SUFFIX}, which is what the node takes")
    outputs = {"the output": out}
    outputs |= {} if json is None else {"--json": json}
    outputs |= {} if image is None else {"the picture beside the output": out.with_suffix(".png")}
    taken = [checkpoint.absolute()]
    taken += [] if image is None else [image.absolute()]
    for what, path in outputs.items():
        check_writable(path, what)
        if path.exists() and any(given.exists() and path.samefile(given) for given in taken):
            raise ArgumentError(f"{what} {path} is a file that was passed to read; name another")
        if path.absolute() in taken:
            raise ArgumentError(f"{what} {path} is named twice; name another file")
        taken.append(path.absolute())


def _triple(text: str, option: str) -> tuple[float, float, float] | None:
    if not text:
        return None
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ArgumentError(
            f"{option} is {text!r}; expected three numbers R,G,B such as 0.485,0.456,0.406"
        ) from error
    return red, green, blue


def _read_image(path: Path) -> np.ndarray:
    from bisenet_ros.datasets.pictures import read_rgb

    try:
        return read_rgb(path)
    except DataError as error:
        raise DataError(f"--image {error}") from error


def _write(out: Path, converted: Converted, photo: np.ndarray | None) -> dict[str, Any]:
    """Run the network once, then write the weights and the picture together."""
    from bisenet_ros.checkpoints import fingerprint, load, save
    from bisenet_ros.inference.trial import synthetic_image, try_once
    from bisenet_ros.system.atomic_files import staged

    card = converted.card
    with staged(out.parent, "the output") as scratch:
        target = save(scratch / "results" / out.name, converted.network, card)
        network, card = load(target)
        image = synthetic_image(card.resolution) if photo is None else photo
        trial = try_once(network, card, image)
        picture = None
        if photo is not None:
            picture = out.with_suffix(".png")
            _draw(target.with_suffix(".png"), photo, trial, card.labels.palette())
        facts = {
            "input_shape": list(trial.input_shape),
            "logits_shape": list(trial.logits_shape),
            "image": "synthetic" if photo is None else "photo",
            "class_shares": trial.shares,
            "picture": str(picture) if picture else None,
            "sha256": fingerprint(target),
        }
    return facts


def _draw(path: Path, photo: np.ndarray, trial: Trial, palette: np.ndarray) -> None:
    import cv2

    from bisenet_ros.inference.cpu.overlay import blend

    cv2.imwrite(str(path), blend(photo, trial.mask, palette, 0.5)[..., ::-1])


def _facts(checkpoint: Path, out: Path, converted: Converted) -> dict[str, Any]:
    card, match = converted.card, converted.match
    return {
        "checkpoint": str(checkpoint),
        "file": str(out),
        "source": converted.source,
        "why": match.why,
        "unwrapped": list(converted.unwrapped),
        "architecture": card.architecture,
        "options": card.options,
        "assumed": converted.assumed,
        "classes": len(card.labels),
        "mean": list(card.mean),
        "std": list(card.std),
        "normalisation": converted.normalisation,
        "channel_order": match.channel_order,
        "dropped": list(converted.dropped),
        "unplaced": list(converted.unplaced),
        "unfilled": list(converted.unfilled),
        "counters_set_to_zero": len(converted.counters),
        "parameters": sum(p.numel() for p in converted.network.parameters()),
    }


def _print(facts: dict[str, Any], converted: Converted) -> None:
    from rich.console import Console

    rows = [
        ("source", f"{facts['source']} ({facts['why']})"),
        ("unwrapped", ", ".join(facts["unwrapped"]) or "nothing"),
        ("network", f"{facts['architecture']}, {facts['parameters']:,} parameters"),
        ("options", json_module.dumps(facts["options"])),
        *((f"assumed {name}", said) for name, said in facts["assumed"].items()),
        ("mean, std", f"{facts['mean']}, {facts['std']} ({facts['normalisation']})"),
    ]
    if facts["channel_order"] == "bgr":
        rows.append(("channels", "turned from BGR to RGB in the first convolution"))
    for key, said in (
        ("dropped", "without a counterpart here"),
        ("unplaced", "left out"),
        ("unfilled", "kept as initialised"),
    ):
        if facts[key]:
            rows.append((key, f"{len(facts[key])} tensors {said}: {', '.join(facts[key])}"))
    shares = sorted(facts["class_shares"].items(), key=lambda item: -item[1])
    rest = f", {len(shares) - SHOWN} more" if len(shares) > SHOWN else ""
    rows += [
        ("forward", f"{_shape(facts['input_shape'])} → {_shape(facts['logits_shape'])}"),
        (
            f"classes of a {facts['image']} image" if facts["image"] == "synthetic" else "classes",
            ", ".join(f"{name} {share:.1%}" for name, share in shares[:SHOWN]) + rest,
        ),
    ]
    if facts["picture"]:
        rows.append(("picture", facts["picture"]))
    rows.append(("wrote", facts["file"]))
    console = Console()
    for name, said in rows:
        console.print(f"{name}: {said}", highlight=False, markup=False, soft_wrap=True)


def _print_incomplete(error: IncompleteError) -> None:
    from bisenet_ros.checkpoints.convert.keys import shown_name

    for key in error.unplaced:
        print(f"no place for: {shown_name(key)}")
    for name in error.unfilled:
        print(f"not filled: {name}")


def _shape(shape: list[int]) -> str:
    return "×".join(map(str, shape))
