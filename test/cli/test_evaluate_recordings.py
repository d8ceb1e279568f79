"""``evaluate`` on recordings: the figures, the files, two models, many bags, bad input."""

from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from bag_formats import broken, compressed, raw, text, write_mcap
from drives import IMAGES, PERIOD, START, Deadly, drive, scene
from html_page import Page
from refusal import check_last_error

from bisenet_ros.checkpoints import load, save
from bisenet_ros.cli import main
from bisenet_ros.replay import many
from bisenet_ros.replay.evaluation import RecordingOptions
from bisenet_ros.replay.model import ModelOptions
from bisenet_ros.replay.predictor import SegmenterPredictor

ROOT = Path(__file__).resolve().parents[2]
EXACT = ("--device", "cpu", "--engine", "torch", "--precision", "fp32")
FILES = ["frames.csv", "metrics.json", "overlay.mp4", "report.html"]


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    return write_mcap(tmp_path_factory.mktemp("bag") / "drive.mcap", drive())


@pytest.fixture(scope="module")
def other_weights(tmp_path_factory, small_weights) -> Path:
    """The same network, a little off."""
    network, card = load(small_weights)
    torch.manual_seed(1)
    with torch.no_grad():
        network.head.conv_out[1].weight.add_(torch.randn_like(network.head.conv_out[1].weight))
    path = tmp_path_factory.mktemp("other") / "other.safetensors"
    return save(path, network, replace(card, dataset="other"))


@pytest.fixture
def run(small_weights):
    def evaluate(*arguments: object, weights: tuple[Path, ...] = ()) -> int:
        chosen = [part for path in weights or (small_weights,) for part in ("--weights", path)]
        return main(["evaluate", *map(str, [*arguments, *chosen, *EXACT])])

    return evaluate


def metrics(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def data_set(root: Path, scenes: range) -> Path:
    """The split val of a folder with images and masks."""
    for folder in ("images", "masks"):
        (root / "val" / folder).mkdir(parents=True)
    for index in scenes:
        for folder, pixels in zip(("images", "masks"), scene(index), strict=True):
            cv2.imwrite(str(root / "val" / folder / f"{index}.png"), pixels)
    names = enumerate(("floor", "wall", "thing"))
    lines = [f"- {{name: {name}, color: [{i}, 0, 0]}}" for i, name in names]
    (root / "labels.yaml").write_text("\n".join(["classes:", *lines]))
    return root


def test_a_bag_is_scored_and_reported(run, bag, tmp_path, capsys):
    out, copy = tmp_path / "out", tmp_path / "copy.json"
    assert run("--bag", bag, "--report", out, "--json", copy) == 0
    assert sorted(path.name for path in out.iterdir()) == FILES
    found = metrics(out)
    assert json.loads(copy.read_text()) == found
    assert found["frames"] == found["labelled_frames"] == 6
    assert 0 < found["miou"] < 1 and found["stability"]["pairs"] == 5
    assert found["frames_per_s"] > 0 and found["segmenter_frames_per_s"] > 0
    assert found["source"]["label_topic"] == "/cam/labels/compressed"
    assert found["command"].startswith(f"python -m bisenet_ros evaluate --bag {bag}")
    with (out / "frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    alone = tmp_path / "alone"
    assert run("--bag", bag, "--report", alone, "--start", 0.3, "--limit", 1) == 0
    assert len(rows) == 6 and float(rows[3]["miou"]) == metrics(alone)["miou"]
    page = Page((out / "report.html").read_text())
    assert all(source.startswith("data:") for source in page.sources)  # nothing is loaded
    for word in ("mIoU", "Along the recording", "Calibration", "Worst frames", "OpenCV DIS"):
        assert word in page.words
    shown = capsys.readouterr().out
    for word in ("mIoU", "temporal consistency", "floor", "the model alone", "report.html"):
        assert word in shown


def test_a_bag_scores_as_the_same_images_as_a_data_set(run, bag, tmp_path):
    data = ("--data", data_set(tmp_path / "data", range(6)), "--dataset", "folder")
    assert run(*data, "--json", tmp_path / "data.json") == 0
    assert run("--bag", bag, "--report", tmp_path / "bag") == 0
    plain, ours = json.loads((tmp_path / "data.json").read_text()), metrics(tmp_path / "bag")
    for key in ("miou", "pixel_accuracy", "boundary_f", "confusion", "per_class"):
        assert ours[key] == plain[key]  # to the last digit


def test_other_topics_and_encodings_score_the_same(run, bag, tmp_path):
    notes = []
    for index in range(6):
        image, truth = scene(index)
        stamp = START + index * PERIOD
        notes.append(raw("/front/rgb", stamp, cv2.cvtColor(image, cv2.COLOR_BGR2RGB), "rgb8"))
        wide = np.where(truth == 255, 65535, truth).astype(np.uint16)
        notes.append(raw("/anything", stamp + 10**6, wide, "mono16", padding=2))
    path = write_mcap(tmp_path / "other.mcap", notes)
    chosen = ("--label-topic", "/anything", "--image-topic", "/front/rgb", "--max-dt", 0.01)
    assert run("--bag", path, "--report", tmp_path / "a", *chosen) == 0
    assert run("--bag", bag, "--report", tmp_path / "b") == 0
    one, other = metrics(tmp_path / "a"), metrics(tmp_path / "b")
    for key in ("miou", "confusion", "boundary_f"):
        assert one[key] == other[key]


def test_labels_in_colours_need_a_file(run, tmp_path, capsys):
    colours = np.array([[10, 20, 30], [200, 0, 0], [0, 0, 250]], np.uint8)
    image, truth = scene(0)
    drawn = np.where((truth == 255)[..., None], 7, colours[np.minimum(truth, 2)]).astype(np.uint8)
    bag = write_mcap(
        tmp_path / "a.mcap",
        [raw(IMAGES, START, image, "bgr8"), compressed("/cam/labels", START, drawn[..., ::-1])],
    )
    out = ("--bag", bag, "--report", tmp_path / "out")
    check_last_error(capsys, 3, run(*out), "/cam/labels", str(START), "colours")
    listed = tmp_path / "colours.txt"
    listed.write_text("10 20 30 Floor\n200 0 0 Wall\n0 0 250 Thing\n7 7 7 void\n")
    assert run(*out, "--label-colors", listed) == 0
    assert metrics(tmp_path / "out")["labelled_pixels"] == (truth != 255).sum()


def test_without_labels_everything_but_truth(run, tmp_path, capsys):
    bag = write_mcap(tmp_path / "a.mcap", drive(4, labels=False))
    assert run("--bag", bag, "--report", tmp_path / "out") == 0
    found = metrics(tmp_path / "out")
    assert found["miou"] is None and found["stability"]["pairs"] == 3
    page = Page((tmp_path / "out" / "report.html").read_text())
    assert "no labels" in page.words and "Most unstable frames" in page.words
    assert "Confusion" not in page.words
    check_last_error(
        capsys, 3, run("--bag", bag, "--report", tmp_path / "b", "--min-miou", 0.1), "no labelled"
    )


def test_a_missed_bar_is_code_1_and_the_report_is_there(run, bag, tmp_path, capsys):
    out = ("--bag", bag, "--report", tmp_path / "out", "--min-miou")
    check_last_error(capsys, 1, run(*out, 1), "--min-miou requires at least 1")
    assert "misses the required" in (tmp_path / "out" / "report.html").read_text()
    assert run(*out, 0) == 0


def test_ctrl_c_keeps_what_was_scored(run, bag, tmp_path, monkeypatch, capsys):
    calls = []
    plain = SegmenterPredictor.__call__

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return plain(self, *arguments)

    monkeypatch.setattr(SegmenterPredictor, "__call__", interrupted)
    assert run("--bag", bag, "--report", tmp_path / "out") == 130
    found = metrics(tmp_path / "out")
    assert found["partial"] and found["frames"] == 3
    assert "partial: interrupted" in (tmp_path / "out" / "report.html").read_text()
    assert "marked as partial" in capsys.readouterr().out
    calls[:] = [1, 1, 1]
    assert run("--bag", bag, "--report", tmp_path / "none") == 130
    assert not (tmp_path / "none").exists()


def test_what_cannot_be_scored_is_refused(run, bag, tmp_path, capsys):
    out = ("--report", tmp_path / "out")
    check_last_error(capsys, 2, run(*out), "--data FOLDER or --bag PATH")
    check_last_error(capsys, 2, run("--bag", bag, "--data", tmp_path, *out), "--data and --bag")
    check_last_error(capsys, 2, run("--data", tmp_path, "--every", 2), "--every", "--bag")
    check_last_error(capsys, 2, run("--bag", bag, "--flip", *out), "--flip")
    check_last_error(
        capsys, 2, run("--bag", bag, "--fail-if-worse", *out), "--weights A --weights B"
    )
    check_last_error(capsys, 3, run("--bag", tmp_path / "no.mcap", *out), "no.mcap does not exist")
    check_last_error(capsys, 3, run("--bag", tmp_path / "*.mcap", *out), "matches no recording")
    words = write_mcap(tmp_path / "words.mcap", [text("/chat", START)])
    check_last_error(capsys, 3, run("--bag", words, *out), "holds no images", "/chat")
    two = [raw(f"/cam{i}", START, scene(0)[0], "bgr8") for i in (1, 2)]
    several = write_mcap(tmp_path / "two.mcap", two)
    check_last_error(
        capsys, 3, run("--bag", several, *out), "--image-topic", "/cam1", "1 message", "Hz"
    )
    check_last_error(capsys, 3, run("--bag", bag, "--start", 99, *out), "gave no frame")
    image, truth = scene(0)
    truth[10:20] = 9
    stray = [raw(IMAGES, START, image, "bgr8"), compressed("/cam/labels", START, truth)]
    path = write_mcap(tmp_path / "stray.mcap", stray)
    check_last_error(capsys, 3, run("--bag", path, *out), "holds id 9", str(START))
    check_last_error(capsys, 2, run("--bag", bag, "--report", bag), "--report", "cannot be written")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".unfinished-*"))


def test_odd_recordings_are_scored_and_what_was_odd_is_said(run, tmp_path, capsys):
    notes = drive(6)
    image, truth = scene(6)
    late = START + 6 * PERIOD
    notes.append(raw(IMAGES, late, image, "bgr8"))
    notes.append(compressed("/cam/labels/compressed", late, cv2.resize(truth, (48, 32))))
    notes.append(broken(IMAGES, late + PERIOD))
    notes.append(raw(IMAGES, START, scene(0)[0], "bgr8", log=late + 2 * PERIOD))  # jumps back
    path = write_mcap(tmp_path / "odd.mcap", notes)
    assert run("--bag", path, "--report", tmp_path / "out") == 0
    found = metrics(tmp_path / "out")["notes"]
    assert found["counts"]["broken_images"] == 1 and found["counts"]["stamps_back"] == 1
    assert found["counts"]["resized_labels"] == 1
    told = capsys.readouterr().err
    for word in ("labels are 48×32 but images are 96×64", "stamps go back", "cannot be decoded"):
        assert word in told
        assert word in (tmp_path / "out" / "report.html").read_text()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert run("--bag", cut, "--report", tmp_path / "half") == 0
    assert 0 < metrics(tmp_path / "half")["frames"] < 6
    assert metrics(tmp_path / "half")["source"]["loss"]["reasons"]
    assert "is damaged" in capsys.readouterr().err


def test_a_full_disk_leaves_nothing(run, bag, tmp_path, capsys):
    plain = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, plain[1]))  # stands for a full disk
    try:
        code = run("--bag", bag, "--report", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, plain)
    check_last_error(capsys, 3, code, "cannot be written", "make room")
    assert list(tmp_path.iterdir()) == []


def test_two_models_are_compared_on_a_bag(run, bag, tmp_path, small_weights, other_weights, capsys):
    both = (small_weights, other_weights)
    out = tmp_path / "out"
    long = write_mcap(tmp_path / "long.mcap", drive(14))
    assert run("--bag", long, long, "--report", out, weights=both) == 0
    assert sorted(p.name for p in out.iterdir()) == ["frames.csv", "metrics.json", "report.html"]
    found = metrics(out)
    assert found["first"]["frames"] == 14  # the same bag twice is one
    change = found["difference"]["miou"]["difference"]
    assert change == pytest.approx(found["second"]["miou"] - found["first"]["miou"])
    assert found["changed_pixels"]["gained"] > 0
    low, high = (found["difference"]["miou"][end] for end in ("low", "high"))
    assert low <= change <= high and found["difference"]["blocks"] == 2
    page = Page((out / "report.html").read_text())
    for word in ("Class by class", "Frames that differ most", "other.safetensors", "bootstrap"):
        assert word in page.words
    assert "B minus A" in capsys.readouterr().out
    worse = both if change < 0 else both[::-1]
    points = abs(100 * change)
    again = ("--bag", long, "--report", tmp_path / "b")
    check_last_error(
        capsys, 1, run(*again, "--fail-if-worse", weights=worse), "points of mIoU worse"
    )
    assert run(*again, "--fail-if-worse", points + 0.01, weights=worse) == 0
    assert run(*again, "--fail-if-worse", weights=worse[::-1]) == 0
    check_last_error(capsys, 1, run(*again, "--min-miou", 1, weights=both), "--min-miou requires")
    check_last_error(capsys, 2, run(*again, weights=(*both, small_weights)), "3 --weights")


def test_two_models_are_compared_on_a_data_set(run, tmp_path, small_weights, other_weights):
    data = ("--data", data_set(tmp_path / "data", range(0, 36, 9)), "--dataset", "folder")
    both = (small_weights, other_weights)
    assert run(*data, "--report", tmp_path / "out", weights=both) == 0
    found = metrics(tmp_path / "out")
    assert found["difference"]["blocks"] == found["first"]["frames"] == 4
    assert run(*data, "--json", tmp_path / "one.json") == 0
    assert json.loads((tmp_path / "one.json").read_text())["miou"] == found["first"]["miou"]


def test_many_bags_get_a_summary_worst_first(run, bag, tmp_path, capsys):
    folder = tmp_path / "bags"
    folder.mkdir()
    write_mcap(folder / "long.mcap", drive(5))
    write_mcap(folder / "blind.mcap", drive(3, labels=False))
    write_mcap(folder / "empty.mcap", [text("/chat", START)])
    out = tmp_path / "out"
    code = run("--bag", folder, "--bag", bag, "--report", out, "--workers", 2)
    check_last_error(capsys, 3, code, "1 of 4 recordings could not be scored", "empty.mcap")
    found = metrics(out)
    rows = [row["folder"] for row in found["recordings"]]
    assert rows[0] == "empty" and rows[-1] == "blind" and set(rows[1:3]) == {"long", "drive"}
    scored = [row["miou"] for row in found["recordings"][1:3]]
    assert scored == sorted(scored) and min(scored) <= found["miou"] <= max(scored)
    for name in ("long", "blind", "drive"):
        assert sorted(path.name for path in (out / name).iterdir()) == FILES
    page = (out / "report.html").read_text()
    assert 'href="long/report.html"' in page and "holds no images" in page
    assert run(folder / "long.mcap", "--bag", bag, "--report", tmp_path / "one") == 0
    again = metrics(tmp_path / "one")
    assert again["miou"] == found["miou"] and again["scored"] == 2


def test_a_worker_that_is_killed_costs_one_recording(small_weights, bag, tmp_path):
    model = ModelOptions(small_weights, "cpu", "fp32", "torch")
    work = many.tasks([str(bag), str(bag)], model, RecordingOptions(), {})
    work[0] = replace(work[0], facts={"command": Deadly(tmp_path / "notes")})
    lost, good = many.score_in_processes(work, tmp_path / "out", workers=1)
    assert lost.error == f"the process that scored it ended by signal {int(signal.SIGKILL)}"
    assert good.error is None and good.metrics["frames"] == 6


@pytest.mark.parametrize("early", [False, True])
def test_ctrl_c_at_a_terminal_keeps_what_the_workers_scored(small_weights, tmp_path, early):
    """The terminal sends it to every process; ``early``: while these load their modules."""
    images = [scene(index)[0] for index in range(40)]
    notes = [raw(IMAGES, START + i * PERIOD, images[i % 40], "bgr8") for i in range(400)]
    long = write_mcap(tmp_path / "long.mcap", notes)
    shutil.copy(long, tmp_path / "other.mcap")
    write_mcap(tmp_path / "waiting.mcap", drive(2))
    out = tmp_path / "out"
    line = ["evaluate", *("--bag", long), *("--bag", tmp_path / "other.mcap")]
    line += ["--bag", tmp_path / "waiting.mcap", "--workers", 2, "--report", out]
    child = subprocess.Popen(
        [sys.executable, "-m", "bisenet_ros", *map(str, line), "--weights", small_weights, *EXACT],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )

    def films() -> list[Path]:
        return [p for p in out.glob(".unfinished-*/results/.overlay-*") if p.stat().st_size]

    def workers() -> str:
        return Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text()

    deadline = time.monotonic() + 120
    while not (len(workers().split()) >= 3 if early else len(films()) == 2):
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGINT)
    printed, errors = child.communicate(timeout=60)
    assert child.returncode == 130, printed + errors
    assert errors == ""
    if early:
        assert not list(out.rglob("*.json"))
        return
    found = metrics(out)
    assert found["partial"] and found["asked"] == 3 and found["scored"] == 2
    for name in ("long", "other"):
        one = metrics(out / name)
        assert one["partial"] and 0 < one["frames"] < 400
        assert sorted(path.name for path in (out / name).iterdir()) == FILES
    assert not (out / "waiting").exists() and not list(out.glob(".unfinished-*"))
    assert "marked as partial" in printed
