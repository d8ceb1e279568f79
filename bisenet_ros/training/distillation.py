"""Knowledge distillation: a small network learns from the logits of a large one, the teacher.

Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", arXiv 1503.02531,
section 2, pixel by pixel. The teacher also says something where nobody has labelled.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.checkpoints import load
from bisenet_ros.errors import WeightsError
from bisenet_ros.inference.fusion import inference_graph
from bisenet_ros.labels import LabelSet
from bisenet_ros.networks.layers import channels_last


class Teacher(nn.Module):
    """A trained network, for inference, with its own normalisation.

    Args:
        path: a weights file.
        labels: the classes of the network to train; the teacher's must be the same.

    Raises:
        WeightsError: the file cannot be loaded, or has other classes.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, path: str | Path, labels: LabelSet) -> None:
        super().__init__()
        network, card = load(path)
        if card.labels.names != labels.names:
            raise WeightsError(
                f"the teacher {path} has the classes {', '.join(card.labels.names)}; expected "
                f"those of the data set, in the same order: {', '.join(labels.names)}"
            )
        self.network = channels_last(inference_graph(network).requires_grad_(False))
        self.register_buffer("mean", torch.tensor(card.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(card.std).view(1, 3, 1, 1))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, n, h, w) of images (N, 3, H, W) in 0–1."""
        normalised = (images - self.mean) / self.std
        logits: Tensor = self.network(normalised.contiguous(memory_format=torch.channels_last))
        return logits


def divergence(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Mean Kullback–Leibler divergence over the pixels, from the teacher's distribution.

    Multiplied by temperature², so that its gradient does not fade with the temperature.

    Args:
        logits: (N, n, h, w) of the network to train.
        teacher: (N, n, h', w') logits, resized bilinearly to these.
        temperature: both are divided by it; above 1, unlikely classes count for more.
    """
    logits, teacher = logits.float(), teacher.float()
    if teacher.shape[-2:] != logits.shape[-2:]:
        teacher = F.interpolate(teacher, logits.shape[-2:], mode="bilinear", align_corners=False)
    student = (logits / temperature).log_softmax(1)
    target = (teacher / temperature).log_softmax(1)
    each = F.kl_div(student, target, reduction="none", log_target=True).sum(1)
    return each.mean() * temperature**2
