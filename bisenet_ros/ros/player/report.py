"""Summary of what the camera player has played."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from sensor_msgs.msg import CompressedImage, Image

from bisenet_ros.ros.messages import stamp_ns
from bisenet_ros.ros.player.messages import describe


@dataclass
class Report:
    """What was played; :meth:`as_json` is what ``--json`` writes.

    Attributes:
        source, topic: what is played, and on which topic.
        keep_stamps: whether to list every stamp, recorded and played; not for an endless loop.
        skipped: frames dropped because they could not be decoded.
        moved: how often the schedule was shifted.
        unserved: frames in lockstep that were not served in time.
    """

    source: str
    topic: str
    keep_stamps: bool = False
    frames: int = 0
    skipped: int = 0
    moved: int = 0
    unserved: int = 0
    first_ns: int = 0
    last_ns: int = 0
    stamps: list[int] = field(default_factory=list)
    recorded_stamps: list[int] = field(default_factory=list)
    image: dict[str, Any] = field(
        default_factory=lambda: {"width": None, "height": None, "encoding": None}
    )

    def add(self, message: Image | CompressedImage, recorded_ns: int) -> None:
        """Count a frame that was just published; ``recorded_ns`` is its stamp in the source."""
        self.last_ns = time.monotonic_ns()
        if not self.frames:
            self.first_ns = self.last_ns
            self.image = describe(message)
        self.frames += 1
        if self.keep_stamps:
            self.stamps.append(stamp_ns(message.header.stamp))
            self.recorded_stamps.append(recorded_ns)

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the last."""
        return (self.last_ns - self.first_ns) / 1e9

    @property
    def achieved_hz(self) -> float:
        """Frames per second between first and last; 0 for fewer than two."""
        return (self.frames - 1) / self.duration_s if self.duration_s > 0 else 0.0

    def __str__(self) -> str:
        return (
            f"{self.frames} frames in {self.duration_s:.1f} s ({self.achieved_hz:.1f} Hz), "
            f"{self.skipped} skipped"
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values; stamps in ns."""
        return {
            "source": self.source,
            "topic": self.topic,
            "frames_played": self.frames,
            "skipped": self.skipped,
            "schedule_moved": self.moved,
            "unserved": self.unserved,
            "stamps": self.stamps,
            "recorded_stamps": self.recorded_stamps,
            **self.image,
            "duration_s": self.duration_s,
            "achieved_hz": self.achieved_hz,
        }
