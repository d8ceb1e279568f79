"""Trains three steps, alone or as one of two processes, and writes the losses and weights."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from bisenet_ros.datasets.checking import check
from bisenet_ros.training.recipe import Recipe
from bisenet_ros.training.run import Data, prepare, splits, train


class Losses(Callback):
    """Remembers the loss over all processes, step by step."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.found.append(float(trainer.callback_metrics["loss"]))


folder, out, devices = sys.argv[1:]
recipe = Recipe(
    data=folder,
    dataset="folder",
    out=out,
    val_share=0.25,
    input_height=96,
    input_width=128,
    iterations=3,
    batch=4,
    crop_height=64,
    crop_width=64,
    validate_every=3,
    precision="32-true",
    device="cpu",
    devices=int(devices),
    jitter=0.0,
    hue=0.0,
    optimiser="sgd",
    learning_rate=0.01,
    ema=0.0,
)
Path(out).mkdir(parents=True, exist_ok=True)
found = splits(recipe)
prepared = prepare(recipe, Data(*found, *(check(s) for s in found)))
for module in prepared.module.modules():
    if isinstance(module, nn.Dropout):
        module.p = 0.0  # each process draws its own
losses = Losses()
trainer = train(prepared, callbacks=[losses])
if trainer.is_global_zero:
    state = prepared.module.network.state_dict()
    torch.save({"losses": torch.tensor(losses.found), "state": state}, Path(out) / "end.pt")
