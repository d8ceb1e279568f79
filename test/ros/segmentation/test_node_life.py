"""Starts that must fail, states, simulated time, and the end of the process."""

from __future__ import annotations

import signal
import time

import pytest
import torch
from harness import Peer, Process
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rig import BASE, Rig, image, node_command
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from bisenet_ros.ros.segmentation.scheduler import STALLED_S


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["weights:=/nowhere/none.safetensors"], 3, "/nowhere/none.safetensors"),
        (["weights:={cut}"], 3, "cut.safetensors"),
        (["num_classes:=7"], 3, "3 classes, but num_classes is 7"),
        (["input_width:=640", "input_height:=480"], 3, "trained at 128×96"),
        (["input_width:=640"], 2, "input_height"),
        (["rate:=-3.0"], 2, "rate"),
        (["image_transport:=theora"], 2, "raw, compressed"),
        (["precision:=fp16"], 2, "fp16 needs a GPU"),
        (["engine:=warp"], 2, "auto, openvino, torch"),
        (["weights:=17"], 2, "weights"),
    ],
)
def test_bad_starts_end_with_one_line_and_a_code(
    start, tmp_path, small_weights, options, code, said
):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(small_weights.read_bytes()[:5000])
    given = [option.format(cut=cut) for option in options]
    if not any(option.startswith("weights") for option in given):
        given.append(f"weights:={small_weights}")
    process = start(node_command("device:=cpu", *given))
    assert process.wait() == code
    lines = [line for line in process.output.splitlines() if said in line]
    assert len(lines) == 1
    assert "Traceback" not in process.output


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_refuses_to_start(start, small_weights):
    process = start(node_command("device:=cuda", f"weights:={small_weights}"))
    assert process.wait() == 2
    assert "device:=cpu" in process.output


def test_another_input_size_runs_when_it_is_allowed(tmp_path, domain, small_weights):
    options = ("input_width:=64", "input_height:=40", "any_input_size:=true")
    rig = Rig(domain, tmp_path, f"weights:={small_weights}", "rate:=0.0", *options, *BASE)
    try:
        camera = rig.advertise(Image, "/camera/image_raw")
        assert rig.send(camera, image(1, 1)).width == 80
        assert rig.values("bisenet: model")["input_size"] == "64x40"
    finally:
        rig.close()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_running_node_with_zero_and_no_noise(tmp_path, domain, small_weights, sign):
    rig = Rig(domain, tmp_path, f"weights:={small_weights}", "rate:=0.0", *BASE)
    try:
        camera = rig.advertise(Image, "/camera/image_raw")
        rig.send(camera, image(0, 1))
        # Its stamps are of 1970: said a moment later, and not to be taken for noise of the end.
        rig.peer.spin_until(lambda: "clock mismatch" in rig.process.output, "the warning")
        camera.publish(image(0, 2))  # so that something is under way
        before = rig.process.output
        assert rig.process.stop(sign, patience=10) == 0
        assert rig.process.output.replace(before, "").strip() == ""
    finally:
        rig.close()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay", [0.3, 1.0, 2.0, 3.0])
def test_signals_end_a_starting_node_with_zero(start, small_weights, sign, delay):
    process = start(node_command(f"weights:={small_weights}", *BASE))
    time.sleep(delay)  # a moment of start-up, whichever; not a wait for a condition
    assert process.stop(sign, patience=10) == 0
    assert "Traceback" not in process.output


def test_a_managed_node_follows_its_manager(tmp_path, domain, small_weights):
    rig = Rig(domain, tmp_path, f"weights:={small_weights}", "autostart:=false", *BASE)
    try:
        node = rig.peer.node
        change = node.create_client(ChangeState, "/bisenet/change_state")
        ask = node.create_client(GetState, "/bisenet/get_state")

        def state() -> str:
            return rig.call(ask, GetState.Request()).current_state.label

        def go(transition: int) -> bool:
            request = ChangeState.Request(transition=Transition(id=transition))
            return rig.call(change, request).success

        assert state() == "unconfigured"
        assert rig.set(weights="/nowhere/none.safetensors")[0][0]  # nothing loaded yet
        assert not go(Transition.TRANSITION_CONFIGURE)
        assert state() == "unconfigured"
        assert "/nowhere/none.safetensors" in rig.process.output
        assert rig.set(weights=str(small_weights), rate=0.0)[0][0]
        for _ in range(2):  # a second life must be as good as the first
            assert go(Transition.TRANSITION_CONFIGURE) and state() == "inactive"
            assert go(Transition.TRANSITION_ACTIVATE) and state() == "active"
            camera = rig.advertise(Image, "/camera/image_raw")
            rig.send(camera, image(1, rig.next_stamp()))
            assert go(Transition.TRANSITION_DEACTIVATE) and state() == "inactive"
            rig.peer.spin_until(
                lambda ears=camera: ears.get_subscription_count() == 0, "nobody to listen"
            )
            assert go(Transition.TRANSITION_CLEANUP) and state() == "unconfigured"
            rig.peer.spin_until(lambda: not node.count_publishers("/bisenet/mask"), "no outputs")
            node.destroy_publisher(camera)
        assert go(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
        assert state() == "finalized"
    finally:
        rig.close()


def test_remapping_image_names_the_camera(tmp_path, domain, small_weights):
    command = [*node_command(f"weights:={small_weights}", "rate:=0.0", *BASE), "-r", "image:=/eye"]
    process = Process(command, domain, tmp_path / "node.log")
    peer = Peer(domain)
    try:
        eye = peer.node.create_publisher(Image, "/eye", 5)
        masks = peer.collect(Image, "/bisenet/mask")
        peer.spin_until(lambda: eye.get_subscription_count() > 0, "a subscription to /eye")
        peer.spin_until(lambda: eye.publish(image(0, 1)) or masks, "a mask")
    finally:
        peer.close()
        assert process.stop() == 0


def test_under_simulated_time_the_rate_follows_the_clock(tmp_path, domain, small_weights):
    """Frames come all the time, the clock moves by hand: one mask for each tick it passes."""
    options = ("use_sim_time:=true", "rate:=10.0")
    rig = Rig(domain, tmp_path, f"weights:={small_weights}", *options, *BASE)
    try:
        clock = rig.peer.node.create_publisher(Clock, "/clock", 10)
        rig.peer.spin_until(lambda: clock.get_subscription_count() > 0, "a subscription to /clock")
        camera = rig.advertise(Image, "/camera/image_raw")

        def on_progress(tenths: float) -> None:
            message = Clock()
            message.clock.sec, rest = divmod(int(tenths * 100_000_000), 1_000_000_000)
            message.clock.nanosec = rest
            clock.publish(message)

        def step(tenths: float) -> None:
            """Move the clock and send frames until the tick's one mask is there."""
            seen = len(rig.masks)

            def served() -> bool:
                on_progress(tenths)
                camera.publish(image(0, rig.next_stamp()))
                rig.peer.spin_for(0.05)
                return len(rig.masks) > seen

            rig.peer.spin_until(served, f"a mask at {tenths} tenths")

        def heard() -> bool:
            on_progress(10_000.5)  # again and again: /clock is best-effort
            return any(report.header.stamp.sec == 1_000 for report in rig.reports)

        rig.peer.spin_until(heard, "a report under the clock")
        step(10_000.5)
        longest = 0.0
        for _ in range(5):  # the clock stands: no more masks while frames come
            before = time.monotonic()
            camera.publish(image(0, rig.next_stamp()))
            rig.peer.spin_for(0.05)
            longest = max(longest, time.monotonic() - before)
        assert len(rig.masks) == 1 or longest > STALLED_S / 2  # the machine had no time for us
        rig.peer.spin_until(lambda: len(rig.masks) >= 2, "the last frame, when nothing comes")
        served_so_far = len(rig.masks)
        for tenths in (10_001.5, 10_002.5, 5_000.5, 5_001.5):  # the bag begins again at 5_000
            step(tenths)
        assert len(rig.masks) <= served_so_far + 4 * 2  # the waiting one and one more
        assert rig.values()["target_fps"] == "10.000"
    finally:
        rig.close()
