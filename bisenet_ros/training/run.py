"""A training run from recipe to checkpoint."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch.utils.data import DataLoader

from bisenet_ros.datasets import (
    DATASETS,
    DatasetOptions,
    LabelledSet,
    TrainingImages,
    open_set,
)
from bisenet_ros.datasets.checking import Checked, check
from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.networks import NETWORKS, SegmentationNetwork
from bisenet_ros.networks.layers import round_up_size
from bisenet_ros.training.augmentation import RandomView
from bisenet_ros.training.callbacks import CheckpointAt, Journal, checkpoint_callbacks, loggers
from bisenet_ros.training.checkpoint import steps_done
from bisenet_ros.training.distillation import Teacher
from bisenet_ros.training.fine_tuning import as_in_weights, start_backbone, start_from
from bisenet_ros.training.losses import CrossEntropy, Dice, OhemCrossEntropy, Sum
from bisenet_ros.training.module import SegmentationModule
from bisenet_ros.training.recipe import Recipe
from bisenet_ros.training.run_folder import LAST, METRICS
from bisenet_ros.training.sampling import ResumableSampler, Stream, ValidationSampler
from bisenet_ros.training.sync_norm import synchronise
from bisenet_ros.training.weighting import class_weights


@dataclass(frozen=True)
class Data:
    """The two splits, and their pixel counts."""

    training: LabelledSet
    validation: LabelledSet
    counted: Checked
    counted_validation: Checked


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to start.

    Attributes:
        reinitialised: tensors that the initial weights file did not provide; empty without one.
        resolution: (height, width) that the weights are for.
    """

    recipe: Recipe
    data: Data
    module: SegmentationModule
    reinitialised: list[str]
    resolution: tuple[int, int]


def splits(recipe: Recipe) -> tuple[LabelledSet, LabelledSet]:
    """The training and the validation split of the recipe's data set."""
    if not recipe.data and not DATASETS[recipe.dataset].makes_its_own:
        raise ArgumentError("no data set folder was given; pass --data DIR")
    root = Path(recipe.data or Path(recipe.out) / "data")
    options = DatasetOptions(
        val_share=recipe.val_share,
        seed=recipe.seed,
        stuff_only=recipe.stuff_only,
        resize_masks=recipe.resize_masks,
        skip_unlabelled=recipe.skip_unlabelled,
        group_by=recipe.group_by,
        classes=recipe.classes,
        hold_out=recipe.hold_out,
    )
    found = tuple(open_set(recipe.dataset, root, split, options) for split in ("train", "val"))
    classes = len(found[0].labels)
    if recipe.num_classes not in (0, classes):
        raise DataError(
            f"{root} has {classes} classes, but num_classes is {recipe.num_classes}; "
            "leave it at 0, or correct the data set's labels"
        )
    return found[0], found[1]


def read_data(recipe: Recipe, checked: Callable[[LabelledSet], Checked] = check) -> Data:
    """Both splits of the recipe's data set, every file of them checked.

    Args:
        recipe: names the data set.
        checked: checks a split, such as ``datasets.checking.check`` with a progress bar.
    """
    training, validation = splits(recipe)
    return Data(training, validation, checked(training), checked(validation))


def prepare(recipe: Recipe, data: Data, resume: bool = False) -> Prepared:
    """Build network, loss and module; ``resume``: initial weights will come from a checkpoint."""
    if recipe.precision == "16-mixed" and (recipe.device == "cpu" or best_device() == "cpu"):
        raise ArgumentError("precision 16-mixed needs a GPU; on a CPU use bf16-mixed or 32-true")
    pl.seed_everything(recipe.seed, verbose=False)
    torch.set_float32_matmul_precision("high")
    recipe = as_in_weights(recipe, resume)
    network = build_network(recipe, len(data.training.labels))
    _check_batch(recipe, network)
    reinitialised: list[str] = []
    if recipe.weights and not resume:
        reinitialised = start_from(recipe.weights, network, data.training.labels)
    elif recipe.backbone_weights and not resume:
        reinitialised = start_backbone(recipe.backbone_weights, network)
    if recipe.sync_norm and recipe.devices * recipe.nodes > 1:
        synchronise(network, recipe.device if recipe.device != "auto" else best_device())
        # Statistics are of all processes' images, so each may have fewer.
        network.smallest_batch = -(-network.smallest_batch // (recipe.devices * recipe.nodes))
    resolution = (
        recipe.input_height or data.training.resolution[0],
        recipe.input_width or data.training.resolution[1],
    )
    size = round_up_size(resolution, network.input_step)
    loss = build_loss(recipe, data.counted.shares)
    labels = data.training.labels
    teacher = Teacher(recipe.teacher, labels) if recipe.teacher else None
    module = SegmentationModule(network, loss, recipe, size, len(labels), teacher)
    return Prepared(recipe, data, module, reinitialised, resolution)


def _check_batch(recipe: Recipe, network: SegmentationNetwork) -> None:
    """Raise ArgumentError if a step has fewer images than the network's batch norms need."""
    together = recipe.batch // recipe.accumulate
    if not recipe.sync_norm:
        together //= recipe.devices * recipe.nodes
    if together < network.smallest_batch:
        raise ArgumentError(
            f"batch {recipe.batch} leaves {together} image per forward pass, but the "
            f"batch norm of {recipe.network} needs at least {network.smallest_batch} after global "
            "pooling; raise --batch"
        )


def best_device() -> str:
    """The device that ``auto`` selects on this machine."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def build_network(recipe: Recipe, num_classes: int) -> SegmentationNetwork:
    """The recipe's network, initialised; see :meth:`Recipe.config`."""
    return NETWORKS[recipe.network].network(recipe.config(num_classes))


def build_loss(recipe: Recipe, shares: np.ndarray) -> nn.Module:
    """The recipe's loss; ``shares`` (n,) of the pixels set the class weights."""
    if recipe.loss == "dice":
        return Dice(recipe.dice_activation, recipe.dice_smooth)
    weights = class_weights(recipe.class_weights, shares)
    if recipe.loss == "ohem":
        return OhemCrossEntropy(recipe.ohem_threshold, recipe.ohem_kept, weights)
    if recipe.loss == "ce+dice":
        return Sum(CrossEntropy(weights), Dice(recipe.dice_activation, recipe.dice_smooth))
    return CrossEntropy(weights)


def train(
    prepared: Prepared,
    resume: bool = False,
    stop_after: int = 0,
    on_progress: Callable[[dict[str, float]], None] | None = None,
    callbacks: Sequence[Callback] = (),
) -> pl.Trainer:
    """Train; the module holds the averaged weights at the end.

    Writes ``metrics.csv``, TensorBoard events, ``last.ckpt`` (weights, average, optimiser,
    schedule, step) and ``best.ckpt`` into ``recipe.out``.

    Args:
        prepared: from :func:`prepare`.
        resume: continue from ``last.ckpt``; on a CPU, bit for bit as if never interrupted.
        stop_after: end this session at this step of the run; 0: at the recipe's end.
        on_progress: called with the latest figures after each step and each validation.
        callbacks: further Lightning callbacks.

    Raises:
        DataError: there is nothing to resume, or it is not a checkpoint of this run.
        KeyboardInterrupt: Ctrl-C; ``last.ckpt`` is that of the last validation.
    """
    _silence_lightning()
    recipe, out = prepared.recipe, Path(prepared.recipe.out)
    last = out / LAST
    start = steps_done(last) if resume else 0
    journal = Journal(out / METRICS, recipe, len(prepared.data.training), on_progress)
    # After the averaging of weights, so that the average of this step is in the checkpoint.
    added = [CheckpointAt(last, stop_after, recipe.accumulate)] if stop_after else []
    trainer = pl.Trainer(
        max_steps=min(recipe.iterations, stop_after or recipe.iterations),
        max_epochs=-1,
        precision=recipe.precision,  # type: ignore[arg-type]
        accelerator={"auto": "auto", "cpu": "cpu", "cuda": "gpu"}[recipe.device],
        devices=recipe.devices,
        num_nodes=recipe.nodes,
        strategy="ddp" if recipe.devices * recipe.nodes > 1 else "auto",
        sync_batchnorm=False,
        use_distributed_sampler=False,
        accumulate_grad_batches=recipe.accumulate,
        gradient_clip_val=recipe.clip or None,
        callbacks=[*checkpoint_callbacks(recipe, out), *added, journal, *callbacks],
        logger=loggers(out),
        val_check_interval=recipe.interval * recipe.accumulate,
        check_val_every_n_epoch=None,
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    try:
        trainer.fit(
            prepared.module,
            training_loader(recipe, prepared.data, start),
            validation_loader(prepared.data.validation),
            ckpt_path=str(last) if resume else None,
            weights_only=True,
        )
    except (
        SystemExit
    ) as ended:  # Lightning exits on Ctrl-C, with the code we use for a missed score
        raise KeyboardInterrupt from ended
    except Exception as error:
        if resume and not journal.started:  # of another network, or damaged
            reason = " ".join(str(error).split())[:200]
            raise DataError(
                f"{last} cannot be resumed with this recipe: {reason}; pass the recipe it was "
                "made with, or start anew with --overwrite"
            ) from error
        raise
    return trainer


def _silence_lightning() -> None:
    """Hide Lightning's messages that do not apply here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for about in (
        ".*exists and is not empty",  # a resumed run, or recipe.yaml already written
        ".*is smaller than the logging interval",
        ".*your dataloader is not resumable",  # ``ResumableSampler`` is
        ".*does not have many workers",  # the data is in memory
        ".*LeafSpec.* is deprecated",
    ):
        warnings.filterwarnings("ignore", about)


def validation_loader(validation: LabelledSet) -> DataLoader:
    """One image at a time, unmodified, since sizes may differ."""
    return DataLoader(
        TrainingImages(validation), batch_size=1, sampler=ValidationSampler(len(validation))
    )


def training_loader(recipe: Recipe, data: Data, start: int) -> DataLoader:
    """Batches of random crops, from optimiser step ``start`` on."""
    shares = data.counted.shares
    rare = tuple(int(i) for i in np.flatnonzero((shares > 0) & (shares < recipe.rare_share)))
    view = RandomView(
        size=(recipe.crop_height, recipe.crop_width),
        scale=(recipe.scale_low, recipe.scale_high),
        flip=recipe.flip,
        rare=rare,
        rare_chance=recipe.rare_chance,
    )
    donors = {c: data.counted.images_with(c) for c in rare}
    stream = Stream(TrainingImages(data.training), view, recipe.seed, donors, recipe.paste_chance)
    batch = recipe.batch // recipe.accumulate
    sampler = ResumableSampler(
        recipe.iterations * recipe.accumulate, batch, start * recipe.accumulate
    )
    return DataLoader(
        stream,
        batch_size=batch // (recipe.devices * recipe.nodes),
        sampler=sampler,
        num_workers=recipe.workers,
        persistent_workers=recipe.workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
