"""What every report is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bisenet_ros.labels import LabelSet
from bisenet_ros.report.figure import View
from bisenet_ros.report.formatting import number, percent
from bisenet_ros.report.html import pictures

Facts = list[tuple[str, list[tuple[str, str]]]]  # titled lists of (name, value)


@dataclass(frozen=True)
class ReportImage:
    """An image with its pictures: what it is called, its mIoU, and the view."""

    name: str
    miou: float
    view: View

    def tiles(self, labels: LabelSet) -> dict[str, Any]:
        """The pictures as URLs, with name and mIoU."""
        return {"name": self.name, "miou": self.miou, "pictures": pictures(self.view, labels)}


@dataclass(frozen=True)
class ReportData:
    """What a report shows.

    Attributes:
        metrics: as metrics.json holds them.
        labels: class names and colours.
        best, worst: some images at either end of the score.
    """

    metrics: dict[str, Any]
    labels: LabelSet
    best: list[ReportImage] = field(default_factory=list)
    worst: list[ReportImage] = field(default_factory=list)


def temperature_facts(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """What ``evaluate --fit-temperature`` found; empty where it was not asked for."""
    found = metrics.get("temperature_fit")
    if found is None:
        return []
    facts = [("fitted", number(found["temperature"], 4))]
    for key, name in (
        ("expected_calibration_error", "calibration error"),
        ("negative_log_likelihood", "negative log-likelihood"),
    ):
        for when in ("before", "after"):
            value = found[f"{key}_{when}"]
            shown = percent(value, 2) if name == "calibration error" else number(value, 4)
            facts.append((f"{name} {when}", shown))
    return [*facts, ("labelled frames", str(found["labelled_frames"]))]


def machine_facts(machine: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    """The machine of ``bisenet_ros.system.machine.describe`` as a titled list."""
    return (
        "Machine",
        [
            ("processor", machine["processor"]),
            ("cores", str(machine["cores"])),
            ("memory", number(machine["memory_gib"], 1, "GiB")),
            ("system", machine["system"]),
            ("Python", machine["python"]),
            ("ROS", machine["ros_distro"]),
        ],
    )
