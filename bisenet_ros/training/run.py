"""A training run from recipe to checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader

from bisenet_ros.checkpoints import Card, save
from bisenet_ros.networks import BiSeNetV2, BiSeNetV2Options
from bisenet_ros.training.augmentation import RandomView
from bisenet_ros.training.datasets import CamVid
from bisenet_ros.training.losses import CrossEntropy, log_weights
from bisenet_ros.training.module import SegmentationModule
from bisenet_ros.training.recipe import Recipe

RARE = 0.02  # classes with a smaller share of the pixels are looked for when cropping


def train(recipe: Recipe, resume: bool = False) -> SegmentationModule:
    """Train as ``recipe`` says and return the module with its averaged weights.

    Writes ``recipe.yaml``, ``metrics.csv`` and ``last.ckpt`` (model, average, optimiser,
    schedule, step) into ``recipe.out``; with ``resume`` goes on from that ``last.ckpt``.
    """
    out = Path(recipe.out)
    out.mkdir(parents=True, exist_ok=True)
    recipe.write(out / "recipe.yaml")
    pl.seed_everything(recipe.seed, workers=True)
    torch.set_float32_matmul_precision("high")
    module, training, validation = build(recipe)
    checkpoints = ModelCheckpoint(
        out, "step-{step}", every_n_train_steps=recipe.validate_every, save_last=True, save_top_k=0
    )
    trainer = pl.Trainer(
        max_steps=recipe.iterations,
        max_epochs=-1,
        precision=recipe.precision,  # type: ignore[arg-type]
        accelerator="auto",
        devices=1,
        callbacks=[WeightAveraging(avg_fn=ema(recipe.ema)), checkpoints],
        logger=CSVLogger(out, name="", version=""),
        val_check_interval=recipe.validate_every,
        check_val_every_n_epoch=None,
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )
    last = out / "last.ckpt"
    trainer.fit(
        module, training, validation, ckpt_path=str(last) if resume and last.exists() else None
    )
    return module


def ema(decay: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Exponential moving average whose decay rises to ``decay`` over the first steps.

    Without the rise the average is mostly the initial weights for the first 1 / (1 − decay)
    steps, and the early validations say nothing.
    """

    def average(averaged: Tensor, current: Tensor, count: Tensor) -> Tensor:
        kept = min(decay, (1 + int(count)) / (10 + int(count)))
        return averaged * kept + current * (1 - kept)

    return average


def export(module: SegmentationModule, recipe: Recipe, path: Path, command: str) -> Path:
    """Write the trained network, without its boosters, and its card as a weights file."""
    slim = module.network.without_boosters()
    card = Card(
        architecture="bisenetv2",
        options=asdict(slim.options),
        labels=CamVid.labels,
        mean=recipe.mean,
        std=recipe.std,
        resolution=CamVid.resolution,
        dataset=CamVid.source,
        scores={"val_miou": round(module.val_miou, 6)},
        licence=CamVid.licence,
        command=command,
    )
    return save(path, slim, card)


def build(recipe: Recipe) -> tuple[SegmentationModule, DataLoader, DataLoader]:
    """The module and the loaders of its training and validation data."""
    training = CamVid(recipe.data, "train")
    shares = training.class_shares()
    training.view = RandomView(
        size=(recipe.crop_height, recipe.crop_width),
        scale=(recipe.scale_low, recipe.scale_high),
        rare=tuple(int(i) for i in np.flatnonzero(shares < RARE)),
        rare_chance=recipe.rare_chance,
        generator=np.random.default_rng(recipe.seed),
    )
    network = BiSeNetV2(BiSeNetV2Options(recipe.num_classes))
    module = SegmentationModule(network, CrossEntropy(log_weights(shares)), recipe)
    return (
        module,
        DataLoader(training, batch_size=recipe.batch, shuffle=True, drop_last=True),
        DataLoader(CamVid(recipe.data, "val"), batch_size=1),
    )
