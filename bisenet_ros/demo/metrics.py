"""What only a live run tells: how many frames got through, how late, and any problems."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bisenet_ros.demo.pipeline import NODE, LivePlan, Played
from bisenet_ros.inference.result import STAGES
from bisenet_ros.recordings.node_outputs import read_json


def live_figures(plan: LivePlan, played: Played) -> dict[str, Any]:
    """Frames lost, ages, stage times, the node's model; JSON values."""
    received = read_json(played.recording.metrics)
    camera, model = _node_statuses(played)
    values = camera.get("values", {})
    lockstep = plan.rate is None and plan.rate_factor == 0
    # The clock stands still while a frame is waited for, so that ages mean nothing.
    ages = {key: None if lockstep else received[key] for key in ("age_ms_p50", "age_ms_p95")}
    return {
        "rate_factor": None if plan.rate is not None else plan.rate_factor,
        "played_hz": plan.rate,
        "achieved_hz": played.player["achieved_hz"],
        "frames_played": played.player["frames_played"],
        "unserved": played.player["unserved"],
        "frames_received": _count(values, "received"),
        "published": _count(values, "published"),
        "masks": received["masks"],
        "superseded": _count(values, "superseded"),
        "rejected": _count(values, "rejected"),
        "output_fps": received["output_fps"],
        **ages,
        "stage_ms": _stages(values),
        "model": model.get("values", {}),
        "problems": problems(played, received),
    }


def ages_ms(played: Played) -> dict[int, float]:
    """Milliseconds from an image's stamp to its mask's arrival, by the stamp in the bag."""
    frames = read_json(played.recording.metrics)["frames"]
    ages = {frame["stamp"]: frame["age_ms"] for frame in frames if frame["age_ms"] is not None}
    return {recorded: ages[stamp] for recorded, stamp in played.served.items() if stamp in ages}


def problems(played: Played, received: dict[str, Any]) -> list[str]:
    """Mismatches between the frames played and the masks received; empty if there are none."""
    found = []
    frames = received["frames"]
    size = (played.player["width"], played.player["height"])
    stray = sum(frame["stamp"] not in set(played.stamps) for frame in frames)
    if stray:
        found.append(f"{stray} of {len(frames)} masks have a stamp that was never played")
    twice = sum(n - 1 for n in Counter(frame["stamp"] for frame in frames).values())
    if twice:
        found.append(f"{twice} masks were received twice")
    sizes = Counter((frame["width"], frame["height"]) for frame in frames)
    for (width, height), count in sizes.items():
        if (width, height) != size:
            found.append(f"{count} masks are {width}×{height}; the camera is {size[0]}×{size[1]}")
    found += [f"{count} messages rejected: {why}" for why, count in received["refused"].items()]
    if not frames:
        found.append(f"no mask was received for {len(played.stamps)} frames")
    return found


def _node_statuses(played: Played) -> tuple[dict[str, Any], dict[str, Any]]:
    """The node's last diagnostics of its camera and its model; empty if none were received."""
    statuses = played.recording.diagnostics()

    def first(kind: str) -> dict[str, Any]:
        prefix = f"{NODE}: {kind}"
        return next((value for name, value in statuses.items() if name.startswith(prefix)), {})

    return first("camera"), first("model")


def _count(values: dict[str, str], key: str) -> int | None:
    text = values.get(key, "")
    return int(text) if text.isdigit() else None


def _stages(values: dict[str, str]) -> dict[str, float]:
    """Median milliseconds of each stage that the diagnostics report."""
    times = {}
    for stage in STAGES:
        key = next((k for k in values if k.startswith(stage) and "ms" in k.split("_")), None)
        try:
            times[stage] = float(values[key]) if key else float("nan")
        except ValueError:  # a stage that has not run yet reports text
            times[stage] = float("nan")
    return {stage: time for stage, time in times.items() if time == time}
