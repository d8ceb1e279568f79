"""The weights file: read, write, check."""

from bisenet_ros.checkpoints.card import Card
from bisenet_ros.checkpoints.files import fingerprint, load, load_network, read_card, save

__all__ = ["Card", "fingerprint", "load", "load_network", "read_card", "save"]
