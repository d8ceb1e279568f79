"""What other programs may send to the node's services, parameters and clock, and it goes on."""

from __future__ import annotations

import signal
import time

import pytest
import torch
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from rig import BASE, Rig, image, node_command, serving
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool

from bisenet_ros.checkpoints import load, save

PARTS = ("published", "superseded", "rejected", "failed", "dropped", "pending")


@pytest.fixture(scope="module")
def rig(tmp_path_factory, small_weights):
    with serving(tmp_path_factory.mktemp("rig"), small_weights) as made:
        yield made


@pytest.fixture(scope="module")
def camera(rig):
    return rig.advertise(Image, "/camera/image_raw")


def counts(rig: Rig) -> dict[str, int]:
    values = rig.values()
    found = {name: int(values[name]) for name in ("received", *PARTS)}
    assert found["received"] == sum(found[part] for part in PARTS), found
    return found


def test_a_parameter_of_no_known_type_is_logged_and_survived(rig, camera):
    client = rig.peer.node.create_client(SetParameters, "/bisenet/set_parameters")
    rig.peer.spin_until(client.service_is_ready, "the parameter service")
    request = SetParameters.Request()
    request.parameters = [Parameter(name="rate", value=ParameterValue(type=99))]
    client.call_async(request)  # rclpy answers nothing: its own callback raises
    rig.peer.spin_until(lambda: "a callback failed" in rig.process.output, "the log line")
    rig.send(camera, image(1, rig.next_stamp()))
    assert int(rig.values("bisenet: model")["callback_errors"]) >= 1


def test_a_rate_of_next_to_nothing_is_refused(rig, camera):
    ((successful, reason),) = rig.set(rate=1e-11)
    assert not successful and "0.01" in reason
    rig.send(camera, image(2, rig.next_stamp()))


def test_every_frame_is_accounted_for_while_disabled(rig, camera):
    client = rig.peer.node.create_client(SetBool, "/bisenet/enable")
    dropped = counts(rig)["dropped"]
    assert rig.call(client, SetBool.Request(data=False)).success
    for _ in range(5):
        camera.publish(image(0, rig.next_stamp()))
        rig.peer.spin_for(0.05)
    rig.peer.spin_until(lambda: counts(rig)["dropped"] > dropped, "dropped frames")
    assert rig.call(client, SetBool.Request(data=True)).success
    rig.send(camera, image(0, rig.next_stamp()))
    assert counts(rig)["pending"] == 0


def test_weights_that_compute_nan_are_refused_and_the_old_ones_stay(
    rig, camera, small_weights, tmp_path
):
    network, card = load(small_weights)
    with torch.no_grad():
        network.head.conv_out[1].weight.fill_(3e38)
    path = save(tmp_path / "wild.safetensors", network, card)
    ((successful, reason),) = rig.set(weights=str(path))
    assert not successful and "NaN or infinity" in reason and "wild.safetensors" in reason
    rig.send(camera, image(3, rig.next_stamp()))


def test_a_clock_of_negative_seconds_is_logged_and_survived(tmp_path, domain, small_weights):
    options = (f"weights:={small_weights}", "rate:=0.0", "use_sim_time:=true")
    rig = Rig(domain, tmp_path, *options, *BASE)
    try:
        clock = rig.advertise(Clock, "/clock")
        camera = rig.advertise(Image, "/camera/image_raw")
        message = Clock()
        message.clock.sec = -5

        def logged() -> bool:
            clock.publish(message)
            return "a callback failed" in rig.process.output

        rig.peer.spin_until(logged, "the log line")
        message.clock.sec = 5
        clock.publish(message)
        rig.send(camera, image(1, rig.next_stamp()))
    finally:
        rig.close()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_signals_that_come_while_the_node_ends_change_nothing(
    tmp_path, domain, small_weights, sign
):
    rig = Rig(domain, tmp_path, f"weights:={small_weights}", *BASE)
    rig.peer.spin_until(lambda: "ready" in rig.process.output, "the node")
    child = rig.process.child
    while child.poll() is None:
        child.send_signal(sign)
        time.sleep(0.01)
    rig.close()
    assert child.returncode == 0, rig.process.output


@pytest.mark.parametrize(
    ("extra", "environment"),
    [(("-r", "__ns:=/not valid"), {}), ((), {"ROS_LOG_DIR": "/proc/no/such/folder"})],
)
def test_what_rcl_refuses_is_one_line(start, extra, environment, small_weights):
    command = [*node_command(f"weights:={small_weights}"), *extra]
    process = start(command, **environment)
    assert process.wait() == 2, process.output
    assert "Traceback" not in process.output
    assert "segmentation_node: " in process.output.strip().splitlines()[-1]
