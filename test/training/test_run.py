"""Whole runs: what they leave behind, that they resume exactly, that they stop and fine-tune."""

from __future__ import annotations

import csv
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from rich.console import Console

from bisenet_ros.checkpoints import load
from bisenet_ros.cli import main
from bisenet_ros.cli.train import _bar, _figures
from bisenet_ros.datasets.checking import check
from bisenet_ros.inference import Segmenter
from bisenet_ros.inference.reference import Predictor
from bisenet_ros.metrics.dataset import evaluate
from bisenet_ros.training.recipe import Recipe
from bisenet_ros.training.run import Data, prepare, splits, train

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("floor", "box", "belt")


def recipe(folder: Path, out: Path, **changes) -> Recipe:
    options = {
        "data": str(folder),
        "dataset": "folder",
        "out": str(out),
        "val_share": 0.25,
        "input_height": 96,
        "input_width": 128,
        "iterations": 4,
        "batch": 2,
        "crop_height": 64,
        "crop_width": 64,
        "validate_every": 2,
        "precision": "32-true",
        "device": "cpu",
        "light": 0.5,
        **changes,
    }
    out.mkdir(parents=True, exist_ok=True)
    return Recipe(**options)


def run(made: Recipe, **how):
    found = splits(made)
    prepared = prepare(made, Data(*found, *(check(s) for s in found)))
    return prepared, train(prepared, **how)


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def same(a, b) -> bool:
    """Whether two nested values hold the same bits."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def test_a_run_that_was_stopped_goes_on_bit_for_bit(folder, tmp_path):
    changes = {"paste_chance": 0.5, "rare_share": 0.4, "iterations": 6}
    run(recipe(folder, tmp_path / "whole", **changes))
    stopped = recipe(folder, tmp_path / "parts", **changes)
    _, trainer = run(stopped, stop_after=2)
    assert trainer.global_step == 2
    _, trainer = run(stopped, resume=True, stop_after=3)  # between two validations
    assert trainer.global_step == 3
    _, trainer = run(stopped, resume=True)
    assert trainer.global_step == 6
    whole, parts = (
        torch.load(tmp_path / name / "last.ckpt", weights_only=False) for name in ("whole", "parts")
    )
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
        assert same(whole[key], parts[key]), key
    written = [lines(tmp_path / name / "metrics.csv") for name in ("whole", "parts")]
    assert [r["step"] for r in written[0]] == [r["step"] for r in written[1]] == ["2", "4", "6"]
    assert [r["val_miou"] for r in written[0]] == [r["val_miou"] for r in written[1]]
    averages = [c for c in whole if "current_model" in c or "averag" in c]
    assert averages and all(same(whole[key], parts[key]) for key in averages)


def test_an_interrupted_run_ends_with_130_and_can_be_resumed(folder, tmp_path):
    made = recipe(folder, tmp_path / "run", iterations=1000)
    made.write(tmp_path / "recipe.yaml")
    line = [sys.executable, "-m", "bisenet_ros", "train", "--config", str(tmp_path / "recipe.yaml")]
    with (tmp_path / "log").open("w") as log:
        child = subprocess.Popen(line, cwd=ROOT, stdout=log, stderr=log)
        waited = time.monotonic() + 120
        while not (tmp_path / "run/last.ckpt").exists():
            assert child.poll() is None and time.monotonic() < waited
            time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 130
    said = (tmp_path / "log").read_text()
    assert "interrupted; --resume continues from step" in said and "Traceback" not in said
    done = torch.load(tmp_path / "run/last.ckpt", weights_only=False)["global_step"]
    prepared, trainer = run(made, resume=True, stop_after=done + 2)
    assert trainer.global_step == done + 2


def test_resuming_nothing_is_refused(folder, tmp_path, capsys):
    arguments = ["train", "--dataset", "folder", "--data", str(folder), "--resume"]
    assert main([*arguments, "--out", str(tmp_path), "--val-share", "0.25"]) == 3
    assert "last.ckpt is missing" in capsys.readouterr().err


@pytest.fixture(scope="module")
def stopped(folder, tmp_path_factory) -> Path:
    """The folder of a run that was stopped at step 1, fine-tuned from weights that are gone."""
    root = tmp_path_factory.mktemp("stopped")
    weights = root / "start.safetensors"
    weights.write_bytes((ROOT / "weights/bisenetv2-camvid.safetensors").read_bytes())
    made = recipe(folder, root / "run", weights=str(weights), auxiliary_weight=0.0)
    made.write(root / "recipe.yaml")
    assert main(["train", "--config", str(root / "recipe.yaml"), "--stop-after", "1"]) == 0
    weights.unlink()
    return root / "run"


def test_resume_needs_the_folder_alone(stopped, capsys):
    assert main(["train", "--resume", "--out", str(stopped), "--stop-after", "2"]) == 0
    said = capsys.readouterr().out
    assert "stopped at step 2" in said and "started from" not in said


def test_a_folder_that_holds_a_run_is_not_trained_into(stopped, folder, capsys):
    before = {path: path.stat().st_mtime_ns for path in stopped.iterdir()}
    line = ["train", "--dataset", "folder", "--data", str(folder), "--out", str(stopped)]
    assert main(line) == 2
    said = capsys.readouterr().err
    assert "last.ckpt" in said and "--resume" in said and "--overwrite" in said
    assert {path: path.stat().st_mtime_ns for path in stopped.iterdir()} == before


def test_a_checkpoint_of_another_network_is_refused_in_one_line(stopped, capsys, tmp_path):
    content = torch.load(stopped / "last.ckpt", weights_only=True)
    content["state_dict"] = {"network.other": torch.ones(2)}
    shutil.copytree(stopped, tmp_path / "run")
    torch.save(content, tmp_path / "run/last.ckpt")
    assert main(["train", "--resume", "--out", str(tmp_path / "run")]) == 3
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "last.ckpt cannot be resumed with this recipe" in said


def test_the_command_leaves_everything_a_run_should(folder, tmp_path, capsys):
    made = recipe(folder, tmp_path / "run", iterations=40, validate_every=20, batch=4)
    made.write(tmp_path / "recipe.yaml")
    facts = tmp_path / "facts.json"
    arguments = ["--config", str(tmp_path / "recipe.yaml"), "--ema", "0.8", "--json", str(facts)]
    assert main(["train", *arguments, "--jitter", "0.1"]) == 0
    out = tmp_path / "run"
    assert Recipe.read(out / "recipe.yaml").ema == 0.8
    assert {"best.ckpt", "last.ckpt"} <= {p.name for p in out.iterdir()}
    assert list((out / "tensorboard").glob("events.*"))
    written = lines(out / "metrics.csv")
    assert [int(r["step"]) for r in written if r["val_miou"]] == [20, 40]
    assert all(float(r["loss"]) > 0 and float(r["images_per_s"]) > 0 for r in written)
    for picture in ("curves.png", "samples.png"):
        image = cv2.imread(str(out / picture))
        assert image is not None and image.std() > 5
    network, card = load(out / "weights.safetensors")
    assert card.labels.names == NAMES and card.resolution == (96, 128)
    assert not network.config.auxiliary
    assert card.command.startswith("python -m bisenet_ros train --config")
    assert "--ema 0.8" in card.command
    validation = splits(made)[1]
    found = evaluate(Predictor(network, card), validation, 3)
    assert card.scores["val_miou"] == pytest.approx(found.scores.miou, abs=1e-6)
    image, _ = validation.read(0)
    assert Segmenter(out / "weights.safetensors")([image])[0].mask.shape == (96, 128)


def test_training_stops_when_nothing_gets_better(folder, tmp_path):
    made = recipe(folder, tmp_path, iterations=40, learning_rate=1e-9, patience=2, ema=0.0)
    _, trainer = run(made)
    assert 4 <= trainer.global_step < 40
    assert (tmp_path / "best.ckpt").exists()


def test_accumulated_batches_make_one_step(folder, tmp_path):
    _, trainer = run(recipe(folder, tmp_path, batch=4, accumulate=2, validate_every=4))
    assert trainer.global_step == 4
    assert [int(r["step"]) for r in lines(tmp_path / "metrics.csv") if r["val_miou"]] == [4]


@pytest.mark.parametrize("loss", ["ohem", "dice", "ce+dice"])
def test_every_loss_trains(folder, tmp_path, loss):
    made = recipe(folder, tmp_path, loss=loss, iterations=2, optimiser="sgd", clip=1.0)
    _, trainer = run(made)
    assert trainer.global_step == 2
    assert np.isfinite(float(trainer.callback_metrics["loss"]))


def test_fine_tuning_says_what_was_made_anew(folder, tmp_path, capsys):
    line = ["--dataset", "folder", "--data", str(folder), "--iterations", "2", "--batch", "2"]
    line += ["--crop-height", "64", "--crop-width", "64", "--validate-every", "2"]
    line += ["--input-height", "96", "--input-width", "128", "--val-share", "0.25"]
    line += [
        "--weights",
        str(ROOT / "weights/bisenetv2-camvid.safetensors"),
        "--auxiliary-weight",
        "0",
    ]
    assert main(["train", *line, "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "re-initialised: head.conv_out.1.bias, head.conv_out.1.weight" in said
    # A temperature belongs to the weights that it was fitted for.
    assert load(tmp_path / "run/weights.safetensors")[1].temperature == 1


def test_checking_data_counts_and_trains_nothing(folder, tmp_path, capsys):
    line = ["--dataset", "folder", "--data", str(folder), "--val-share", "0.25", "--check-data"]
    assert main(["train", *line, "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in NAMES)
    assert not (tmp_path / "run").exists()


def test_a_class_that_occurs_nowhere_is_named(folder, tmp_path, capsys):
    root = tmp_path / "set"
    shutil.copytree(folder, root)
    classes = [{"name": name} for name in (*NAMES, "ghost")]  # and no colours: masks hold ids
    (root / "labels.yaml").write_text(yaml.safe_dump({"classes": classes}))
    line = ["--dataset", "folder", "--data", str(root), "--val-share", "0.25", "--check-data"]
    assert main(["train", *line]) == 0
    said = capsys.readouterr()
    assert "warning: no pixel of train and val has the class 'ghost'" in said.err
    assert "floor" not in said.err and "ghost" in said.out


def test_masks_of_black_and_white_are_said_to_be_read_so(folder, tmp_path, capsys):
    root = tmp_path / "set"
    shutil.copytree(folder, root)
    for path in (root / "masks").iterdir():
        ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.where(ids == 1, 255, 0).astype(np.uint8))
    (root / "labels.yaml").write_text("classes: [{name: box}]")
    line = ["--dataset", "folder", "--data", str(root), "--val-share", "0.25", "--check-data"]
    assert main(["train", *line]) == 0
    said = capsys.readouterr()
    assert "note: masks hold 0 and 255 alone: 0 is read as background, 255 as box" in said.err


def test_the_progress_line_fits_80_columns():
    console = Console(width=80, force_terminal=True, file=io.StringIO(), color_system=None)
    known = {"loss": 12.3456, "images_per_s": 1234.5, "val_miou": 0.719, "learning_rate": 1e-3}
    bar = _bar(console)
    task = bar.add_task("training", total=160_000, figures="")
    bar.update(task, completed=123_456, figures=_figures(known))
    console.print(bar.get_renderable())
    (line,) = console.file.getvalue().strip("\n").splitlines()
    for part in ("123456/160000", "loss 12.346", "1234.5 img/s", "mIoU 0.719", ":"):
        assert part in line
    assert len(line.rstrip()) <= 80 and "…" not in line


def test_data_is_checked_before_training_starts(folder, tmp_path, capsys):
    bad = cv2.imread(str(folder / "masks/3.png"), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(folder / "masks/3.png"), np.full_like(bad, 7))
    try:
        line = ["--dataset", "folder", "--data", str(folder), "--out", str(tmp_path / "run")]
        assert main(["train", *line]) == 3
    finally:
        cv2.imwrite(str(folder / "masks/3.png"), bad)
    said = capsys.readouterr().err
    assert "3.png" in said and "7" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["--loss", "hinge"], "hinge"),
        (["--num-classes", "5"], "3 classes, but num_classes is 5"),
        (["--precision", "16-mixed", "--device", "cpu"], "needs a GPU"),
        (["--resume", "--overwrite"], "pass one of them"),
    ],
)
def test_wrong_options_end_with_one_line(folder, tmp_path, capsys, line, said):
    given = ["--dataset", "folder", "--data", str(folder), "--out", str(tmp_path / "run")]
    assert main(["train", *given, *line]) in (2, 3)
    assert said in capsys.readouterr().err


def test_two_processes_see_the_loss_of_one_with_the_whole_batch(folder, tmp_path):
    script = ROOT / "test/training/two_processes.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    both = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    for name, command in (("one", [sys.executable]), ("two", both)):
        devices = "1" if name == "one" else "2"
        given = [str(script), str(folder), str(tmp_path / name), devices]
        subprocess.run([*command, *given], env=environment, check=True, timeout=300)
    one, two = (torch.load(tmp_path / name / "end.pt") for name in ("one", "two"))
    torch.testing.assert_close(two["losses"], one["losses"], rtol=1e-4, atol=1e-5)
    for key, value in one["state"].items():
        torch.testing.assert_close(two["state"][key], value, rtol=5e-3, atol=5e-4)
