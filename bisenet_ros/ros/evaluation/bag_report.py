"""Scores the masks of a replayed bag once more, offline: live and offline give one metrics.json."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bisenet_ros.errors import DataError
from bisenet_ros.labels import LabelSet
from bisenet_ros.recordings.node_outputs import Recording
from bisenet_ros.system.paths import expanded

SCORED_OFFLINE = ("frames", "miou", "pixel_accuracy", "per_class", "confusion")


@dataclass(frozen=True)
class PlayedBag:
    """The bag that is played.

    Attributes:
        path: a folder or file.
        image_topic: of the camera whose masks are scored; empty for the only one.
        label_topic: of its labels; empty to find it.
    """

    path: Path
    image_topic: str = ""
    label_topic: str = ""

    @classmethod
    def of(cls, parameters: dict[str, Any]) -> PlayedBag | None:
        """What the node's parameters say; None if they name no bag."""
        if not parameters["bag"]:
            return None
        topics = parameters["bag_image_topic"], parameters["bag_label_topic"]
        return cls(Path(expanded(parameters["bag"])), *topics)


def write_report(
    bag: PlayedBag, recording: Recording, labels: LabelSet, live: dict[str, Any], out: Path
) -> dict[str, Any]:
    """Write what ``evaluate --bag`` writes, for the masks of a node instead of a model.

    Args:
        bag: what was played.
        recording: the masks; its stamps are those of the bag's images.
        labels: what the ids of the masks mean.
        live: what the live run tells; ``live`` in metrics.json, and next to the offline scores
            under its own names, but for those of ``SCORED_OFFLINE``.
        out: the folder.

    Returns:
        The content of metrics.json.

    Raises:
        DataError: the bag cannot be read, or holds no image with the stamp of a mask.
        ModuleNotFoundError: a library that writes reports is not installed.
    """
    from bisenet_ros.replay.evaluation import RecordingOptions, evaluate_source
    from bisenet_ros.replay.served import RecordedMasks, ServedFrames

    stamps = {stamp: stamp for stamp in recording.mask_stamps()}
    if not stamps:
        raise DataError("no mask was recorded")
    options = RecordingOptions(bag.image_topic or None, bag.label_topic or None)
    model: dict[str, str] = next(
        (s["values"] for s in live["diagnostics"].values() if "weights" in s["values"]), {}
    )
    facts = {
        **{key: value for key, value in live.items() if key not in SCORED_OFFLINE},
        "live": live,
        "weights": {key: model[key] for key in ("weights", "num_classes") if key in model},
        "scored_with": {
            key: model[key]
            for key in ("engine", "device", "precision", "input_size")
            if key in model
        },
    }
    with closing(options.open(str(bag.path), labels)) as source:
        served = ServedFrames(source, stamps)
        return evaluate_source(
            served, RecordedMasks(recording, stamps, labels), options.score, out, facts
        )
