"""Converters: other projects' checkpoints as weights files, one explicit key table per source."""

from bisenet_ros.checkpoints.convert.backbone import read_backbone
from bisenet_ros.checkpoints.convert.base import Match, Rule, Source
from bisenet_ros.checkpoints.convert.conversion import (
    Converted,
    IncompleteError,
    convert,
    recognise,
)
from bisenet_ros.checkpoints.convert.presets import PRESETS, preset_labels, read_classes
from bisenet_ros.checkpoints.convert.reading import Checkpoint, read
from bisenet_ros.checkpoints.convert.registry import SOURCES

__all__ = [
    "PRESETS",
    "SOURCES",
    "Checkpoint",
    "Converted",
    "IncompleteError",
    "Match",
    "Rule",
    "Source",
    "convert",
    "preset_labels",
    "read",
    "read_backbone",
    "read_classes",
    "recognise",
]
