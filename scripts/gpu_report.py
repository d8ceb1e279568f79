"""The table of what scripts/gpu_check.py measured, as markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def markdown(results: dict[str, Any]) -> str:
    """A page of one machine's results; steps that did not pass say why."""
    lines = [f"# {results.get('name', 'GPU')}", "", "| step | | what |", "|---|---|---|"]
    for name, step in results["steps"].items():
        for index, row in enumerate(_rows(name, step)):
            lines.append(f"| {name if not index else ''} | {row[0]} | {row[1]} |")
    return "\n".join([*lines, ""])


def _rows(name: str, step: dict[str, Any]) -> Iterator[tuple[str, str]]:
    status = step.get("status", "")
    found = step.get("result", {})
    yield status, f"{step['seconds']:.0f} s, {step['at']}" if "at" in step else step.get("why", "")
    if status in ("failed", "timed out"):
        last = step.get("output", "").strip().splitlines()[-1:] or [""]
        yield "", last[0].replace("|", "\\|")
    yield from FIGURES.get(name, _plain)(found)


def _plain(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in found.items():
        if not isinstance(value, dict):
            yield key, str(value).replace("|", "\\|").replace("\n", " ")[:200]


def _parity(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, row in found.get("precisions", {}).items():
        yield (
            name,
            f"{100 * row['mask_differs']:.3f} % of the mask differs (limit "
            f"{100 * row['limit']:.2f}), confidence within {row['confidence_p99']} in 99 %, "
            f"overlay within {row['overlay_max']}{_with(row['fallback'])}",
        )


def _with(note: str) -> str:
    return f"; {note}" if note else ""


def _benchmark(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, run in found.items():
        if isinstance(run, dict) and "rows" in run:
            yield from _run(name, run)


def _large(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "rows" in found:
        yield from _run("", found)


def _run(name: str, run: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for row in run["rows"]:
        yield f"{name} {row['name']}".strip(), _row(row)
    floor = run.get("floor", {})
    if floor:
        figures = ", ".join(f"{k} {v:.3g}" for k, v in floor.items() if isinstance(v, float))
        yield "lower bound", figures


def _row(row: dict[str, Any]) -> str:
    ratio = row.get("ratio_to_usual")
    stages = ", ".join(f"{k} {v:.2f}" for k, v in row["stages"].items() if v is not None)
    times = "" if ratio is None else f", {ratio:.1f}× the usual pipeline's speed"
    return f"{row['median_ms']:.2f} ms{times} ({stages})"


def _cameras(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for count, value in found.get("median_ms", {}).items():
        yield count, f"{value:.2f} ms, {found['ratio_to_one'][count]:.2f}× one camera"


def _files(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, row in found.get("files", {}).items():
        yield name, _row(row)


def _engines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, row in found.get("engines", {}).items():
        differs = row.get("mask_differs")
        changed = "" if differs is None else f", {100 * differs:.2f} % of the mask differs"
        text = _row(row) + changed if "median_ms" in row else " ".join(map(str, row.values()))
        yield name, text[:300].replace("|", "\\|")


def _throughput(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, row in found.items():
        yield name.replace("_", " "), f"{row['images_per_s']:.1f} images/s"


FIGURES: dict[str, Callable[[dict[str, Any]], Iterator[tuple[str, str]]]] = {
    "parity": _parity,
    "benchmark": _benchmark,
    "large": _large,
    "cameras": _cameras,
    "files": _files,
    "engines": _engines,
    "throughput": _throughput,
}
