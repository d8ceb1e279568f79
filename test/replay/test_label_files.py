"""Label lists of all kinds, matched to a model's classes by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bisenet_ros.datasets import CAMVID
from bisenet_ros.errors import DataError
from bisenet_ros.labels import LabelSet
from bisenet_ros.replay.label_files import label_coding

MODEL = LabelSet(("floor", "wall", "thing"), ((1, 1, 1), (2, 2, 2), (3, 3, 3)))
ROOT = Path(__file__).resolve().parents[2]


def test_without_a_file_ids_are_the_model_s():
    coding, warnings = label_coding(MODEL)
    assert coding.classes(np.array([[0, 2, 255]], np.uint8), "it").tolist() == [[0, 2, 255]]
    assert warnings == []


def test_a_file_in_another_order_with_ids_of_its_own(tmp_path: Path):
    path = tmp_path / "list.yaml"
    path.write_text(
        "classes:\n"
        "  - {name: Thing, color: [9, 0, 0], id: 7}\n"
        "  - {name: floor, color: [0, 9, 0], id: 3}\n"
        "  - {name: sky, color: [0, 0, 9], id: 5}\n"
        "ignore: [11, [8, 8, 8]]\n"
    )
    coding, warnings = label_coding(MODEL, path)
    ids = np.array([[7, 3, 5, 11, 255]], np.uint16)
    assert coding.classes(ids, "it").tolist() == [[2, 0, 255, 255, 255]]
    colours = np.array([[[9, 0, 0], [0, 9, 0], [0, 0, 9], [8, 8, 8]]], np.uint8)
    assert coding.classes(colours, "it").tolist() == [[2, 0, 255, 255]]
    (warning,) = warnings
    assert "list.yaml that the model does not have are unlabelled: sky" in warning
    with pytest.raises(DataError, match="holds id 1, .* the ids of list.yaml"):
        coding.classes(np.array([[1]], np.uint8), "it")


def test_the_shipped_list_is_that_of_its_model():
    coding, warnings = label_coding(CAMVID, ROOT / "config" / "labels" / "camvid.yaml")
    every = np.arange(11, dtype=np.uint8)[None]
    assert coding.classes(every, "it").tolist() == every.tolist()
    assert coding.classes(CAMVID.palette()[every], "it").tolist() == every.tolist()
    assert warnings == []


def test_a_text_file_of_colours(tmp_path: Path):
    path = tmp_path / "label_colors.txt"
    path.write_text("# red green blue\n64 128 64\tThing\n\n192 0 128   wall \n0 0 0 void\n")
    coding, warnings = label_coding(MODEL, path)
    colours = np.array([[[64, 128, 64], [192, 0, 128], [0, 0, 0]]], np.uint8)
    assert coding.classes(colours, "it").tolist() == [[2, 1, 255]]
    assert "void" in warnings[0]
    assert coding.classes(np.array([[2]], np.uint8), "it").tolist() == [[2]]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "300 0 0 floor\n", "line 1 of .* is '300 0 0 floor'; expected R G B name"),
        ("a.txt", "1 2 3\n", "expected R G B name"),
        ("a.txt", "\n", "lists no colours"),
        ("a.txt", "1 2 3 car\n", "none of the classes"),
        ("a.yaml", "classes: [{name: car, color: [1, 2, 3]}]\n", "none of the classes"),
        ("a.yaml", "nothing", "is not a list of classes"),
    ],
)
def test_files_that_do_not_help_are_refused(tmp_path: Path, name: str, content: str, said: str):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=said):
        label_coding(MODEL, tmp_path / name)


def test_a_missing_file_is_refused(tmp_path: Path):
    for name in ("missing.txt", "missing.yaml"):
        with pytest.raises(DataError, match="cannot be read"):
            label_coding(MODEL, tmp_path / name)
