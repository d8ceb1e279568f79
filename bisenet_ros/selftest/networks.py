"""One network: two training steps, a weights file, exported models, every engine."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from bisenet_ros.checkpoints import ModelCard, load_network, save
from bisenet_ros.checkpoints.convert import preset_labels
from bisenet_ros.networks import SegmentationNetwork, TrainingOutput, build
from bisenet_ros.networks.layers import round_up
from bisenet_ros.selftest.engines import check_engines
from bisenet_ros.selftest.row import Row
from bisenet_ros.training.losses import CrossEntropy, with_auxiliary

SIZE = (64, 96)  # of all images, rounded up to what the network takes
STEPS, BATCH = 2, 2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def check_network(name: str, folder: Path, engines: list[str]) -> Row:
    """Train, save, load, export and run a network with its default options.

    Args:
        name: a key of ``NETWORKS``.
        folder: for its files.
        engines: keys of ``ENGINES``.
    """
    row = Row("network", name)
    labels = preset_labels("camvid")
    with torch.random.fork_rng(devices=[]), row.checking("train, save, load"):
        torch.manual_seed(0)
        network = build(name, len(labels))
        row.losses = train(network)
        row.expect(
            all(map(math.isfinite, row.losses)) and row.losses[0] != row.losses[-1],
            f"training steps gave losses {row.losses}; expected finite ones that change",
        )
        network = network.for_inference()
        row.parameters = sum(p.numel() for p in network.parameters())
        card = ModelCard(
            architecture=name,
            options=asdict(network.config),
            labels=labels,
            mean=MEAN,
            std=STD,
            resolution=size_for(network),
            command="python -m bisenet_ros selftest",
        )
        path = save(folder / f"{name}.safetensors", network, card)
        images, _ = examples(network)
        with torch.inference_mode():
            again = load_network(path)(images)
            row.reloaded = float((again - network(images)).abs().max())
        row.expect(row.reloaded == 0, f"logits of the loaded file differ by {row.reloaded:.1e}")
    if not row.failures:
        with row.checking("engines"):
            check_engines(row, path, engines, size_for(network))
    return row


def train(network: SegmentationNetwork) -> list[float]:
    """The losses of ``STEPS`` steps on the same batch, auxiliary heads included."""
    images, labels = examples(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    loss, losses = CrossEntropy(), []
    network.train()
    for _ in range(STEPS):
        output: torch.Tensor | TrainingOutput = network(images)
        head, auxiliary = with_auxiliary(loss, output, labels)
        total = head + network.auxiliary_weight * auxiliary
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        losses.append(float(total.detach()))
    return losses


def examples(network: SegmentationNetwork) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised images (N, 3, H, W) and labels (N, H, W): blocks whose colour is their class."""
    random = np.random.default_rng(0)
    height, width = size_for(network)
    classes = network.config.num_classes
    blocks = random.integers(0, classes, (BATCH, -(-height // 16), -(-width // 16)))
    labels = torch.from_numpy(blocks.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width])
    colours = torch.from_numpy(random.standard_normal((classes, 3))).float()
    return colours[labels].permute(0, 3, 1, 2).contiguous(), labels.contiguous()


def size_for(network: SegmentationNetwork) -> tuple[int, int]:
    """(height, width) of the network's images."""
    height, width = (round_up(side, network.multiple) for side in SIZE)
    return height, width
