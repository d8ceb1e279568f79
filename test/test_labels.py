"""Class names and colours."""

import json

import pytest

from bisenet_ros.labels import LabelSet
from bisenet_ros.system.share import share_file


def test_the_palette_holds_the_colours_and_black():
    palette = LabelSet(("a", "b"), ((1, 2, 3), (4, 5, 6))).palette()
    assert palette.shape == (256, 3)
    assert palette[1].tolist() == [4, 5, 6] and not palette[2:].any()


def test_json_names_every_class():
    said = json.loads(LabelSet(("a", "ä"), ((1, 2, 3), (4, 5, 6))).to_json())
    assert said["classes"][1] == {"id": 1, "name": "ä", "color": [4, 5, 6]}


@pytest.mark.parametrize(
    ("names", "colours"),
    [
        ((), ()),
        (("a",), ()),
        (("a",), ((1, 2),)),
        (("a",), ((1, 2, 256),)),
        (("a",) * 256, ((0, 0, 0),) * 256),
    ],
)
def test_sets_that_do_not_fit_are_refused(names, colours):
    with pytest.raises(ValueError):
        LabelSet(names, colours)


def test_the_shipped_camvid_labels_are_the_training_ones():
    from bisenet_ros.datasets import CAMVID

    assert LabelSet.read(share_file("config/labels/camvid.yaml")) == CAMVID


@pytest.mark.parametrize("text", ["", "classes: 3", "classes: [{name: a}]", "[1, 2]"])
def test_broken_label_files_are_named(tmp_path, text):
    path = tmp_path / "labels.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match="labels.yaml"):
        LabelSet.read(path)
