"""The formats of labelling tools: for each, how it is recognised and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bisenet_ros.datasets.annotated import AnnotatedSet, open_all, open_split
from bisenet_ros.datasets.base import LabelledSet
from bisenet_ros.datasets.coco_json import index_coco, recognise_coco
from bisenet_ros.datasets.cvat import index_cvat, recognise_cvat
from bisenet_ros.datasets.cvat_images import index_cvat_images, recognise_cvat_images
from bisenet_ros.datasets.hugging_face import index_hugging_face, recognise_hugging_face
from bisenet_ros.datasets.label_studio import index_label_studio, recognise_label_studio
from bisenet_ros.datasets.labelme import index_labelme, recognise_labelme
from bisenet_ros.datasets.options import DatasetOptions
from bisenet_ros.datasets.roboflow import index_roboflow, recognise_roboflow
from bisenet_ros.datasets.supervisely import index_supervisely, recognise_supervisely
from bisenet_ros.datasets.tree import Tree, read_tree
from bisenet_ros.datasets.voc import index_voc, recognise_voc


@dataclass(frozen=True)
class Reader:
    """A format.

    Attributes:
        index: lists a set's splits and classes; raises DataError.
        help: one line for people who choose.
        recognise: why a folder is of this format, in words, or None if it is not.
    """

    index: Callable[[Tree, DatasetOptions], AnnotatedSet]
    help: str
    recognise: Callable[[Tree], str | None]

    def open(self, root: Path, split: str, options: DatasetOptions) -> LabelledSet:
        """One split of a folder or zip; DataError if it is not there or does not fit together."""
        tree = read_tree(root)
        return open_split(self.index(tree, options), root, split, options)

    def open_all(self, root: Path, options: DatasetOptions) -> dict[str, LabelledSet]:
        """Every split; DataError if the set does not fit together."""
        tree = read_tree(root)
        return open_all(self.index(tree, options), root, options)


READERS: dict[str, Reader] = {
    "cvat": Reader(index_cvat, "CVAT's Segmentation mask 1.1", recognise_cvat),
    "cvat-images": Reader(
        index_cvat_images, "CVAT for images 1.1, annotations.xml", recognise_cvat_images
    ),
    "voc": Reader(index_voc, "PASCAL VOC's masks, and labelme2voc's", recognise_voc),
    "roboflow": Reader(
        index_roboflow, "Roboflow's semantic segmentation masks", recognise_roboflow
    ),
    "coco": Reader(index_coco, "COCO's JSON of polygons and run lengths", recognise_coco),
    "labelme": Reader(index_labelme, "labelme's JSON beside each image", recognise_labelme),
    "label-studio": Reader(
        index_label_studio, "Label Studio's JSON export with its images", recognise_label_studio
    ),
    "supervisely": Reader(
        index_supervisely, "a downloaded Supervisely project", recognise_supervisely
    ),
    "hugging-face": Reader(
        index_hugging_face, "Hugging Face's parquet, or its image folders", recognise_hugging_face
    ),
}
