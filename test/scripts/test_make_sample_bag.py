import importlib.util
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from bisenet_ros.recordings.rosbag import Bag

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_sample_bag.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_sample_bag", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """A set of three frames in CamVid's layout; labels hold each of its ids."""
    for kind in ("images", "labels"):
        (tmp_path / "set" / "val" / kind).mkdir(parents=True)
    for index in range(3):
        down, across = np.mgrid[0:36, 0:48].astype(np.uint8)
        image = np.stack([4 * down, 4 * across, 200 - 4 * down], 2)  # smooth: JPEG keeps it
        label = np.full((36, 48), 11, np.uint8)
        label[: 12 * (index + 1), :44] = np.repeat(np.arange(11), 4)
        cv2.imwrite(str(tmp_path / "set" / "val" / "images" / f"{index}.png"), image)
        cv2.imwrite(str(tmp_path / "set" / "val" / "labels" / f"{index}.png"), label)
    return tmp_path / "set"


def test_the_bag_holds_the_set_and_is_the_same_each_time(
    script: ModuleType, camvid: Path, tmp_path: Path
):
    written = []
    for _ in range(2):  # the second time in the place of the first
        assert script.main(["--data", str(camvid), "--out", str(tmp_path / "bag")]) == 0
        written.append([p.read_bytes() for p in sorted((tmp_path / "bag").iterdir())])
    assert written[0] == written[1]
    with Bag(tmp_path / "bag") as bag:
        messages = list(bag.messages(bag.topics))
    assert [m.topic.name for m in messages] == [script.IMAGE_TOPIC, script.LABEL_TOPIC] * 3
    assert [m.stamp_ns - script.START_NS for m in messages[::2]] == [0, 66_666_666, 133_333_333]
    for index, (image, label) in enumerate(zip(messages[::2], messages[1::2], strict=True)):
        assert image.stamp_ns == label.stamp_ns
        pixels = cv2.imdecode(image.content.data, cv2.IMREAD_COLOR)
        truth = cv2.imread(str(camvid / "val" / "images" / f"{index}.png"))
        assert np.abs(pixels.astype(int) - truth).mean() < 5
        ids = cv2.imdecode(label.content.data, cv2.IMREAD_UNCHANGED)
        stored = cv2.imread(str(camvid / "val" / "labels" / f"{index}.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(ids, np.where(stored == 11, 255, stored))


def test_wrong_input_is_refused_and_leaves_nothing(
    script: ModuleType, camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    out = tmp_path / "bag"
    assert script.main(["--data", str(tmp_path), "--out", str(out)]) == 3
    assert script.main(["--data", str(camvid), "--out", str(out), "--quality", "0"]) == 2
    (camvid / "val" / "labels" / "1.png").unlink()
    assert script.main(["--data", str(camvid), "--out", str(out)]) == 3
    assert not out.exists()
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3 and all(line.startswith("error: ") for line in errors)


def test_a_folder_that_is_no_bag_is_not_replaced(script: ModuleType, camvid: Path, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    assert script.main(["--data", str(camvid), "--out", str(tmp_path / "mine")]) == 2
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"
