"""The node in its own process, over real DDS: what it publishes and what it rejects."""

from __future__ import annotations

import json
import time

import cv2
import numpy as np
import pytest
import torch
from rcl_interfaces.srv import DescribeParameters
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rig import BASE, Rig, image, picture, serving, status_values
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from bisenet_ros.inference import OutputRequest, Segmenter
from bisenet_ros.inference.image_encodings import from_compressed
from bisenet_ros.ros.parameters.definition import FIELDS
from bisenet_ros.ros.qos import latched


@pytest.fixture(scope="module")
def rig(tmp_path_factory, small_weights):
    with serving(tmp_path_factory.mktemp("rig"), small_weights) as made:
        yield made


@pytest.fixture(scope="module")
def camera(rig):
    return rig.advertise(Image, "/camera/image_raw")


@pytest.fixture(scope="module")
def segmenter(small_weights):
    torch.set_num_threads(2)
    return Segmenter(small_weights, device="cpu", precision="fp32", engine="torch")


def test_masks_are_the_segmenters_own_under_the_cameras_header(rig, camera, segmenter):
    for seed, size in enumerate([(60, 80), (96, 128), (1, 1), (37, 53)]):
        message = image(seed, rig.next_stamp(), size)
        mask = rig.send(camera, message)
        assert mask.header == message.header
        assert (mask.encoding, mask.height, mask.width, mask.step) == ("mono8", *size, size[1])
        expected = segmenter([picture(seed, size)])[0].mask
        assert bytes(mask.data) == expected.tobytes()


def test_channel_order_is_taken_from_the_encoding(rig, camera, segmenter):
    mask = rig.send(camera, image(3, rig.next_stamp(), encoding="bgr8"))
    assert bytes(mask.data) == segmenter([picture(3)], "bgr")[0].mask.tobytes()


def test_overlay_and_confidence_are_built_for_those_who_listen(rig, camera, segmenter):
    before = rig.send(camera, image(1, rig.next_stamp()))
    wanted = OutputRequest(overlay=True, confidence=True)
    expected = segmenter([picture(5)], request=wanted)[0]
    node = rig.peer.node
    heard: dict[str, list] = {"overlay": [], "confidence": [], "overlay/compressed": []}
    subscriptions = [
        node.create_subscription(
            CompressedImage if "/" in name else Image, f"/bisenet/{name}", found.append, 5
        )
        for name, found in heard.items()
    ]
    rig.peer.spin_until(
        lambda: all(node.count_publishers(f"/bisenet/{name}") for name in heard), "publishers"
    )

    def all_heard() -> bool:
        # Until the node has found the new listeners, what they want is not built.
        rig.send(camera, image(5, rig.next_stamp()))
        return all(heard.values())

    rig.peer.spin_until(all_heard, "overlay and confidence")
    overlay, confidence = heard["overlay"][-1], heard["confidence"][-1]
    assert (overlay.encoding, confidence.encoding) == ("rgb8", "mono8")
    assert bytes(overlay.data) == expected.overlay.tobytes()
    assert bytes(confidence.data) == expected.confidence.tobytes()
    jpeg = heard["overlay/compressed"][-1]
    decoded = cv2.imdecode(np.frombuffer(jpeg.data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == expected.overlay.shape
    assert overlay.header.frame_id == jpeg.header.frame_id == before.header.frame_id == "lens"
    for subscription in subscriptions:
        node.destroy_subscription(subscription)


def test_labels_are_latched(rig, segmenter):
    labels = rig.peer.collect(String, "/bisenet/labels", latched())
    rig.peer.spin_until(lambda: labels, "labels")
    said = json.loads(labels[0].data)
    assert said["unlabelled"] == 255
    assert [c["name"] for c in said["classes"]] == list(segmenter.labels.names)
    assert [tuple(c["color"]) for c in said["classes"]] == list(segmenter.labels.colours)


def test_label_info_is_latched_where_vision_msgs_is_installed(rig, segmenter):
    kind = pytest.importorskip("vision_msgs.msg", exc_type=ImportError).LabelInfo
    found = rig.peer.collect(kind, "/bisenet/label_info", latched())
    rig.peer.spin_until(lambda: found, "label info")
    names = [(c.class_id, c.class_name) for c in found[0].class_map]
    assert names == list(enumerate(segmenter.labels.names))


def broken_messages() -> dict[str, Image]:
    def changed(**values) -> Image:
        message = image(0, 1)
        for name, value in values.items():
            setattr(message, name, value)
        return message

    return {
        "short data": changed(data=bytes(100)),
        "no data": changed(data=b""),
        "small step": changed(step=79),
        "no height": changed(height=0),
        "no width": changed(width=0),
        "unknown encoding": changed(encoding="32FC1"),
        "empty encoding": changed(encoding=""),
        "gigantic": changed(height=100_000, width=100_000, step=300_000),
    }


def test_broken_images_are_refused_with_a_reason_and_good_ones_served(rig, camera):
    rejected = int(rig.values()["rejected"])
    for number, (name, message) in enumerate(broken_messages().items(), start=1):
        camera.publish(message)
        rig.count("rejected", rejected + number)
        assert rig.values()["last_reject_reason"], name
        rig.send(camera, image(number, rig.next_stamp()))
    assert "image rejected" in rig.process.output


def test_diagnostics_carry_the_contracts_keys(rig, camera, segmenter, small_weights):
    rig.send(camera, image(0, rig.next_stamp()))
    found = rig.values()
    stages = ("wait", "decode", "preprocess", "forward", "postprocess", "publish")
    keys = {"input_fps", "output_fps", "target_fps", "superseded", "rejected"}
    keys |= {"last_reject_reason", "deadline_misses"}
    keys |= {f"frame_age_ms_p{p}" for p in (50, 95, 99)} | {f"{s}_ms_p50" for s in stages}
    assert keys <= set(found)
    assert all(float(found[f"{stage}_ms_p50"]) >= 0 for stage in stages)
    model = rig.values("bisenet: model")
    assert (model["device"], model["precision"]) == ("cpu", "fp32")
    assert model["engine"] in ("torch", "openvino")  # auto takes what is installed
    assert model["num_classes"] == "3" and model["input_size"] == "128x96"
    assert model["weights"].startswith(f"{small_weights.name} ")
    assert float(model["uptime_s"]) > 0 and "gpu_memory_mb" in model


def test_every_parameter_has_a_description_and_its_range(rig):
    client = rig.peer.node.create_client(DescribeParameters, "/bisenet/describe_parameters")
    request = DescribeParameters.Request(names=list(FIELDS))
    described = {d.name: d for d in rig.call(client, request).descriptors}
    assert set(described) == set(FIELDS)
    for name, field in FIELDS.items():
        found = described[name]
        assert field.metadata["description"] in found.description
        ranges = list(found.floating_point_range) + list(found.integer_range)
        if field.metadata["low"] is not None:
            assert (ranges[0].from_value, ranges[0].to_value) == (
                field.metadata["low"],
                field.metadata["high"],
            )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("rate", -1.0, "1000"),
        ("rate", float("nan"), "1000"),
        ("overlay_alpha", 1.5, "1.0"),
        ("confidence_threshold", -0.1, "1.0"),
        ("jpeg_quality", 0, "100"),
        ("rate", "fast", "number"),
        ("device", "cuda", "cannot change"),
        ("precision", "int3", "fp32"),
        ("weights", "/nowhere/at/all.safetensors", "/nowhere/at/all.safetensors"),
    ],
)
def test_wrong_values_are_refused_with_the_range(rig, name, value, said):
    ((successful, reason),) = rig.set(**{name: value})
    assert not successful
    assert said in reason


def test_live_parameters_take_hold(rig, camera, segmenter):
    assert rig.set(confidence_threshold=1.0) == [(True, "")]
    mask = rig.send(camera, image(2, rig.next_stamp()))
    assert set(mask.data) == {255}
    assert rig.set(confidence_threshold=0.0, rate=200)[0][0]  # a whole number will do
    mask = rig.send(camera, image(2, rig.next_stamp()))
    assert bytes(mask.data) == segmenter([picture(2)])[0].mask.tobytes()
    assert rig.values()["target_fps"] == "200.000"
    assert rig.set(rate=0.0) == [(True, "")]


def test_other_weights_are_swapped_in_while_running(rig, camera, small_weights, tmp_path):
    other = tmp_path / "other.safetensors"
    other.write_bytes(small_weights.read_bytes())
    before = rig.values("bisenet: model")["weights"]
    assert rig.set(weights=str(other)) == [(True, "")]
    assert rig.values("bisenet: model")["weights"] == before.replace(small_weights.name, other.name)
    rig.send(camera, image(4, rig.next_stamp()))
    other.write_bytes(b"rubbish")
    ((successful, reason),) = rig.set(weights=str(other))
    assert not successful and "other.safetensors" in reason
    rig.send(camera, image(4, rig.next_stamp()))
    assert rig.set(weights=str(small_weights)) == [(True, "")]


def test_nothing_is_published_without_a_new_frame(rig, camera):
    rig.send(camera, image(0, rig.next_stamp()))
    rig.peer.spin_for(0.5)
    seen = len(rig.masks)
    rig.peer.spin_for(1.0)
    assert len(rig.masks) == seen
    stamps = [(m.header.stamp.sec, m.header.stamp.nanosec) for m in rig.masks]
    assert len(set(stamps)) == len(stamps)


def test_a_silent_camera_is_stale_and_comes_back(rig, camera):
    rig.peer.spin_until(
        lambda: status_values(rig.reports[-1], "camera camera")["level"] == b"\x03", "STALE"
    )
    rig.send(camera, image(0, rig.next_stamp()))
    rig.peer.spin_until(
        lambda: status_values(rig.reports[-1], "camera camera")["level"] != b"\x03", "not STALE"
    )


def test_compressed_frames_at_a_fixed_rate(tmp_path, domain, small_weights, segmenter):
    """Thirty a second in, five out: the newest win, the rest are counted, the broken refused."""
    options = ("image_transport:=compressed", "rate:=5.0", f"weights:={small_weights}", *BASE)
    rig = Rig(domain, tmp_path, *options)
    try:
        camera = rig.advertise(CompressedImage, "/camera/image_raw/compressed")
        jpegs, began = {}, time.monotonic()
        for number in range(1, 61):
            message = CompressedImage(format="jpeg")
            message.header.stamp.sec = number
            jpegs[number] = cv2.imencode(".jpg", picture(number))[1].tobytes()
            message.data = jpegs[number]
            camera.publish(message)
            rig.peer.spin_for(1 / 30)
        camera.publish(CompressedImage(format="jpeg", data=jpegs[1][:-200]))
        rig.count("rejected", 1)
        found = rig.values()
        received, superseded = int(found["received"]), int(found["superseded"])
        published = int(found["published"])
        rig.peer.spin_until(lambda: len(rig.masks) == published, "every mask that was published")
        # The subscription keeps one message, so a burst may lose some before they are counted.
        assert 30 <= received <= 61
        assert published == received - 1 - superseded
        assert 5 <= published <= 2 + 5 * (time.monotonic() - began)  # never more than ticks
        for mask in rig.masks:
            pixels = from_compressed(jpegs[mask.header.stamp.sec])
            expected = segmenter([pixels.image], pixels.order)[0].mask
            assert bytes(mask.data) == expected.tobytes()
    finally:
        rig.close()


def test_a_best_effort_camera_is_heard(tmp_path, domain, small_weights):
    rig = Rig(domain, tmp_path, f"weights:={small_weights}", *BASE)
    try:
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        camera = rig.advertise(Image, "/camera/image_raw", qos)
        rig.peer.spin_until(
            lambda: camera.publish(image(0, rig.next_stamp())) or rig.masks, "a mask"
        )
    finally:
        rig.close()


def test_a_camera_that_cannot_be_matched_is_reported(tmp_path, domain, small_weights):
    rig = Rig(domain, tmp_path, f"weights:={small_weights}", "image_reliability:=reliable", *BASE)
    try:
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        rig.peer.node.create_publisher(Image, "/camera/image_raw", qos)
        rig.peer.spin_until(
            lambda: (
                rig.reports
                and "best_effort" in status_values(rig.reports[-1], "camera camera")["message"]
            ),
            "the mismatch in diagnostics",
        )
        assert "image_reliability" in rig.process.output
    finally:
        rig.close()


def test_two_cameras_of_different_sizes_share_the_model(tmp_path, domain, small_weights, segmenter):
    topics = "image_topics:=['/front/image_raw', '/rear/image_raw']"
    rig = Rig(domain, tmp_path, f"weights:={small_weights}", topics, *BASE)
    try:
        sizes = {"front": (60, 80), "rear": (96, 50)}
        cameras = {n: rig.advertise(Image, f"/{n}/image_raw") for n in sizes}
        masks = {n: rig.peer.collect(Image, f"/bisenet/{n}/mask") for n in sizes}
        rig.peer.spin_until(
            lambda: all(rig.peer.node.count_publishers(f"/bisenet/{n}/mask") for n in sizes),
            "both outputs",
        )

        def both() -> bool:
            for seed, (name, size) in enumerate(sizes.items()):
                cameras[name].publish(image(seed, rig.next_stamp(), size))
            rig.peer.spin_for(0.1)
            return all(masks.values())

        rig.peer.spin_until(both, "masks of both cameras")
        for seed, (name, size) in enumerate(sizes.items()):
            expected = segmenter([picture(seed, size)])[0].mask
            found = np.frombuffer(masks[name][-1].data, np.uint8).reshape(size)
            assert (found != expected).mean() < 0.002  # a batch rounds differently
            assert int(rig.values(f"camera {name}")["published"]) >= 1
    finally:
        rig.close()
