"""The weights file: read, write, check."""

from bisenet_ros.checkpoints.card import ModelCard
from bisenet_ros.checkpoints.files import (
    fingerprint,
    load,
    load_network,
    read_card,
    save,
    save_with_card,
)

__all__ = [
    "ModelCard",
    "fingerprint",
    "load",
    "load_network",
    "read_card",
    "save",
    "save_with_card",
]
