"""JPEGs and PNGs with changed headers and inserted markers: decoded, or refused, and never huge."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bisenet_ros.errors import DataError
from bisenet_ros.inference.image_encodings import MAX_PIXELS, from_compressed

PIXELS = cv2.resize(np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8), (40, 30))
GOOD = [cv2.imencode(kind, PIXELS)[1].tobytes() for kind in (".jpg", ".png")]
MARKERS = [bytes([0xFF, code]) for code in (0x01, *range(0xC0, 0xE0), 0xFE)]


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """A good file with bytes replaced, JPEG markers inserted, and parts of another one."""
    content = bytearray(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, min(len(content) - 1, 700)))
        kind = draw(st.sampled_from(["replace", "marker", "frame", "cut", "splice"]))
        if kind == "replace":
            content[at] = draw(st.integers(0, 255))
        elif kind == "marker":
            content[at:at] = draw(st.sampled_from(MARKERS)) + draw(st.binary(max_size=4))
        elif kind == "frame":  # a frame header that claims any size
            sides = draw(st.integers(0, 2**32 - 1)).to_bytes(4, "big")
            content[at:at] = b"\xff\xc0\x00\x11\x08" + sides + b"\x03\x01\x22\x00\x02\x11\x01\x03"
        elif kind == "cut":
            del content[at:]
            content += b"\xff\xd9"
        else:
            content[at:at] = draw(st.sampled_from(GOOD))[: draw(st.integers(0, 600))]
    return bytes(content)


@settings(max_examples=1500)
@given(content=changed())
def test_whatever_the_header_says_memory_is_bounded(content):
    try:
        image, order = from_compressed(content)
    except DataError as error:
        assert "\n" not in str(error)
        return
    assert image.dtype == np.uint8 and image.shape[2] == 3 and order in ("rgb", "bgr")
    assert 0 < image.shape[0] * image.shape[1] <= MAX_PIXELS
