"""The steady state allocates nothing, and results are never overwritten."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bisenet_ros.inference import OutputRequest, Segmenter

EVERYTHING = OutputRequest(confidence=True, overlay=True, threshold=0.4)
PAGE = 4096


@pytest.fixture(scope="module")
def segmenter(small_weights):
    return Segmenter(small_weights, device="cpu", precision="fp32", input_size=(64, 64))


def pictures(count: int, size: tuple[int, int] = (360, 480)) -> list[np.ndarray]:
    random = np.random.default_rng(count)
    return [random.integers(0, 256, (*size, 3), np.uint8) for _ in range(count)]


def resident() -> int:
    """Resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_memory_is_flat_over_five_hundred_frames(segmenter):
    images = pictures(4)
    for index in range(100):
        segmenter([images[index % 4]], "bgr", EVERYTHING)
    before = resident()
    for index in range(500):
        segmenter([images[index % 4]], "bgr", EVERYTHING)
    # A mask a frame kept by mistake would be 86 MB.
    assert resident() - before < 8 << 20


def test_the_same_few_arrays_serve_every_frame(segmenter):
    image = pictures(1)[0]
    seen = set()
    for _ in range(20):
        result = segmenter([image], "bgr", EVERYTHING)[0]
        seen |= {a.ctypes.data for a in (result.mask, result.confidence, result.overlay)}
    assert len(seen) <= 2 * 3  # those just handed out, and those about to be


def test_results_in_hand_are_never_overwritten(segmenter):
    """Several cameras, several batches, everything kept."""
    kept = []
    for batch in range(3):
        images = pictures(3) if batch % 2 else pictures(3, (90, 120))
        results = segmenter(images, "rgb", EVERYTHING)
        kept += [
            (array, array.copy()) for r in results for array in (r.mask, r.confidence, r.overlay)
        ]
    assert all(np.array_equal(array, copy) for array, copy in kept)
    addresses = [array.ctypes.data for array, _ in kept]
    assert len(set(addresses)) == len(addresses)


def test_a_view_of_a_result_outlives_it(segmenter):
    images = pictures(5)
    row = segmenter([images[0]])[0].mask[100]
    before = row.copy()
    for image in images[1:] * 3:
        segmenter([image])
    assert np.array_equal(row, before)


def test_the_callers_image_is_not_changed(segmenter):
    image = pictures(1)[0]
    image.setflags(write=False)
    segmenter([image], "rgb", EVERYTHING)
    segmenter([image], "bgr", EVERYTHING)


def test_cameras_that_change_size_get_new_buffers(segmenter):
    for side in (*range(1, 60, 3), 40, 1):
        (image,) = pictures(1, (side, 2 * side))
        result = segmenter([image], request=EVERYTHING)[0]
        assert result.mask.shape == (side, 2 * side)
        assert result.overlay.shape == (side, 2 * side, 3)


def test_a_probability_that_equals_the_threshold_is_enough(segmenter, monkeypatch):
    pipeline = segmenter.engine.pipeline
    logits = torch.zeros(1, 3, 8, 8)
    logits[:, 2] = -1e4  # which leaves exactly a half for each of the others
    monkeypatch.setattr(pipeline.engine, "forward", lambda *_: logits)
    (image,) = pictures(1, (40, 60))
    for threshold, unlabelled in ((0.5, False), (np.nextafter(np.float32(0.5), 1), True)):
        request = OutputRequest(confidence=True, threshold=float(threshold))
        result = segmenter([image], "rgb", request)[0]
        assert (result.mask == (255 if unlabelled else 0)).all()
