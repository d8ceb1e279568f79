"""The node runs whatever network the weights file holds; nothing else has to be set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from rig import Rig, image, picture, serving
from sensor_msgs.msg import Image

from bisenet_ros.benchmark.pipelines import random_weights
from bisenet_ros.cli import main
from bisenet_ros.inference import Segmenter
from bisenet_ros.selftest.sources import write_checkpoint

CAFFE = {"width": 0.25, "ceil_pool": True, "stride_on": "1x1", "first_block_dilation": "own"}


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> Path:
    """VainF's DeepLab v3+ on MobileNetV2, filled with seeded values, as `convert` leaves it."""
    folder = tmp_path_factory.mktemp("converted")
    checkpoint = write_checkpoint("vainf_deeplabv3plus_mobilenet", folder / "vainf.pth")
    out = folder / "deeplab.safetensors"
    line = [str(checkpoint), str(out), "--classes", "cityscapes", "--size", "96x128"]
    assert main(["convert", *line]) == 0
    return out


@pytest.fixture(scope="module")
def rig(tmp_path_factory, converted):
    with serving(tmp_path_factory.mktemp("rig"), converted) as made:
        yield made


def masks_are_those_of(weights: Path, rig: Rig, camera) -> None:
    message = image(4, rig.next_stamp(), (90, 130))
    mask = np.frombuffer(rig.send(camera, message).data, np.uint8)
    torch.set_num_threads(2)
    segmenter = Segmenter(weights, device="cpu", precision="fp32", engine="torch")
    expected = segmenter([picture(4, (90, 130))])[0].mask
    assert len(np.unique(expected)) > 1 and np.array_equal(mask, expected.ravel())


def test_a_converted_network_then_another_then_its_checkpoint(rig, converted, tmp_path):
    camera = rig.advertise(Image, "/camera/image_raw")
    masks_are_those_of(converted, rig, camera)
    values = rig.values("model")
    assert values["weights"].startswith("deeplab.safetensors") and values["num_classes"] == "19"
    # As kazuto1011's: its logits have a row and a column more than the input's sides over 8.
    other = random_weights(
        tmp_path / "caffe.safetensors",
        *((64, 96), "deeplabv2"),
        **{"backbone": "resnet50", "backbone_options": CAFFE},
    )
    assert rig.set(weights=str(other)) == [(True, "")]
    masks_are_those_of(other, rig, camera)
    ((accepted, reason),) = rig.set(weights=str(converted.parent / "vainf.pth"))
    assert not accepted and "\n" not in reason
    assert "python -m bisenet_ros convert" in reason and "deeplabv3plus of vainf" in reason
    masks_are_those_of(other, rig, camera)
