"""The model card stored with the weights: architecture, classes, preprocessing, training data."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from bisenet_ros.labels import UNLABELLED, LabelSet

FORMAT = "bisenet_ros"
FORMAT_VERSION = 1
MAX_MEAN, MIN_STD, MAX_STD = 10.0, 1e-4, 100.0  # beyond these no normalisation makes sense
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 100.0  # beyond these confidence is a constant
# Names that early files used for two options of BiSeNetV2.
RENAMED_OPTIONS = {"boosters": "auxiliary", "booster_width": "auxiliary_width"}


@dataclass(frozen=True)
class ModelCard:
    """Everything in a weights file except the tensors.

    Attributes:
        architecture: a key of ``bisenet_ros.networks.NETWORKS``.
        options: the network's config as plain values, from which it is rebuilt.
        labels: class names and colours.
        mean, std: of RGB images scaled to 0–1; the network expects (image − mean) / std.
        resolution: (height, width) in pixels of the images it was trained on.
        dataset: name of the training data.
        scores: measured scores by name, such as ``{"val_miou": 0.6}``.
        licence: licence of the training data.
        command: the command that wrote the file.
        groups: where classes are groups of the training data's, the names in each.
        started_from: names of the weights that its training started from.
        temperature: T of confidence = softmax(logits / T), which ``evaluate --fit-temperature``
            fits; 1 where it was not fitted.
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
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    started_from: str = ""
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if len(self.mean) != 3 or not all(abs(value) <= MAX_MEAN for value in self.mean):
            raise ValueError(f"mean is {self.mean}; expected three numbers of images scaled to 0–1")
        if len(self.std) != 3 or not all(MIN_STD <= value <= MAX_STD for value in self.std):
            raise ValueError(
                f"std is {self.std}; expected three numbers from {MIN_STD:g} to {MAX_STD:g}"
            )
        if len(self.resolution) != 2 or not all(1 <= side <= 8192 for side in self.resolution):
            raise ValueError(
                f"resolution is {self.resolution}; expected (height, width), each 1 to 8192"
            )
        if not MIN_TEMPERATURE <= self.temperature <= MAX_TEMPERATURE:
            raise ValueError(
                f"temperature is {self.temperature}; expected a number from {MIN_TEMPERATURE:g} "
                f"to {MAX_TEMPERATURE:g}"
            )
        classes = self.options.get("num_classes")
        if classes != len(self.labels):
            raise ValueError(
                f"it names {len(self.labels)} classes, but its network has {classes}; "
                "expected as many names"
            )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as printed by ``inspect --json`` and stored in the file's metadata."""
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
            **({"groups": {k: list(v) for k, v in self.groups.items()}} if self.groups else {}),
            "started_from": self.started_from,
            "temperature": self.temperature,
        }

    def metadata(self) -> dict[str, str]:
        """The card as safetensors metadata; each value is JSON, which preserves types."""
        return {k: json.dumps(v, ensure_ascii=False) for k, v in self.as_dict().items()}

    @classmethod
    def from_metadata(cls, metadata: dict[str, str]) -> ModelCard:
        """The inverse of :meth:`metadata`.

        Raises:
            ValueError: an entry is missing, has the wrong type, or comes from a newer format.
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
                groups={
                    str(k): tuple(map(str, v)) for k, v in dict(values.get("groups", {})).items()
                },
                started_from=str(values.get("started_from", "")),
                temperature=_number("temperature", values.get("temperature", 1.0)),
            )
        except (KeyError, TypeError, IndexError, OverflowError, RecursionError) as error:
            raise ValueError(
                f"its metadata is invalid ({type(error).__name__}: {error})"
            ) from error


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {json.dumps(value)[:40]}; expected a number")
    return float(value)


def _three(values: list[float]) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third
