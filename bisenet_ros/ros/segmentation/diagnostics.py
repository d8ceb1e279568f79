"""Builds ``/diagnostics`` from counters: one status per camera and one for the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from bisenet_ros.ros.segmentation.statistics import CameraStatistics

OK, WARN = DiagnosticStatus.OK, DiagnosticStatus.WARN
ERROR, STALE = DiagnosticStatus.ERROR, DiagnosticStatus.STALE
SLOW = 0.9  # an output rate below this fraction of the achievable rate is a warning


@dataclass(frozen=True)
class ModelFacts:
    """What the model status reports.

    Attributes:
        values: key-value pairs as published, already strings.
        fallback: why the model runs on a slower path than requested; empty if it does not.
        failures: consecutive failed inferences.
        max_failures: how many of them mean ERROR.
        last_failure: text of the latest error.
        active: whether the node is in its active state.
        enabled: whether it processes frames.
        worker_alive: whether the inference thread runs, where there should be one.
    """

    values: dict[str, str] = field(default_factory=dict)
    fallback: str = ""
    failures: int = 0
    max_failures: int = 5
    last_failure: str = ""
    active: bool = True
    enabled: bool = True
    worker_alive: bool = True


def camera_status(
    node: str,
    camera: str,
    statistics: CameraStatistics,
    now: float,
    target_fps: float,
    stale_after: float,
    warning: str = "",
    enabled: bool = True,
    more: Mapping[str, object] | None = None,
) -> DiagnosticStatus:
    """The status of one camera.

    Args:
        node: the node's name, part of the status name.
        camera: the camera's name.
        statistics: its counters.
        now: seconds on the node's clock.
        target_fps: the requested rate; 0 means every frame.
        stale_after: seconds without input before the camera is STALE.
        warning: why images may not arrive; sets the level to WARN.
        enabled: whether the node processes frames; if not, no output is expected.
        more: values of the camera's other outputs.
    """
    report = statistics.report(now)
    values: dict[str, object] = {"target_fps": target_fps, **report}
    values["lost_share"] = statistics.lost_share(now)
    values["last_reject_reason"] = statistics.last_reject_reason
    values.update(more or {})
    level, message = _camera_level(
        report, statistics, now, target_fps, stale_after, warning, enabled
    )
    return _status(f"{node}: camera {camera}", level, message, values)


def model_status(node: str, facts: ModelFacts) -> DiagnosticStatus:
    """The status of the model."""
    level, message = OK, "running"
    if not facts.worker_alive:
        level, message = ERROR, "the inference thread has ended; deactivate and activate the node"
    elif facts.failures >= facts.max_failures:
        level = ERROR
        message = f"{facts.failures} consecutive inferences failed: {facts.last_failure}"
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
    achievable = min(target_fps, report["input_fps"]) if target_fps else report["input_fps"]
    if not enabled:
        return OK, "disabled by ~/enable"
    if report["output_fps"] < SLOW * achievable:
        return WARN, f"publishing masks at {report['output_fps']:.1f} Hz, expected {achievable:.1f}"
    return OK, f"publishing masks at {report['output_fps']:.1f} Hz"


def _status(name: str, level: bytes, message: str, values: dict[str, object]) -> DiagnosticStatus:
    status = DiagnosticStatus()
    status.name, status.level, status.message = name, level, message
    status.hardware_id = "bisenet_ros"
    status.values = [KeyValue(key=key, value=_text(value)) for key, value in values.items()]
    return status


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
