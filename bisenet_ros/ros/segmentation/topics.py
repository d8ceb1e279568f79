"""Which topics the node listens to, and what to change when nothing suitable arrives there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rclpy.node import Node

from bisenet_ros.errors import ArgumentError
from bisenet_ros.ros.parameters.definition import Parameters

COMPRESSED = "/compressed"
IMAGE_TYPES = {
    "raw": "sensor_msgs/msg/Image",
    "compressed": "sensor_msgs/msg/CompressedImage",
}


@dataclass(frozen=True)
class ImageTopic:
    """One camera's topic.

    Attributes:
        base: the image topic, remapped; names the camera, and its siblings such as camera_info.
        requested: what to subscribe to; rcl remaps it once more.
        resolved: what is subscribed to in the end, as the graph shows it.
        transport: ``raw`` or ``compressed``.
    """

    base: str
    requested: str
    resolved: str
    transport: str


def image_topics(node: Node, parameters: Parameters) -> list[ImageTopic]:
    """The topics of all cameras; remapping ``image`` selects a single camera, as in other nodes.

    As in image_transport, remapping the base topic also moves its ``/compressed`` topic; a rule
    for the ``/compressed`` topic itself takes precedence.

    Raises:
        ArgumentError: a name is not a topic name, or two names are the same topic.
    """
    name, topics = "image_topic", parameters.topics()
    if parameters.image_topics:
        name = "image_topics"
    elif node.resolve_topic_name("image") != node.resolve_topic_name("image", only_expand=True):
        topics = ["image"]
    found = [_image_topic(node, name, topic, parameters.image_transport) for topic in topics]
    resolved = [topic.resolved for topic in found]
    for topic in resolved:
        if resolved.count(topic) > 1:
            same = ", ".join(g for g, r in zip(topics, resolved, strict=True) if r == topic)
            raise ArgumentError(
                f"{name}: {same} are the same topic, {topic}; remove the duplicate topics"
            )
    return found


def _image_topic(node: Node, name: str, topic: str, transport: str) -> ImageTopic:
    base = resolved_topic(node, name, topic)
    requested = base + COMPRESSED if transport == "compressed" else topic
    return ImageTopic(base, requested, node.resolve_topic_name(requested), transport)


def resolved_topic(node: Node, name: str, topic: str) -> str:
    """The full name of a topic, remapped; ArgumentError that names its parameter if it is wrong."""
    try:
        return str(node.resolve_topic_name(topic))
    except Exception as error:  # rclpy has an exception of its own for each way to be wrong
        reason = " ".join(str(error).split())
        raise ArgumentError(
            f"{name} is {topic!r}, which is not a valid topic name ({reason}); expected a name "
            "such as /camera/image_raw"
        ) from error


def check_not_own(node: Node, topics: Sequence[ImageTopic]) -> None:
    """Raise :class:`ArgumentError` if the node would segment what it publishes itself."""
    own = {publisher.topic_name for publisher in node.publishers}
    for topic in topics:
        if topic.resolved in own:
            raise ArgumentError(
                f"image_topic is {topic.resolved}, which this node publishes itself; pass the "
                "topic of a camera"
            )


def remedy(node: Node, topic: ImageTopic) -> str:
    """A sentence if images are only published in another way than is expected, or ``""``."""
    expected = IMAGE_TYPES[topic.transport]
    found = _publishers(node, topic.resolved)
    for publisher, kind in found:
        if kind != expected:
            return (
                f"{publisher} publishes {kind}, the node expects {expected}; "
                f"{_instead(topic, kind)}"
            )
    if found:
        return ""
    if topic.transport == "raw":
        return _only_elsewhere(
            node, topic.base + COMPRESSED, "compressed", "set image_transport to compressed"
        )
    if topic.base.endswith(COMPRESSED):
        base = topic.base.removesuffix(COMPRESSED)
        return (
            f"nothing is published on {topic.resolved}; image_transport compressed adds "
            f"{COMPRESSED} itself, set image_topic to {base}"
        )
    return _only_elsewhere(node, topic.base, "raw", "set image_transport to raw") or (
        _only_elsewhere(node, topic.base, "compressed", _remap(topic.base))
    )


def _instead(topic: ImageTopic, kind: str) -> str:
    """What to set where ``kind`` is published on the very topic that the node listens to."""
    if kind == IMAGE_TYPES["compressed"]:
        if topic.resolved.endswith(COMPRESSED):
            base = topic.resolved.removesuffix(COMPRESSED)
            return f"set image_topic to {base} and image_transport to compressed"
        return _remap(topic.resolved)
    if kind == IMAGE_TYPES["raw"]:
        return f"set image_topic to {topic.resolved} and image_transport to raw"
    return "check image_topic and image_transport"


def _remap(topic: str) -> str:
    return (
        f"set image_transport to compressed and start the node with -r {topic}{COMPRESSED}:={topic}"
    )


def _only_elsewhere(node: Node, topic: str, transport: str, what_to_do: str) -> str:
    for publisher, kind in _publishers(node, topic):
        if kind == IMAGE_TYPES[transport]:
            return f"{publisher} publishes {kind} on {topic}, which the node ignores; {what_to_do}"
    return ""


def _publishers(node: Node, topic: str) -> list[tuple[str, str]]:
    """Name and type of each publisher of a topic."""
    return [
        (f"{info.node_namespace.rstrip('/')}/{info.node_name}", info.topic_type)
        for info in node.get_publishers_info_by_topic(topic)
    ]
