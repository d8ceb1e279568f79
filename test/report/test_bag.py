"""The report, read back as a browser would."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
from html_page import Page

from bisenet_ros.labels import LabelSet
from bisenet_ros.report import bag as report
from bisenet_ros.report.bag import BagReportData, GroundView
from bisenet_ros.report.data import ReportImage
from bisenet_ros.report.figure import View

LABELS = LabelSet(("road", "tree <b>", "kerb"), ((128, 64, 128), (107, 142, 35), (10, 20, 230)))
SIZE = (30, 40)  # height, width


def view(seed: int = 0) -> View:
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (*SIZE, 3), np.uint8)
    truth = np.zeros(SIZE, np.uint8)
    truth[:10], truth[-2:] = 1, 255
    mask = np.zeros(SIZE, np.uint8)
    mask[:8] = 1
    return View(image, truth, mask, image // 2)


def frame(number: int, miou: float | None) -> dict[str, Any]:
    return {
        "stamp": 1000 + number,
        "age_ms": 20.0 + number,
        "arrived_s": number / 15,
        "width": SIZE[1],
        "height": SIZE[0],
        "encoding": "mono8",
        "frame_id": "camera",
        "classes": None if miou is None else 2,
        "miou": miou,
        "pixel_accuracy": miou,
    }


def metrics(**changes: Any) -> dict[str, Any]:
    figures = {"iou": 0.5, "precision": 0.6, "recall": 0.7, "share": 0.5}
    nothing = dict.fromkeys(figures, None)
    return {
        "frames_played": 4,
        "frames_received": 4,
        "published": 3,
        "masks": 3,
        "superseded": 1,
        "rejected": 0,
        "output_fps": 14.9,
        "age_ms_p50": 21.0,
        "age_ms_p95": 23.0,
        "miou": 0.5,
        "pixel_accuracy": 0.8,
        "scored": 2,
        "unmatched_masks": 1,
        "unmatched_labels": 2,
        "unknown_label_pixels": 0,
        "problems": [],
        "per_class": {"road": figures, "tree <b>": figures, "kerb": nothing},
        "stage_ms": {"forward": 12.0},
        "model": {"device": "cpu", "input_size": "480x360"},
        "machine": {
            "processor": "Some CPU",
            "cores": 2,
            "memory_gib": 8.0,
            "system": "Linux",
            "python": "3.10.1",
            "ros_distro": "jazzy",
        },
        "drive": {
            "bag": "some_drive",
            "frames": 4,
            "seconds": 0.2,
            "played_hz": 15.0,
            "achieved_hz": None,
            "width": SIZE[1],
            "height": SIZE[0],
        },
        "diagnostics": {},
        "confusion": [[10, 5, 0, 0], [4, 6, 0, 0], [0, 0, 0, 0]],
        "frames": [frame(0, 0.4), frame(1, None), frame(3, 0.6)],
        **changes,
    }


def story(**changes: Any) -> BagReportData:
    numbers = {1000 + i: i for i in range(4)}
    shown, other = ReportImage("Frame 4", 0.6, view()), ReportImage("Frame 1", 0.4, view(1))
    return BagReportData(metrics(**changes), LABELS, [shown], [other], numbers, shown)


def test_the_report_is_whole_and_needs_no_other_file():
    page = Page(text := report.render(story()))
    assert not page.open
    assert len(page.sources) == 12 and all(s.startswith("data:image/") for s in page.sources)
    assert not re.search(r"<(link|script|iframe)|@import|url\((?!#)", text)
    for word in ("some_drive", "50.0 %", "14.9", "kerb", "Some CPU", "every mask matches"):
        assert word in page.words
    assert "CamVid" not in page.words  # no credit for what was not used


def test_names_are_shown_as_they_are():
    text = report.render(story())
    assert "tree &lt;b&gt;" in text and "tree <b>" not in text
    assert "tree <b>" in Page(text).words


def test_undefined_figures_are_dashes():
    page = Page(
        report.render(
            story(
                miou=None,
                output_fps=None,
                age_ms_p50=None,
                age_ms_p95=None,
                superseded=None,
                rejected=None,
            )
        )
    )
    assert "None" not in page.words and "nan" not in page.words.lower().split()
    assert "– rejected" in " ".join(page.words.split())


def test_problems_are_told_at_the_top():
    page = Page(report.render(story(problems=["7 masks were received twice"])))
    assert "1 problem" in page.words and "7 masks were received twice" in page.words
    assert "every mask matches" not in page.words


def test_a_drive_without_scored_frames_still_has_a_report():
    bare = story(frames=[], confusion=[[0] * 4] * 3)
    page = Page(report.render(BagReportData(bare.metrics, bare.labels, numbers=bare.numbers)))
    assert not page.open
    assert page.words.count("does not occur") == 3


def test_the_sample_drive_is_credited():
    drive = {**metrics()["drive"], "bag": "camvid_drive"}
    assert "Brostow" in report.render(story(drive=drive))


def test_the_ground_is_shown_with_what_was_assumed_for_it():
    ground = GroundView(np.zeros((5, 5, 3), np.uint8), "a camera at 3 m")
    page = Page(report.render(replace(story(), ground=ground)))
    assert "The ground ahead" in page.words and "a camera at 3 m" in page.words
    assert len(page.sources) == 13 and not page.open
    assert "The ground ahead" not in Page(report.render(story())).words


def test_confusion_rows_are_shares_and_the_extra_column_comes_when_needed():
    heat = report.heat_rows([[3, 1, 0], [0, 0, 0]], LABELS_2)
    assert heat["columns"] == ["a", "b"]
    assert heat["rows"] == [("a", [0.75, 0.25]), ("b", None)]
    assert report.heat_rows([[3, 0, 1], [0, 1, 0]], LABELS_2)["columns"] == ["a", "b", "none"]


LABELS_2 = LabelSet(("a", "b"), ((1, 2, 3), (4, 5, 6)))
