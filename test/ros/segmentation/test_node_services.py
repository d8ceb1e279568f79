"""~/enable, ~/reload, swaps under load, calibration, subscribers that cannot be served."""

from __future__ import annotations

import threading
import time

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rig import BASE, Rig, image, serving, status_values
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import SetBool, Trigger

from bisenet_ros.checkpoints import load, save


@pytest.fixture(scope="module")
def weights(tmp_path_factory, small_weights):
    """A copy that the tests may overwrite."""
    path = tmp_path_factory.mktemp("own") / "own.safetensors"
    path.write_bytes(small_weights.read_bytes())
    return path


@pytest.fixture(scope="module")
def rig(tmp_path_factory, weights):
    with serving(tmp_path_factory.mktemp("rig"), weights) as made:
        yield made


@pytest.fixture(scope="module")
def camera(rig):
    return rig.advertise(Image, "/camera/image_raw")


def test_a_disabled_node_drops_frames_until_it_is_enabled(rig, camera):
    client = rig.peer.node.create_client(SetBool, "/bisenet/enable")
    rig.send(camera, image(0, rig.next_stamp()))
    assert rig.call(client, SetBool.Request(data=False)).success
    received, seen = int(rig.values()["received"]), len(rig.masks)
    for _ in range(3):
        camera.publish(image(0, rig.next_stamp()))
        rig.peer.spin_for(0.1)
    rig.peer.spin_until(lambda: int(rig.values()["received"]) > received, "received frames")
    assert len(rig.masks) == seen
    assert "disabled" in rig.values("bisenet: model")["message"]
    assert rig.call(client, SetBool.Request(data=True)).success
    rig.send(camera, image(0, rig.next_stamp()))


def test_reload_takes_the_file_as_it_is_now(rig, camera, weights, small_weights):
    client = rig.peer.node.create_client(Trigger, "/bisenet/reload")
    before = rig.values("bisenet: model")["weights"]
    network, card = load(small_weights)
    network.head.conv_out[1].bias.data[2] += 100.0  # everything is class 2 now
    save(weights, network, card)
    answer = rig.call(client, Trigger.Request())
    assert answer.success and "own.safetensors" in answer.message
    assert rig.values("bisenet: model")["weights"] != before
    assert set(rig.send(camera, image(3, rig.next_stamp())).data) == {2}
    weights.write_bytes(b"no weights at all")
    answer = rig.call(client, Trigger.Request())
    assert not answer.success and "own.safetensors" in answer.message
    assert set(rig.send(camera, image(4, rig.next_stamp())).data) == {2}
    weights.unlink()  # gone from the disk: what is loaded runs on
    assert not rig.call(client, Trigger.Request()).success
    assert set(rig.send(camera, image(5, rig.next_stamp())).data) == {2}
    weights.write_bytes(small_weights.read_bytes())
    assert rig.call(client, Trigger.Request()).success


def test_no_frame_is_lost_while_weights_are_swapped(rig, camera, small_weights, tmp_path):
    others = []
    for number in range(4):
        path = tmp_path / f"swap{number}.safetensors"
        path.write_bytes(small_weights.read_bytes())
        others.append(path)
    first = rig.stamp + 1
    stop = threading.Event()

    def feed() -> None:
        while not stop.is_set():
            camera.publish(image(1, rig.next_stamp()))
            time.sleep(0.2)  # five frames a second: an unloaded machine holds far more

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        for path in others:
            assert rig.set(weights=str(path)) == [(True, "")]
            rig.peer.spin_for(0.2)
    finally:
        stop.set()
        feeder.join()
    last = rig.stamp
    assert last - first >= 4
    rig.peer.spin_for(1.0)
    rig.peer.spin_until(
        lambda: {m.header.stamp.sec for m in rig.masks} >= set(range(first, last + 1)),
        "a mask of every frame sent during the swaps",
    )
    assert rig.values("bisenet: model")["weights"].startswith("swap3.safetensors")


def test_calibration_follows_the_masks(rig, camera):
    heard = rig.peer.collect(CameraInfo, "/bisenet/camera_info")
    calibration = rig.advertise(CameraInfo, "/camera/camera_info")
    rig.peer.spin_until(lambda: rig.peer.node.count_publishers("/bisenet/camera_info"), "its topic")
    message = CameraInfo(height=60, width=80, distortion_model="plumb_bob")
    message.k[0] = 123.0

    def follows() -> bool:
        calibration.publish(message)
        rig.send(camera, image(0, rig.next_stamp()))
        return bool(heard)

    rig.peer.spin_until(follows, "calibration")
    rig.send(camera, image(0, rig.next_stamp()))
    rig.peer.spin_until(lambda: heard[-1].header.stamp.sec == rig.stamp, "the mask's stamp")
    assert heard[-1].header.frame_id == "lens"
    assert heard[-1].k[0] == 123.0 and heard[-1].distortion_model == "plumb_bob"
    seen = len(heard)
    rig.send(camera, image(0, rig.next_stamp(), (30, 40)))  # another size: it does not hold
    rig.send(camera, image(0, rig.next_stamp()))
    rig.peer.spin_until(lambda: len(heard) > seen, "calibration of the right size again")
    assert [h.header.stamp.sec for h in heard[seen:]] == [rig.stamp]


def test_a_subscriber_that_asks_for_too_much_is_reported_with_both_profiles(rig, camera):
    qos = QoSProfile(
        depth=1,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
        reliability=ReliabilityPolicy.RELIABLE,
    )
    subscription = rig.peer.node.create_subscription(Image, "/bisenet/mask", print, qos)

    def reported() -> bool:
        rig.send(camera, image(0, rig.next_stamp()))
        message = status_values(rig.reports[-1], "camera camera")["message"]
        return "transient_local" in message and "volatile" in message

    rig.peer.spin_until(reported, "the mismatch in diagnostics")
    assert "qos_overrides" in rig.process.output
    rig.peer.node.destroy_subscription(subscription)


def test_best_effort_losses_are_reported_with_the_remedy(tmp_path, domain, small_weights):
    """Every other frame never leaves the publisher, as if shared memory had lost it."""
    rig = Rig(domain, tmp_path, f"weights:={small_weights}", "rate:=0.0", *BASE)
    try:
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        camera = rig.advertise(Image, "/camera/image_raw", qos)
        frame = 0

        def reported() -> bool:
            nonlocal frame
            frame += 1 if frame % 3 else 2  # a period of one, and every third step skips one
            message = image(0, 1)
            message.header.stamp.sec, rest = divmod(1000 + frame, 30)
            message.header.stamp.nanosec = rest * 33_333_333
            camera.publish(message)
            rig.peer.spin_for(0.03)
            latest = rig.reports and status_values(rig.reports[-1], "camera camera")["message"]
            return bool(latest) and "fastdds.xml" in latest

        rig.peer.spin_until(reported, "the losses in diagnostics")
    finally:
        rig.close()


def test_a_node_that_cannot_meet_its_rate_lowers_the_resolution(tmp_path, domain, small_weights):
    """No machine segments a thousand frames a second: it steps down to the smallest size."""
    options = ("adaptive:=true", "rate:=1000.0")
    rig = Rig(domain, tmp_path, f"weights:={small_weights}", *options, *BASE)
    try:
        camera = rig.advertise(Image, "/camera/image_raw")

        def smallest() -> bool:
            mask = rig.send(camera, image(0, rig.next_stamp()))
            assert (mask.height, mask.width) == (60, 80)
            latest = status_values(rig.reports[-1], "bisenet: model") if rig.reports else {}
            return latest.get("input_size") == "64x64"  # half of 128x96 in multiples of 32

        rig.peer.spin_until(smallest, "the smallest input size")
        assert "input size is now" in rig.process.output
        assert rig.set(adaptive=False)[0][0] is False  # not while configured
    finally:
        rig.close()
