"""Checkpoints, logs and early stopping of a run."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from bisenet_ros.training.optimisation import ema
from bisenet_ros.training.recipe import Recipe

COLUMNS = ("step", "epoch", "loss", "accuracy", "learning_rate", "images_per_s")
VALIDATED = ("val_loss", "val_miou", "val_accuracy")
LOG_EVERY = 10  # steps between two lines of the log


def checkpoint_callbacks(recipe: Recipe, out: Path) -> list[Callback]:
    """Weight averaging, best and last checkpoint, and early stopping if enabled."""

    def checkpoint(name: str, **which: Any) -> ModelCheckpoint:
        # Saved after a validation, so that the early-stopping counter is included.
        return ModelCheckpoint(
            out, name, enable_version_counter=False, save_on_train_epoch_end=False, **which
        )

    callbacks: list[Callback] = [
        checkpoint("best", monitor="val_miou", mode="max"),
        checkpoint("last"),
    ]
    if recipe.ema:
        callbacks.insert(0, WeightAveraging(avg_fn=ema(recipe.ema)))
    if recipe.patience:
        callbacks.append(EarlyStopping("val_miou", mode="max", patience=recipe.patience))
    return callbacks


class CheckpointAt(Callback):
    """Saves a checkpoint after one step, between validations too; resuming from it is exact.

    Args:
        path: the file.
        step: the optimiser step.
        accumulate: batches per step.
    """

    def __init__(self, path: Path, step: int, accumulate: int) -> None:
        self.path, self.step, self.accumulate = path, step, accumulate

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if trainer.global_step == self.step and not (batch_idx + 1) % self.accumulate:
            trainer.save_checkpoint(self.path)


class Journal(Callback):
    """Writes ``metrics.csv``, a line every ten steps and per validation, and reports progress.

    A resumed run continues the same file; lines past the step it resumes from are dropped, since
    they will be written again.

    Args:
        path: the file.
        images: number of images in the training split, for counting epochs.
        on_progress: called with the latest figures after each step and each validation.
    """

    def __init__(
        self,
        path: Path,
        recipe: Recipe,
        images: int,
        on_progress: Callable[[dict[str, float]], None] | None = None,
    ) -> None:
        self.path, self.recipe, self.images = path, recipe, images
        self.on_progress = on_progress or (lambda _: None)
        self.started = False  # whether a checkpoint to resume from has been restored
        self._since: tuple[float, int] = (0.0, 0)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = True
        # Not earlier: only now has the trainer restored the step from the checkpoint.
        self._since = (time.monotonic(), trainer.global_step)
        if trainer.is_global_zero:
            kept = [r for r in rows(self.path) if float(r["step"]) <= trainer.global_step]
            with self.path.open("w", newline="") as file:
                writer = csv.DictWriter(file, (*COLUMNS, *VALIDATED))
                writer.writeheader()
                writer.writerows(kept)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if (batch_idx + 1) % self.recipe.accumulate or not trainer.is_global_zero:
            return
        figures = self._figures(trainer)
        self.on_progress(figures)
        if trainer.global_step % LOG_EVERY == 0:
            self._write(figures)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            validated = {name: float(trainer.callback_metrics[name]) for name in VALIDATED}
            self._write({**self._figures(trainer), **validated})
            self.on_progress(validated)
            # Exclude validation from the training speed.
            self._since = (time.monotonic(), trainer.global_step)

    def _figures(self, trainer: pl.Trainer) -> dict[str, float]:
        step = trainer.global_step
        seconds = max(1e-9, time.monotonic() - self._since[0])
        logged = trainer.callback_metrics
        return {
            "step": step,
            "epoch": step * self.recipe.batch / self.images,
            "loss": float(logged.get("loss", float("nan"))),
            "accuracy": float(logged.get("accuracy", float("nan"))),
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            "images_per_s": (step - self._since[1]) * self.recipe.batch / seconds,
        }

    def _write(self, figures: dict[str, float]) -> None:
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, (*COLUMNS, *VALIDATED)).writerow(
                {k: f"{v:.6g}" for k, v in figures.items()}
            )


def rows(path: Path) -> list[dict[str, str]]:
    """The lines of a ``metrics.csv``; empty if the file does not exist."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def loggers(out: Path) -> list[Logger]:
    """TensorBoard events, below ``out/tensorboard``."""
    return [TensorBoardLogger(out, name="", version="tensorboard")]
