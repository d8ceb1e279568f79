"""Every format trains: the loss falls within twenty steps, and the classes reach the weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn import drawn_images
from exports import FORMATS, NAMES

from bisenet_ros.datasets.checking import check
from bisenet_ros.training.export_weights import card_of
from bisenet_ros.training.recipe import Recipe
from bisenet_ros.training.run import Data, prepare, splits, train

IMAGES = drawn_images(2, 1)


ONE_EACH = {kind: name for name, (_, kind) in reversed(FORMATS.items())}.values()


@pytest.mark.parametrize("name", ONE_EACH)
def test_twenty_steps(tmp_path: Path, name: str):
    write, _ = FORMATS[name]
    made = Recipe(
        data=str(write(tmp_path / "set", IMAGES)),
        out=str(tmp_path / "run"),
        input_height=32,
        input_width=64,
        crop_height=32,
        crop_width=32,
        scale_low=0.9,
        scale_high=1.1,
        rare_chance=0.0,
        iterations=20,
        validate_every=20,
        batch=2,
        warmup=2,
        learning_rate=0.005,
        auxiliary_weight=0.0,
        precision="32-true",
        device="cpu",
        val_share=0.34,
    )
    found = splits(made)
    losses: list[float] = []
    prepared = prepare(made, Data(*found, *(check(split) for split in found)))
    (tmp_path / "run").mkdir()

    def on_progress(figures: dict[str, float]) -> None:
        if "loss" in figures:
            losses.append(figures["loss"])

    train(prepared, on_progress=on_progress)
    card = card_of(prepared, prepared.module.network.for_inference(), "test")
    assert card.labels.names == NAMES
    assert len(losses) == 20 and sum(losses[-5:]) < sum(losses[:5])
