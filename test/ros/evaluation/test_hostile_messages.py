"""Whatever is published on the scorer's topics is used or refused; nothing else leaves."""

from __future__ import annotations

import json
from array import array

from hypothesis import example, given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import Image

from bisenet_ros.errors import DataError
from bisenet_ros.inference.image_encodings import ENCODINGS
from bisenet_ros.recordings.node_outputs import label_set
from bisenet_ros.ros.evaluation.node import mask_pixels, packed_pixels

SIZES = st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1))
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(10**400)
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
CLASS = st.fixed_dictionaries(
    {}, optional={"id": LEAVES, "name": LEAVES, "color": st.one_of(st.lists(LEAVES), LEAVES)}
)


@settings(max_examples=400)
@given(
    encoding=st.sampled_from(["mono8", "rgb8", "bgr8", "", *ENCODINGS]),
    height=SIZES,
    width=SIZES,
    step=SIZES,
    length=st.integers(0, 3000),
)
def test_any_image_is_a_mask_or_refused(encoding, height, width, step, length):
    message = Image(encoding=encoding, height=height, width=width, step=step)
    message.data = array("B", bytes(length))
    for read, channels in ((mask_pixels, ()), (lambda m: packed_pixels(m, "rgb8"), (3,))):
        try:
            assert read(message).shape == (height, width, *channels)
        except DataError as error:
            assert "\n" not in str(error)


@settings(max_examples=400)
@given(content=st.one_of(JSON, st.fixed_dictionaries({"classes": st.lists(CLASS, max_size=3)})))
@example({"classes": [{"id": 0, "name": "a", "color": [float("inf"), 0, 0]}]})
@example({"classes": [{"id": float("nan"), "name": "a", "color": [0, 0, 0]}]})
@example({"classes": [{"id": 0, "name": "a\nb", "color": [0, 0, 0]}]})
def test_any_list_of_labels_is_taken_or_refused(content):
    content = json.loads(json.dumps(content))  # as a message carries it
    try:
        assert len(label_set(content)) >= 1
    except DataError as error:
        assert "\n" not in str(error)
