from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bisenet_ros.errors import DataError
from bisenet_ros.label_map import LabelMap
from bisenet_ros.labels import LabelSet

CONFIG = Path(__file__).parents[1] / "config"
STREETS = ("camvid", "cityscapes", "coco-stuff")  # the sets that label maps are made for
SETS = {name: LabelSet.read(CONFIG / "labels" / f"{name}.yaml") for name in STREETS}
NETWORK = LabelSet(("road", "grass", "wall", "person", "sky"), ((1, 2, 3),) * 5)
MAP = """
classes:
  - {id: 2, name: ground, color: [0, 9, 0], from: [road, grass]}
  - {id: 0, name: obstacle, color: [9, 0, 0], from: [wall], if_present: [person, dragon]}
"""


def read(folder: Path, text: str, labels: LabelSet = NETWORK) -> LabelMap:
    path = folder / "map.yaml"
    path.write_text(text, encoding="utf-8")
    return LabelMap.read(path, labels)


def test_groups_have_the_consumers_ids_names_and_colours(tmp_path: Path):
    grouped = read(tmp_path, MAP)
    assert grouped.labels.names == ("obstacle", "unused 1", "ground")
    assert grouped.labels.colours == ((9, 0, 0), (0, 0, 0), (0, 9, 0))
    assert grouped.groups == (2, 2, 0, 0, 255)
    assert grouped.unlabelled == 255


@pytest.mark.parametrize("rest", [False, True])
def test_the_table_turns_masks(tmp_path: Path, rest: bool):
    extra = "  - {id: 1, name: other, color: [0, 0, 9], rest: true}\n" if rest else ""
    grouped = read(tmp_path, MAP + extra)
    mask = np.array([[0, 1, 2], [3, 4, 255], [77, 254, 0]], np.uint8)
    none = 1 if rest else 255
    expected = [[2, 2, 0], [0, none, none], [none, none, 2]]
    assert grouped.table().dtype == np.uint8
    assert grouped.table()[mask].tolist() == expected
    assert cv2.LUT(mask, grouped.table()).tolist() == expected


@given(st.lists(st.integers(0, 3), min_size=5, max_size=5).filter(lambda g: set(g) - {3}))
def test_probabilities_of_a_group_are_summed(groups: list[int]):
    labels = LabelSet(("a", "b", "c"), ((0, 0, 0),) * 3)
    grouped = LabelMap(labels, tuple(255 if g == 3 else g for g in groups))
    probabilities = np.random.default_rng(0).random((5, 4, 6)).astype(np.float32)
    summed = np.tensordot(grouped.matrix(), probabilities, 1)
    for group in range(3):
        expected = sum(p for p, g in zip(probabilities, groups, strict=True) if g == group)
        assert np.allclose(summed[group], expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MAP.replace("grass", "lawn"), "no class 'lawn'; its classes are road, grass, wall, per"),
        (MAP.replace("id: 2", "id: 0"), "id 0 or name 'obstacle' is given twice"),
        (MAP.replace("ground", "obstacle"), "id 0 or name 'obstacle' is given twice"),
        (MAP.replace("[wall]", "[grass]"), "'grass' is in 'ground' and in 'obstacle'; choose one"),
        (MAP.replace("[road, grass]", "[road, road]"), "'ground' takes 'road' twice"),
        (MAP.replace("person, dragon", "wall"), "'obstacle' takes 'wall' twice"),
        (MAP.replace("id: 2", "id: 255"), "the id of 'ground' is 255; expected 0 to 254"),
        (MAP.replace("id: 2", "id: -1"), "is -1; expected 0 to 254"),
        (MAP.replace("id: 2", "id: true"), "is True; expected 0 to 254"),
        (MAP.replace("id: 2", "id: '2'"), "is '2'; expected 0 to 254"),
        (MAP.replace("[0, 9, 0]", "[0, 9, 256]"), "the color of 'ground' is [0, 9, 256]; exp"),
        (MAP.replace("[0, 9, 0]", "green"), "the color of 'ground' is 'green'; expected three"),
        (MAP.replace("[0, 9, 0]", "[0, 9]"), "is [0, 9]; expected three of 0–255"),
        (MAP.replace("[road, grass]", "road"), "'from' of 'ground' is 'road'; expected a list"),
        (MAP.replace("from: [road", "form: [road"), "'ground' has form; known are color, from, id"),
        (MAP.replace("id: 2, ", ""), "expected 'classes:' with a list"),
        ("classes: []", "expected 'classes:'"),
        ("classes: {road: 1}", "expected 'classes:'"),
        ("classes: [road]", "found 'road'; expected 'classes:'"),
        ("", "expected 'classes:'"),
        ("classes: [", "is not valid YAML"),
        (MAP + "classes: []", "gives 'classes' a second time"),
        (MAP.replace("{id: 0, name", "{id: 0, id: 1, name"), "gives 'id' a second time"),
        ("classes: [{id: 0, name: a, color: [0, 0, 0], if_present: [cow]}]", "none of its names"),
        (
            MAP
            + "  - {id: 3, name: a, color: [0, 0, 0], rest: true}\n"
            + "  - {id: 4, name: b, color: [0, 0, 0], rest: true}\n",
            "two classes have 'rest: true'",
        ),
    ],
)
def test_wrong_maps_are_refused_in_one_line(tmp_path: Path, text: str, message: str):
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value) and "map.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def shipped(name: str, labels: str) -> LabelMap:
    return LabelMap.read(CONFIG / "label_maps" / f"{name}.yaml", SETS[labels])


def test_shipped_maps_name_only_classes_that_exist():
    known = {name for labels in SETS.values() for name in labels.names}
    for path in (CONFIG / "label_maps").glob("*.yaml"):
        for entry in yaml.safe_load(path.read_text())["classes"]:
            assert set(entry.get("from", [])) | set(entry.get("if_present", [])) <= known


@pytest.mark.parametrize("labels", SETS)
def test_nvblox_gets_people_as_1_and_all_else_as_0(labels: str):
    people = {"person", "rider", "pedestrian", "bicyclist"}
    grouped = shipped("nvblox_people", labels)
    expected = [int(name in people) for name in SETS[labels].names]
    assert grouped.table().tolist() == expected + [0] * (256 - len(expected))


@pytest.mark.parametrize("labels", SETS)
def test_autoware_gets_its_16_ids(labels: str):
    grouped = shipped("autoware", labels)
    assert grouped.labels.names == (
        *("unknown", "building", "wall", "obstacle", "traffic_light", "traffic_sign", "person"),
        *("vehicle", "bike", "road", "sidewalk", "road_paint", "curbstone", "crosswalk"),
        *("vegetation", "sky"),
    )
    assert grouped.table().max() < 16 and grouped.unlabelled == 0
    names = SETS[labels].names
    assert grouped.groups[names.index("road")] == 9
    assert grouped.groups[names.index("car")] == 7


@pytest.mark.parametrize("labels", SETS)
def test_nav2_gets_what_stands_apart_from_what_lies(labels: str):
    grouped, names = shipped("nav2_ground", labels), SETS[labels].names
    groups = {name: grouped.groups[names.index(name)] for name in names}
    assert groups["road"] == 0 and groups["car"] == 3
    assert all(groups[n] == 4 for n in ("person", "rider", "pedestrian") if n in groups)
    assert all(groups[n] == 255 for n in ("sky", "sky-other", "clouds") if n in groups)


def test_cityscapes_networks_can_be_scored_on_camvid():
    grouped = shipped("cityscapes_to_camvid", "cityscapes")
    assert grouped.labels == SETS["camvid"]
    assert 255 not in grouped.groups and set(grouped.groups) == set(range(11))
    with pytest.raises(DataError, match="no class"):
        shipped("cityscapes_to_camvid", "camvid")
