"""config/consumers/: the files fit our label maps and what the other programs' sources name."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bisenet_ros.label_map import LabelMap
from bisenet_ros.labels import LabelSet
from bisenet_ros.projection.costs import read_costs
from bisenet_ros.ros.parameters.definition import Parameters, check_together, checked

CONFIG = Path(__file__).parents[1] / "config"
CITYSCAPES = LabelSet.read(CONFIG / "labels" / "cityscapes.yaml")
NODE = "/**/bisenet"


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((CONFIG / "consumers" / f"{name}.yaml").read_text(encoding="utf-8"))


def grouped(parameters: dict[str, Any]) -> LabelSet:
    path = CONFIG / "label_maps" / f"{parameters['label_map']}.yaml"
    return LabelMap.read(path, CITYSCAPES).labels


@pytest.mark.parametrize("name", ["nav2", "nav2_without_depth", "nvblox", "hydra", "autoware"])
def test_our_part_names_files_that_are_shipped(name: str):
    ours = read(name)[NODE]["ros__parameters"]
    labels = grouped(ours)
    if "ground_costs" in ours:
        read_costs(CONFIG / "costs" / f"{ours['ground_costs']}.yaml", labels.names)
    # The node takes every value as it stands in the file.
    set_ = {key: checked(key, value) for key, value in ours.items()}
    check_together(Parameters(**set_))


def test_nav2_gives_each_class_one_type_and_no_other():
    content = read("nav2")
    layers = content["local_costmap"]["local_costmap"]["ros__parameters"]
    layer = layers["semantic_segmentation_layer"]
    # A class of the labels topic without a type is an error of the layer.
    for source in layer["observation_sources"].split():
        classes = [
            c for kind in layer[source]["class_types"] for c in layer[source][kind]["classes"]
        ]
        assert sorted(classes) == sorted(grouped(content[NODE]["ros__parameters"]).names)
        for kind in layer[source]["class_types"]:
            assert set(layer[source][kind]) == {
                *("classes", "base_cost", "max_cost", "mark_confidence"),
                *("samples_to_max_cost", "dominant_priority"),
            }
            assert 0 <= layer[source][kind]["base_cost"] <= layer[source][kind]["max_cost"] <= 254
    assert set(layers["plugins"]) <= set(layers)


def test_hydras_label_space_is_that_of_its_label_map():
    space = read("hydra_label_space")
    names = grouped(read("hydra")[NODE]["ros__parameters"]).names
    assert space["total_semantic_labels"] == len(names)
    assert [(entry["label"], entry["name"]) for entry in space["label_names"]] == list(
        enumerate(names)
    )
    lists = ("dynamic_labels", "invalid_labels", "object_labels", "surface_places_labels")
    used = [label for key in lists for label in space[key]]
    assert len(used) == len(set(used)) and max(used) < len(names)
    assert names[0] == "unknown" and 0 in space["invalid_labels"]


def test_autoware_filters_by_the_names_of_its_label_map():
    content = read("autoware")
    target = content["/**/segmentation_pointcloud_fusion"]["ros__parameters"]
    names = grouped(content[NODE]["ros__parameters"]).names
    assert list(target["filter_semantic_label_target"]) == [name.upper() for name in names]
