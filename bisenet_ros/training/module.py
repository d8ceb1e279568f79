"""The Lightning module: one network, its loss, its scores."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torchmetrics.classification import MulticlassConfusionMatrix

from bisenet_ros.evaluation.metrics import scores
from bisenet_ros.labels import UNLABELLED
from bisenet_ros.networks import SegmentationNetwork, upsample
from bisenet_ros.networks.layers import channels_last, pad_to_multiple
from bisenet_ros.training.augmentation import colour_jitter
from bisenet_ros.training.losses import with_boosters
from bisenet_ros.training.recipe import Recipe


class SegmentationModule(pl.LightningModule):
    """Trains ``network`` on uint8 RGB batches (N, 3, H, W) with labels (N, H, W).

    Logs ``loss`` each step, ``val_miou`` and ``val_accuracy`` each validation.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: SegmentationNetwork, loss: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.network = network
        channels_last(network)
        self.loss = loss
        self.recipe = recipe
        self.val_miou = float("nan")  # of the last validation
        self.jitter = colour_jitter(recipe.jitter)
        self.register_buffer("mean", torch.tensor(recipe.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(recipe.std).view(1, 3, 1, 1))
        self.confusion = MulticlassConfusionMatrix(recipe.num_classes, ignore_index=UNLABELLED)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        images, labels = batch
        with torch.autocast(images.device.type, enabled=False):
            images = self.normalise(self.jitter(images.float() / 255))
        logits, boosters = self.network(images)
        loss = with_boosters(self.loss, logits, boosters, labels)
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        images, labels = batch
        logits = self.predict_logits(images)
        self.confusion.update(logits.argmax(1), labels)

    def on_validation_epoch_end(self) -> None:
        found = scores(self.confusion.compute().cpu().numpy())
        self.confusion.reset()
        self.val_miou = found.miou
        self.log("val_miou", found.miou, prog_bar=True)
        self.log("val_accuracy", found.pixel_accuracy)

    def predict_logits(self, images: Tensor) -> Tensor:
        """Logits (N, n, H, W) float32 at the size of the uint8 images (N, 3, H, W)."""
        height, width = images.shape[-2:]
        padded = pad_to_multiple(self.normalise(images.float() / 255), self.network.multiple)
        logits = self.network(padded).float()
        size = padded.shape[-2:]
        return upsample(logits, (size[0], size[1]))[..., :height, :width]

    def normalise(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in 0–1 to what the network expects, channels last."""
        scaled = (images - self.mean) / self.std
        return scaled.contiguous(memory_format=torch.channels_last)

    def configure_optimizers(self) -> Any:
        recipe = self.recipe
        optimizer = torch.optim.AdamW(
            parameter_groups(self.network, recipe.weight_decay), lr=recipe.learning_rate
        )

        def factor(step: int) -> float:
            warm = min(1.0, (step + 1) / max(1, recipe.warmup))
            left = max(0.0, 1 - step / recipe.iterations)
            return warm * left**recipe.power

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: convolution weights decay, norms and biases do not."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
