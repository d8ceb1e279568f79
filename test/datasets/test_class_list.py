"""Names of classes: what is a class, what is not, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn import voc_colours

from bisenet_ros.datasets.class_list import (
    class_list,
    hex_colour,
    listed_names,
    names_in_order,
    rgb_colour,
    voc_colour,
)
from bisenet_ros.datasets.tree import read_tree
from bisenet_ros.errors import DataError


@pytest.mark.parametrize(
    ("names", "drawn", "classes", "rest"),
    [
        (["car", "road"], True, ("background", "car", "road"), 0),
        (["car", "road"], False, ("car", "road"), 255),
        (["car", "Background"], True, ("car", "background"), 1),
        (["_background_", "car"], True, ("background", "car"), 0),
        (["__ignore__", "_background_", "car"], True, ("background", "car"), 0),
        (["__ignore__", "car"], True, ("car",), 255),
        (["car", "Unlabeled", "void"], True, ("car",), 255),
        ([], True, ("background",), 0),
    ],
)
def test_what_is_a_class(names: list[str], drawn: bool, classes: tuple[str, ...], rest: int):
    found = class_list(names, {}, "list", drawn=drawn)
    assert found.labels.names == classes and found.rest == rest
    for name in names:
        id = found.ids[name]
        assert id == 255 or classes[id] in (name, "background")
    assert len(set(found.labels.colours)) == len(classes)


def test_given_colours_are_kept_and_others_chosen():
    found = class_list(["a", "b", "c"], {"b": (128, 0, 0)}, "list", drawn=True)
    assert found.labels.colours == ((0, 0, 0), (0, 128, 0), (128, 0, 0), (128, 128, 0))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a", "b", "a"], "list lists the class 'a' twice"),
        (["background", "_background_"], "lists both"),
        ([str(i) for i in range(256)], "lists 256 classes"),
    ],
)
def test_lists_that_make_no_sense(names: list[str], said: str):
    with pytest.raises(DataError, match=said):
        class_list(names, {}, "list", drawn=False)


def test_colours():
    assert [voc_colour(i) for i in range(256)] == voc_colours()
    assert voc_colour(15) == (192, 128, 128)  # person, in VOC's own table
    assert len({voc_colour(i) for i in range(1000)}) == 1000
    assert hex_colour("#0aFf10") == (10, 255, 16)
    for wrong in ("0aff10", "#12345", "#gggggg", 7, None):
        assert hex_colour(wrong) is None
    assert rgb_colour([1, 2, 3]) == rgb_colour((1, 2, 3, 255)) == (1, 2, 3)
    assert rgb_colour([1, 2]) is rgb_colour([1, 2, 300]) is rgb_colour([1, 2, 3.5]) is None


def test_lists_of_names(tmp_path: Path):
    assert listed_names(read_tree(tmp_path)) is None
    assert names_in_order({"b", "a"}, None) == (["a", "b"], None)
    path = tmp_path / "labels.txt"
    path.write_text("\ufeffb\n\n a \nc, d\n")
    listed = listed_names(read_tree(tmp_path))
    assert listed == (["b", "a", "c, d"], path)
    assert names_in_order({"a"}, listed) == (["b", "a", "c, d"], path)
    with pytest.raises(DataError, match="labels.txt does not list 'x'"):
        names_in_order({"x", "a"}, listed)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="labels.txt cannot be read as UTF-8"):
        listed_names(read_tree(tmp_path))
