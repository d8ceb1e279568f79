"""How the three processes are started, and what is made of what they leave."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bisenet_ros.demo import metrics as demo_metrics
from bisenet_ros.demo import pipeline
from bisenet_ros.demo.pipeline import LivePlan, Played
from bisenet_ros.errors import DataError
from bisenet_ros.labels import LabelSet
from bisenet_ros.recordings.node_outputs import Recording, label_set


def test_values_keep_their_type_on_the_command_line():
    plan = LivePlan(Path("b"), "/camera/image_raw/compressed", 15.0)
    chosen = replace(plan, weights=Path("/w/12 3"), device="0")
    arguments = pipeline.node_arguments(chosen)
    assert 'weights:="/w/12 3"' in arguments
    assert 'device:="0"' in arguments
    assert "rate:=0.0" in arguments
    assert 'image_topic:="/camera/image_raw"' in arguments
    assert not any(a.startswith("weights") for a in pipeline.node_arguments(plan))


def test_class_names_come_back_from_the_labels_topic():
    labels = LabelSet(("a", "b"), ((1, 2, 3), (4, 5, 6)))
    assert label_set(json.loads(labels.to_json())) == labels


@pytest.mark.parametrize(
    "message",
    [
        {},
        [],
        {"classes": [{"id": 1, "name": "a", "color": [1, 2, 3]}]},
        {"classes": [{"id": 0, "name": "a", "color": [1, 2]}]},
        {"classes": [{"id": 0, "name": "a", "color": [1, 2, 300]}]},
    ],
)
def test_anything_else_on_the_labels_topic_is_refused(message):
    with pytest.raises(DataError, match="labels topic"):
        label_set(message)


def scored(*frames: dict, **changes) -> dict:
    good = {"width": 4, "height": 3, "encoding": "mono8"}
    return {"frames": [{**good, **frame} for frame in frames], "refused": {}, **changes}


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (scored({"stamp": 1}, {"stamp": 2}), []),
        (scored({"stamp": 9}), ["1 of 1 masks have a stamp that was never played"]),
        (scored({"stamp": 1}, {"stamp": 1}), ["1 masks were received twice"]),
        (scored({"stamp": 1, "width": 5}), ["1 masks are 5×3; the camera is 4×3"]),
        (scored({"stamp": 1}, refused={"mask: rgb8": 2}), ["2 messages rejected: mask: rgb8"]),
        (scored(), ["no mask was received for 2 frames"]),
    ],
)
def test_what_came_back_is_held_against_what_was_sent(tmp_path, figures, expected):
    played = Played({"stamps": [1, 2], "width": 4, "height": 3}, Recording(tmp_path))
    assert demo_metrics.problems(played, figures) == expected


def test_stages_that_have_no_time_yet_are_left_out():
    values = {"forward_ms_p50": "12.5", "decode_ms_p50": "nan", "publish_ms_p50": "soon"}
    assert demo_metrics._stages(values) == {"forward": 12.5}


def test_masks_are_found_by_the_stamps_of_the_bag(tmp_path):
    recording = Recording(tmp_path)
    recording.prepare("the recording")
    for stamp in (11, 13, 14):
        recording.add_mask(stamp, np.zeros((2, 2), np.uint8))
    player = {"stamps": [11, 12, 13, 14], "recorded_stamps": [1, 2, 3, 3]}
    assert Played(player, recording).served == {1: 11, 3: 13}  # of equal stamps the first counts
