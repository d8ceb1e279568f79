"""Names and colours of well-known sets of classes, and how their images are normalised."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bisenet_ros.checkpoints.convert.base import IMAGENET_MEAN, IMAGENET_STD, Triple
from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.labels import LabelSet
from bisenet_ros.system.share import share_file
from bisenet_ros.system.yaml_file import read_yaml

RESOLUTION = (512, 1024)  # where nothing says another one


@dataclass(frozen=True)
class Preset:
    """A well-known set of classes.

    Attributes:
        count: how many classes.
        mean, std: of its RGB images in 0–1, for networks that are normalised by their data set.
        resolution: (height, width) at which its networks are usually run.
    """

    count: int
    mean: Triple
    std: Triple
    resolution: tuple[int, int]


# Cityscapes, COCO-Stuff and ADE20K: what github.com/CoinCheung/BiSeNet measured and trains with.
# The others have no published figures that networks are trained with, so they take ImageNet's.
PRESETS = {
    "cityscapes": Preset(19, (0.3257, 0.3690, 0.3223), (0.2112, 0.2148, 0.2115), (512, 1024)),
    "camvid": Preset(11, IMAGENET_MEAN, IMAGENET_STD, (720, 960)),
    "voc": Preset(21, IMAGENET_MEAN, IMAGENET_STD, (512, 512)),
    "coco-stuff": Preset(
        171,
        (0.46962251, 0.4464104, 0.40718787),
        (0.27469736, 0.27012361, 0.28515933),
        (640, 640),
    ),
    "ade20k": Preset(
        150,
        (0.49343230, 0.46819794, 0.43106043),
        (0.25680755, 0.25506608, 0.27422913),
        (512, 512),
    ),
}


def preset_labels(name: str) -> LabelSet:
    """Names and colours of a preset's classes."""
    return LabelSet.read(share_file(f"config/labels/{name}.yaml"))


def preset_for(classes: int) -> str | None:
    """The preset with that many classes, if one has."""
    return next((name for name, preset in PRESETS.items() if preset.count == classes), None)


def read_classes(classes: str | Path) -> LabelSet:
    """The classes of a preset, or of a YAML file as config/labels/ holds them.

    Raises:
        ArgumentError: there is no such preset, and the file cannot be read or is none.
    """
    if str(classes) in PRESETS:
        return preset_labels(str(classes))
    presets = ", ".join(PRESETS)
    try:
        return LabelSet.of(read_yaml(classes), classes)
    except DataError as error:
        raise ArgumentError(
            f"--classes {classes} is neither a preset ({presets}) nor a file of classes: {error}; "
            "write one as config/labels/camvid.yaml is"
        ) from error
    except ValueError as error:
        said = " ".join(str(error).replace(f"{classes}: ", "").split())
        raise ArgumentError(
            f"--classes {classes} is not a list of classes: {said}; expected a preset ({presets}) "
            "or a file such as config/labels/camvid.yaml"
        ) from error
