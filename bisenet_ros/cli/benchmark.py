"""``python -m bisenet_ros benchmark``."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bisenet_ros.cli.options import Device
from bisenet_ros.inference.engines import ENGINES
from bisenet_ros.networks import NETWORKS

if TYPE_CHECKING:
    from bisenet_ros.benchmark.run import BenchmarkPlan

BASELINES = ("usual", "none")


def benchmark(
    device: Device = "auto",
    precision: Annotated[
        str, typer.Option(help="auto, fp32, fp16, bf16; int8 with tensorrt")
    ] = "auto",
    engine: Annotated[
        str, typer.Option(help=f"{', '.join(ENGINES)} or auto; comma-separated for several")
    ] = "auto",
    size: Annotated[str, typer.Option(help="network input size, HEIGHTxWIDTH")] = "512x1024",
    camera: Annotated[str, typer.Option(help="camera image size, HEIGHTxWIDTH")] = "720x1280",
    cameras: Annotated[int, typer.Option(help="number of cameras", min=1, max=64)] = 1,
    threads: Annotated[int, typer.Option(help="CPU threads; 0: one per core", min=0, max=1024)] = 0,
    weights: Annotated[
        str, typer.Option(help="weights file, or random; empty: the shipped weights, if installed")
    ] = "",
    network: Annotated[
        str, typer.Option(help=f"time this one with random weights: {', '.join(NETWORKS)}")
    ] = "",
    network_option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE of that network; may be repeated")
    ] = None,
    baseline: Annotated[
        str, typer.Option(help="conventional pipeline to compare with: usual or none")
    ] = "usual",
    stages: Annotated[
        bool,
        typer.Option("--stages", help="show the time of each stage, of ground grid and points"),
    ] = False,
    pairs: Annotated[int, typer.Option(help="paired measurements", min=1, max=10000)] = 10,
    cpu_load: Annotated[
        int, typer.Option(help="also measure with this many busy processes", min=0, max=1024)
    ] = 0,
    ros: Annotated[
        bool, typer.Option("--ros", help="also measure through the node, over DDS")
    ] = False,
    as_launched: Annotated[
        bool, typer.Option("--as-launched", help="use the launch files' process settings")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="write all measurements to this file")] = None,
) -> None:
    """Time camera image to mask and overlay, paired with a conventional pipeline."""
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
        _restart_with_environment()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="bisenet-benchmark-") as folder:
        plan = _plan(
            Path(folder),
            (device, precision, engine, size, camera),
            (cameras, threads, pairs, cpu_load),
            _weights(Path(folder), weights, network, network_option or []),
            baseline,
            stages,
        )
        with console.status("starting") as status:
            measured = run(plan, lambda what: status.update(what))
            if ros:
                status.update("the node, over DDS")
                measured["rows"] += _over_dds(plan, Path(folder), measured["rows"])
    if json is not None:
        write_json(json, measured)
    show(measured, console, stages)


def _plan(
    folder: Path,
    words: tuple[str, str, str, str, str],
    numbers: tuple[int, int, int, int],
    weights: tuple[Path, bool],
    baseline: str,
    projections: bool,
) -> BenchmarkPlan:
    """The options as a plan."""
    from bisenet_ros.benchmark.run import BenchmarkPlan, parse_engines
    from bisenet_ros.cli.sizes import parse_size
    from bisenet_ros.inference.engines.selection import read_model
    from bisenet_ros.networks.layers import round_up

    device, precision, engine, size_text, camera_text = words
    cameras, threads, pairs, cpu_load = numbers
    path, random = weights
    height, width = parse_size(size_text, "--size")
    # As the Segmenter would: both sides see the same input.
    step = read_model(path).input_step
    size = round_up(height, step), round_up(width, step)
    return BenchmarkPlan(
        weights=path,
        random=random,
        device=device,
        precision=precision,
        engines=parse_engines(engine),
        size=size,
        camera=parse_size(camera_text, "--camera"),
        cameras=cameras,
        threads=threads or len(os.sched_getaffinity(0)),
        usual=baseline == "usual",
        pairs=pairs,
        cpu_load=cpu_load,
        projections=projections,
    )


def _weights(
    folder: Path, weights: str, network: str, network_options: list[str]
) -> tuple[Path, bool]:
    """The weights file to time, and whether it is random; that is written to ``folder``."""
    from bisenet_ros.benchmark.pipelines import random_weights
    from bisenet_ros.checkpoints.convert.presets import RESOLUTION
    from bisenet_ros.cli.assignments import parse_assignments
    from bisenet_ros.errors import ArgumentError, DataError
    from bisenet_ros.system.share import SHIPPED_WEIGHTS, share_file

    if network_options and not network:
        raise ArgumentError("--network-option belongs to --network NAME; pass that, too")
    if network and weights not in ("", "random"):
        raise ArgumentError(
            f"--network {network} is timed with random weights, but --weights is {weights}; "
            "pass one of them"
        )
    options = parse_assignments(network_options, "--network-option")
    if not network and weights != "random":
        try:
            return Path(weights) if weights else share_file(SHIPPED_WEIGHTS), False
        except DataError:  # an installation without weights
            pass
    try:
        path = folder / "random.safetensors"
        return random_weights(path, RESOLUTION, network or "bisenetv2", **options), True
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"--network: {error}") from error


def _restart_with_environment() -> None:
    """Re-exec this command with the recommended environment, unless it is already set."""
    from bisenet_ros.system.environment import process_environment, recommended_environment

    if recommended_environment():
        sys.stdout.flush()
        os.execve(sys.executable, sys.orig_argv, process_environment())


def _over_dds(
    plan: BenchmarkPlan, folder: Path, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Rows of the node, measured in its own process."""
    from bisenet_ros.benchmark.over_dds import measure
    from bisenet_ros.cli.executables import ros_executable

    usual = next((r["median_ms"] for r in rows if r["name"] == "usual"), None)
    return [measure(plan, engine, folder, usual, ros_executable) for engine in plan.engines]
