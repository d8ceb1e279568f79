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


def test_frames_are_found_without_a_bag_library(monkeypatch):
    """The same images; the colours of two JPEG decoders may differ by rounding."""
    drive = module.sample_bag()
    assert drive is not None
    whole = module._drive_images(drive)
    monkeypatch.setattr(module, "installed", lambda _: False)
    cut = module._drive_images(drive)
    assert len(cut) == len(whole) == module.COUNT
    for ours, theirs in zip(cut, whole, strict=True):
        assert ours.shape == theirs.shape and np.abs(ours.astype(int) - theirs).max() <= 2
