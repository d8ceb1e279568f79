"""The Lightning module: one network, its loss, its scores."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.classification import MulticlassConfusionMatrix

from bisenet_ros.labels import UNLABELLED
from bisenet_ros.metrics.confusion import scores
from bisenet_ros.networks import SegmentationNetwork, upsample
from bisenet_ros.networks.layers import channels_last, crop_padding, pad_to_multiple
from bisenet_ros.training.augmentation import photometric
from bisenet_ros.training.distillation import Teacher, divergence
from bisenet_ros.training.int8 import train_for_int8
from bisenet_ros.training.losses import with_auxiliary
from bisenet_ros.training.optimisation import optimiser, schedule
from bisenet_ros.training.recipe import Recipe
from bisenet_ros.training.sampling import world


class SegmentationModule(pl.LightningModule):
    """Trains ``network`` on uint8 RGB batches (N, 3, H, W) with labels (N, H, W).

    Logs ``loss`` (of the main head only) and ``accuracy`` during training, and ``val_loss``,
    ``val_miou`` and ``val_accuracy``, at the labels' own size, for each validation.

    Args:
        network: in training mode it also returns the logits of its auxiliary heads.
        loss: of logits (N, n, H, W) and labels.
        recipe: everything else.
        size: (height, width) that images are resized to for validation, as for inference;
            multiples of the network's ``input_step``.
        num_classes: number of classes.
        teacher: to learn from besides the labels.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: SegmentationNetwork,
        loss: nn.Module,
        recipe: Recipe,
        size: tuple[int, int],
        num_classes: int,
        teacher: Teacher | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self._teacher = (teacher,)  # in a tuple, and so neither trained, averaged nor saved
        if recipe.channels_last:
            channels_last(network)
        if recipe.int8:
            train_for_int8(network)
        for module in network.modules():
            if isinstance(module, nn.Dropout | nn.Dropout2d):
                module.p = recipe.dropout
        self.loss, self.recipe, self.size = loss, recipe, size
        self.auxiliary_weight = recipe.weight_of_auxiliary(network.auxiliary_weight)
        self.photometric = photometric(
            recipe.jitter, recipe.hue, recipe.light, recipe.blur, recipe.noise
        )
        self.register_buffer("mean", torch.tensor(recipe.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(recipe.std).view(1, 3, 1, 1))
        self.confusion = MulticlassConfusionMatrix(num_classes, ignore_index=UNLABELLED)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        # Colour jitter and dropout depend on the step alone, so that a resumed run neither
        # repeats nor skips any.
        torch.manual_seed(hash((self.recipe.seed, batch_idx, world()[1])) % 2**63)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        images, labels = batch
        with torch.autocast(images.device.type, enabled=False):
            plain = self.photometric(images.float() / 255).clamp(0, 1)
            normalised = self.normalise(plain)
        output = self.network(normalised)
        head, auxiliary = with_auxiliary(self.loss, output, labels)
        logits = output if isinstance(output, Tensor) else output.logits
        distributed = world()[0] > 1
        self.log("loss", head, sync_dist=distributed)
        self.log("accuracy", accuracy(logits, labels), sync_dist=distributed)
        total = head + self.auxiliary_weight * auxiliary
        (teacher,) = self._teacher
        if teacher is None:
            return total
        apart = divergence(logits, teacher(plain), self.recipe.distill_temperature)
        self.log("divergence", apart, sync_dist=distributed)
        return total + self.recipe.distill_weight * apart

    def on_fit_start(self) -> None:
        for teacher in filter(None, self._teacher):
            teacher.to(self.device)

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        images, labels = batch
        logits = self.predict_logits(images, (labels.shape[-2], labels.shape[-1]))
        self.log("val_loss", self.loss(logits, labels), batch_size=len(images), sync_dist=True)
        self.confusion.update(logits.argmax(1), labels)

    def on_validation_epoch_end(self) -> None:
        found = scores(self.confusion.compute().cpu().numpy())
        self.confusion.reset()
        self.log("val_miou", found.miou)
        self.log("val_accuracy", found.pixel_accuracy)

    def predict_logits(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits (N, n, *size) float32 of uint8 images (N, 3, H, W)."""
        resized = images.float() / 255
        if resized.shape[-2:] != self.size:
            resized = F.interpolate(resized, self.size, mode="bilinear", align_corners=False)
        padded = pad_to_multiple(self.normalise(resized), self.network.multiple)
        logits = self.network(padded).float()
        return upsample(crop_padding(logits, self.size, (padded.shape[2], padded.shape[3])), size)

    def normalise(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in 0–1 normalised as the network expects."""
        scaled = (images - self.mean) / self.std
        layout = torch.channels_last if self.recipe.channels_last else torch.contiguous_format
        return scaled.contiguous(memory_format=layout)

    def configure_optimizers(self) -> Any:
        chosen = optimiser(self.network, self.recipe)
        falling = torch.optim.lr_scheduler.LambdaLR(chosen, schedule(self.recipe))
        return {
            "optimizer": chosen,
            "lr_scheduler": {"scheduler": falling, "interval": "step"},
        }


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of labelled pixels that are right, at the logits' own size."""
    with torch.no_grad():
        small = F.interpolate(labels.unsqueeze(1).float(), logits.shape[-2:], mode="nearest")[:, 0]
        labelled = small != UNLABELLED
        return (logits.argmax(1) == small)[labelled].float().sum() / labelled.sum().clamp_min(1)
