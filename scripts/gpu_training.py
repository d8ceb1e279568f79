"""The steps of scripts/gpu_check.py that train; needs Lightning, torchmetrics and kornia."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from gpu_context import Context, scratch  # noqa: E402


def throughput(context: Context) -> None:
    """Images a second in training, crops of 512×1024, by batch size."""
    with scratch() as folder:
        for batch in (2,) if context.dry_run else (8, 16, 32):
            rates = train_for(context, folder / f"run{batch}", batch)
            context.note(**{f"batch_{batch}": {"images_per_s": rates[-1] if rates else None}})


def train_for(context: Context, out: Path, batch: int) -> list[float]:
    """Train some steps on drawn shapes; images a second as they were reported."""
    from bisenet_ros.training.recipe import Recipe
    from bisenet_ros.training.run import prepare, read_data, train

    height, width = (64, 64) if context.dry_run else (512, 1024)
    steps = context.count(40)
    recipe = Recipe(
        dataset="shapes",
        data=str(out.parent / "shapes"),
        out=str(out),
        iterations=steps,
        validate_every=steps,
        batch=batch,
        crop_height=height,
        crop_width=width,
        workers=0 if context.dry_run else min(8, os.cpu_count() or 1),
        device=context.device,
        precision="32-true" if context.dry_run else "bf16-mixed",
    )
    if context.dry_run:
        from bisenet_ros.datasets.synthetic_shapes import draw

        draw(Path(recipe.data), 4, 2, (64, 96))
    out.mkdir(parents=True)
    rates: list[float] = []
    prepared = prepare(recipe, read_data(recipe))
    train(prepared, on_progress=lambda f: rates.append(f["images_per_s"]) if "step" in f else None)
    return rates


def training(context: Context) -> None:
    """The long recipe, for as long as there is time; called again, it continues exactly."""
    import lightning.pytorch as pl

    from bisenet_ros.training.export_weights import finish
    from bisenet_ros.training.recipe import Recipe
    from bisenet_ros.training.run import prepare, read_data, train
    from bisenet_ros.training.run_folder import LAST, claimed

    deadline = time.monotonic() + 60 * context.minutes

    class StopInTime(pl.Callback):
        """Ends the slice after the last validation, and checkpoint, that fits."""

        begun = time.monotonic()

        def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
            took, self.begun = time.monotonic() - self.begun, time.monotonic()
            trainer.should_stop = time.monotonic() + 1.3 * took > deadline

    out = context.work / ("dry-run" if context.dry_run else "camvid_long")
    changes: dict[str, Any] = {"out": str(out), "data": str(context.data or "")}
    if context.dry_run:
        changes |= {"dataset": "shapes", "data": str(out / "data"), "num_classes": 0}
        changes |= {"device": "cpu", "precision": "32-true", "iterations": 2, "validate_every": 1}
        changes |= {"batch": 2, "crop_height": 64, "crop_width": 64, "workers": 0}
        changes |= {"input_height": 64, "input_width": 96, "auxiliary_weight": 0.0}
        changes |= {"class_weights": "log"}
        if not (out / "data").exists():
            from bisenet_ros.datasets.synthetic_shapes import draw

            draw(out / "data", 4, 2, (64, 96))
    recipe = Recipe.read(ROOT / "config/train/camvid_long.yaml", changes)
    resume = (out / LAST).is_file()
    data = read_data(recipe)
    with claimed(out, resume, overwrite=not resume):
        recipe.write(out / "recipe.yaml")
        prepared = prepare(recipe, data, resume)
        history: list[float] = []

        def on_progress(figures: dict[str, float]) -> None:
            if "val_miou" in figures:
                history.append(round(figures["val_miou"], 4))
                context.note(validations=history, resumed=resume)
            else:
                context.found |= {"step": figures["step"], "of": recipe.iterations}

        trainer = train(prepared, resume, on_progress=on_progress, callbacks=[StopInTime()])
        context.note(step=trainer.global_step, of=recipe.iterations)
        path, scores = finish(prepared, "make gpu", str(trainer.strategy.root_device))
    context.note(weights=str(path), **scores)
