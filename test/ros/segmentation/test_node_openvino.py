"""OpenVINO in the node: its models come and go, and the process still ends cleanly."""

from __future__ import annotations

import signal

import pytest
from rig import Rig, image
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

pytest.importorskip("openvino")
pytest.importorskip("onnx")


def test_a_signal_right_after_a_reload_ends_in_zero(tmp_path, domain, small_weights):
    options = ("device:=cpu", "precision:=fp32", "engine:=openvino", "threads:=2", "rate:=0.0")
    rig = Rig(domain, tmp_path, f"weights:={small_weights}", *options)
    try:
        camera = rig.advertise(Image, "/camera/image_raw")
        client = rig.peer.node.create_client(Trigger, "/bisenet/reload")
        rig.send(camera, image(0, rig.next_stamp()))
        assert rig.values("bisenet: model")["engine"] == "openvino"
        assert rig.call(client, Trigger.Request()).success
        rig.process.child.send_signal(signal.SIGINT)  # while the old model is being destroyed
    finally:
        rig.close()
    assert rig.process.child.returncode == 0, rig.process.output
