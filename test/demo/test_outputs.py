"""What the report of a live run shows besides: on two frames of the sample drive."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from html_page import Page

from bisenet_ros.datasets import CAMVID
from bisenet_ros.demo.birds_eye import of_drive
from bisenet_ros.demo.outputs import LiveExtras
from bisenet_ros.recordings.labelled_bag import Drive
from bisenet_ros.recordings.node_outputs import Recording
from bisenet_ros.replay.evaluation import RecordingOptions, evaluate_source
from bisenet_ros.replay.served import RecordedMasks, ServedFrames

BAG = Path(__file__).parents[2] / "test/data/camvid_drive"
TOPICS = ("/camera/image_raw/compressed", "/camera/labels/compressed")
FRAMES = 2


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> tuple[Recording, dict[int, int], np.ndarray]:
    """Of a node that masked two frames as they are labelled; the first one's upper half is off."""
    recording = Recording(tmp_path_factory.mktemp("recording") / "recording")
    recording.prepare("the recording")
    truths = [truth for _, truth in Drive.open(BAG, *TOPICS).read(set(range(FRAMES))).values()]
    with closing(RecordingOptions().open(str(BAG), CAMVID)) as source:
        stamps = [frame.stamp_ns for frame, _ in zip(source.encoded(), truths, strict=False)]
    masks = [truth.copy() for truth in truths]
    masks[0][:180] = 0
    for stamp, mask in zip(stamps, masks, strict=True):
        recording.add_mask(stamp + 7, np.where(mask == 255, 0, mask).astype(np.uint8))
    return recording, {stamp: stamp + 7 for stamp in stamps}, masks[1]


def written(recording, folder: Path, problems: list[str], bag: str = "camvid_drive") -> Page:
    """The report in ``folder``."""
    outputs, served, _ = recording
    live = {"age_ms_p50": 31.0, "age_ms_p95": 40.0, "masks": 2, "frames_played": 2}
    facts = {"live": {**live, "played_hz": 15.0}, "weights": {}, "scored_with": {}}
    extras = LiveExtras(bag, CAMVID, problems, dict(zip(served, (30.0, 32.0), strict=True)))
    options = RecordingOptions()
    with closing(options.open(str(BAG), CAMVID)) as source:
        masks = RecordedMasks(outputs, served, CAMVID)
        frames = ServedFrames(source, served)
        evaluate_source(frames, masks, options.score, folder, facts, extras=extras)
    return Page((folder / "report.html").read_text())


def test_the_film_and_the_report_show_the_ground(recording, tmp_path):
    page = written(recording, tmp_path, [])
    words = " ".join(page.words.split())
    for text in (
        *("What the robot sees", "Frame 1: mIoU 100.0 %", "1.4 m above the road", "Brostow"),
        *("every mask matches its frame", "Age of the masks", "31 ms", "2 / 2"),
        "played at 15 Hz through the node",
    ):
        assert text in words
    assert all(source.startswith("data:") for source in page.sources)
    with av.open(str(tmp_path / "overlay.mp4")) as film:
        pictures = [picture.to_ndarray(format="rgb24") for picture in film.decode(video=0)]
    assert [picture.shape for picture in pictures] == [(360, 480 + 8 + 360, 3)] * FRAMES
    # Beside the overlay is what the mask looks like from above, but for the film's compression.
    seen = of_drive("camvid_drive", CAMVID, 360, 480).draw(
        recording[0].mask(list(recording[1].values())[1]), 360
    )
    assert np.median(np.abs(pictures[1][:, 488:].astype(int) - seen)) < 8
    assert cv2.imread(str(tmp_path / "overlay.png")).shape[1] > 2 * 480


def test_problems_are_told_at_the_top_and_other_drives_have_no_ground(recording, tmp_path):
    page = written(recording, tmp_path, ["7 masks were received twice"], "another")
    assert "1 problem" in page.words and "7 masks were received twice" in page.words
    assert "every mask matches" not in page.words and "The ground ahead" not in page.words
    with av.open(str(tmp_path / "overlay.mp4")) as film:
        assert film.streams.video[0].width == 480
