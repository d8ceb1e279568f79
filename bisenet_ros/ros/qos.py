"""QoS profiles: what to request from cameras, what to offer subscribers."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT


def newest(reliability: ReliabilityPolicy = RELIABLE) -> QoSProfile:
    """Depth 1: only the newest frame matters."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=reliability)


def latched() -> QoSProfile:
    """For messages published once that late subscribers must still get."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=1,
        reliability=RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


def overridable() -> QoSOverridingOptions:
    """Let ``qos_overrides.<topic>.publisher.*`` parameters change an output's QoS."""
    return QoSOverridingOptions.with_default_policies()


def offered_reliability(node: Node, topic: str) -> dict[str, ReliabilityPolicy]:
    """The reliability that each publisher of a topic offers, by node name."""
    result = {}
    for info in node.get_publishers_info_by_topic(topic):
        name = f"{info.node_namespace.rstrip('/')}/{info.node_name}"
        result[name] = info.qos_profile.reliability
    return result


def subscription_reliability(
    requested: str, offered: dict[str, ReliabilityPolicy]
) -> ReliabilityPolicy:
    """The reliability to subscribe with.

    Args:
        requested: the ``image_reliability`` parameter.
        offered: from :func:`offered_reliability`.

    Returns:
        For ``auto``: reliable, unless a publisher offers best effort, with which a reliable
        subscription would not match.
    """
    if requested != "auto":
        return RELIABLE if requested == "reliable" else BEST_EFFORT
    return BEST_EFFORT if BEST_EFFORT in offered.values() else RELIABLE


def publisher_mismatch(
    reliability: ReliabilityPolicy, offered: dict[str, ReliabilityPolicy]
) -> str:
    """A sentence naming the publishers that such a subscription does not match, or ``""``."""
    if reliability != RELIABLE:
        return ""
    names = sorted(name for name, offer in offered.items() if offer == BEST_EFFORT)
    if not names:
        return ""
    return (
        f"{', '.join(names)} offers best_effort but the node requests reliable, so no images "
        "arrive; set image_reliability to auto or best_effort"
    )


def subscriber_mismatch(node: Node, topic: str) -> str:
    """A sentence naming a subscriber whose QoS our output does not match, or ``""``.

    Outputs are volatile, so a subscription that requests transient_local receives nothing.
    """
    offered = [
        p for p in node.get_publishers_info_by_topic(topic) if p.node_name == node.get_name()
    ]
    for theirs in node.get_subscriptions_info_by_topic(topic):
        for ours in offered:
            if not _compatible(ours.qos_profile, theirs.qos_profile):
                return (
                    f"/{theirs.node_name} requests {describe(theirs.qos_profile)} on {topic} but "
                    f"the node offers {describe(ours.qos_profile)}, so it receives nothing; change "
                    "its QoS, or the node's with qos_overrides"
                )
    return ""


def rival_publishers(node: Node, topic: str) -> str:
    """A sentence naming who else publishes an output of ours, or ``""``."""
    found = [
        f"{info.node_namespace.rstrip('/')}/{info.node_name}"
        for info in node.get_publishers_info_by_topic(topic)
    ]
    own = node.get_fully_qualified_name()
    if own in found:
        found.remove(own)  # once: a second node may have our name
    if not found:
        return ""
    others = ", ".join(sorted(found))
    return (
        f"{others} also publishes {topic}, so subscribers get the masks of both; stop it, or give "
        "one of the two another name"
    )


def describe(profile: QoSProfile) -> str:
    """Reliability and durability of a profile, such as ``reliable, volatile``."""
    return f"{profile.reliability.name.lower()}, {profile.durability.name.lower()}"


def _compatible(publisher: QoSProfile, subscription: QoSProfile) -> bool:
    compatibility, _ = qos_check_compatible(publisher, subscription)
    return compatibility != QoSCompatibility.ERROR
