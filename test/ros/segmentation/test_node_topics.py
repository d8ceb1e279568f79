"""Topics, paths and clocks as users give them to a running node."""

from __future__ import annotations

import pytest
from rcl_interfaces.srv import GetParameters
from rig import BASE, Rig, image, node_command
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from std_srvs.srv import Trigger

from bisenet_ros.ros.qos import latched
from bisenet_ros.ros.segmentation import usage
from bisenet_ros.ros.segmentation.labels import LabelInfo

WARN = b"\x01"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("image_topic:=/bisenet/overlay",), "/bisenet/overlay, which this node publishes itself"),
        (("image_topic:='/a b'",), "image_topic is '/a b', which is not a valid topic name"),
        (("depth_topic:=['/a b']",), "depth_topic is '/a b', which is not a valid topic name"),
    ],
)
def test_topics_that_cannot_work_end_the_start_with_one_line(start, small_weights, options, said):
    process = start(node_command(f"weights:={small_weights}", *options, *BASE))
    assert process.wait() == 2, process.output
    assert said in process.output and "Traceback" not in process.output


def test_remedies_paths_thresholds_and_clocks(tmp_path, domain, small_weights, monkeypatch):
    """One process, since each takes seconds to start."""
    monkeypatch.setenv("MODELS", str(tmp_path))
    own = tmp_path / "own.safetensors"
    own.write_bytes(small_weights.read_bytes())
    rig = Rig(domain, tmp_path, "weights:=$MODELS/own.safetensors", "rate:=0.0", *BASE)

    def message() -> str:
        # Until the node is active there is no status of a camera.
        found = [s.message for r in rig.reports[-1:] for s in r.status if "camera" in s.name]
        return found[0] if found else ""

    try:
        driver = rig.peer.node.create_publisher(CompressedImage, "/camera/image_raw/compressed", 1)
        remedy = "set image_transport to compressed"
        rig.peer.spin_until(lambda: remedy in message(), "the remedy in diagnostics")
        assert remedy in rig.process.output
        rig.peer.node.destroy_publisher(driver)
        help_names_every_output(rig)
        camera = rig.advertise(Image, "/camera/image_raw")
        stamped_in_1970(rig, camera, message)
        rival = rig.peer.node.create_publisher(Image, "/bisenet/mask", 1)
        said = "/test_peer also publishes /bisenet/mask"
        rig.peer.spin_until(lambda: said in message(), "the rival in diagnostics")
        rig.peer.node.destroy_publisher(rival)
        threshold_is_published(rig)
        client = rig.peer.node.create_client(Trigger, "/bisenet/reload")
        own.unlink()
        assert not rig.call(client, Trigger.Request()).success
        rig.peer.spin_until(lambda: "reload failed" in rig.process.output, "the log line")
        assert "own.safetensors" in rig.process.output.split("reload failed")[1]
        parameters = rig.peer.node.create_client(GetParameters, "/bisenet/get_parameters")
        held = rig.call(parameters, GetParameters.Request(names=["weights"])).values[0]
        assert held.string_value == "$MODELS/own.safetensors"  # as it was given
    finally:
        rig.close()


def help_names_every_output(rig: Rig) -> None:
    listed = usage.text()
    peer = rig.peer.node
    rig.peer.spin_until(lambda: peer.count_publishers("/bisenet/mask"), "discovery of the outputs")
    found = rig.peer.node.get_publisher_names_and_types_by_node("bisenet", "/")
    outputs = [name for name, _ in found if name.startswith("/bisenet/")]
    for name in outputs:
        if not name.endswith(("transition_event", "_service_event")):
            assert name.replace("/bisenet/", "~/") in listed
    assert "/bisenet/mask" in outputs


def stamped_in_1970(rig: Rig, camera, message) -> None:
    rig.send(camera, image(0, rig.next_stamp()))
    rig.peer.spin_until(lambda: "clock mismatch" in message(), "the mismatch in diagnostics")
    found = rig.values()
    assert found["level"] == WARN and "use_sim_time" in found["message"]
    assert found["frame_age_ms_p50"] == "nan"
    assert "clock mismatch" in rig.process.output
    now = rig.peer.node.get_clock().now().to_msg()
    current = image(0, rig.next_stamp())
    current.header.stamp = now
    rig.send(camera, current)
    rig.peer.spin_until(lambda: "clock mismatch" not in message(), "the end of the mismatch")
    assert float(rig.values()["frame_age_ms_p50"]) < 60_000


def threshold_is_published(rig: Rig) -> None:
    """Both label topics follow it; only LabelInfo, which may not be installed, holds it."""
    names = rig.peer.collect(String, "/bisenet/labels", latched())
    infos = (
        None if LabelInfo is None else rig.peer.collect(LabelInfo, "/bisenet/label_info", latched())
    )
    rig.peer.spin_until(lambda: names and (infos is None or infos), "labels")
    assert rig.set(confidence_threshold=0.25) == [(True, "")]
    rig.peer.spin_until(lambda: len(names) > 1, "labels again")
    if infos is not None:
        rig.peer.spin_until(lambda: infos[-1].threshold == 0.25, "the new threshold")
    assert rig.set(confidence_threshold=0.0) == [(True, "")]
