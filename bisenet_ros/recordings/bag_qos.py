"""The QoS and metadata with which bags are written, for ``ros2 bag play`` of every distribution."""

from __future__ import annotations

from typing import Any

from bisenet_ros.system.optional import needed

# Version 8 holds QoS as numbers: the last form that Humble reads, and later distributions do, too.
METADATA_VERSION: Any = 8


def reliable_qos(depth: int, latched: bool = False) -> Any:
    """A ``rosbags.interfaces.Qos``: reliable, the newest ``depth`` messages.

    Args:
        depth: of the queue.
        latched: transient local, so that those who subscribe later get them, too.
    """
    kinds = needed("rosbags.interfaces", "tools", "writing bags")
    forever = kinds.QosTime(9223372036, 854775807)  # RMW_DURATION_INFINITE
    durability = kinds.QosDurability
    return kinds.Qos(
        history=kinds.QosHistory.KEEP_LAST,
        depth=depth,
        reliability=kinds.QosReliability.RELIABLE,
        durability=durability.TRANSIENT_LOCAL if latched else durability.VOLATILE,
        deadline=forever,
        lifespan=forever,
        liveliness=kinds.QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=forever,
        avoid_ros_namespace_conventions=False,
    )
