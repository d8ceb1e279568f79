"""What must not break the node: malformed messages, failures, publishers that come and go."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import cv2
import pytest
from harness import Peer, Process
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from rig import BASE, Rig, image, node_command, picture, serving, status_values
from sensor_msgs.msg import CompressedImage, Image

from bisenet_ros.errors import DataError
from bisenet_ros.inference.image_encodings import ENCODINGS
from bisenet_ros.ros import messages

MALFORMED = 2000

sizes = st.one_of(st.integers(0, 70), st.integers(0, 2**32 - 1))


@st.composite
def malformed(draw: st.DrawFn) -> Image:
    """An image message that no camera would send."""
    message = Image()
    message.height, message.width = draw(sizes), draw(sizes)
    message.encoding = draw(st.one_of(st.sampled_from(list(ENCODINGS)), st.text(max_size=8)))
    message.step = draw(st.one_of(st.integers(0, 250), st.integers(0, 2**32 - 1)))
    message.is_bigendian = draw(st.integers(0, 255))
    message.data = draw(st.binary(max_size=300))
    try:
        messages.check(message)
    except (DataError, UnicodeEncodeError):
        return message
    assume(False)
    raise AssertionError  # not reached


@pytest.fixture(scope="module")
def rig(tmp_path_factory, small_weights):
    with serving(tmp_path_factory.mktemp("rig"), small_weights) as made:
        yield made


@pytest.fixture(scope="module")
def camera(rig):
    return rig.advertise(Image, "/camera/image_raw")


def test_thousands_of_malformed_messages_cost_no_good_frame(rig, camera, capsys):
    sent: list[Image] = []

    def send(message: Image) -> None:
        camera.publish(message)
        sent.append(message)
        if len(sent) % 20 == 0:  # good frames between them, each of which must be served
            rig.send(camera, image(len(sent), rig.next_stamp()))
        else:
            rig.peer.spin_for(0.004)  # the node keeps one message: let it take this one

    @settings(max_examples=MALFORMED, deadline=None, suppress_health_check=list(HealthCheck))
    @given(message=malformed())
    def abuse(message: Image) -> None:
        send(message)

    abuse()
    while (missing := MALFORMED - int(rig.values()["rejected"])) > 0:
        for message in sent[: missing + 20]:  # some were overtaken before they were taken
            send(message)
    found = rig.values()
    assert int(found["received"]) == int(found["rejected"]) + int(found["published"])
    assert found["last_reject_reason"] and int(found["failed"]) == 0
    with capsys.disabled():
        print(f"\n{found['rejected']} malformed messages refused of {len(sent)} sent", end=" ")


def test_bytes_that_are_no_message_at_all(rig, camera):
    random.seed(5)
    whole = serialize_message(image(0, 1))
    for i in range(100):
        cut = whole[: random.randrange(len(whole))]
        camera.publish(cut if i % 2 else random.randbytes(random.randrange(1, 200)))
        rig.peer.spin_for(0.004)
    rig.send(camera, image(1, rig.next_stamp()))


def test_size_and_encoding_may_change_in_mid_stream(rig, camera):
    for number in range(24):
        size = [(60, 80), (31, 33), (120, 160), (1, 1)][number % 4]
        message = image(number, rig.next_stamp(), size, ["rgb8", "bgr8", "8UC3"][number % 3])
        mask = rig.send(camera, message)
        assert (mask.height, mask.width) == size


def test_a_camera_may_die_and_come_back(rig, camera):
    del camera  # it stays, silent; another one comes and goes
    for number in range(3):
        peer = Peer(rig.peer.node.context.get_domain_id())
        publisher = peer.node.create_publisher(Image, "/camera/image_raw", 5)
        peer.spin_until(lambda p=publisher: p.get_subscription_count() > 0, "the node")
        rig.send(publisher, image(number, rig.next_stamp()))
        peer.close()


def test_corrupt_jpegs_between_good_ones(tmp_path, domain, small_weights):
    options = ("image_transport:=compressed", "rate:=0.0", f"weights:={small_weights}", *BASE)
    rig = Rig(domain, tmp_path, *options)
    try:
        camera = rig.advertise(CompressedImage, "/camera/image_raw/compressed")
        good = cv2.imencode(".jpg", picture(1, (120, 160)))[1].tobytes()
        random.seed(2)
        for number in range(60):
            spoilt = bytearray(good)
            if number % 3 == 0:
                spoilt = spoilt[: random.randrange(len(spoilt))]
            elif number % 3 == 1:
                spoilt[:4] = random.randbytes(4)
            else:  # a broken middle: decoded as well as it goes, or refused, never a crash
                at = random.randrange(len(spoilt) - 30)
                spoilt[at : at + 30] = random.randbytes(30)
            camera.publish(CompressedImage(format="jpeg", data=bytes(spoilt)))
            rig.peer.spin_for(0.02)  # let the node take it: it keeps one message
            message = CompressedImage(format="jpeg", data=good)
            message.header.stamp.sec = rig.next_stamp()
            rig.send(camera, message)
        assert int(rig.values()["rejected"]) >= 15  # of 40 or so; the others were decodable
    finally:
        rig.close()


def faulty(domain: int, tmp_path: Path, small_weights: Path, *options: str) -> tuple[Rig, Path]:
    """A node that fails while a file exists (see faulty_node.py), and that file."""
    switch = tmp_path / "fail"
    script = (str(Path(__file__).with_name("faulty_node.py")), str(switch))
    options = (f"weights:={small_weights}", "rate:=0.0", *BASE, *options)
    rig = Rig(domain, tmp_path, *options, script=script)
    return rig, switch


def test_a_failing_forward_pass_drops_its_batch_and_the_node_goes_on(
    tmp_path, domain, small_weights
):
    rig, switch = faulty(domain, tmp_path, small_weights, "max_failures:=3")
    try:
        camera = rig.advertise(Image, "/camera/image_raw")
        rig.send(camera, image(0, rig.next_stamp()))
        switch.touch()
        for failed in range(1, 5):
            camera.publish(image(0, rig.next_stamp()))
            rig.count("failed", failed)
        model = rig.values("bisenet: model")
        assert model["level"] == b"\x02" and "injected" in model["message"]
        assert rig.set(overlay_alpha=0.4) == [(True, "")]  # in ERROR, and reachable
        switch.unlink()
        rig.send(camera, image(0, rig.next_stamp()))
        rig.peer.spin_until(
            lambda: status_values(rig.reports[-1], "bisenet: model")["level"] != b"\x02", "recovery"
        )
        assert "Traceback" not in rig.process.output
    finally:
        rig.close()


def test_a_failing_executor_ends_the_process_instead_of_hanging_it(tmp_path, domain, small_weights):
    rig, switch = faulty(domain, tmp_path, small_weights)
    try:
        camera = rig.advertise(Image, "/camera/image_raw")
        rig.send(camera, image(0, rig.next_stamp()))
        switch.with_suffix(".spin").touch()
        assert rig.process.wait() == 1
        assert "injected failure of the executor" in rig.process.output
    finally:
        rig.process.child.kill()
        rig.peer.close()


def test_two_nodes_share_a_domain(tmp_path, domain, small_weights):
    rig = Rig(domain, tmp_path, f"weights:={small_weights}", "rate:=0.0", *BASE)
    other = Process(
        [*node_command(f"weights:={small_weights}", "rate:=0.0", *BASE), "-r", "__node:=second"],
        domain,
        tmp_path / "second.log",
    )
    try:
        masks = rig.peer.collect(Image, "/second/mask")
        camera = rig.peer.node.create_publisher(Image, "/camera/image_raw", 5)
        rig.peer.spin_until(lambda: camera.get_subscription_count() == 2, "both nodes")
        first = rig.send(camera, image(0, rig.next_stamp()))
        rig.peer.spin_until(lambda: masks, "the second node's mask")
        assert bytes(masks[0].data) == bytes(first.data)
    finally:
        assert other.stop() == 0
        rig.close()


def test_signals_at_random_moments_end_in_zero(tmp_path, domain, small_weights):
    """Fifty starts, two at a time, each stopped at a random moment of startup or operation."""
    random.seed(11)
    command = node_command(f"weights:={small_weights}", *BASE)
    slowest = 0.0
    for number in range(25):
        pair = [
            Process([*command, "-r", f"__node:=n{i}"], domain, tmp_path / f"{number}-{i}.log")
            for i in range(2)
        ]
        time.sleep(random.uniform(0.05, 3.5))  # a random moment, not a wait for a condition
        for process in pair:
            sign = random.choice([signal.SIGINT, signal.SIGTERM])
            began = time.monotonic()
            if started(process):
                assert process.stop(sign, patience=10) == 0
                slowest = max(slowest, time.monotonic() - began)
                assert "Traceback" not in process.output
            else:
                process.child.kill()
                process.wait()


def started(process: Process) -> bool:
    """Whether our code is running yet; before that, signals have their default effect."""
    status = Path(f"/proc/{process.child.pid}/status").read_text()
    caught = int(next(x for x in status.splitlines() if x.startswith("SigCgt")).split()[1], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)
