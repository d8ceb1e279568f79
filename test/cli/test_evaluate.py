"""``python -m bisenet_ros evaluate``: figures that are right, or one line that says why not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from refusal import check_refused

from bisenet_ros.checkpoints import load, save
from bisenet_ros.cli import main
from bisenet_ros.inference import Segmenter
from bisenet_ros.inference.reference import Predictor
from bisenet_ros.labels import LabelSet
from bisenet_ros.networks import BiSeNetV2, BiSeNetV2Config

CLASSES = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car")
CLASSES += ("pedestrian", "bicyclist")  # CamVid's, in the order of their ids
VOID = 11


@pytest.fixture(scope="module")
def weights(tmp_path_factory, small_card) -> Path:
    """An untrained network of CamVid's classes whose masks hold several of them."""
    torch.manual_seed(3)
    options = {**small_card.options, "num_classes": len(CLASSES)}
    network = BiSeNetV2(BiSeNetV2Config(**options))
    with torch.no_grad():
        network.head.conv_out[1].weight.normal_(std=1.0)
    labels = LabelSet(CLASSES, tuple((20 * i, 255 - 20 * i, 90) for i in range(len(CLASSES))))
    card = replace(small_card, options=options, labels=labels)
    return save(tmp_path_factory.mktemp("weights") / "eleven.safetensors", network, card)


@pytest.fixture(scope="module")
def data(tmp_path_factory, weights) -> Path:
    """Five images in CamVid's layout; the labels are the network's own masks, spoilt."""
    root = tmp_path_factory.mktemp("camvid")
    random = np.random.default_rng(0)
    predictor = Predictor(*load(weights))
    for split in ("train", "val"):
        for folder in ("images", "labels"):
            (root / split / folder).mkdir(parents=True)
        for index in range(5):
            coarse = random.integers(0, 256, (6, 8, 3), np.uint8)
            image = cv2.resize(coarse, (120, 90), interpolation=cv2.INTER_CUBIC)
            ids = predictor(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            ids[10 * index : 10 * index + 12] = index
            ids[:3] = VOID
            cv2.imwrite(str(root / split / f"images/{index}.png"), image)
            cv2.imwrite(str(root / split / f"labels/{index}.png"), ids)
    return root


def run(*arguments: object) -> int:
    return main(["evaluate", *map(str, arguments)])


def measure(tmp_path: Path, *arguments: object) -> dict:
    """What the command writes as JSON."""
    out = tmp_path / "measured.json"
    assert run(*arguments, "--json", out) == 0
    return json.loads(out.read_text())


def pixels(data: Path, predict) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction of all pixels of val, read without the package's data sets."""
    truths, masks = [], []
    for path in sorted((data / "val/images").iterdir()):
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        masks.append(predict(image).reshape(-1))
        label = cv2.imread(str(data / "val/labels" / path.name), cv2.IMREAD_UNCHANGED)
        truths.append(label.reshape(-1))
    return np.concatenate(truths), np.concatenate(masks)


def check_as_plain(figures: dict, truth: np.ndarray, mask: np.ndarray) -> None:
    """The figures are those of NumPy."""
    kept = truth != VOID
    ious = {}
    for c, name in enumerate(CLASSES):
        meant, said = kept & (truth == c), kept & (mask == c)
        hits, either = (meant & said).sum(), (meant | said).sum()
        found = figures["per_class"][name]
        if either:
            ious[c] = hits / either
            assert found["iou"] == pytest.approx(ious[c])
        else:
            assert found["iou"] is None
        if meant.any():
            assert found["recall"] == pytest.approx(hits / meant.sum())
        if said.any():
            assert found["precision"] == pytest.approx(hits / said.sum())
        assert found["share"] == pytest.approx(meant.sum() / kept.sum())
    assert figures["miou"] == pytest.approx(np.mean(list(ious.values())))
    assert figures["pixel_accuracy"] == pytest.approx((truth == mask)[kept].mean())
    weighted = sum((kept & (truth == c)).sum() * iou for c, iou in ious.items()) / kept.sum()
    assert figures["frequency_weighted_iou"] == pytest.approx(weighted)


def test_the_figures_are_those_of_numpy_and_torchmetrics(weights, data, tmp_path, capsys):
    theirs = pytest.importorskip("torchmetrics.functional.classification")
    figures = measure(tmp_path, "--weights", weights, "--data", data, "--reference")
    truth, mask = pixels(data, Predictor(*load(weights)))
    check_as_plain(figures, truth, mask)
    ious = theirs.multiclass_jaccard_index(
        *(torch.from_numpy(ids.astype(np.int64)) for ids in (mask, truth)),
        len(CLASSES),
        ignore_index=VOID,
        average="none",
    )
    ours = [figures["per_class"][name]["iou"] or 0.0 for name in CLASSES]
    np.testing.assert_allclose(ours, ious.numpy(), rtol=1e-5)
    assert figures["scored"] == 5 and figures["boundary_tolerance_px"] == [2]
    assert 0 < figures["boundary_f"] <= 1
    assert figures["command"] == (
        f"python -m bisenet_ros evaluate --data {data} --weights {weights} "
        f"--json {tmp_path / 'measured.json'} --reference"
    )
    shown = capsys.readouterr().out
    for word in ("mIoU", "boundary F", "frequency-weighted IoU", *CLASSES):
        assert word in shown
    assert "plain PyTorch fp32 on" in shown


def test_the_fast_exact_path_is_the_default(weights, data, tmp_path, capsys):
    figures = measure(tmp_path, "--weights", weights, "--data", data)
    reference = measure(tmp_path, "--weights", weights, "--data", data, "--reference")
    assert figures["scored_with"]["engine"] == "torch"
    assert figures["scored_with"]["precision"] == "fp32"
    assert figures["miou"] == pytest.approx(reference["miou"], abs=1e-4)
    assert reference["scored_with"]["engine"] == "plain PyTorch"
    assert "torch fp32 on" in capsys.readouterr().out


def test_the_same_again_is_the_same(weights, data, tmp_path):
    once = measure(tmp_path, "--weights", weights, "--data", data)
    assert measure(tmp_path, "--weights", weights, "--data", data) == once


def test_more_views_are_scored_when_asked_for(weights, data, tmp_path):
    views = ["--flip", "--scales", "0.75,1,1.25"]
    figures = measure(tmp_path, "--weights", weights, "--data", data, *views)
    predictor = Predictor(*load(weights), flip=True, scales=(0.75, 1, 1.25))
    check_as_plain(figures, *pixels(data, predictor))
    assert figures["scored_with"]["mirrored_too"] == "yes"
    assert figures["scored_with"]["input"] == "96 × 72, 128 × 96, 160 × 120"


def test_what_the_node_runs_is_scored_when_asked_for(weights, data, tmp_path):
    served = ["--engine", "torch", "--precision", "fp32", "--device", "cpu", "--size", "64x96"]
    figures = measure(tmp_path, "--weights", weights, "--data", data, *served)
    segmenter = Segmenter(weights, "cpu", "fp32", "torch", (64, 96))
    check_as_plain(figures, *pixels(data, lambda image: segmenter([image])[0].mask))
    assert figures["scored_with"]["engine"] == "torch"
    assert figures["scored_with"]["input"] == "96 × 64"


def test_the_report_holds_pictures_and_the_figures(weights, data, tmp_path):
    out = tmp_path / "deep" / "report"
    figures = measure(tmp_path, "--weights", weights, "--data", data, "--report", out)
    assert sorted(path.name for path in out.iterdir()) == ["metrics.json", "report.html"]
    assert json.loads((out / "metrics.json").read_text()) == figures
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/") == 4 * 4  # two best and two worst of five
    assert f"{100 * figures['miou']:.1f} %" in page and "eleven.safetensors" in page


def test_a_bar_that_is_missed_is_code_1_and_everything_is_written(weights, data, tmp_path, capsys):
    out, report = tmp_path / "measured.json", tmp_path / "report"
    common = ["--weights", weights, "--data", data, "--json", out, "--report", report]
    check_refused(
        capsys, "evaluate", [*common, "--min-miou", "1"], 1, "mIoU on 5 images", "--min-miou", " 1"
    )
    assert json.loads(out.read_text())["min_miou"] == 1
    assert "misses the required 100.0 %" in (report / "report.html").read_text()
    assert run(*common, "--min-miou", "0") == 0


def test_ctrl_c_leaves_nothing(weights, data, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Predictor, "__call__", interrupted)
    written = ["--json", tmp_path / "measured.json", "--report", tmp_path / "report"]
    assert run("--weights", weights, "--data", data, "--reference", *written) == 130
    assert list(tmp_path.iterdir()) == []


def test_another_count_of_classes_is_refused(small_weights, data, tmp_path, capsys):
    words = ("3 classes (floor, wall, thing)", str(data), "11 (sky, building, pole, …)")
    check_refused(capsys, "evaluate", ["--weights", small_weights, "--data", data], 3, *words)


def test_other_class_names_are_warned_of(weights, data, tmp_path, capsys):
    network, card = load(weights)
    names = ("Sky", "buildings", *CLASSES[2:])
    other = replace(card, labels=LabelSet(names, card.labels.colours))
    path = save(tmp_path / "other.safetensors", network, other)
    report = tmp_path / "report"
    figures = measure(tmp_path, "--weights", path, "--data", data, "--report", report)
    assert figures["warnings"] == [
        "class names of weights and data differ: id 1 is 'buildings' and 'building'; "
        "scores compare ids, so they are only meaningful if the ids mean the same classes"
    ]
    assert "warning: class names" in capsys.readouterr().err
    assert "scores compare ids" in (report / "report.html").read_text()


def test_wrong_arguments(weights, data, tmp_path, capsys):
    common = ["--weights", weights, "--data", data]
    for views in (["--flip"], ["--scales", "0.5,1"]):
        check_refused(
            capsys, "evaluate", [*common, "--engine", "torch", *views], 2, "--engine", "--flip"
        )
        check_refused(
            capsys, "evaluate", [*common, "--precision", "bf16", *views], 2, "--precision"
        )
    check_refused(
        capsys, "evaluate", [*common, "--engine", "torch", "--reference"], 2, "--reference"
    )
    check_refused(capsys, "evaluate", [*common, "--scales", "1,big"], 2, "--scales", "0.75,1,1.25")
    check_refused(capsys, "evaluate", [*common, "--scales", "nan"], 2, "--scales")
    check_refused(capsys, "evaluate", [*common, "--scales", "9"], 2, "above 0 and at most 4")
    check_refused(capsys, "evaluate", [*common, "--size", "9"], 2, "--size", "512x1024")
    check_refused(capsys, "evaluate", [*common, "--dataset", "kitti"], 2, "'kitti'", "camvid")
    check_refused(capsys, "evaluate", [*common, "--json", tmp_path], 2, "is a folder")
    check_refused(
        capsys, "evaluate", [*common, "--report", weights], 2, "--report", "cannot be written"
    )
    check_refused(capsys, "evaluate", [*common, "--device", "tpu"], 2, "tpu")
    if not torch.cuda.is_available():
        check_refused(capsys, "evaluate", [*common, "--device", "cuda"], 2, "no usable GPU")
    assert list(tmp_path.iterdir()) == []


def test_wrong_files(weights, data, tmp_path, capsys):
    missing = tmp_path / "w.safetensors"
    check_refused(capsys, "evaluate", ["--weights", missing, "--data", data], 3, "w.safetensors")
    check_refused(capsys, "evaluate", ["--weights", weights, "--data", tmp_path], 3, str(tmp_path))
    exported = tmp_path / "w.onnx"
    exported.write_bytes(b"")
    check_refused(
        capsys, "evaluate", ["--weights", exported, "--data", data], 3, "w.onnx is not a model"
    )
    line = ["--weights", exported, "--data", data, "--reference"]
    check_refused(capsys, "evaluate", line, 2, "drop --flip, --scales and --reference")
    assert [path.name for path in tmp_path.iterdir()] == ["w.onnx"]


def test_a_temperature_is_fitted_and_the_masks_stay(data, weights, tmp_path, capsys):
    target, out, other = (tmp_path / name for name in ("fit.safetensors", "out", "plain.json"))
    line = ("--data", data, "--weights", weights)
    assert run(*line, "--fit-temperature", target, "--report", out) == 0
    assert "calibration error" in capsys.readouterr().out
    assert run(*line, "--json", other) == 0
    fitted = json.loads((out / "metrics.json").read_text())
    plain = json.loads(other.read_text())
    assert fitted["confusion"] == plain["confusion"] and fitted["images"] == plain["images"]
    found = fitted["temperature_fit"]
    assert load(target)[1].temperature == found["temperature"] == fitted["weights"]["temperature"]
    assert found["labelled_frames"] == 5
    for measure in ("expected_calibration_error", "negative_log_likelihood"):
        assert found[f"{measure}_after"] < found[f"{measure}_before"]
    assert "calibration error after" in (out / "report.html").read_text()
    again = tmp_path / "again.safetensors"
    assert run(*line, "--fit-temperature", again, "--flip") == 2
    assert "sees each image once" in capsys.readouterr().err
    assert run(*line, "--fit-temperature", again, "--classes", "road,other") == 2
    assert "drop --classes" in capsys.readouterr().err
    assert not again.exists()
