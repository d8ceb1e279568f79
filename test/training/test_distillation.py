"""Learning from a teacher's logits."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from bisenet_ros.checkpoints import ModelCard, load, read_card, save
from bisenet_ros.datasets.checking import check
from bisenet_ros.datasets.synthetic_shapes import draw
from bisenet_ros.errors import WeightsError
from bisenet_ros.labels import LabelSet
from bisenet_ros.networks import BiSeNetV2, BiSeNetV2Config
from bisenet_ros.training.distillation import Teacher, divergence
from bisenet_ros.training.export_weights import finish
from bisenet_ros.training.recipe import Recipe
from bisenet_ros.training.run import Data, prepare, splits, train


def slow_divergence(logits: np.ndarray, teacher: np.ndarray, temperature: float) -> float:
    def shares(values: np.ndarray) -> np.ndarray:
        powers = np.exp(values / temperature - (values / temperature).max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)

    student, target = shares(logits), shares(teacher)
    return float((target * np.log(target / student)).sum(1).mean() * temperature**2)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_it_is_the_mean_divergence_over_the_pixels(temperature: float):
    random = np.random.default_rng(0)
    ours, theirs = random.normal(0, 3, (2, 2, 5, 4, 6))
    found = divergence(torch.tensor(ours), torch.tensor(theirs), temperature)
    assert float(found) == pytest.approx(slow_divergence(ours, theirs, temperature), rel=1e-4)
    assert float(divergence(torch.tensor(ours), torch.tensor(ours), temperature)) == pytest.approx(
        0
    )


def test_a_teacher_of_finer_logits_is_resized_to_the_students():
    plane = torch.arange(16.0).view(1, 1, 4, 4)
    theirs = torch.cat([plane, -plane], 1)
    ours = torch.nn.functional.interpolate(theirs, (2, 2), mode="bilinear")
    assert float(divergence(ours, theirs, 1.0)) == pytest.approx(0, abs=1e-6)


def test_the_teacher_normalises_as_its_card_says(small_weights, small_card):
    teacher = Teacher(small_weights, small_card.labels)
    network, card = load(small_weights)
    images = torch.rand(2, 3, 64, 96)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (card.mean, card.std))
    with torch.no_grad():
        wanted = network.for_inference()((images - mean) / std)
    found = teacher(images)
    assert not found.requires_grad and torch.allclose(found, wanted, atol=1e-3)
    assert not any(p.requires_grad for p in teacher.parameters())


def test_a_teacher_of_other_classes_is_refused(small_weights):
    labels = LabelSet(("floor", "thing", "wall"), ((1, 2, 3),) * 3)
    with pytest.raises(WeightsError, match="has the classes floor, wall, thing; expected"):
        Teacher(small_weights, labels)


def tiny(folder: Path, out: str, **changes) -> Recipe:
    return Recipe(
        **{
            "dataset": "shapes",
            "data": str(folder / "shapes"),
            "out": str(folder / out),
            "input_height": 64,
            "input_width": 96,
            "crop_height": 32,
            "crop_width": 64,
            "iterations": 20,
            "validate_every": 20,
            "batch": 2,
            "warmup": 2,
            "learning_rate": 0.005,
            "auxiliary_weight": 0.0,
            "dropout": 0.0,
            "precision": "32-true",
            "device": "cpu",
            **changes,
        }
    )


def untrained(path: Path, labels: LabelSet) -> Path:
    """Weights whose logits differ from pixel to pixel as a trained network's do."""
    torch.manual_seed(1)
    network = BiSeNetV2(BiSeNetV2Config(len(labels)))
    with torch.no_grad():
        network.head.conv_out[1].weight.normal_(std=0.2)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    options = asdict(network.config)
    return save(path, network, ModelCard("bisenetv2", options, labels, mean, std, (64, 96)))


def test_a_small_network_comes_nearer_to_its_teacher(tmp_path: Path):
    draw(tmp_path / "shapes", 4, 2, (64, 96))

    def go(recipe: Recipe) -> tuple[Path, list[float]]:
        found = splits(recipe)
        prepared = prepare(recipe, Data(*found, *(check(one) for one in found)))
        Path(recipe.out).mkdir()
        apart: list[float] = []
        trainer = train(prepared, on_progress=lambda _: apart.append(logged(prepared)))
        assert trainer.global_step == recipe.iterations
        assert not any("teacher" in name for name in prepared.module.state_dict())
        return finish(prepared, "test")[0], apart

    def logged(prepared) -> float:
        return float(prepared.module.trainer.callback_metrics.get("divergence", float("nan")))

    large = untrained(tmp_path / "large.safetensors", splits(tiny(tmp_path, "small"))[0].labels)
    narrow = {"width": 0.5, "head_width": 64}
    small, apart = go(
        tiny(tmp_path, "small", teacher=str(large), network_options=narrow, distill_weight=10.0)
    )
    steps = [value for value in apart if not np.isnan(value)]
    assert np.mean(steps[-5:]) < np.mean(steps[:5])
    assert read_card(small).options["width"] == 0.5
    assert small.stat().st_size < 0.5 * large.stat().st_size
