"""Classifiers of torchvision start a backbone, whole or not at all."""

from __future__ import annotations

import pytest
import seeded
import torch

from bisenet_ros.checkpoints.convert import read_backbone
from bisenet_ros.errors import WeightsError
from bisenet_ros.networks import build
from bisenet_ros.networks.resnet import ResNet, ResNetConfig


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """As torchvision names and shapes a ResNet-18: our backbone's tensors, and the classifier."""
    shapes = {
        name: list(t.shape) for name, t in ResNet(ResNetConfig(depth=18)).state_dict().items()
    }
    return seeded.fill({**shapes, "fc.weight": [1000, 512], "fc.bias": [1000]})


def test_a_resnet18_starts_the_context_path(tmp_path, state):
    torch.save(state, tmp_path / "resnet18.pth")
    network = build("bisenetv1", 3)
    backbone = network.backbone
    backbone.load_state_dict(
        read_backbone(tmp_path / "resnet18.pth", "resnet18", backbone.state_dict())
    )
    assert torch.equal(network.cp.resnet.layer3[0].conv1.weight, state["layer3.0.conv1.weight"])


def refused(path, state, backbone: str, names) -> str:
    torch.save(state, path)
    with pytest.raises(WeightsError) as caught:
        read_backbone(path, backbone, names)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def test_what_does_not_fit_is_refused(tmp_path, state):
    path, names = tmp_path / "x.pth", build("bisenetv1", 3).backbone.state_dict()
    assert "holds resnet18; expected torchvision's resnet50" in refused(
        path, state, "resnet50", names
    )
    assert "torchvision has no xception" in refused(path, state, "xception", names)
    assert "no classifier" in refused(path, {"a": torch.ones(1)}, "resnet18", names)
    lacking = {key: value for key, value in state.items() if key != "bn1.bias"}
    assert "bn1.bias" in refused(path, lacking, "resnet18", names)
    narrow = ResNet(ResNetConfig(depth=18, width=0.5)).state_dict()
    assert "shape" in refused(path, state, "resnet18", narrow)
    deep = ResNet(ResNetConfig(depth=18, stem_channels=(32, 32, 64))).state_dict()
    assert "another stem" in refused(path, state, "resnet18", deep)
    broken = {**state, "conv1.weight": torch.full_like(state["conv1.weight"], float("nan"))}
    assert "NaN" in refused(path, broken, "resnet18", names)
