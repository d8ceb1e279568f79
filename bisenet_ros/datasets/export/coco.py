"""Writes COCO's JSON, a file a split, see ``datasets.coco_json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from bisenet_ros.datasets.export.base import background_of, check_names, copy_image, write
from bisenet_ros.datasets.regions.rle import counts_to_text, encode_counts
from bisenet_ros.labels import UNLABELLED, LabelSet

NO_CLASS = "unlabelled"


class CocoExporter:
    """Writes one annotation a class and image, as run lengths: polygons cannot have holes.

    A category ``unlabelled`` is added where pixels are, or where there is no class ``background``
    for the pixels that no annotation covers.
    """

    def __init__(self, out: Path, labels: LabelSet) -> None:
        check_names(labels)
        self._out = out
        self._labels = labels
        self._background = background_of(labels)
        self._splits: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {}
        self._holes = self._background is None

    def add(self, split: str, name: str, image: Path, ids: np.ndarray) -> None:
        file = copy_image(image, self._out / "images", name)
        images, regions = self._splits.setdefault(split, ([], []))
        height, width = ids.shape
        number = len(images) + 1
        images.append({"id": number, "file_name": file, "height": height, "width": width})
        for id in np.unique(ids).tolist():
            if id == self._background or (id == UNLABELLED and self._background is None):
                continue  # what no annotation covers
            self._holes |= id == UNLABELLED
            regions.append(
                {"id": len(regions) + 1, "image_id": number, **self._region(ids == id, id)}
            )

    def _region(self, mask: np.ndarray, id: int) -> dict[str, Any]:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        left, top = int(columns[0]), int(rows[0])
        counts = counts_to_text(encode_counts(mask))
        return {
            "category_id": (len(self._labels) if id == UNLABELLED else id) + 1,
            "segmentation": {"size": list(mask.shape), "counts": counts},
            "area": int(mask.sum()),
            "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
            "iscrowd": 0,
        }

    def finish(self) -> None:
        categories: list[dict[str, Any]] = [
            {"id": index + 1, "name": name, "supercategory": "", "color": list(colour)}
            for index, (name, colour) in enumerate(
                zip(self._labels.names, self._labels.colours, strict=True)
            )
        ]
        if self._holes:
            number = len(self._labels) + 1
            categories.append({"id": number, "name": NO_CLASS, "supercategory": ""})
        for split, (images, regions) in self._splits.items():
            data = {
                "info": {"description": "written by bisenet_ros"},
                "images": images,
                "annotations": regions,
                "categories": categories,
            }
            text = json.dumps(data, ensure_ascii=False)
            write(self._out / "annotations" / f"instances_{split}.json", text.encode())
