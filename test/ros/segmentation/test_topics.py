"""Topic names resolved, remapped and refused; what to change where no images arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import rclpy
from harness import Peer
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from bisenet_ros.errors import ArgumentError
from bisenet_ros.ros.parameters.definition import Parameters
from bisenet_ros.ros.segmentation.topics import ImageTopic, check_not_own, image_topics, remedy


@pytest.fixture
def node(domain: int) -> Iterator[Callable[..., Node]]:
    """Makes nodes named /robot/eyes with the given command-line remappings."""
    context, made = Context(), []
    rclpy.init(context=context, domain_id=domain)

    def make(*remappings: str) -> Node:
        arguments = ["--ros-args", *(part for rule in remappings for part in ("-r", rule))]
        made.append(Node("eyes", namespace="/robot", context=context, cli_args=arguments))
        return made[-1]

    yield make
    for each in made:
        each.destroy_node()
    rclpy.shutdown(context=context)


def compressed(**values) -> Parameters:
    return Parameters(image_transport="compressed", **values)


def test_relative_and_private_names_are_resolved(node):
    parameters = Parameters(image_topics=["front/image", "~/image", "/rear/image"])
    resolved = [topic.resolved for topic in image_topics(node(), parameters)]
    assert resolved == ["/robot/front/image", "/robot/eyes/image", "/rear/image"]


def test_one_topic_under_two_names_is_a_duplicate(node):
    parameters = Parameters(image_topics=["front/image", "/rear/image", "/robot/front/image"])
    with pytest.raises(ArgumentError, match="front/image, /robot/front/image are the same topic"):
        image_topics(node(), parameters)
    remapped = node("/rear/image:=/front/image")
    with pytest.raises(ArgumentError, match="are the same topic, /front/image"):
        image_topics(remapped, Parameters(image_topics=["/rear/image", "/front/image"]))


@pytest.mark.parametrize("rule", ["/camera/image_raw:=/front/image", "image:=/front/image"])
def test_remapping_moves_both_transports(node, rule):
    made = node(rule)
    (raw,) = image_topics(made, Parameters())
    (jpeg,) = image_topics(made, compressed())
    assert (raw.base, raw.resolved) == ("/front/image", "/front/image")
    assert (jpeg.base, jpeg.resolved) == ("/front/image", "/front/image/compressed")
    for topic, kind in ((raw, Image), (jpeg, CompressedImage)):
        subscription = made.create_subscription(kind, topic.requested, print, 1)
        assert subscription.topic_name == topic.resolved


def test_two_topics_may_be_swapped(node):
    """A name that is already remapped must not be remapped again."""
    made = node("/camera/image_raw:=/b", "/b:=/camera/image_raw")
    (topic,) = image_topics(made, Parameters())
    assert topic.resolved == "/b"
    assert made.create_subscription(Image, topic.requested, print, 1).topic_name == "/b"


def test_the_compressed_topic_itself_can_be_remapped(node):
    made = node("/camera/image_raw/compressed:=/camera/jpeg")
    (topic,) = image_topics(made, compressed())
    assert topic.resolved == "/camera/jpeg"


@pytest.mark.parametrize("wrong", ["", "/camera//image", "camera image", "/camera/", "1st", "{x}"])
def test_a_name_that_is_not_a_topic_names_the_parameter(node, wrong):
    with pytest.raises(ArgumentError, match="^image_topic is .*not a valid topic name"):
        image_topics(node(), Parameters(image_topic=wrong))
    if wrong:
        with pytest.raises(ArgumentError, match="^image_topics is "):
            image_topics(node(), Parameters(image_topics=["/a", wrong]))


def test_a_node_does_not_segment_its_own_overlay(node):
    made = node()
    made.create_publisher(Image, "~/overlay", 1)
    check_not_own(made, image_topics(made, Parameters()))
    with pytest.raises(ArgumentError, match="/robot/eyes/overlay, which this node publishes"):
        check_not_own(made, image_topics(made, Parameters(image_topic="~/overlay")))


@pytest.mark.parametrize(
    ("published", "kind", "parameters", "said"),
    [
        ("/cam/image/compressed", CompressedImage, Parameters(image_topic="/cam/image"),
         "on /cam/image/compressed, which the node ignores; set image_transport to compressed"),
        ("/cam/image/compressed", CompressedImage,
         Parameters(image_topic="/cam/image/compressed"),
         "set image_topic to /cam/image and image_transport to compressed"),
        ("/cam/jpeg", CompressedImage, Parameters(image_topic="/cam/jpeg"),
         "image_transport to compressed and start the node with -r /cam/jpeg/compressed:="),
        ("/cam/image", Image, compressed(image_topic="/cam/image"),
         "on /cam/image, which the node ignores; set image_transport to raw"),
        ("/cam/image/compressed", CompressedImage,
         compressed(image_topic="/cam/image/compressed"), "set image_topic to /cam/image"),
        ("/cam/jpeg", CompressedImage, compressed(image_topic="/cam/jpeg"),
         "-r /cam/jpeg/compressed:=/cam/jpeg"),
        ("/cam/image/compressed", Image, compressed(image_topic="/cam/image"),
         "set image_topic to /cam/image/compressed and image_transport to raw"),
        ("/cam/image", Image, Parameters(image_topic="/cam/image"), ""),
        ("/cam/image/compressed", CompressedImage, compressed(image_topic="/cam/image"), ""),
    ],
)  # fmt: skip
def test_the_wrong_transport_is_reported_with_the_remedy(
    node, peer: Peer, published, kind, parameters, said
):
    listener, publisher = node(), peer.node.create_publisher(kind, published, 1)
    (topic,) = image_topics(listener, parameters)
    peer.spin_until(lambda: listener.get_publishers_info_by_topic(published), "discovery")
    assert said in remedy(listener, topic)
    assert bool(said) == bool(remedy(listener, topic))
    peer.node.destroy_publisher(publisher)


def test_nothing_published_needs_no_remedy(node):
    assert remedy(node(), ImageTopic("/a", "/a", "/a", "raw")) == ""
