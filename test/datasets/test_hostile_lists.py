"""labels.yaml with anything in it: a list of classes, or one line that names the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bisenet_ros.datasets.label_file import read_label_file
from bisenet_ros.datasets.pictures import image_size, read_label, read_rgb
from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.recordings.codec import encode_png
from bisenet_ros.training.recipe import DEFAULTS, Recipe

VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-5, 300), st.floats(), st.text(max_size=6), st.dates()
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
CLASS = st.one_of(
    st.fixed_dictionaries(
        {"name": st.one_of(st.text(max_size=6), VALUES)},
        optional={
            "color": st.one_of(st.lists(st.integers(-1, 256), min_size=2, max_size=4), VALUES),
            "id": st.one_of(st.integers(-1, 70_000), VALUES),
        },
    ),
    VALUES,
)
LISTS = st.one_of(
    st.fixed_dictionaries(
        {"classes": st.one_of(st.lists(CLASS, max_size=4), VALUES)},
        optional={
            "ignore": st.one_of(st.lists(VALUES, max_size=3), VALUES),
            "resolution": VALUES,
            "source": VALUES,
        },
    ),
    VALUES,
)


@settings(max_examples=300)
@given(content=LISTS)
def test_any_list_of_classes_is_read_or_refused(tmp_path_factory, content):
    path = Path(tmp_path_factory.getbasetemp()) / "labels.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    try:
        found = read_label_file(path)
    except DataError as error:
        assert "\n" not in str(error) and "labels.yaml" in str(error)
        return
    assert len(found.labels) == len(found.ids) >= 1
    found.decoder()


@settings(max_examples=300)
@given(options=st.dictionaries(st.sampled_from(sorted(DEFAULTS)), VALUES, max_size=4))
def test_any_recipe_is_read_or_refused(tmp_path_factory, options):
    path = Path(tmp_path_factory.getbasetemp()) / "recipe.yaml"
    path.write_text(yaml.safe_dump(options), encoding="utf-8")
    try:
        made = Recipe.read(path)
    except ArgumentError as error:
        assert "\n" not in str(error)
        return
    made.write(path)
    assert Recipe.read(path) == made


GOOD = encode_png(np.random.default_rng(0).integers(0, 3, (20, 30), np.uint8), 9)


@settings(max_examples=300)
@given(data=st.data())
def test_any_picture_is_read_or_refused(tmp_path_factory, data):
    content = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    path = Path(tmp_path_factory.getbasetemp()) / "mask.png"
    path.write_bytes(bytes(content[:cut]))
    for read in (read_label, read_rgb, image_size):
        try:
            read(path)
        except DataError as error:
            assert "\n" not in str(error) and "mask.png" in str(error)
