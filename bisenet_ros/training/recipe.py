"""All options of a training run, in one dataclass read from YAML and the command line."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from bisenet_ros.datasets import DATASETS
from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.networks import BACKBONES, NETWORKS, build_config
from bisenet_ros.system.yaml_file import read_yaml

FROM_PAPER = -1.0


def option(
    default: Any, text: str, choices: tuple[str, ...] = (), above: float | None = None
) -> Any:
    """A field with its ``--help`` text and its allowed values."""
    known = {"text": text, "choices": choices, "above": above}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=known)
    return field(default=default, metadata=known)


@dataclass(frozen=True)
class Recipe:
    """Data, network, loss, optimisation and hardware of a run; each field has its description.

    Raises:
        ArgumentError: a value is not one of its choices, or out of range.
    """

    # Data and network
    data: str = option("", "data set folder or zip")
    dataset: str = option("auto", "data set format; auto: recognised by its files", tuple(DATASETS))
    stuff_only: bool = option(False, "coco-stuff: only the 91 stuff classes")
    classes: str = option(
        "", "classes to learn, comma-separated, or a YAML file that groups them; empty: all"
    )
    val_share: float = option(
        0.2, "fraction held out for val where the data set has no splits", above=0
    )
    group_by: str = option(
        "", "keep images of a recording on one side of that split: folder, prefix or a regex"
    )
    hold_out: str = option(
        "", "judge on this group of --group-by, wherever its images are, and train on the others"
    )
    resize_masks: bool = option(False, "resize masks that differ from images by a whole factor")
    skip_unlabelled: bool = option(False, "leave out images without a label")
    out: str = option("runs/camvid", "run folder")
    network: str = option("bisenetv2", "network architecture", tuple(NETWORKS))
    backbone: str = option("", "backbone of the network; empty: its default", ("", *BACKBONES))
    backbone_weights: str = option(
        "", "start the backbone from torchvision's image classifier: a file of its state_dict"
    )
    network_options: dict[str, Any] = option(
        {}, "further options of the network, such as output_stride=8; `networks` lists them"
    )
    num_classes: int = option(0, "expected number of classes; 0: from the data set", above=-1)
    weights: str = option(
        "",
        "weights to fine-tune, with their network options, mean and std unless others are given; "
        "the classifier is re-initialised if the classes differ",
    )
    input_height: int = option(0, "input height for inference; 0: from the data set", above=-1)
    input_width: int = option(0, "input width for inference; 0: from the data set", above=-1)
    mean: list[float] = option([0.485, 0.456, 0.406], "mean of RGB images in 0–1")
    std: list[float] = option([0.229, 0.224, 0.225], "standard deviation of RGB images in 0–1")
    # Augmentation
    crop_height: int = option(
        320, "height of a training crop, a multiple of the network's 32 or 16", above=31
    )
    crop_width: int = option(448, "width of a training crop, a multiple of the same", above=31)
    scale_low: float = option(0.7, "smallest random scale", above=0)
    scale_high: float = option(1.6, "largest random scale", above=0)
    flip: float = option(0.5, "probability of a horizontal flip", above=-1e-9)
    rare_chance: float = option(
        0.5, "probability of centring a crop near a rare class", above=-1e-9
    )
    rare_share: float = option(
        0.02, "classes below this fraction of the pixels are rare", above=-1e-9
    )
    paste_chance: float = option(
        0.0, "probability of pasting in a rare class from another image", above=-1e-9
    )
    jitter: float = option(
        0.4, "strength of brightness, contrast and saturation jitter", above=-1e-9
    )
    hue: float = option(0.03, "strength of the hue jitter, 0–0.5", above=-1e-9)
    light: float = option(0.0, "probability of random gamma, and of a light gradient", above=-1e-9)
    blur: float = option(0.0, "probability of Gaussian blur", above=-1e-9)
    noise: float = option(0.0, "probability of Gaussian noise", above=-1e-9)
    # Loss
    loss: str = option("ce", "loss function", ("ce", "ohem", "dice", "ce+dice"))
    class_weights: str = option(
        "log", "for cross entropy: none, log, inverse, median, or comma-separated numbers"
    )
    ohem_threshold: float = option(
        0.7, "pixels whose true class is more probable than this are easy", above=0
    )
    ohem_kept: float = option(1 / 16, "smallest fraction of pixels kept", above=0)
    dice_activation: str = option("softmax", "applied to the logits", ("softmax", "sigmoid"))
    dice_smooth: float = option(1.0, "added to numerator and denominator", above=-1e-9)
    auxiliary_weight: float = option(
        FROM_PAPER,
        "weight of each auxiliary head's loss; -1: as in the paper, 0: no auxiliary heads",
        above=-1.0000001,
    )
    teacher: str = option("", "weights of a larger network of the same classes to learn from, too")
    distill_weight: float = option(1.0, "weight of the divergence from the teacher", above=-1e-9)
    distill_temperature: float = option(2.0, "divides both networks' logits for it", above=0)
    int8: bool = option(
        False, "round weights and activations as int8 does, so that export --int8 loses less"
    )
    dropout: float = option(0.1, "dropout probability in the heads", above=-1e-9)
    # Optimisation
    iterations: int = option(1600, "optimiser steps", above=0)
    batch: int = option(8, "images per step, over all devices and accumulated batches", above=0)
    accumulate: int = option(1, "gradient accumulation: batches per step", above=0)
    optimiser: str = option("adamw", "optimiser", ("adamw", "sgd"))
    learning_rate: float = option(2e-3, "peak learning rate", above=0)
    momentum: float = option(0.9, "momentum of sgd", above=-1e-9)
    weight_decay: float = option(1e-2, "applied to convolution weights only", above=-1e-9)
    head_factor: float = option(1.0, "learning rate of the heads, relative to the rest", above=0)
    schedule: str = option("poly", "learning rate decay", ("poly", "cosine"))
    power: float = option(0.9, "exponent of the poly schedule", above=0)
    warmup: int = option(50, "steps of linear warm-up", above=-1)
    clip: float = option(0.0, "gradient norm to clip at; 0: no clipping", above=-1e-9)
    ema: float = option(0.995, "decay of the weights' moving average; 0: none", above=-1e-9)
    # Hardware
    device: str = option("auto", "where to train", ("auto", "cpu", "cuda"))
    devices: int = option(1, "devices per machine", above=0)
    nodes: int = option(1, "machines; start one process each with torchrun", above=0)
    sync_norm: bool = option(True, "synchronise batch norm over all devices")
    precision: str = option(
        "bf16-mixed", "numeric precision", ("bf16-mixed", "16-mixed", "32-true")
    )
    channels_last: bool = option(True, "use the channels-last memory layout")
    workers: int = option(0, "data loader processes; 0: load in the training process", above=-1)
    seed: int = option(1, "seed of initial weights, order and augmentation", above=-1)
    # Validation
    validate_every: int = option(
        200,
        "steps between validations and checkpoints, rounded so that they divide the run",
        above=0,
    )
    patience: int = option(
        0, "stop after this many validations without a better mIoU; 0: never", above=-1
    )

    def __post_init__(self) -> None:
        for item in fields(self):
            self._check(item.name, getattr(self, item.name), item.metadata)
        multiple = NETWORKS[self.network].network.multiple
        for side in ("crop_height", "crop_width"):
            if getattr(self, side) % multiple:
                raise ArgumentError(
                    f"{side} is {getattr(self, side)}; expected a multiple of {multiple}, as "
                    f"{self.network} needs"
                )
        self._check_network()
        if self.scale_high < self.scale_low:
            raise ArgumentError(
                f"scale_high {self.scale_high} is below scale_low {self.scale_low}; "
                "expected scale_low ≤ scale_high"
            )
        if self.batch % (self.accumulate * self.devices * self.nodes):
            raise ArgumentError(
                f"batch {self.batch} cannot be divided evenly among {self.accumulate} accumulated "
                f"batches on {self.devices * self.nodes} devices; change one of them"
            )

    def _check_network(self) -> None:
        """Raise ArgumentError unless the network can be built as asked, with any classes."""
        try:
            self.config(num_classes=2)
        except (TypeError, ValueError) as error:
            raise ArgumentError(
                f"{self.network} cannot be built so: {error}; see python -m bisenet_ros networks"
            ) from error
        if self.backbone_weights and self.weights:
            raise ArgumentError(
                "weights and backbone_weights are both given; expected one: weights hold the "
                "backbone, too"
            )

    def config(self, num_classes: int) -> Any:
        """The network's config.

        Auxiliary heads are those of the paper unless ``auxiliary_weight`` says otherwise.

        Raises:
            ValueError: the network does not have an option, or it is out of range.
        """
        governed = {"num_classes", "auxiliary", "backbone"} & self.network_options.keys()
        if governed:
            raise ValueError(
                f"network_options has {', '.join(sorted(governed))}; expected these to be left to "
                "the data set, auxiliary_weight and backbone"
            )
        options = dict(self.network_options)
        if self.backbone:
            options["backbone"] = self.backbone
        if self.auxiliary_weight != FROM_PAPER:
            options["auxiliary"] = self.auxiliary_weight != 0
        return build_config(self.network, num_classes, **options)

    def _check(self, name: str, value: Any, known: Any) -> None:
        if known["choices"] and value not in known["choices"]:
            raise ArgumentError(
                f"{name} is {value!r}; expected one of {', '.join(known['choices'])}"
            )
        if known["above"] is not None and not value > known["above"]:
            least = "at least 0" if -1 < known["above"] < 0 else f"above {known['above']:g}"
            raise ArgumentError(f"{name} is {value}; expected {least}")
        if name in ("mean", "std") and len(value) != 3:
            raise ArgumentError(f"{name} is {value}; expected three numbers, red, green, blue")

    @classmethod
    def read(cls, path: str | Path | None, changes: dict[str, Any] | None = None) -> Recipe:
        """A YAML file's options, overridden by every change that is not None.

        Raises:
            ArgumentError: the file is unreadable, names an option that does not exist, or has a
                value of the wrong type.
        """
        options: dict[str, Any] = {}
        if path is not None:
            try:
                options = read_yaml(path) or {}
            except DataError as error:
                raise ArgumentError(f"config {error}") from error
            if not isinstance(options, dict):
                raise ArgumentError(
                    f"config {path} is not a mapping of options; expected lines of name: value"
                )
        options |= {k: v for k, v in (changes or {}).items() if v is not None}
        return cls(**{name: _converted(name, value, path) for name, value in options.items()})

    @property
    def interval(self) -> int:
        """Steps between validations: ``validate_every``, adjusted so that the run ends with one."""
        return self.iterations // max(1, round(self.iterations / self.validate_every))

    def weight_of_auxiliary(self, default: float) -> float:
        """The weight of each auxiliary loss, where the network's paper gives ``default``."""
        return default if self.auxiliary_weight == FROM_PAPER else self.auxiliary_weight

    def write(self, path: Path) -> None:
        """Write all options as YAML, so that the run can be repeated from the file."""
        path.write_text(yaml.safe_dump(asdict(self), sort_keys=False), encoding="utf-8")


DEFAULTS = asdict(Recipe())


def _converted(name: str, value: Any, path: str | Path | None) -> Any:
    """``value`` converted to the type of the option's default; ArgumentError if it does not fit."""
    where = f"config {path}: " if path else ""
    if name not in DEFAULTS:
        raise ArgumentError(f"{where}{name} is not an option; train --help lists them all")
    kind = type(DEFAULTS[name])
    try:
        if kind is list:
            return [float(v) for v in value]
        if kind is dict:
            return {str(key): each for key, each in dict(value).items()}
        if kind is bool and not isinstance(value, bool):
            raise ValueError
        if kind is int and int(value) != value:
            raise ValueError
        return kind(value)
    except (TypeError, ValueError) as error:
        expected = {list: "three numbers", bool: "true or false", int: "a whole number"}
        expected |= {dict: "a mapping of names to values"}
        raise ArgumentError(
            f"{where}{name} is {value!r}; expected {expected.get(kind, 'a number')}"
        ) from error
