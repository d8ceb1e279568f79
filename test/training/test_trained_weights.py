"""From nothing to a running node: draw, train for a little, load, segment."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import ROOT, own_domain, python_module, ros_environment
from rig import BASE, Rig
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from bisenet_ros.datasets import open_set
from bisenet_ros.inference import Segmenter
from bisenet_ros.metrics.dataset import evaluate
from bisenet_ros.ros import messages

pytest.importorskip("lightning", reason="needs the extra `train`")


def train(out: Path, domain: int) -> dict[str, Any]:
    """Train as the preset says, but shorter: this is about the way and not about the score."""
    facts = out.with_suffix(".json")
    line = ["--config", "config/train/smoke.yaml", "--out", str(out), "--json", str(facts)]
    line += ["--iterations", "50", "--validate-every", "50"]
    subprocess.run(
        python_module("bisenet_ros", "train", *line),
        cwd=ROOT,
        env=ros_environment(domain),
        check=True,
        capture_output=True,
        timeout=500,
    )
    return json.loads(facts.read_text())


def test_the_smoke_preset_ends_with_weights_that_the_node_takes(tmp_path):
    out = tmp_path / "run"
    with own_domain() as domain:
        measured = train(out, domain)
        weights = out / "weights.safetensors"
        assert measured["weights"] == str(weights) and measured["steps"] == 50
        validation = open_set("shapes", out / "data", "val")
        constant = evaluate(lambda image: np.zeros(image.shape[:2], np.uint8), validation, 6)
        assert measured["val_miou"] > 3 * constant.scores.miou
        picture, truth = validation.read(0)
        segmenter = Segmenter(weights, device="cpu", precision="fp32", engine="torch")
        rig = Rig(domain, tmp_path, f"weights:={weights}", "rate:=0.0", *BASE)
        try:
            camera = rig.advertise(Image, "/camera/image_raw")
            sent = messages.to_image(Header(frame_id="c"), picture, "rgb8")
            sent.header.stamp.sec = 7
            mask = rig.send(camera, sent)
            ids = np.frombuffer(mask.data, np.uint8).reshape(mask.height, mask.width)
            assert np.array_equal(ids, segmenter([picture])[0].mask)
            assert (ids == truth)[truth != 255].mean() > 0.6
        finally:
            rig.close()
