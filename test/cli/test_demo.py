"""``python -m bisenet_ros demo`` with the real node, player and recorder on the sample bag."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import pytest
from bag_maker import BagMaker, picture
from harness import ROOT, own_domain, ros_environment
from refusal import check_refused

from bisenet_ros.cli import main
from bisenet_ros.selftest.sources import write_checkpoint

BAG = ROOT / "test/data/camvid_drive"
OUTPUTS = ["frames.csv", "metrics.json", "overlay.mp4", "overlay.png", "report.html"]
MARK = "BISENET_ROS_TEST_MARK"


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """A domain of this module's own, and a mark by which its processes are found."""
    with own_domain() as domain:
        yield {**ros_environment(domain), MARK: f"{os.getpid()}-{domain}", "COLUMNS": "100"}


def demo(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "bisenet_ros", "demo", *map(str, arguments)]


def run(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        demo(*arguments), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


def marked(environment: dict[str, str]) -> list[tuple[int, str]]:
    """Id and command line of the processes that carry the mark."""
    mark = f"{MARK}={environment[MARK]}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                line = (process / "cmdline").read_bytes().decode()
                found.append((int(process.name), line))
        except OSError:  # it has just ended, or is another user's
            continue
    return found


def wait_for_a_mask(child: subprocess.Popen[str], folder: Path) -> None:
    """Until the demo that writes into ``folder`` is in the middle of the drive."""
    deadline = time.monotonic() + 60
    while not any(folder.glob(".unfinished-*/recording/masks/*.png")):
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.1)


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> Path:
    """Somebody else's DeepLab v3+ on MobileNetV2, with seeded values, as `convert` leaves it."""
    folder = tmp_path_factory.mktemp("converted")
    checkpoint = write_checkpoint("vainf_deeplabv3plus_mobilenet", folder / "vainf.pth")
    weights = folder / "deeplab.safetensors"
    line = [str(checkpoint), str(weights), "--classes", "cityscapes", "--size", "96x128"]
    assert main(["convert", *line]) == 0
    return weights


@pytest.fixture(scope="module")
def finished(environment, converted, tmp_path_factory):
    """One demo that went through, with a converted network."""
    out = tmp_path_factory.mktemp("demo") / "deep" / "out"
    copy = out.parents[1] / "copy.json"
    done = run(environment, "--weights", converted, "--out", out, "--json", copy)
    assert done.returncode == 0, done.stdout + done.stderr
    return done, out, copy


def test_the_demo_writes_its_files_and_nothing_else(finished, environment):
    _, out, copy = finished
    assert sorted(path.name for path in out.iterdir()) == OUTPUTS
    assert sorted(path.name for path in out.parent.iterdir()) == ["out"]
    assert copy.read_bytes() == (out / "metrics.json").read_bytes()
    assert marked(environment) == []


def test_the_figures_are_those_of_the_drive(finished):
    done, out, _ = finished
    metrics = json.loads((out / "metrics.json").read_text())
    live = metrics["live"]
    assert live["frames_played"] == 101 and live["played_hz"] == 15
    # How many get through depends on how busy the machine is; that they add up does not.
    assert 0 < live["masks"] <= live["published"] <= live["frames_received"] <= 101
    assert live["published"] + live["superseded"] == live["frames_received"]
    assert live["rejected"] == 0 and live["problems"] == []
    assert metrics["frames"] == metrics["labelled_frames"] == live["masks"]
    assert live["output_fps"] > 0
    assert 0 < live["age_ms_p50"] <= live["age_ms_p95"]
    assert len(metrics["per_class"]) == 19
    assert {"iou", "precision", "recall", "share"} < set(metrics["per_class"]["wall"])
    assert 0 <= metrics["miou"] <= 1 and 0 <= metrics["pixel_accuracy"] <= 1
    assert live["stage_ms"]["forward"] > 0 and metrics["calibration"]["pixels"] > 0
    assert live["model"]["device"] and live["model"]["weights"].startswith("deeplab")
    assert metrics["weights"]["file"] == "deeplab.safetensors"
    for word in ("mIoU", "superseded", "age, p95", "road", "wall", "bicycle", "report.html"):
        assert word in done.stdout


def test_the_film_the_picture_and_the_report_can_be_opened(finished):
    _, out, _ = finished
    metrics = json.loads((out / "metrics.json").read_text())
    with av.open(str(out / "overlay.mp4")) as film:
        stream = film.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (480, 360)
        frames = sum(1 for _ in film.decode(stream))
    assert 0 < frames <= metrics["live"]["published"]
    assert cv2.imread(str(out / "overlay.png")).shape[1] > 2 * 480
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "data:video/mp4" in report and "camvid_drive" in report and "Brostow" in report


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_everything_and_leaves_nothing(environment, small_weights, tmp_path, sign):
    out = tmp_path / "out"
    child = subprocess.Popen(
        demo("--weights", small_weights, "--out", out, "--rate", 2),
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_a_mask(child, tmp_path)
    child.send_signal(sign)
    _, errors = child.communicate(timeout=40)
    assert child.returncode == 130
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
    assert marked(environment) == []


def test_a_node_that_refuses_to_start_is_heard(
    environment, small_weights, tmp_path, capsys, monkeypatch
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(small_weights.read_bytes()[:5000])
    out = tmp_path / "out"
    check_refused(
        capsys, "demo", ["--weights", broken, "--out", out], 3, "segmentation_node: ", "broken"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["broken.safetensors"]


def test_a_bag_that_cannot_be_read(tmp_path, capsys):
    out = tmp_path / "out"
    check_refused(capsys, "demo", ["--bag", tmp_path / "none", "--out", out], 3, "does not exist")
    shutil.copytree(BAG, tmp_path / "cut")
    mcap = tmp_path / "cut" / "camvid_drive.mcap"
    mcap.write_bytes(mcap.read_bytes()[:500])
    check_refused(capsys, "demo", ["--bag", tmp_path / "cut", "--out", out], 3, "cut")
    assert not out.exists()


def test_a_bag_of_two_cameras_is_refused_with_their_topics(tmp_path, capsys):
    with BagMaker(tmp_path / "bag") as bag:
        bag.raw("/front/image_raw", 10**9, picture(0), "rgb8")
        bag.raw("/rear/image_raw", 10**9, picture(0), "rgb8")
    words = ("/front/image_raw", "/rear/image_raw")
    out = tmp_path / "out"
    check_refused(capsys, "demo", ["--bag", tmp_path / "bag", "--out", out], 3, *words)
    assert not out.exists()


def test_wrong_arguments(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    check_refused(capsys, "demo", ["--out", tmp_path / "file"], 2, "--out", "cannot be written")
    check_refused(capsys, "demo", ["--rate", 0, "--out", tmp_path / "o"], 2, "--rate is 0")
    check_refused(capsys, "demo", ["--rate", "nan", "--out", tmp_path / "o"], 2, "--rate is nan")
    check_refused(capsys, "demo", ["--json", tmp_path, "--out", tmp_path / "o"], 2, "is a folder")
    missing = tmp_path / "w.safetensors"
    check_refused(
        capsys, "demo", ["--weights", missing, "--out", tmp_path / "o"], 3, "w.safetensors"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_node_that_dies_on_the_way_ends_the_demo(environment, small_weights, tmp_path):
    child = subprocess.Popen(
        demo("--weights", small_weights, "--out", tmp_path / "out", "--rate", 2),
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_a_mask(child, tmp_path)
    nodes = [pid for pid, line in marked(environment) if "segmentation_node" in line]
    assert len(nodes) == 1
    os.kill(nodes[0], signal.SIGKILL)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 3
    assert "segmentation_node: killed by SIGKILL" in errors and "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
    assert marked(environment) == []
