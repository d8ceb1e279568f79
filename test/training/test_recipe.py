"""Recipes: read, overridden, refused, written; the presets are all good."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bisenet_ros.errors import ArgumentError
from bisenet_ros.training.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
PRESETS = sorted((ROOT / "config/train").glob("*.yaml"))


def test_the_presets_that_were_promised_are_there():
    assert {p.stem for p in PRESETS} >= {"camvid", "cityscapes", "coco_stuff", "custom", "smoke"}


@pytest.mark.parametrize("path", PRESETS, ids=lambda p: p.stem)
def test_presets_are_read(path):
    recipe = Recipe.read(path)
    assert recipe.dataset == yaml.safe_load(path.read_text())["dataset"]


def test_custom_is_six_classes_at_1024x512_with_dice():
    recipe = Recipe.read(ROOT / "config/train/custom.yaml")
    assert (recipe.num_classes, recipe.input_width, recipe.input_height) == (6, 1024, 512)
    assert recipe.loss == "dice"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("learning_rat: 1", "learning_rat is not an option"),
        ("learning_rate: quick", "learning_rate is 'quick'; expected a number"),
        ("iterations: 1.5", "iterations is 1.5; expected a whole number"),
        ("iterations: 0", "iterations is 0; expected above 0"),
        ("channels_last: 3", "channels_last is 3; expected true or false"),
        ("loss: hinge", "loss is 'hinge'; expected one of ce, ohem"),
        ("crop_height: 100", "crop_height is 100; expected a multiple of 32"),
        ("mean: [1, 2]", "expected three numbers"),
        ("mean: 5", "mean is 5; expected three numbers"),
        ("blur: -0.5", "blur is -0.5; expected at least 0"),
        ("scale_low: 3.0", "scale_high 1.6 is below scale_low 3.0"),
        ("{batch: 6, accumulate: 4}", "batch 6 cannot be divided evenly"),
        ("[1, 2]", "is not a mapping of options"),
        ("a: [", "not valid YAML"),
    ],
)
def test_wrong_recipes_are_refused(tmp_path, text, said):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ArgumentError, match=said):
        Recipe.read(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match=r"none\.yaml cannot be read"):
        Recipe.read(tmp_path / "none.yaml")


def test_a_recipe_survives_its_file(tmp_path):
    recipe = Recipe(data="here", iterations=5, mean=[0.1, 0.2, 0.3])
    recipe.write(tmp_path / "recipe.yaml")
    assert Recipe.read(tmp_path / "recipe.yaml") == recipe


@pytest.mark.parametrize(
    ("iterations", "every", "expected"),
    [(1000, 200, 200), (1900, 200, 190), (100, 400, 100), (101, 50, 50)],
)
def test_a_run_ends_with_a_validation(iterations, every, expected):
    interval = Recipe(iterations=iterations, validate_every=every).interval
    assert interval == expected
    assert iterations % interval < max(2, interval // 10)


def test_the_line_has_the_last_word(tmp_path):
    Recipe(data="here", iterations=5).write(tmp_path / "recipe.yaml")
    found = Recipe.read(tmp_path / "recipe.yaml", {"iterations": 7, "out": None})
    assert (found.iterations, found.out, found.data) == (7, "runs/camvid", "here")
