"""Frames have the requested size, from the drive or synthetic."""

import numpy as np
import pytest

from bisenet_ros.benchmark import frames as module
from bisenet_ros.benchmark.frames import read_frames


@pytest.mark.parametrize("size", [(720, 1280), (100, 60), (1, 1), (7, 301)])
@pytest.mark.parametrize("real", [True, False])
def test_any_size(size, real, monkeypatch):
    if not real:
        monkeypatch.setattr(module, "sample_bag", lambda: None)
    frames = read_frames(size)
    assert (frames.height, frames.width) == size
    assert all(len(data) == size[0] * size[1] * 3 for data in frames.data)
    assert ("drive" in frames.source) == real


def test_frames_differ_and_keep_their_shapes():
    frames = read_frames((360, 480))
    assert len(set(frames.data)) == len(frames.data)
    wide = np.frombuffer(read_frames((360, 960)).data[0], np.uint8).reshape(360, 960, 3)
    assert wide.std() > 10
