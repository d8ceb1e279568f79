"""QoS by rule: what to ask of a camera, what to offer those who listen."""

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
    """Depth 1: a frame that was not taken in time is worth nothing."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=reliability)


def latched() -> QoSProfile:
    """For what is said once and must reach those who come later."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=1,
        reliability=RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


def overridable() -> QoSOverridingOptions:
    """Let ``qos_overrides.<topic>.publisher.*`` parameters change an output's QoS."""
    return QoSOverridingOptions.with_default_policies()


def offers(node: Node, topic: str) -> dict[str, ReliabilityPolicy]:
    """The publishers of a topic by node name, and the reliability each offers."""
    found = {}
    for info in node.get_publishers_info_by_topic(topic):
        name = f"{info.node_namespace.rstrip('/')}/{info.node_name}"
        found[name] = info.qos_profile.reliability
    return found


def wanted_reliability(asked: str, offered: dict[str, ReliabilityPolicy]) -> ReliabilityPolicy:
    """What to subscribe with.

    Args:
        asked: the ``image_reliability`` parameter.
        offered: from :func:`offers`.

    Returns:
        For ``auto``: reliable, unless a publisher offers less, which a reliable subscription
        would never hear.
    """
    if asked != "auto":
        return RELIABLE if asked == "reliable" else BEST_EFFORT
    return BEST_EFFORT if BEST_EFFORT in offered.values() else RELIABLE


def unmatched(reliability: ReliabilityPolicy, offered: dict[str, ReliabilityPolicy]) -> str:
    """A sentence naming publishers a subscription of this reliability cannot hear, or ``""``."""
    if reliability != RELIABLE:
        return ""
    names = sorted(name for name, offer in offered.items() if offer == BEST_EFFORT)
    if not names:
        return ""
    return (
        f"{', '.join(names)} offers best_effort but the node asks for reliable, so nothing "
        "arrives; set image_reliability to auto or best_effort"
    )


def unheard(node: Node, topic: str) -> str:
    """A sentence on subscribers that an output of ours cannot serve, both profiles named.

    Outputs are volatile, so a subscription that asks for transient_local hears nothing.
    """
    offered = [
        p for p in node.get_publishers_info_by_topic(topic) if p.node_name == node.get_name()
    ]
    for theirs in node.get_subscriptions_info_by_topic(topic):
        for ours in offered:
            if not _compatible(ours.qos_profile, theirs.qos_profile):
                return (
                    f"/{theirs.node_name} asks {topic} for {in_words(theirs.qos_profile)}, the "
                    f"node offers {in_words(ours.qos_profile)}, so it hears nothing; change its "
                    "profile, or the node's by qos_overrides"
                )
    return ""


def in_words(profile: QoSProfile) -> str:
    """Reliability and durability of a profile, such as ``reliable, volatile``."""
    return f"{profile.reliability.name.lower()}, {profile.durability.name.lower()}"


def _compatible(publisher: QoSProfile, subscription: QoSProfile) -> bool:
    compatibility, _ = qos_check_compatible(publisher, subscription)
    return compatibility != QoSCompatibility.ERROR
