"""Which frames are shown, and how."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from bisenet_ros.datasets import CAMVID
from bisenet_ros.demo import outputs
from bisenet_ros.demo.birds_eye import ASSUMED
from bisenet_ros.demo.pipeline import Played
from bisenet_ros.recordings.labelled_bag import Drive
from bisenet_ros.recordings.node_outputs import Recording
from bisenet_ros.report import bag


def frame(number: int, miou: float | None) -> dict:
    return {"stamp": 1000 + number, "miou": miou, "classes": 2}


def test_the_best_and_the_worst_are_no_frame_twice():
    scored = [frame(i, i / 10) for i in range(5)] + [frame(5, None)]
    hero, best, worst = outputs.choose(scored, {1000 + i for i in range(6)})
    assert hero["miou"] == 0.4
    assert [f["miou"] for f in best] == [0.4, 0.3]
    assert [f["miou"] for f in worst] == [0.0, 0.1]
    assert outputs.choose(scored, set()) == (None, [], [])


@pytest.fixture(scope="module")
def drive() -> Drive:
    root = Path(__file__).parents[2]
    topics = ("/camera/image_raw/compressed", "/camera/labels/compressed")
    return Drive.open(root / "test/data/camvid_drive", *topics)


def test_the_film_and_the_report_show_the_ground(tmp_path, drive, monkeypatch):
    """Of a run whose node masked two frames of the sample drive as they are labelled."""
    recording = Recording(tmp_path / "recording")
    recording.prepare("the recording")
    pairs = drive.read({0, 1})
    for number, (image, truth) in pairs.items():
        recording.add_mask(1000 + number, truth)
        recording.add_overlay(1000 + number, image // 2)
    colours = zip(CAMVID.names, CAMVID.colours, strict=True)
    classes = [{"id": i, "name": n, "color": list(c)} for i, (n, c) in enumerate(colours)]
    recording.add_labels({"classes": classes})
    played = Played({"stamps": [1000, 1001]}, recording)
    about = {"bag": "camvid_drive", "played_hz": 15.0, "width": 480, "height": 360}
    metrics = {"drive": about, "frames": [frame(0, 0.5), frame(1, 0.7)]}
    shown: list[bag.BagReportData] = []
    monkeypatch.setattr(outputs, "render", lambda data: shown.append(data) or "")
    outputs.show(metrics, drive, played, tmp_path)
    with av.open(str(tmp_path / "overlay.mp4")) as film:
        pictures = [picture.to_ndarray(format="rgb24") for picture in film.decode(video=0)]
    assert [picture.shape for picture in pictures] == [(360, 480 + 8 + 360, 3)] * 2
    ground = shown[0].ground
    assert ground.assumed == ASSUMED and ground.picture.shape == (360, 360, 3)
    # The film shows the same as the report, but for its compression.
    off = np.abs(pictures[1][:, 488:].astype(int) - ground.picture)
    assert np.median(off) < 8
    assert "1.4 m above the road" in bag.ground_source(ground)["assumed"]
