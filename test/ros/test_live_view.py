"""``view --live``: a running node's images and masks arrive in a Rerun file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness import Process, own_domain, python_module
from rig import BASE, Rig, image
from sensor_msgs.msg import Image

pytest.importorskip("rerun")


def test_a_running_node_is_shown(small_weights: Path, tmp_path: Path):
    path = tmp_path / "live.rrd"
    with own_domain() as domain:
        rig = Rig(domain, tmp_path, f"weights:={small_weights}", "rate:=0.0", *BASE)
        try:
            camera = rig.advertise(Image, "/camera/image_raw")
            view = python_module("bisenet_ros", "view", "--live", "--save", str(path))
            viewer = Process([*view, "--limit", "2"], domain, tmp_path / "view.log")
            while viewer.child.poll() is None:  # until it has discovered everybody
                stamp = rig.next_stamp()
                camera.publish(image(stamp, stamp))
                rig.peer.spin_for(0.2)
            assert viewer.wait() == 0, viewer.output
        finally:
            rig.close()
    done = subprocess.run(
        [sys.executable, "-m", "rerun_cli", "rrd", "print", "-vv", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    entities = set(re.findall(r"(?:entity_path|path)\W+(/[\w/]*)", done.stdout))
    assert {"/camera/image", "/camera/mask", "/figures/speed/age_ms"} <= entities
