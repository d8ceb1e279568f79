"""The presets are the published classes: how many, all different, in the order of their ids."""

from __future__ import annotations

import pytest

from bisenet_ros.checkpoints.convert import PRESETS, preset_labels, read_classes
from bisenet_ros.checkpoints.convert.conversion import check_normalisation
from bisenet_ros.checkpoints.convert.presets import preset_for
from bisenet_ros.system.share import share_file

COUNTS = {"cityscapes": 19, "camvid": 11, "voc": 21, "coco-stuff": 171, "ade20k": 150}
# some (id, name, colour) that everybody prints
KNOWN = {
    "cityscapes": [(0, "road", (128, 64, 128)), (18, "bicycle", (119, 11, 32))],
    "voc": [(0, "background", (0, 0, 0)), (15, "person", (192, 128, 128))],
    "ade20k": [
        (0, "wall", (120, 120, 120)),
        (12, "person", (150, 5, 61)),
        (20, "car", (0, 102, 200)),
        (149, "flag", (92, 0, 255)),
    ],
}


def test_these_are_the_presets():
    assert {name: preset.count for name, preset in PRESETS.items()} == COUNTS


@pytest.mark.parametrize("name", PRESETS)
def test_each_has_as_many_different_names_and_colours(name):
    labels = preset_labels(name)
    assert len(labels) == len(set(labels.names)) == len(set(labels.colours)) == COUNTS[name]
    assert all(label == label.strip() and label for label in labels.names)
    assert read_classes(name) == labels == read_classes(share_file(f"config/labels/{name}.yaml"))


@pytest.mark.parametrize("name", KNOWN)
def test_some_of_them_are_where_everybody_has_them(name):
    labels = preset_labels(name)
    for index, label, colour in KNOWN[name]:
        assert (labels.names[index], labels.colours[index]) == (label, colour)


def test_pascals_colours_are_the_bits_of_the_ids():
    """The development kit's colour map: bits 0, 3, 6 of the id are red's high bits, and so on."""

    def colour(index: int) -> tuple[int, ...]:
        return tuple(
            sum((index >> (3 * i + channel) & 1) << (7 - i) for i in range(3))
            for channel in range(3)
        )

    assert preset_labels("voc").colours == tuple(colour(i) for i in range(21))


@pytest.mark.parametrize("name", PRESETS)
def test_each_has_a_normalisation_and_a_resolution(name):
    preset = PRESETS[name]
    check_normalisation(preset.mean, preset.std)
    assert all(side % 16 == 0 for side in preset.resolution)
    assert preset_for(preset.count) == name
    assert preset_for(7) is None
