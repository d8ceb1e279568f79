"""config/sros2_policy.xml allows what a running node does, and nothing else."""

from __future__ import annotations

import contextlib
from xml.etree import ElementTree

from harness import ROOT
from rig import BASE, Rig
from sensor_msgs.msg import Image

OPTIONAL = {
    "/bisenet/label_info": "only where vision_msgs is installed",
    "/camera/image_raw/compressed": "instead of the raw topic",
    "/camera/depth/image_raw": "only while somebody subscribes to the points",
    "/camera/depth/image_raw/compressedDepth": "instead of the raw topic",
    "/tf": "only where tf2_ros is installed, while somebody subscribes to the ground",
    "/tf_static": "the same",
    "/clock": "only under use_sim_time",
    "/parameter_events": "subscribed only under use_sim_time",
    "/bisenet/get_type_description": "not in Humble",
}


def allowed(kind: str, right: str) -> set[str]:
    """Names of ``topics`` or ``services`` with that right."""
    policy = ElementTree.parse(ROOT / "config/sros2_policy.xml")
    lists = [e for e in policy.iter(kind) if e.get(right) == "ALLOW"]
    return {(item.text or "").replace("~", "/bisenet") for found in lists for item in found}


def test_the_policy_is_what_a_running_node_needs(tmp_path, domain, small_weights):
    rig = Rig(domain, tmp_path, f"weights:={small_weights}", *BASE)
    try:
        rig.advertise(Image, "/camera/image_raw")
        node = rig.peer.node
        rig.peer.spin_until(lambda: "bisenet" in node.get_node_names(), "the node's name")
        services = ("enable", "reload", "change_state", "get_parameters", "set_parameters")
        rig.peer.spin_until(
            lambda: all(node.count_services(f"/bisenet/{name}") for name in services), "services"
        )
        rig.peer.spin_until(lambda: rig.reports, "the node's last topic")

        def names(found) -> set[str]:
            return {name for name, _ in found}

        def published() -> set[str]:
            return names(node.get_publisher_names_and_types_by_node("bisenet", "/"))

        # Discovered one by one; what is never discovered fails below.
        with contextlib.suppress(AssertionError):
            rig.peer.spin_until(
                lambda: allowed("topics", "publish") - published() <= set(OPTIONAL), "topics", 10
            )
        publishes = published()
        hears = names(node.get_subscriber_names_and_types_by_node("bisenet", "/"))
        serves = names(node.get_service_names_and_types_by_node("bisenet", "/"))
        for used, kind, right in (
            (publishes, "topics", "publish"),
            (hears, "topics", "subscribe"),
            (serves, "services", "reply"),
        ):
            listed = allowed(kind, right)
            assert used <= listed, (kind, right)
            assert listed - used <= set(OPTIONAL), (kind, right)
    finally:
        rig.close()


def test_only_known_topics_are_optional():
    assert set(OPTIONAL) <= allowed("topics", "publish") | allowed("topics", "subscribe") | allowed(
        "services", "reply"
    )
