"""The same labelled images as each labelling tool exports them, written from the tools' formats.

Nothing of the package is used but the pictures: these are the other side of its readers.
"""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from drawn import Drawn, voc_colours, write_image, write_palette, write_png
from drawn_regions import coco_region, joined, label_studio_rle, regions_in_order, rings
from PIL import Image

from bisenet_ros.datasets.synthetic_shapes import CLASSES

NAMES = tuple(CLASSES)
COLOURS = ((0, 0, 0), *list(CLASSES.values())[1:])  # CVAT's background is black


def folder(root: Path, images: list[Drawn]) -> Path:
    for one in images:
        write_image(root / f"images/{one.name}.jpg", one.image)
        write_png(root / f"masks/{one.name}.png", one.ids)
    for split in ("train", "val"):
        names = [one.name for one in images if one.split == split]
        (root / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    write_classes(root)
    return root


def write_classes(root: Path, **more: Any) -> None:
    classes = [
        {"name": name, "color": list(colour)} for name, colour in zip(NAMES, COLOURS, strict=True)
    ]
    root.mkdir(parents=True, exist_ok=True)
    (root / "labels.yaml").write_text(yaml.safe_dump({"classes": classes, **more}))


def folder_of_colours(root: Path, images: list[Drawn]) -> Path:
    folder(root, images)
    for one in images:
        write_png(root / f"masks/{one.name}.png", np.array(COLOURS, np.uint8)[one.ids])
    return root


def folder_of_palettes(root: Path, images: list[Drawn]) -> Path:
    """As a drawing program saves them: colours in the order of their use."""
    folder(root, images)
    for one in images:
        order = np.random.default_rng(len(one.name)).permutation(len(NAMES))
        numbers = np.argsort(order)[one.ids]
        write_palette(root / f"masks/{one.name}.png", numbers, [COLOURS[i] for i in order])
    return root


def folder_of_16_bits(root: Path, images: list[Drawn]) -> Path:
    folder(root, images)
    for one in images:
        write_png(root / f"masks/{one.name}.png", one.ids.astype(np.uint16) * 1000)
    classes = [
        {"name": name, "color": list(colour), "id": 1000 * index}
        for index, (name, colour) in enumerate(zip(NAMES, COLOURS, strict=True))
    ]
    (root / "labels.yaml").write_text(yaml.safe_dump({"classes": classes}))
    return root


def cvat(root: Path, images: list[Drawn]) -> Path:
    """Segmentation mask 1.1 of a task with the subsets that CVAT offers."""
    lines = "".join(
        f"{name}:{','.join(map(str, colour))}::\n"
        for name, colour in zip(NAMES, COLOURS, strict=True)
    )
    root.mkdir(parents=True, exist_ok=True)
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + lines)
    for one in images:
        write_image(root / f"JPEGImages/{one.name}.jpg", one.image)
        write_png(root / f"SegmentationClass/{one.name}.png", np.array(COLOURS, np.uint8)[one.ids])
        objects = np.array(voc_colours(len(NAMES)), np.uint8)[one.ids]
        write_png(root / f"SegmentationObject/{one.name}.png", objects)
    _lists(root, images, {"train": "Train", "val": "Validation"})
    return root


def _lists(root: Path, images: list[Drawn], called: dict[str, str]) -> None:
    place = root / "ImageSets/Segmentation"
    place.mkdir(parents=True)
    for split, name in called.items():
        names = [one.name for one in images if one.split == split]
        (place / f"{name}.txt").write_text("".join(f"{name}\n" for name in names))


def voc(root: Path, images: list[Drawn]) -> Path:
    for one in images:
        write_image(root / f"JPEGImages/{one.name}.jpg", one.image)
        write_palette(root / f"SegmentationClass/{one.name}.png", one.ids, voc_colours())
    (root / "class_names.txt").write_text("".join(f"{name}\n" for name in NAMES))
    _lists(root, images, {"train": "train", "val": "val", "both": "trainval"})
    names = "".join(f"{one.name}\n" for one in images)
    (root / "ImageSets/Segmentation/trainval.txt").write_text(names)
    return root


def roboflow(root: Path, images: list[Drawn]) -> Path:
    for one in images:
        place = root / {"train": "train", "val": "valid"}[one.split]
        write_image(place / f"{one.name}_png.rf.0f3a.jpg", one.image)
        write_png(place / f"{one.name}_png.rf.0f3a_mask.png", one.ids)
        rows = "".join(f"{index}, {name}\n" for index, name in enumerate(NAMES))
        (place / "_classes.csv").write_text("Pixel Value, Class\n" + rows)
    (root / "README.roboflow.txt").write_text("exported\n")
    return root


def coco(root: Path, images: list[Drawn], how: str = "polygons") -> Path:
    """CVAT's COCO 1.0: categories from 1, no background; polygons or run lengths."""
    for split in ("train", "val"):
        entries: list[dict[str, Any]] = []
        drawn: list[dict[str, Any]] = []
        for number, one in enumerate((o for o in images if o.split == split), 1):
            write_image(root / f"images/{one.name}.jpg", one.image)
            entries.append(
                {
                    "id": number,
                    "width": one.ids.shape[1],
                    "height": one.ids.shape[0],
                    "file_name": f"{one.name}.jpg",
                    "license": 0,
                    "coco_url": "",
                }
            )
            for id, mask in regions_in_order(one.ids):
                drawn.append(
                    {
                        "id": len(drawn) + 1,
                        "image_id": number,
                        "category_id": id,
                        "segmentation": coco_region(mask, how),
                        "area": float(mask.sum()),
                        "bbox": [0.0, 0.0, 1.0, 1.0],
                        "iscrowd": int(how == "counts"),
                    }
                )
        categories = [
            {"id": id, "name": name, "supercategory": ""} for id, name in enumerate(NAMES) if id
        ]
        text = json.dumps(
            {
                "licenses": [{"name": "", "id": 0, "url": ""}],
                "info": {"contributor": "", "description": ""},
                "categories": categories,
                "images": entries,
                # Crowds are laid down first, in the file's order; here all are.
                "annotations": drawn,
            }
        )
        place = root / "annotations"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"instances_{split}.json").write_text(text)
    return root


def coco_counts(root: Path, images: list[Drawn]) -> Path:
    return coco(root, images, "counts")


def labelme(root: Path, images: list[Drawn]) -> Path:
    for one in images:
        place = root / one.split
        write_image(place / f"{one.name}.jpg", one.image)
        shapes: list[dict[str, Any]] = []
        for id, mask in regions_in_order(one.ids):
            shape = {"label": NAMES[id], "group_id": None, "description": "", "flags": {}}
            if id % 2:
                corners = [list(map(float, corner)) for corner in joined(rings(mask))]
                shapes.append({**shape, "points": corners, "shape_type": "polygon", "mask": None})
            else:
                shapes.append({**shape, **labelme_mask(mask)})
        data = {
            "version": "5.8.1",
            "flags": {},
            "shapes": shapes,
            "imagePath": f"{one.name}.jpg",
            "imageData": None,
            "imageHeight": one.ids.shape[0],
            "imageWidth": one.ids.shape[1],
        }
        (place / f"{one.name}.json").write_text(json.dumps(data, indent=2))
    lines = ["__ignore__", "_background_", *NAMES[1:]]
    (root / "labels.txt").write_text("".join(f"{line}\n" for line in lines))
    return root


def labelme_mask(mask: np.ndarray) -> dict[str, Any]:
    rows, columns = np.nonzero(mask)
    x0, y0, x1, y1 = columns.min(), rows.min(), columns.max(), rows.max()
    patch = mask[y0 : y1 + 1, x0 : x1 + 1].astype(np.uint8)
    text = base64.b64encode(cv2.imencode(".png", patch)[1].tobytes()).decode()
    points = [[float(x0), float(y0)], [float(x1), float(y1)]]
    return {"points": points, "shape_type": "mask", "mask": text}


def label_studio(root: Path, images: list[Drawn]) -> Path:
    """Uploaded images keep eight digits in front; brush strokes and polygons."""
    tasks: list[dict[str, Any]] = []
    for number, one in enumerate(images, 1):
        write_image(root / f"{one.name}.jpg", one.image)
        height, width = one.ids.shape
        results: list[dict[str, Any]] = []
        for id, mask in regions_in_order(one.ids):
            kind = "polygonlabels" if id % 2 else "brushlabels"
            corners = [[100 * x / width, 100 * y / height] for x, y in joined(rings(mask))]
            value: dict[str, Any] = (
                {"points": corners, "closed": True}
                if id % 2
                else {"format": "rle", "rle": label_studio_rle(mask)}
            )
            results.append(
                {
                    "original_width": width,
                    "original_height": height,
                    "image_rotation": 0,
                    "value": {**value, kind: [NAMES[id]]},
                    "id": f"r{number}_{id}",
                    "from_name": "tag",
                    "to_name": "image",
                    "type": kind,
                    "origin": "manual",
                }
            )
        # The strokes of an annotator who gave up, and those of the one who did not.
        annotations = [
            {"id": 2 * number, "was_cancelled": True, "result": results[:1]},
            {"id": 2 * number + 1, "was_cancelled": False, "result": results},
        ]
        tasks.append(
            {
                "id": number,
                "annotations": annotations,
                "file_upload": f"0a1b2c3d-{one.name}.jpg",
                "drafts": [],
                "predictions": [],
                "data": {"image": f"/data/upload/1/0a1b2c3d-{one.name}.jpg"},
                "meta": {},
            }
        )
    (root / "project-1-at-2026-05-01.json").write_text(json.dumps(tasks))
    (root / "labels.txt").write_text("".join(f"{name}\n" for name in NAMES))
    return root


def supervisely(root: Path, images: list[Drawn]) -> Path:
    classes = [
        {"title": name, "shape": "any", "color": "#{:02x}{:02x}{:02x}".format(*colour)}
        for name, colour in zip(NAMES, COLOURS, strict=True)
    ]
    root.mkdir(parents=True, exist_ok=True)
    (root / "meta.json").write_text(json.dumps({"classes": classes, "tags": []}))
    for one in images:
        write_image(root / one.split / "img" / f"{one.name}.jpg", one.image)
        objects = []
        for id, mask in regions_in_order(one.ids):
            rows, columns = np.nonzero(mask)
            x0, y0 = int(columns.min()), int(rows.min())
            patch = mask[y0 : rows.max() + 1, x0 : columns.max() + 1].astype(np.uint8) * 255
            content = zlib.compress(cv2.imencode(".png", patch)[1].tobytes())
            data = base64.b64encode(content).decode()
            objects.append(
                {
                    "classTitle": NAMES[id],
                    "geometryType": "bitmap",
                    "bitmap": {"data": data, "origin": [x0, y0]},
                    "tags": [],
                }
            )
        height, width = one.ids.shape
        note = {"description": "", "tags": [], "size": {"height": height, "width": width}}
        place = root / one.split / "ann"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{one.name}.jpg.json").write_text(json.dumps({**note, "objects": objects}))
    return root


def cvat_images(root: Path, images: list[Drawn]) -> Path:
    """CVAT for images 1.1 of a project with subsets; shapes in any order, sorted by z_order."""
    labels = "".join(
        "<label><name>{}</name><color>#{:02x}{:02x}{:02x}</color><type>any</type>"
        "<attributes></attributes></label>".format(name, *colour)
        for name, colour in zip(NAMES, COLOURS, strict=True)
    )
    text = (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><project>'
        f"<labels>{labels}</labels></project></meta>\n"
    )
    for number, one in enumerate(images):
        subset = {"train": "Train", "val": "Validation"}[one.split]
        write_image(root / f"images/{subset}/{one.name}.jpg", one.image)
        height, width = one.ids.shape
        text += f'<image id="{number}" name="{one.name}.jpg" subset="{subset}" '
        text += f'width="{width}" height="{height}">\n'
        for id, mask in regions_in_order(one.ids)[::-1]:
            common = f'label="{NAMES[id]}" source="manual" occluded="0" z_order="{id}"'
            if id % 2:
                corners = ";".join(f"{x:.2f},{y:.2f}" for x, y in joined(rings(mask)))
                text += f'<polygon {common} points="{corners}"></polygon>\n'
            else:
                rows, columns = np.nonzero(mask)
                y0, y1, x0, x1 = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
                counts = coco_region(mask[y0:y1, x0:x1].T, "counts")["counts"]
                text += f'<mask {common} rle="{", ".join(map(str, counts))}" left="{x0}" '
                text += f'top="{y0}" width="{x1 - x0}" height="{y1 - y0}"></mask>\n'
        text += '<tag label="good" source="manual"></tag></image>\n'
    (root / "annotations.xml").write_text(text + "</annotations>\n")
    return root


def parquet(root: Path, images: list[Drawn]) -> Path:
    """As ``push_to_hub`` leaves it, with the hub's id2label.json."""
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Image()})
    (root / "data").mkdir(parents=True)
    for split in ("train", "val"):
        ours = [one for one in images if one.split == split]
        columns = {
            "image": [Image.fromarray(one.image) for one in ours],
            "label": [Image.fromarray(one.ids) for one in ours],
        }
        table = datasets.Dataset.from_dict(columns, features=features)
        named = {"train": "train", "val": "validation"}[split]
        table.to_parquet(root / f"data/{named}-00000-of-00001.parquet")
    (root / "id2label.json").write_text(json.dumps({str(i): n for i, n in enumerate(NAMES)}))
    return root


def image_folder(root: Path, images: list[Drawn]) -> Path:
    """Hugging Face's, with a list in each split's folder."""
    for split in ("train", "val"):
        lines = []
        for one in images:
            if one.split == split:
                write_image(root / f"{split}/{one.name}.jpg", one.image)
                write_png(root / f"{split}/masks/{one.name}.png", one.ids)
                named = {"file_name": f"{one.name}.jpg", "mask_file_name": f"masks/{one.name}.png"}
                lines.append(json.dumps(named) + "\n")
        (root / split / "metadata.jsonl").write_text("".join(lines))
    (root / "id2label.json").write_text(json.dumps({str(i): n for i, n in enumerate(NAMES)}))
    return root


FORMATS = {
    "folder": (folder, "folder"),
    "folder_of_colours": (folder_of_colours, "folder"),
    "folder_of_palettes": (folder_of_palettes, "folder"),
    "folder_of_16_bits": (folder_of_16_bits, "folder"),
    "cvat": (cvat, "cvat"),
    "cvat_images": (cvat_images, "cvat-images"),
    "voc": (voc, "voc"),
    "roboflow": (roboflow, "roboflow"),
    "coco": (coco, "coco"),
    "coco_counts": (coco_counts, "coco"),
    "labelme": (labelme, "labelme"),
    "label_studio": (label_studio, "label-studio"),
    "supervisely": (supervisely, "supervisely"),
    "parquet": (parquet, "hugging-face"),
    "image_folder": (image_folder, "hugging-face"),
}
