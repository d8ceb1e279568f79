"""The report of an evaluation, read back as a browser would."""

from __future__ import annotations

import base64
import re
from typing import Any

import cv2
import numpy as np
import pytest
from html_page import Page

from bisenet_ros.labels import LabelSet
from bisenet_ros.report import dataset as dataset_report
from bisenet_ros.report import html as page
from bisenet_ros.report.data import ReportData, ReportImage
from bisenet_ros.report.figure import View

LABELS = LabelSet(("road", "tree <b>", "kerb"), ((128, 64, 128), (107, 142, 35), (10, 20, 230)))
FIGURES = {"iou": 0.5, "precision": 0.6, "recall": 0.7, "share": 0.5, "boundary_f": 0.4}


def shown(name: str, miou: float, size: tuple[int, int] = (30, 40)) -> ReportImage:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    truth = np.zeros(size, np.uint8)
    truth[:10], truth[-2:] = 1, 255
    return ReportImage(name, miou, View(image, truth, np.zeros(size, np.uint8), image // 2))


def metrics(**changes: Any) -> dict[str, Any]:
    image = {"name": "a", "width": 40, "height": 30, "pixel_accuracy": 0.8, "boundary_f": None}
    return {
        "miou": 0.5,
        "pixel_accuracy": 0.8,
        "frequency_weighted_iou": 0.7,
        "boundary_f": 0.4,
        "boundary_tolerance_px": [1],
        "scored": 2,
        "labelled_pixels": 2400,
        "per_class": {"road": FIGURES, "tree <b>": FIGURES, "kerb": dict.fromkeys(FIGURES)},
        "confusion": [[10, 5, 0, 0], [4, 6, 0, 0], [0, 0, 0, 0]],
        "images": [{**image, "miou": 0.6}, {**image, "name": "b", "miou": 0.4}],
        "min_miou": None,
        "warnings": [],
        "weights": {"file": "some.safetensors", "sha256": "0123", "trained_on": "streets"},
        "data": {
            "dataset": "camvid",
            "split": "val",
            "folder": "somewhere",
            "source": "A set of streets",
            "licence": "CC BY-NC 4.0",
        },
        "scored_with": {"engine": "plain PyTorch", "mirrored_too": "no"},
        "command": "python -m bisenet_ros evaluate --data somewhere",
        "machine": {
            "processor": "Some CPU",
            "cores": 2,
            "memory_gib": 8.0,
            "system": "Linux",
            "python": "3.10.1",
            "ros_distro": "jazzy",
        },
        **changes,
    }


def story(**changes: Any) -> ReportData:
    return ReportData(metrics(**changes), LABELS, [shown("a", 0.6)], [shown("b", 0.4)])


def words(text: str) -> str:
    return " ".join(Page(text).words.split())


def test_the_report_is_whole_and_needs_no_other_file():
    text = dataset_report.render(story())
    found = Page(text)
    assert len(found.sources) == 8 and all(s.startswith("data:image/") for s in found.sources)
    assert not re.search(r"<(link|script|iframe)|@import|url\((?!#)", text)
    for word in (
        *("some.safetensors", "50.0 %", "70.0 %", "camvid", "kerb", "Some CPU", "streets"),
        *("±1 px", "A set of streets · CC BY-NC 4.0", "40 × 30", "mirrored too", "Csurka"),
        "python -m bisenet_ros evaluate --data somewhere",
    ):
        assert word in words(text), word
    assert "prefers-color-scheme: dark" in text


def test_names_are_shown_as_they_are():
    text = dataset_report.render(story())
    assert "tree &lt;b&gt;" in text and "tree <b>" not in text


def test_the_bar_is_told_when_there_is_one():
    assert "the required" not in words(dataset_report.render(story()))
    assert "meets the required 50.0 % mIoU" in words(dataset_report.render(story(min_miou=0.5)))
    assert "misses the required 60.0 % mIoU" in words(dataset_report.render(story(min_miou=0.6)))


def test_warnings_stand_at_the_top():
    text = words(dataset_report.render(story(warnings=["names <differ>"])))
    assert "Warnings names <differ>" in text


def test_without_pictures_there_is_still_a_report():
    text = dataset_report.render(ReportData(metrics(), LABELS))
    assert Page(text).sources == [] and "Best images" not in text


def test_the_most_frequent_confusions_are_listed():
    found = dataset_report.mistakes([[90, 10, 0, 0], [30, 60, 10, 0], [0, 0, 5, 5]], LABELS)
    assert [(m["truth"], m["seen"], m["share"]) for m in found] == [
        ("kerb", "none", 0.5),
        ("tree <b>", "road", 0.3),
        ("road", "tree <b>", 0.1),
        ("tree <b>", "kerb", 0.1),
    ]
    assert dataset_report.mistakes([[5, 0, 0], [0, 5, 0]], LABELS) == []


def test_the_legend_names_what_is_to_be_seen():
    names = [name for name, _ in dataset_report.legend_of([shown("a", 0.5)], LABELS)]
    assert names == ["road", "tree <b>"]


def test_large_pictures_are_shrunk_and_ids_are_not_mixed():
    view = dataset_report.shrunk(shown("a", 0.5, (100, 2000)).view)
    assert view.image.shape == (48, 960, 3) and view.overlay.shape == (48, 960, 3)
    assert view.truth.shape == view.mask.shape == (48, 960)
    assert set(np.unique(view.truth)) <= {0, 1, 255}


def test_a_matrix_of_many_classes_is_a_picture():
    n = page.LARGEST_TABLE + 1
    counts = np.zeros((n, n + 1), np.int64)
    counts[0, 0], counts[1, 2], counts[1, 1] = 7, 1, 3
    uri = page.heat_picture(counts.tolist())
    assert uri is not None
    content = base64.b64decode(uri.partition(",")[2])
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    cells = picture[:: page.CELL, :: page.CELL]
    assert cells.shape == (n, n, 4)
    assert cells[0, 0].tolist() == [*page.HIT[::-1], 255]
    assert cells[1, 2].tolist() == [*page.MISS[::-1], 128]  # √¼ of 255
    assert cells[5, 6, 3] == 0
    labels = LabelSet(tuple(f"c{i}" for i in range(n)), ((1, 2, 3),) * n)
    changes = {
        "confusion": counts.tolist(),
        "per_class": {name: FIGURES for name in labels.names},
    }
    found = Page(dataset_report.render(ReportData(metrics(**changes), labels)))
    assert found.sources == [uri]
    assert page.heat_picture([[1, 0], [0, 1]]) is None


@pytest.mark.parametrize(("values", "expected"), [([], "–"), ([5], "5"), ([4, 5, 7], "4 to 7")])
def test_several_tolerances_are_a_span(values, expected):
    assert dataset_report.span(values) == expected
