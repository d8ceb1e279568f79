"""Plant small mistakes in the code and see whether the tests notice: ``make mutants``.

    python scripts/mutants.py [--modules statistics,losses] [--children 2] [--json FILE]

mutmut (the extra ``mutants``) makes the mistakes, one at a time: another operator, number, argument
or default. Each module is run in a copy of the checkout with the tests that are meant for it. A
mutant that no test fails for survives; docs/reliability.md lists survivors with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What is mutated, as globs below bisenet_ros/, and the tests that should notice.
MODULES = {
    "losses": (["training/losses.py"], ["test/training/test_losses.py"]),
    "statistics": (
        ["ros/segmentation/statistics.py", "ros/segmentation/diagnostics.py"],
        ["test/ros/segmentation/test_statistics.py"],
    ),
    "scheduler": (
        ["ros/segmentation/scheduler.py"],
        ["test/ros/segmentation/test_scheduler.py"],
    ),
    "messages": (["ros/messages.py"], ["test/ros/test_messages.py"]),
    "encodings": (
        ["inference/image_encodings.py"],
        ["test/inference/test_image_encodings.py", "test/inference/test_hostile_images.py"],
    ),
    "metrics": (["metrics/*.py"], ["test/metrics"]),
    "networks": (["networks/*.py"], ["test/networks"]),
    "inference": (
        ["inference/*.py", "inference/cpu/*.py", "inference/engines/*.py", "inference/export/*.py"],
        ["test/inference", "--ignore=test/inference/cuda"],
    ),
}
SETTINGS = """
[tool.mutmut]
source_paths = ["bisenet_ros"]
only_mutate = {only}
also_copy = {copied}
pytest_add_cli_args = ["-p", "no:cacheprovider", "--hypothesis-seed=0", "-q"]
pytest_add_cli_args_test_selection = {tests}
process_isolation = "forkserver"
mutate_only_covered_lines = true
use_git_change_detection = false
"""
COPIED = ("config", "weights", "launch", "scripts", "setup.py", "package.xml", "resource", "docs")
KILLED = ("killed", "timeout", "segfault", "caught by type check")


def main() -> int:
    """Run the chosen modules; 1 if one is below the bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modules", default=",".join(MODULES), help="comma-separated")
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--json", type=Path, help="write counts and survivors")
    parser.add_argument("--bar", type=float, default=0.0, help="least share killed, 0 to 1")
    given = parser.parse_args()
    found = {}
    for name in given.modules.split(","):
        found[name] = run(name, given.children)
        counts = found[name]
        print(f"{name}: {counts['killed']} of {counts['mutants']} killed ({counts['share']:.0%})")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    return int(any(counts["share"] < given.bar for counts in found.values()))


def run(name: str, children: int) -> dict:
    """Mutate one module in a copy of the checkout; its counts and survivors."""
    sources, tests = MODULES[name]
    with tempfile.TemporaryDirectory(prefix="bisenet_ros-mutants-") as folder:
        copy = Path(folder) / "checkout"
        _copy(copy)
        settings = SETTINGS.format(
            only=json.dumps([f"bisenet_ros/{source}" for source in sources]),
            copied=json.dumps(list(COPIED)),
            tests=json.dumps(tests),
        )
        with (copy / "pyproject.toml").open("a") as file:
            file.write(settings)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        line = [sys.executable, "-m", "mutmut"]
        done = subprocess.run(
            [*line, "run", "--max-children", str(children)], cwd=copy, env=environment
        )
        if done.returncode:
            raise SystemExit(f"mutmut failed on {name} with exit code {done.returncode}")
        results = subprocess.run(
            [*line, "results", "--all", "true"], cwd=copy, env=environment, capture_output=True
        )
        counts = _counted(results.stdout.decode())
        counts["survivors"] = {
            name: _change(copy, environment, name) for name in counts["survivors"]
        }
        return counts


def _change(copy: Path, environment: dict[str, str], name: str) -> list[str]:
    """The changed lines of a mutant, as in a diff."""
    line = [sys.executable, "-m", "mutmut", "show", name]
    shown = subprocess.run(line, cwd=copy, env=environment, capture_output=True).stdout.decode()
    lines = shown.splitlines()
    return [x for x in lines if x[:1] in "+-" and x[:3] not in ("+++", "---")]


def _copy(target: Path) -> None:
    """The files of the checkout that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)


def _counted(results: str) -> dict:
    """Counts and survivors of mutmut's list of ``name: status`` lines."""
    pairs = [line.strip().rsplit(": ", 1) for line in results.splitlines() if ": " in line]
    counts = Counter(status for _, status in pairs)
    covered = sum(counts.values()) - counts["skipped"] - counts["not checked"]
    killed = sum(counts[status] for status in KILLED)
    return {
        "mutants": covered,
        "killed": killed,
        "share": killed / max(1, covered),
        "statuses": dict(counts),
        "survivors": sorted(name for name, status in pairs if status not in (*KILLED, "skipped")),
    }


if __name__ == "__main__":
    sys.exit(main())
