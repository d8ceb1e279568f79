"""The topics on which labels may come, and why masks found none."""

from __future__ import annotations

from collections import defaultdict

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from bisenet_ros.ros.evaluation.scorer import Scorer

COMPRESSED = "/compressed"


def label_topics(name: str) -> dict[str, type]:
    """Topics and their message types: a base name stands for both transports, as for cameras.

    An empty name stands for none: masks are counted, not scored.
    """
    if not name:
        return {}
    if name.endswith(COMPRESSED):
        return {name: CompressedImage}
    return {name: Image, name + COMPRESSED: CompressedImage}


class LabelWatch:
    """Remembers who published labels, since they may be gone when the scores are written.

    Args:
        node: the owner.
        topics: from :func:`label_topics`.
    """

    def __init__(self, node: Node, topics: dict[str, type]) -> None:
        self._node = node
        self._expected = {
            node.resolve_topic_name(topic): f"sensor_msgs/msg/{kind.__name__}"
            for topic, kind in topics.items()
        }
        self._seen: dict[str, set[str]] = defaultdict(set)  # types by topic

    def look(self) -> None:
        """Note the current publishers."""
        for topic in self._expected:
            for info in self._node.get_publishers_info_by_topic(topic):
                self._seen[topic].add(info.topic_type)

    def why_unmatched(self, scorer: Scorer) -> str:
        """One sentence if masks found no label, or ``""``."""
        offset = scorer.label_offset_ms()
        if offset is not None:
            return (
                f"the nearest label of a mask without one is {offset:.1f} ms away (median); labels "
                "must carry the stamps of their images"
            )
        if scorer.labels or not scorer.masks or not self._expected:
            return ""
        for topic, types in self._seen.items():
            for found in types - {self._expected[topic]}:
                return f"{topic} carries {found}; expected {self._expected[topic]}"
        if self._seen:
            return (
                f"{', '.join(self._seen)} had a publisher, but no label arrived; if it publishes "
                "best effort, set qos_overrides"
            )
        return f"nothing published labels on {' or '.join(self._expected)}; set labels_topic"
