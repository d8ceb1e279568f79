"""Every option of a training run, in one dataclass read from YAML."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from bisenet_ros.errors import ArgumentError


@dataclass(frozen=True)
class Recipe:
    """What is trained, on what, and how.

    Attributes:
        data: folder of the data set.
        dataset: its layout; ``camvid``.
        out: folder of the run.
        num_classes: classes of the data set.
        iterations: optimiser steps.
        batch: images a step.
        crop_height, crop_width: size of a training crop in pixels; multiples of 32.
        scale_low, scale_high: range of the random zoom.
        jitter: strength of the colour jitter, 0–1.
        rare_chance: chance that a crop is centred near a pixel of a class below 2 % of the set.
        learning_rate: peak of AdamW's learning rate.
        weight_decay: on convolution weights.
        warmup: steps of linear warm-up.
        power: exponent of the polynomial decay.
        ema: decay of the running average of the weights, which is what is validated and shipped.
        mean, std: of the images in 0–1, RGB.
        precision: ``bf16-mixed``, ``16-mixed`` or ``32-true``.
        validate_every: steps between validations.
        seed: of weights, order and augmentation.
    """

    data: str = ""
    dataset: str = "camvid"
    out: str = "runs/camvid"
    num_classes: int = 11
    iterations: int = 1600
    batch: int = 8
    crop_height: int = 320
    crop_width: int = 448
    scale_low: float = 0.7
    scale_high: float = 1.6
    jitter: float = 0.4
    rare_chance: float = 0.5
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup: int = 50
    power: float = 0.9
    ema: float = 0.995
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    precision: str = "bf16-mixed"
    validate_every: int = 200
    seed: int = 1

    @classmethod
    def read(cls, path: str | Path | None, **changes: Any) -> Recipe:
        """A YAML file's options, overridden by every change that is not None.

        Raises:
            ArgumentError: the file is unreadable, or names an option that does not exist.
        """
        options: dict[str, Any] = {}
        if path is not None:
            try:
                options = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
            except (OSError, yaml.YAMLError) as error:
                raise ArgumentError(f"config {path} cannot be read: {error}") from error
        known = {field.name for field in fields(cls)}
        strange = sorted(set(options) - known)
        if strange:
            raise ArgumentError(
                f"config {path} has {', '.join(strange)}; "
                f"the options are {', '.join(sorted(known))}"
            )
        options |= {name: value for name, value in changes.items() if value is not None}
        for name in ("mean", "std"):
            if name in options:
                options[name] = tuple(options[name])
        return cls(**options)

    def write(self, path: Path) -> None:
        """Write all options as YAML, so that the run can be repeated from the file."""
        options = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        path.write_text(yaml.safe_dump(options, sort_keys=False), encoding="utf-8")
