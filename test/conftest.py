"""Fixtures for all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# Read when torch is loaded: threads that spin starve the processes that the tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

from bisenet_ros.checkpoints import ModelCard, save  # noqa: E402
from bisenet_ros.labels import LabelSet  # noqa: E402
from bisenet_ros.networks import BiSeNetV2, BiSeNetV2Config  # noqa: E402

# A shell starts what is in the background with SIGINT ignored, and children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Two cores, and tests that start processes of their own: more threads only wait for each other.
torch.set_num_threads(min(2, torch.get_num_threads()))

# How long an example takes says nothing on a machine that others share.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")


@pytest.fixture(scope="session")
def small_card() -> ModelCard:
    """The card of an untrained network of three classes."""
    return ModelCard(
        architecture="bisenetv2",
        options={"num_classes": 3, "head_width": 32, "auxiliary_width": 8},
        labels=LabelSet(("floor", "wall", "thing"), ((10, 20, 30), (200, 0, 0), (0, 0, 250))),
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.3, 0.25),
        resolution=(96, 128),
        dataset="made up",
        scores={"val_miou": 0.25},
        licence="none",
        command="pytest",
    )


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory, small_card: ModelCard) -> Path:
    """A weights file whose masks hold all three classes; untrained, but the same every time."""
    torch.manual_seed(7)
    network = BiSeNetV2(BiSeNetV2Config(**small_card.options))
    with torch.no_grad():
        # Spread out, so that classes differ from pixel to pixel as a trained network's do.
        network.head.conv_out[1].weight.normal_(std=1.0)
    return save(tmp_path_factory.mktemp("weights") / "small.safetensors", network, small_card)
