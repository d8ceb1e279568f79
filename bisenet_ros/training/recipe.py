"""Every option of a training run, in one dataclass read from YAML and the command line."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from bisenet_ros.datasets import DATASETS
from bisenet_ros.errors import ArgumentError
from bisenet_ros.networks import NETWORKS

PAPERS_WEIGHT = -1.0


def option(
    default: Any, text: str, choices: tuple[str, ...] = (), above: float | None = None
) -> Any:
    """A field with what ``--help`` says of it, and what its values may be."""
    known = {"text": text, "choices": choices, "above": above}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=known)
    return field(default=default, metadata=known)


@dataclass(frozen=True)
class Recipe:
    """What is trained, on what, and how; each field carries its description.

    Raises:
        ArgumentError: a value is none of its choices, or out of its range.
    """

    # What
    data: str = option("", "folder or zip of the data set")
    dataset: str = option("auto", "its format; auto: found out by looking", tuple(DATASETS))
    stuff_only: bool = option(False, "coco-stuff: the 91 stuff classes alone")
    val_share: float = option(0.2, "share held back for val where no list says", above=0)
    resize_masks: bool = option(False, "resize masks that differ from images by a whole factor")
    skip_unlabelled: bool = option(False, "leave out images without a label")
    out: str = option("runs/camvid", "folder of the run")
    network: str = option("bisenetv2", "the network", tuple(NETWORKS))
    num_classes: int = option(0, "classes to insist on; 0: as the data set says", above=-1)
    weights: str = option("", "weights file to start from; the classifier is made anew if it must")
    input_height: int = option(0, "height the weights are for; 0: as the data set says", above=-1)
    input_width: int = option(0, "width the weights are for; 0: as the data set says", above=-1)
    mean: list[float] = option([0.485, 0.456, 0.406], "mean of RGB images in 0–1")
    std: list[float] = option([0.229, 0.224, 0.225], "standard deviation of RGB images in 0–1")
    # Views of the images
    crop_height: int = option(320, "height of a training crop, a multiple of 32", above=31)
    crop_width: int = option(448, "width of a training crop, a multiple of 32", above=31)
    scale_low: float = option(0.7, "least random zoom", above=0)
    scale_high: float = option(1.6, "largest random zoom", above=0)
    flip: float = option(0.5, "chance of a left-right flip", above=-1e-9)
    rare_chance: float = option(0.5, "chance that a crop is near a rare class", above=-1e-9)
    rare_share: float = option(0.02, "classes with less of the pixels are rare", above=-1e-9)
    paste_chance: float = option(
        0.0, "chance that a rare class of another image is pasted in", above=-1e-9
    )
    jitter: float = option(0.4, "strength of brightness, contrast, saturation", above=-1e-9)
    hue: float = option(0.03, "strength of the hue jitter, 0–0.5", above=-1e-9)
    light: float = option(0.0, "chance of other gamma and of a gradient of light", above=-1e-9)
    blur: float = option(0.0, "chance of blur", above=-1e-9)
    noise: float = option(0.0, "chance of noise", above=-1e-9)
    # Loss
    loss: str = option("ce", "what is minimised", ("ce", "ohem", "dice", "ce+dice"))
    class_weights: str = option(
        "log", "of cross entropy: none, log, inverse, median, or numbers with commas"
    )
    ohem_threshold: float = option(0.7, "pixels more certain than this are easy", above=0)
    ohem_kept: float = option(1 / 16, "least share of pixels kept", above=0)
    dice_activation: str = option("softmax", "logits to shares", ("softmax", "sigmoid"))
    dice_smooth: float = option(1.0, "added to both sides of the ratio", above=-1e-9)
    auxiliary_weight: float = option(
        PAPERS_WEIGHT,
        "weight of each auxiliary head's loss; -1: as the network's paper says, 0: none are built",
        above=-1.0000001,
    )
    dropout: float = option(0.1, "share of features that heads drop", above=-1e-9)
    # Steps
    iterations: int = option(1600, "optimiser steps", above=0)
    batch: int = option(8, "images a step, over all devices and accumulated batches", above=0)
    accumulate: int = option(1, "batches a step is split into", above=0)
    optimiser: str = option("adamw", "the optimiser", ("adamw", "sgd"))
    learning_rate: float = option(2e-3, "its peak", above=0)
    momentum: float = option(0.9, "of sgd", above=-1e-9)
    weight_decay: float = option(1e-2, "on weights of convolutions only", above=-1e-9)
    head_factor: float = option(1.0, "learning rate of heads over that of the rest", above=0)
    schedule: str = option("poly", "how the rate falls", ("poly", "cosine"))
    power: float = option(0.9, "exponent of poly", above=0)
    warmup: int = option(50, "steps of linear warm-up", above=-1)
    clip: float = option(0.0, "largest norm of the gradient; 0: any", above=-1e-9)
    ema: float = option(0.995, "decay of the weights' running average; 0: none", above=-1e-9)
    # Machine
    device: str = option("auto", "where to train", ("auto", "cpu", "cuda"))
    devices: int = option(1, "devices a machine", above=0)
    nodes: int = option(1, "machines; start one process each with torchrun", above=0)
    sync_norm: bool = option(True, "batch norm over all devices")
    precision: str = option(
        "bf16-mixed", "of the arithmetic", ("bf16-mixed", "16-mixed", "32-true")
    )
    channels_last: bool = option(True, "memory layout of images and weights")
    workers: int = option(0, "processes that make views; 0: the training's own", above=-1)
    seed: int = option(1, "of weights, order and views", above=-1)
    # Watching
    validate_every: int = option(
        200, "steps between validations and checkpoints, or a little other: see interval", above=0
    )
    patience: int = option(
        0, "validations without a better mIoU until it stops; 0: never", above=-1
    )

    def __post_init__(self) -> None:
        for item in fields(self):
            self._check(item.name, getattr(self, item.name), item.metadata)
        for side in ("crop_height", "crop_width"):
            if getattr(self, side) % 32:
                raise ArgumentError(f"{side} is {getattr(self, side)}; it must be a multiple of 32")
        if self.scale_high < self.scale_low:
            raise ArgumentError(f"scale_high {self.scale_high} is below scale_low {self.scale_low}")
        if self.batch % (self.accumulate * self.devices * self.nodes):
            raise ArgumentError(
                f"batch {self.batch} cannot be shared evenly by {self.accumulate} accumulated "
                f"batches on {self.devices * self.nodes} devices; change one of them"
            )

    def _check(self, name: str, value: Any, known: Any) -> None:
        if known["choices"] and value not in known["choices"]:
            raise ArgumentError(f"{name} is {value!r}; choose {', '.join(known['choices'])}")
        if known["above"] is not None and not value > known["above"]:
            least = "at least 0" if -1 < known["above"] < 0 else f"above {known['above']:g}"
            raise ArgumentError(f"{name} is {value}; it must be {least}")
        if name in ("mean", "std") and len(value) != 3:
            raise ArgumentError(f"{name} is {value}; expected three numbers, red, green, blue")

    @classmethod
    def read(cls, path: str | Path | None, changes: dict[str, Any] | None = None) -> Recipe:
        """A YAML file's options, overridden by every change that is not None.

        Raises:
            ArgumentError: the file is unreadable, names an option that does not exist, or has a
                value of another kind.
        """
        options: dict[str, Any] = {}
        if path is not None:
            try:
                options = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
            except (OSError, yaml.YAMLError) as error:
                raise ArgumentError(f"config {path} cannot be read: {error}") from error
            if not isinstance(options, dict):
                raise ArgumentError(
                    f"config {path} holds no options; expected lines of name: value"
                )
        options |= {k: v for k, v in (changes or {}).items() if v is not None}
        return cls(**{name: _of_kind(name, value, path) for name, value in options.items()})

    @property
    def interval(self) -> int:
        """Steps between validations: ``validate_every``, fitted so that the run ends with one."""
        return self.iterations // max(1, round(self.iterations / self.validate_every))

    def weight_of_auxiliary(self, papers: float) -> float:
        """The weight of each auxiliary loss, where the network's paper gives ``papers``."""
        return papers if self.auxiliary_weight == PAPERS_WEIGHT else self.auxiliary_weight

    def write(self, path: Path) -> None:
        """Write all options as YAML, so that the run can be repeated from the file."""
        path.write_text(yaml.safe_dump(asdict(self), sort_keys=False), encoding="utf-8")


DEFAULTS = asdict(Recipe())


def _of_kind(name: str, value: Any, path: str | Path | None) -> Any:
    """``value`` as the kind of the option's default; ArgumentError if it is of another."""
    where = f"config {path}: " if path else ""
    if name not in DEFAULTS:
        raise ArgumentError(f"{where}there is no option {name}; train --help lists them")
    kind = type(DEFAULTS[name])
    try:
        if kind is list:
            return [float(v) for v in value]
        if kind is bool and not isinstance(value, bool):
            raise ValueError
        if kind is int and int(value) != value:
            raise ValueError
        return kind(value)
    except (TypeError, ValueError) as error:
        wanted = {list: "three numbers", bool: "true or false", int: "a whole number"}
        raise ArgumentError(
            f"{where}{name} is {value!r}; expected {wanted.get(kind, 'a number')}"
        ) from error
