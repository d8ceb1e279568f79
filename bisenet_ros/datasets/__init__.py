"""Labelled images on disk: public data sets, anybody's own, synthetic ones."""

from bisenet_ros.datasets.base import LabelledSet, Sample
from bisenet_ros.datasets.camvid import CAMVID
from bisenet_ros.datasets.checking import Checked, check
from bisenet_ros.datasets.images import TrainingImages
from bisenet_ros.datasets.registry import DATASETS, DatasetOptions, DatasetSpec, open_set

__all__ = [
    "CAMVID",
    "DATASETS",
    "Checked",
    "DatasetOptions",
    "DatasetSpec",
    "LabelledSet",
    "Sample",
    "TrainingImages",
    "check",
    "open_set",
]
