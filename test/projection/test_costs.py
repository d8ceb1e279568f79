from pathlib import Path

import numpy as np
import pytest

from bisenet_ros.errors import DataError
from bisenet_ros.label_map import LabelMap
from bisenet_ros.labels import LabelSet
from bisenet_ros.projection.costs import read_costs

CONFIG = Path(__file__).parents[2] / "config"
NAMES = ("road", "wall", "sky")


def written(folder: Path, text: str) -> Path:
    path = folder / "costs.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_each_class_gets_its_cost_and_all_else_is_unknown(tmp_path: Path):
    costs = read_costs(written(tmp_path, "costs: {wall: 100, road: 0}"), NAMES)
    assert costs.dtype == np.int8 and costs.shape == (256,)
    assert costs[:3].tolist() == [0, 100, -1]
    assert (costs[3:] == -1).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("costs: {grass: 0, sand: 1}", "no class 'grass', 'sand'; its classes are road, wall, sky"),
        ("costs: {road: 101}", "the cost of 'road' is 101; expected a whole number from 0"),
        ("costs: {road: -2}", "is -2; expected"),
        ("costs: {road: 0.5}", "is 0.5; expected"),
        ("costs: {road: true}", "is True; expected"),
        ("costs: {road: free}", "is 'free'; expected"),
        ("costs: {road: }", "is None; expected"),
        ("costs:\n  road: 0\n  wall: 1\n  road: 2", "line 4 gives 'road' a second time"),
        ("costs: {}", "expected 'costs:'"),
        ("costs: [road]", "expected 'costs:'"),
        ("road: 0", "expected 'costs:'"),
        ("", "expected 'costs:'"),
        ("costs: {road: 0", "is not valid YAML"),
        ("costs: {[1]: 0}", "is not valid YAML"),
    ],
)
def test_wrong_files_are_refused_in_one_line(tmp_path: Path, text: str, message: str):
    path = written(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_costs(path, NAMES)
    assert message in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="cannot be read"):
        read_costs(tmp_path / "none.yaml", NAMES)
    (tmp_path / "costs.yaml").write_bytes(b"costs: {\xff: 0}")
    with pytest.raises(DataError, match="cannot be read"):
        read_costs(tmp_path / "costs.yaml", NAMES)


@pytest.mark.parametrize("name", ["camvid", "cityscapes"])
def test_shipped_costs_cover_their_classes(name: str):
    labels = LabelSet.read(CONFIG / "labels" / f"{name}.yaml")
    costs = read_costs(CONFIG / "costs" / f"{name}.yaml", labels.names)
    ids = {label: index for index, label in enumerate(labels.names)}
    assert costs[ids["road"]] == 0 and costs[ids["car"]] == 100
    assert [label for label in labels.names if costs[ids[label]] == -1] == ["sky"]


def test_shipped_costs_of_the_ground_map_cover_its_classes():
    labels = LabelSet.read(CONFIG / "labels" / "cityscapes.yaml")
    ground = LabelMap.read(CONFIG / "label_maps" / "nav2_ground.yaml", labels).labels
    costs = read_costs(CONFIG / "costs" / "nav2_ground.yaml", ground.names)
    assert (costs[: len(ground)] >= 0).all()
