"""The card that travels with weights: what they are, what they saw, how to feed them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from bisenet_ros.labels import UNLABELLED, LabelSet

FORMAT = "bisenet_ros"
FORMAT_VERSION = 1
# What the first files called two options of BiSeNetV2.
RENAMED_OPTIONS = {"boosters": "auxiliary", "booster_width": "auxiliary_width"}


@dataclass(frozen=True)
class ModelCard:
    """Everything but the tensors.

    Attributes:
        architecture: a key of ``bisenet_ros.networks.NETWORKS``.
        options: the network's options as plain values; they rebuild it.
        labels: class names and colours.
        mean, std: of RGB images scaled to 0–1; the network expects (image − mean) / std.
        resolution: (height, width) in pixels that the network was trained to see.
        dataset: name of the training data.
        scores: measured figures by name, such as ``{"val_miou": 0.6}``.
        licence: licence of the training data.
        command: the command that made the file.
    """

    architecture: str
    options: dict[str, Any]
    labels: LabelSet
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resolution: tuple[int, int]
    dataset: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    licence: str = ""
    command: str = ""

    def __post_init__(self) -> None:
        if len(self.mean) != 3 or len(self.std) != 3 or not all(s > 0 for s in self.std):
            raise ValueError(f"mean {self.mean} and std {self.std}: want three numbers, std > 0")
        if len(self.resolution) != 2 or not all(1 <= side <= 8192 for side in self.resolution):
            raise ValueError(f"resolution is {self.resolution}; want (height, width), 1 to 8192")
        classes = self.options.get("num_classes")
        if classes != len(self.labels):
            raise ValueError(f"{len(self.labels)} class names for a network of {classes} classes")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as ``inspect --json`` prints them and the file's metadata holds them."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "architecture": self.architecture,
            "options": self.options,
            "class_names": list(self.labels.names),
            "colours": [list(colour) for colour in self.labels.colours],
            "ignore_id": UNLABELLED,
            "mean": list(self.mean),
            "std": list(self.std),
            "resolution": list(self.resolution),
            "dataset": self.dataset,
            "scores": self.scores,
            "licence": self.licence,
            "command": self.command,
        }

    def metadata(self) -> dict[str, str]:
        """The card as safetensors metadata: each entry is JSON, so that types survive."""
        return {k: json.dumps(v, ensure_ascii=False) for k, v in self.as_dict().items()}

    @classmethod
    def from_metadata(cls, metadata: dict[str, str]) -> ModelCard:
        """Read back what :meth:`metadata` wrote.

        Raises:
            ValueError: an entry is missing, of the wrong kind, or from a newer format.
        """
        missing = sorted({"format", "format_version", "options", "class_names"} - set(metadata))
        if missing:
            raise ValueError(f"its metadata lacks {', '.join(missing)}")
        try:
            values = {key: json.loads(text) for key, text in metadata.items()}
            if values["format"] != FORMAT or int(values["format_version"]) > FORMAT_VERSION:
                raise ValueError(
                    f"its format is {values['format']} version {values['format_version']}; "
                    f"this package reads {FORMAT} up to version {FORMAT_VERSION}"
                )
            options = dict(values["options"])
            colours = tuple(tuple(colour) for colour in values["colours"])
            return cls(
                architecture=str(values["architecture"]),
                options={RENAMED_OPTIONS.get(str(k), str(k)): v for k, v in options.items()},
                labels=LabelSet(tuple(map(str, values["class_names"])), colours),
                mean=_three(values["mean"]),
                std=_three(values["std"]),
                resolution=(int(values["resolution"][0]), int(values["resolution"][1])),
                dataset=str(values["dataset"]),
                scores={str(k): float(v) for k, v in dict(values["scores"]).items()},
                licence=str(values["licence"]),
                command=str(values["command"]),
            )
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"its metadata is broken ({type(error).__name__}: {error})") from error


def _three(values: list[float]) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third
