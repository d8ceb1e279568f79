"""The package from Python and as a command: lazy imports, the documented examples, first steps."""

from __future__ import annotations

import doctest
import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import yaml

import bisenet_ros
from bisenet_ros.checkpoints import load, read_card
from bisenet_ros.cli import COMPLETION, main
from bisenet_ros.cli.app import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
TINY = {
    "input_height": 64,
    "input_width": 96,
    "crop_height": 64,
    "crop_width": 64,
    "iterations": 2,
    "validate_every": 2,
    "batch": 2,
    "auxiliary_weight": 0.0,
    "device": "cpu",
    "precision": "32-true",
}


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the examples name: camera.png, the data set hall/, hall.yaml."""
    random = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / "camera.png"), random.integers(0, 256, (90, 120, 3), np.uint8))
    for kind in ("images", "masks"):
        (tmp_path / "hall" / kind).mkdir(parents=True)
    for i in range(6):
        ids = np.repeat(np.repeat(random.integers(0, 4, (2, 3), np.uint8), 32, 0), 32, 1)
        cv2.imwrite(str(tmp_path / f"hall/masks/{i}.png"), ids)
        cv2.imwrite(str(tmp_path / f"hall/images/{i}.png"), np.stack([60 * ids] * 3, -1))
    names = ("floor", "box", "belt", "wall")
    classes = [{"name": name, "color": [60 * i, 9, 9]} for i, name in enumerate(names)]
    (tmp_path / "hall/labels.yaml").write_text(yaml.safe_dump({"classes": classes}))
    (tmp_path / "hall.yaml").write_text(yaml.safe_dump(TINY))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_documented_examples_are_true(workplace: Path, capsys: pytest.CaptureFixture):
    """Of docs/python.md; then what the commands say of the same weights."""
    flags = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    found = doctest.testfile(
        str(ROOT / "docs/python.md"), module_relative=False, optionflags=flags, globs={}
    )
    assert found.attempted > 15 and found.failed == 0
    run = workplace / "runs/hall"
    card = read_card(run / "weights.safetensors")
    groups = {"box": ("box",), "belt": ("belt",), "other": ("floor", "wall")}
    assert card.labels.names == ("box", "belt", "other") and card.groups == groups
    assert load(run / "weights.safetensors")[1] == card
    listed = [(run / f"{split}.txt").read_text().split() for split in ("train", "val")]
    assert sorted(listed[0] + listed[1]) == [str(i) for i in range(6)] and len(listed[1]) == 1

    def measured(*more: object) -> dict:
        command = ["evaluate", "--weights", run / "weights.safetensors", "--data", "hall"]
        assert main([*map(str, (*command, *more)), "--json", "scores.json"]) == 0
        return json.loads(Path("scores.json").read_text())

    alone = measured()
    assert list(alone["per_class"]) == ["box", "belt", "other"]
    assert measured("--classes", "box,belt,other")["confusion"] == alone["confusion"]
    capsys.readouterr()
    command = ["evaluate", "--weights", str(run / "weights.safetensors"), "--data", "hall"]
    assert main([*command, "--classes", "floor,box"]) == 3
    assert "has 3 classes" in capsys.readouterr().err


def test_the_readmes_lines_run(workplace: Path, capsys: pytest.CaptureFixture):
    """As they stand, but for the length of the training."""
    (workplace / "hall").rename("MY_DATA")
    labels = workplace / "MY_DATA/labels.yaml"
    labels.write_text(labels.read_text().replace("box", "road").replace("belt", "car"))
    bisenet_ros.train("MY_DATA", "runs/custom", config="hall.yaml")
    (lines,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert "iterations=2000" in lines
    scope: dict = {}
    exec(lines.replace("iterations=2000", 'config="hall.yaml"'), scope)
    assert scope["mask"].shape == (90, 120) and 0 <= scope["scores"]["miou"] <= 1
    assert read_card("runs/second/weights.safetensors").labels.names == ("road", "car", "other")


def test_a_network_of_all_classes_is_scored_on_groups(workplace: Path):
    bisenet_ros.train("hall", "all", config="hall.yaml")
    (workplace / "groups.yaml").write_text(
        "classes:\n"
        "  - {id: 0, name: taken, color: [255, 0, 0], from: [box, wall]}\n"
        "  - {id: 1, name: free, color: [0, 255, 0], from: [floor]}\n"
    )
    segmenter = bisenet_ros.Segmenter("all/weights.safetensors")
    table = np.full(256, 255)
    table[[1, 3, 0]] = 0, 0, 1
    counts = np.zeros((2, 3), np.int64)
    for name in Path("all/val.txt").read_text().split():
        truth = table[cv2.imread(f"hall/masks/{name}.png", cv2.IMREAD_UNCHANGED)]
        mask = table[segmenter([cv2.imread(f"hall/images/{name}.png")], "bgr")[0].mask]
        kept = truth < 255
        np.add.at(counts, (truth[kept], np.minimum(mask[kept], 2)), 1)
    scored = bisenet_ros.evaluate("all/weights.safetensors", "hall", classes="groups.yaml")
    assert list(scored["per_class"]) == ["taken", "free"]
    assert scored["pixel_accuracy"] == pytest.approx(np.trace(counts) / counts.sum())


def test_importing_the_package_loads_hardly_anything():
    code = (
        "import sys; before = set(sys.modules); import bisenet_ros;"
        "print(*sorted(m for m in set(sys.modules) - before if '.' not in m))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert set(run.stdout.split()) - sys.stdlib_module_names == {"bisenet_ros"}, run.stderr


def test_everything_named_is_there():
    assert set(bisenet_ros.__all__) <= set(dir(bisenet_ros))
    for name in bisenet_ros.__all__:
        assert getattr(bisenet_ros, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'segment'"):
        bisenet_ros.segment  # noqa: B018
    assert (ROOT / "bisenet_ros/py.typed").is_file()


def test_the_version_is_the_same_everywhere(capsys: pytest.CaptureFixture):
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    assert manifest.findtext("version") == bisenet_ros.__version__
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"bisenet_ros {bisenet_ros.__version__}\n"


def test_without_arguments_three_things_to_try_are_shown(capsys: pytest.CaptureFixture):
    assert main([]) == 0
    shown = capsys.readouterr().out
    tried = re.findall(r"^  .*bisenet_ros (\w+)", shown, re.MULTILINE)
    assert len(tried) == 3 and set(tried) <= set(COMMANDS)
    assert all(len(line) <= 100 for line in shown.splitlines())


@pytest.mark.parametrize(
    ("typed", "number", "offered"),
    [
        ("bisenet_ros ev", 1, {"evaluate"}),
        ("bisenet_ros evaluate --min", 2, {"--min-miou"}),
        ("bisenet_ros", 1, set(COMMANDS)),
    ],
)
def test_shells_complete_commands_and_options(
    typed: str, number: int, offered: set[str], monkeypatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/bisenet_ros"])
    monkeypatch.setenv(COMPLETION, "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(number))
    assert main([]) == 0
    assert set(capsys.readouterr().out.split()) == offered
