"""Proves or breaks the GPU path on this machine, in its own Python: `make gpu`.

    python3 scripts/gpu_check.py                      # everything; about 27 minutes
    python3 scripts/gpu_check.py --minutes 9          # the most valuable steps that fit
    python3 scripts/gpu_check.py --step parity        # one step; --again repeats what is done
    python3 scripts/gpu_check.py --dry-run            # the same code on the CPU, under a minute

Needs torch, NumPy, OpenCV, safetensors and PyYAML; pytest and hypothesis for the tests, Lightning,
torchmetrics and kornia for training. No network, no ROS, no virtual environment of ours. Each step
is a process with a time limit of its own, and its result is written when it ends: an interrupted
run continues where it was. Results: benchmarks/results/gpu-NAME.json and .md, named by the GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from gpu_report import markdown  # noqa: E402

REFUSED, INTERRUPTED = 2, 130
GRACE_S = 10.0  # for a step that is past its limit to end by itself


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        minutes: how long it usually takes; what is left must be as much, or it is left out.
        limit: minutes after which it is stopped.
        needs: packages beyond the core, by import name.
        grows: whether it uses all the time that is left.
    """

    minutes: float
    limit: float
    needs: tuple[str, ...] = ()
    grows: bool = False


CORE = ("torch", "numpy", "cv2", "safetensors", "yaml")
TRAINING = ("lightning", "torchmetrics", "kornia", "PIL")
# By value: what comes first is what a short loan should still show.
STEPS = {
    "environment": Step(0.3, 2.0),
    "parity": Step(1.0, 4.0),
    "tests": Step(2.0, 8.0, ("pytest", "hypothesis")),
    "benchmark": Step(3.0, 8.0),
    "cameras": Step(1.5, 5.0),
    "large": Step(1.5, 5.0),
    "files": Step(0.7, 3.0),
    "engines": Step(4.0, 10.0),
    "memory": Step(2.0, 6.0),
    "throughput": Step(1.5, 5.0, TRAINING),
    "training": Step(4.0, 600.0, TRAINING, grows=True),
}


def main() -> int:
    """Run the steps that are asked for, not done yet, and fit."""
    arguments = parse()
    name, problem = device_name(arguments.dry_run)
    if problem:
        print(f"error: {problem}", file=sys.stderr)
        return REFUSED
    out = arguments.out / f"gpu-{name}.json"
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
        results = read(out)
        write(out, {"name": name, **results})
    except (OSError, ValueError) as error:
        print(f"error: {out} cannot be used ({error}); pass another --out", file=sys.stderr)
        return REFUSED
    deadline = time.monotonic() + 60 * arguments.minutes
    for step in arguments.step or STEPS:
        left = (deadline - time.monotonic()) / 60
        passed = results["steps"].get(step, {}).get("status") == "passed"
        if passed and not arguments.again and step != "training":
            print(f"{step}: done before, in {out}")
            continue
        why = left_out(STEPS[step], left, arguments)
        if why:
            print(f"{step}: left out: {why}")
            if not passed:
                results["steps"][step] = {"status": "left out", "why": why}
        else:
            print(f"{step} …", flush=True)
            found = run(step, arguments, left)
            results["steps"][step] = found
            print(f"{step}: {found['status']} in {found['seconds']:.0f} s{said(found)}")
        write(out, {"name": name, **results})
        if results["steps"][step].get("status") == "interrupted":
            return INTERRUPTED
    print(f"{out}, {out.with_suffix('.md').name}")
    states = [results["steps"].get(step, {}).get("status") for step in arguments.step or STEPS]
    return int(any(state in ("failed", "timed out") for state in states))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--step", action="append", choices=STEPS, help="only this; repeatable")
    parser.add_argument("--minutes", type=float, default=25.0, help="for all of it [25]")
    parser.add_argument("--again", action="store_true", help="repeat steps that are done")
    parser.add_argument("--dry-run", action="store_true", help="the same code on the CPU, tiny")
    parser.add_argument("--data", type=Path, help="CamVid's folder, for training")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results", help="folder")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "runs/gpu", help="folder of the training run"
    )
    return parser.parse_args()


def device_name(dry_run: bool) -> tuple[str, str]:
    """A file name for this GPU, or why it cannot be used."""
    missing = [package for package in CORE if not importable(package)]
    if missing:
        return "", (
            f"this Python has no {', '.join(missing)}; run with the one that has the GPU's torch, "
            "and install the rest"
        )
    if dry_run:
        return "dry-run", ""
    import torch

    from bisenet_ros.errors import ArgumentError
    from bisenet_ros.inference.device import choose

    try:
        choose("cuda", "fp32")
    except ArgumentError as error:
        return "", f"{error}; --dry-run walks the same code on the CPU"
    words = torch.cuda.get_device_name().lower().replace("/", " ").split()
    return "-".join(words), ""


def left_out(step: Step, left: float, arguments: argparse.Namespace) -> str:
    """Why a step is not run; empty if it is."""
    missing = [name for name in step.needs if not importable(name)]
    if missing:
        return f"{', '.join(missing)} not installed"
    if step.grows and arguments.data is None and not arguments.dry_run:
        return "no --data"
    if left < step.minutes and not arguments.step:
        return f"it takes about {step.minutes:g} minutes, and {max(left, 0):.1f} are left"
    return ""


def importable(name: str) -> bool:
    """Whether a package is there, without importing it."""
    from importlib.util import find_spec

    return find_spec(name) is not None


def run(step: str, arguments: argparse.Namespace, left: float) -> dict[str, Any]:
    """Run a step in a process of its own; its result, and how it ended."""
    limit = STEPS[step].limit if not STEPS[step].grows else max(left, STEPS[step].minutes)
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, str(ROOT / "scripts/gpu_steps.py"), step]
        command += ["--result", str(result), "--minutes", f"{limit - 0.5:.2f}"]
        command += ["--work", str(arguments.work)]
        command += ["--data", str(arguments.data)] if arguments.data else []
        command += ["--dry-run"] if arguments.dry_run else []
        started = time.monotonic()
        code, output = wait(command, 60 * limit)
        found: dict[str, Any] = {
            "status": {0: "passed", -1: "timed out", INTERRUPTED: "interrupted"}.get(
                code, "failed"
            ),
            "seconds": round(time.monotonic() - started, 1),
            "at": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        if result.is_file():
            found["result"] = json.loads(result.read_text())
        if found["status"] != "passed":
            found["output"] = output[-4000:]
    return found


def wait(command: list[str], limit_s: float) -> tuple[int, str]:
    """Exit code and output of a command; −1 if it ran past its limit, 130 after Ctrl-C."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit_s)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        return -1, _end(process)
    except KeyboardInterrupt:
        return INTERRUPTED, _end(process)


def _end(process: subprocess.Popen[str]) -> str:
    """Stop a step and what it started; its output."""
    for sign in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            return process.communicate(timeout=GRACE_S)[0]
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            break
    return process.communicate()[0]


def said(found: dict[str, Any]) -> str:
    """The last line of a step that did not pass."""
    lines = found.get("output", "").strip().splitlines()
    return f": {lines[-1]}" if lines else ""


def read(path: Path) -> dict[str, Any]:
    """Results of an earlier run on this GPU; ValueError if the file holds something else."""
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {"steps": {}}
    if not isinstance(found, dict) or not isinstance(found.get("steps"), dict):
        raise ValueError("it does not hold the results of an earlier run")
    return found


def write(path: Path, results: dict[str, Any]) -> None:
    """Write the JSON and the table, each whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = {".json": json.dumps(results, indent=1) + "\n", ".md": markdown(results)}
    for suffix, text in texts.items():
        scratch = path.with_suffix(suffix + ".part")
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path.with_suffix(suffix))


if __name__ == "__main__":
    sys.exit(main())
