"""Any parameter request and any clock message: no exception leaves, and good frames are served."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rig import BASE, Rig, image, serving
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from bisenet_ros.ros.parameters.definition import FIELDS, checked

REQUESTS = 150
CLOCKS = 100
ABUSE = settings(
    max_examples=REQUESTS,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    deadline=None,
)
NUMBERS = st.one_of(st.floats(), st.sampled_from([0.0, -1.0, 1e308, 5e-324]))
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
# `weights` is left out of the values that could be right: it would load files a hundred times.
NAMES = st.one_of(st.sampled_from(sorted(FIELDS)), WORDS)


@st.composite
def parameters(draw: st.DrawFn) -> Parameter:
    """A parameter of any name, type and value, including types that do not exist."""
    value = ParameterValue(
        type=draw(st.one_of(st.integers(0, 9), st.integers(0, 255))),
        bool_value=draw(st.booleans()),
        integer_value=draw(INTEGERS),
        double_value=draw(NUMBERS),
        string_value=draw(WORDS),
        byte_array_value=[bytes([b]) for b in draw(st.binary(max_size=3))],
        bool_array_value=draw(st.lists(st.booleans(), max_size=3)),
        integer_array_value=draw(st.lists(INTEGERS, max_size=3)),
        double_array_value=draw(st.lists(NUMBERS, max_size=3)),
        string_array_value=draw(st.lists(WORDS, max_size=3)),
    )
    return Parameter(name=draw(NAMES), value=value)


@pytest.fixture(scope="module")
def rig(tmp_path_factory, small_weights):
    with serving(tmp_path_factory.mktemp("rig"), small_weights) as made:
        yield made


def test_any_parameter_request_is_survived(rig):
    camera = rig.advertise(Image, "/camera/image_raw")
    node = rig.peer.node
    clients = [
        node.create_client(SetParameters, "/bisenet/set_parameters"),
        node.create_client(SetParametersAtomically, "/bisenet/set_parameters_atomically"),
    ]
    for client in clients:
        rig.peer.spin_until(client.service_is_ready, client.srv_name)
    sent = 0

    @ABUSE
    @given(which=st.integers(0, 1), asked=st.lists(parameters(), min_size=1, max_size=3))
    def abuse(which: int, asked: list[Parameter]) -> None:
        nonlocal sent
        sent += 1
        kind = (SetParameters, SetParametersAtomically)[which]
        clients[which].call_async(kind.Request(parameters=asked))  # some are never answered
        rig.peer.spin_for(0.01)
        if sent % 50 == 0:
            settle(rig, camera)

    abuse()
    settle(rig, camera)
    assert sent >= REQUESTS // 2


def settle(rig: Rig, camera) -> None:
    """Whatever was set, a frame is served once the rate allows it."""
    assert all(ok for ok, _ in rig.set(rate=0.0, confidence_threshold=0.0))
    rig.send(camera, image(1, rig.next_stamp()))


def test_any_clock_is_survived(tmp_path, domain, small_weights):
    options = (f"weights:={small_weights}", "rate:=0.0", "use_sim_time:=true")
    rig = Rig(domain, tmp_path, *options, *BASE)
    try:
        clock = rig.advertise(Clock, "/clock")
        camera = rig.advertise(Image, "/camera/image_raw")
        seconds = st.one_of(st.integers(-(2**31), 2**31 - 1), st.integers(-3, 3))

        @settings(ABUSE, max_examples=CLOCKS)
        @given(sec=seconds, nanosec=st.one_of(st.integers(0, 2**32 - 1), st.integers(0, 10**9)))
        def abuse(sec: int, nanosec: int) -> None:
            message = Clock()
            message.clock.sec, message.clock.nanosec = sec, nanosec
            clock.publish(message)
            camera.publish(image(0, rig.next_stamp()))
            rig.peer.spin_for(0.01)

        abuse()
        message = Clock()
        message.clock.sec = 5
        clock.publish(message)
        rig.send(camera, image(2, rig.next_stamp()))
    finally:
        rig.close()


@settings(max_examples=500)
@given(
    name=st.sampled_from(sorted(FIELDS)),
    value=st.one_of(
        st.none(), st.booleans(), INTEGERS, NUMBERS, WORDS, st.lists(st.one_of(WORDS, NUMBERS))
    ),
)
def test_any_value_is_taken_or_refused_with_what_is_expected(name, value):
    from bisenet_ros.errors import ArgumentError

    try:
        found = checked(name, value)
    except ArgumentError as error:
        assert name in str(error) and "\n" not in str(error) and "expected" in str(error)
        return
    assert checked(name, found) == found
