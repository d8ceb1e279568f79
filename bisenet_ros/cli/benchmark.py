"""``python -m bisenet_ros benchmark``."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bisenet_ros.inference.engines import ENGINES

if TYPE_CHECKING:
    from bisenet_ros.benchmark.run import Plan

BASELINES = ("usual", "none")


def benchmark(
    device: Annotated[str, typer.Option(help="cuda, cuda:N, cpu or auto")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32, fp16, bf16 or auto")] = "auto",
    engine: Annotated[
        str, typer.Option(help=f"{', '.join(ENGINES)}, auto; several with commas")
    ] = "auto",
    size: Annotated[str, typer.Option(help="network's input, HEIGHTxWIDTH")] = "512x1024",
    camera: Annotated[str, typer.Option(help="camera's images, HEIGHTxWIDTH")] = "720x1280",
    cameras: Annotated[int, typer.Option(help="cameras at once", min=1, max=64)] = 1,
    threads: Annotated[int, typer.Option(help="CPU threads; 0: one a core", min=0, max=1024)] = 0,
    weights: Annotated[
        str, typer.Option(help="weights file, or random; empty: those shipped, if they are there")
    ] = "",
    baseline: Annotated[str, typer.Option(help="usual or none")] = "usual",
    stages: Annotated[bool, typer.Option("--stages", help="show the time of each stage")] = False,
    pairs: Annotated[int, typer.Option(help="pairs to measure", min=1, max=10000)] = 10,
    contend: Annotated[
        int, typer.Option(help="busy processes to measure beside, too", min=0, max=1024)
    ] = 0,
    ros: Annotated[
        bool, typer.Option("--ros", help="add the way through the node, on DDS")
    ] = False,
    as_launched: Annotated[
        bool, typer.Option("--as-launched", help="with the launch files' process settings")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="write everything measured here")] = None,
) -> None:
    """Measure camera image to mask and overlay, paired with the usual pipeline."""
    from rich.console import Console

    from bisenet_ros.benchmark.run import run
    from bisenet_ros.benchmark.table import show
    from bisenet_ros.errors import ArgumentError
    from bisenet_ros.system.atomic_files import check_writable, write_json

    if baseline not in BASELINES:
        raise ArgumentError(f"--baseline is {baseline!r}; expected {' or '.join(BASELINES)}")
    if json is not None:
        check_writable(json, "--json")
    if as_launched:
        _start_again()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="bisenet-benchmark-") as folder:
        plan = _plan(
            Path(folder),
            (device, precision, engine, size, camera),
            (cameras, threads, pairs, contend),
            weights,
            baseline,
        )
        with console.status("starting") as status:
            measured = run(plan, lambda what: status.update(what))
            if ros:
                status.update("the node, on DDS")
                measured["rows"] += _over_dds(plan, Path(folder), measured["rows"])
    if json is not None:
        write_json(json, measured)
    show(measured, console, stages)


def _plan(
    folder: Path,
    words: tuple[str, str, str, str, str],
    numbers: tuple[int, int, int, int],
    weights: str,
    baseline: str,
) -> Plan:
    """The options as a plan; random weights are written into ``folder``."""
    from bisenet_ros.benchmark.pipelines import random_weights
    from bisenet_ros.benchmark.run import Plan, engines_of
    from bisenet_ros.cli.sizes import parse_size
    from bisenet_ros.errors import DataError
    from bisenet_ros.system.share import SHIPPED_WEIGHTS, share_file

    device, precision, engine, size_text, camera_text = words
    cameras, threads, pairs, contend = numbers
    size = parse_size(size_text, "--size")
    # As the Segmenter would: both sides see the same input.
    size = (-(-size[0] // 8) * 8, -(-size[1] // 8) * 8)
    random = weights == "random"
    path = Path(weights)
    if not weights:
        try:
            path = share_file(SHIPPED_WEIGHTS)
        except DataError:
            random = True
    return Plan(
        weights=random_weights(folder / "random.safetensors", size) if random else path,
        random=random,
        device=device,
        precision=precision,
        engines=engines_of(engine),
        size=size,
        camera=parse_size(camera_text, "--camera"),
        cameras=cameras,
        threads=threads or len(os.sched_getaffinity(0)),
        usual=baseline == "usual",
        pairs=pairs,
        contend=contend,
    )


def _start_again() -> None:
    """Become the same command with the recommended environment, unless it is in force."""
    from bisenet_ros.system.environment import process_environment, recommended_environment

    if recommended_environment():
        sys.stdout.flush()
        os.execve(sys.executable, sys.orig_argv, process_environment())


def _over_dds(plan: Plan, folder: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the node, measured by a process of its own."""
    from bisenet_ros.benchmark.over_dds import measure

    usual = next((r["median_ms"] for r in rows if r["name"] == "usual"), None)
    return [measure(plan, engine, folder, usual) for engine in plan.engines]
