"""What ``/diagnostics`` says, made from counters; one status a camera and one for the model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from bisenet_ros.ros.segmentation.statistics import CameraStatistics

OK, WARN = DiagnosticStatus.OK, DiagnosticStatus.WARN
ERROR, STALE = DiagnosticStatus.ERROR, DiagnosticStatus.STALE
SLOW = 0.9  # output below this share of what could be reached is a warning


@dataclass(frozen=True)
class ModelFacts:
    """What the model status reports.

    Attributes:
        values: as published; numbers already turned into strings.
        fallback: why the model runs on less than hoped for; empty if it does not.
        failures: failed inferences in a row.
        max_failures: how many make an ERROR.
        last_failure: the newest error's text.
        active: whether the node is in its active state.
        enabled: whether it works on frames.
    """

    values: dict[str, str] = field(default_factory=dict)
    fallback: str = ""
    failures: int = 0
    max_failures: int = 5
    last_failure: str = ""
    active: bool = True
    enabled: bool = True


def camera_status(
    node: str,
    camera: str,
    statistics: CameraStatistics,
    now: float,
    target_fps: float,
    stale_after: float,
    warning: str = "",
    enabled: bool = True,
) -> DiagnosticStatus:
    """The status of one camera.

    Args:
        node: the node's name, for the status' own.
        camera: the camera's name.
        statistics: its counters.
        now: seconds on the node's clock.
        target_fps: the rate asked for; 0 means every frame.
        stale_after: seconds without input that make it STALE.
        warning: why images may not arrive; makes a WARN.
        enabled: whether the node works on frames; if not, no output is as it should be.
    """
    report = statistics.report(now)
    values: dict[str, object] = {"target_fps": target_fps, **report}
    values["lost_share"] = statistics.lost_share(now)
    values["last_reject_reason"] = statistics.last_reject_reason
    level, message = _camera_level(
        report, statistics, now, target_fps, stale_after, warning, enabled
    )
    return _status(f"{node}: camera {camera}", level, message, values)


def model_status(node: str, facts: ModelFacts) -> DiagnosticStatus:
    """The status of the model."""
    level, message = OK, "running"
    if facts.failures >= facts.max_failures:
        level = ERROR
        message = f"{facts.failures} inferences failed in a row: {facts.last_failure}"
    elif facts.failures:
        level, message = WARN, f"the last inference failed: {facts.last_failure}"
    elif facts.fallback:
        level, message = WARN, facts.fallback
    elif not facts.active:
        message = "inactive"
    elif not facts.enabled:
        message = "disabled by ~/enable"
    return _status(f"{node}: model", level, message, dict(facts.values))


def _camera_level(
    report: dict[str, float],
    statistics: CameraStatistics,
    now: float,
    target_fps: float,
    stale_after: float,
    warning: str,
    enabled: bool,
) -> tuple[bytes, str]:
    last = statistics.last_input
    if last is None or now - last > stale_after:
        since = "no image yet" if last is None else f"no image for {now - last:.1f} s"
        return STALE, f"{since}; {warning}" if warning else since
    if warning:
        return WARN, warning
    reachable = min(target_fps, report["input_fps"]) if target_fps else report["input_fps"]
    if not enabled:
        return OK, "disabled by ~/enable"
    if report["output_fps"] < SLOW * reachable:
        return WARN, f"{report['output_fps']:.1f} masks a second where {reachable:.1f} could be"
    return OK, f"{report['output_fps']:.1f} masks a second"


def _status(name: str, level: bytes, message: str, values: dict[str, object]) -> DiagnosticStatus:
    status = DiagnosticStatus()
    status.name, status.level, status.message = name, level, message
    status.hardware_id = "bisenet_ros"
    status.values = [KeyValue(key=key, value=_text(value)) for key, value in values.items()]
    return status


def _text(value: object) -> str:
    if isinstance(value, float):
        return "nan" if math.isnan(value) else f"{value:.3f}"
    return str(value)
