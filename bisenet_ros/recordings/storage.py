"""What every kind of bag file is to those who read it, and what was lost on the way.

A storage reads what can be read: damage is counted in its :class:`Loss`, not raised, as long as
anything is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

CDR, ROS1 = "cdr", "ros1"  # how messages are serialised


class Channel(NamedTuple):
    """A topic as a bag file holds it.

    Attributes:
        topic: its name.
        type: of its messages, ``package/msg/Name``.
        encoding: :data:`CDR`, :data:`ROS1`, or another that is not read here.
        messages: how many the file says it has, or was found to have.
    """

    topic: str
    type: str
    encoding: str
    messages: int


class StoredMessage(NamedTuple):
    """A message as stored: its channel, when it was recorded in ns, and its bytes."""

    channel: Channel
    log_ns: int
    data: bytes


@dataclass
class Loss:
    """What of a bag could not be read; a bag in order has lost nothing.

    Attributes:
        reasons: how often each kind of damage was met, in words.
        lost_bytes: of the files, that hold no readable messages because of the damage.
        total_bytes: of all files.
        expected_messages: how many the bag says it has; None where it does not say.
        stored_messages: how many are there to be read, told by what was read of the files.
    """

    reasons: Counter[str] = field(default_factory=Counter)
    lost_bytes: int = 0
    total_bytes: int = 0
    expected_messages: int | None = None
    stored_messages: int = 0

    def add(self, reason: str, lost_bytes: int = 0) -> None:
        """Count one damage."""
        self.reasons[reason] += 1
        self.lost_bytes += lost_bytes

    def include(self, other: Loss) -> None:
        """Add what another file of the same bag lost."""
        self.reasons.update(other.reasons)
        self.lost_bytes += other.lost_bytes
        self.total_bytes += other.total_bytes

    def sentence(self) -> str:
        """What is lost, for people; empty if nothing is."""
        if not self.reasons:
            return ""
        why = "; ".join(f"{text} (×{n})" if n > 1 else text for text, n in self.reasons.items())
        parts = []
        if self.lost_bytes:
            share = self.lost_bytes / max(1, self.total_bytes)
            parts.append(f"{self.lost_bytes / 1e6:.2f} MB ({share:.1%}) cannot be read")
        if self.expected_messages is not None and self.expected_messages > self.stored_messages:
            missing = self.expected_messages - self.stored_messages
            parts.append(f"{missing} of {self.expected_messages} messages are missing")
        return f"{why}: {', '.join(parts)}" if parts else why

    def figures(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "reasons": dict(self.reasons),
            "lost_bytes": self.lost_bytes,
            "total_bytes": self.total_bytes,
            "expected_messages": self.expected_messages,
            "stored_messages": self.stored_messages,
        }


class Storage(Protocol):
    """A bag file, or several that are one bag.

    Attributes:
        channels: what topics it holds.
        start_ns, end_ns: when the first and the last message were recorded; 0 if there is none.
        loss: what could not be read so far.
    """

    channels: tuple[Channel, ...]
    start_ns: int
    end_ns: int
    loss: Loss

    def messages(self, topics: Collection[str]) -> Iterator[StoredMessage]:
        """Messages of some topics in the order recorded; callable again, and while it runs."""

    def close(self) -> None:
        """Let go of files."""


def normal_type(name: str) -> str:
    """A message type as ``package/msg/Name``, which ROS 1 writes ``package/Name``."""
    package, _, rest = name.partition("/")
    return name if "/" in rest or not rest else f"{package}/msg/{rest}"
