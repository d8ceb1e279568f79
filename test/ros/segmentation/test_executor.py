"""FrameExecutor: subscriptions in the spinning thread, all else once, in the pool."""

from __future__ import annotations

import threading
import time

import pytest
import rclpy
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.waitable import NumberOfEntities, Waitable
from std_msgs.msg import Int32

from bisenet_ros.ros.segmentation.executor import FrameExecutor

ERRORS: list[BaseException] = []  # what callbacks raised in the current test


@pytest.fixture
def spinning(domain):
    ERRORS.clear()
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("spun", context=context)
    executor = FrameExecutor(2, ERRORS.append, context)
    executor.add_node(node)
    yield node, executor
    executor.drain(5.0)
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def spin_until(executor: FrameExecutor, done, patience: float = 30.0) -> None:
    until = time.monotonic() + patience
    while not done():
        assert time.monotonic() < until
        executor.spin_once(timeout_sec=0.1)


def test_messages_come_while_a_callback_takes_its_time(spinning):
    node, executor = spinning
    received: list[int] = []
    threads: set[threading.Thread] = set()
    hold, held = threading.Event(), threading.Event()

    def receive(message: Int32) -> None:
        received.append(message.data)
        threads.add(threading.current_thread())

    def slow() -> None:
        held.set()
        assert hold.wait(30)

    publisher = node.create_publisher(Int32, "/numbers", 50)
    node.create_subscription(
        Int32, "/numbers", receive, 50, callback_group=MutuallyExclusiveCallbackGroup()
    )
    timer = node.create_timer(0.01, slow)
    spin_until(executor, lambda: held.is_set() and publisher.get_subscription_count())
    for i in range(20):
        publisher.publish(Int32(data=i))
    spin_until(executor, lambda: len(received) == 20)
    assert received == list(range(20))
    assert threads == {threading.main_thread()}
    timer.cancel()
    hold.set()


def test_a_callback_is_handed_to_the_pool_once(spinning, monkeypatch):
    node, executor = spinning
    handed: list[object] = []
    submit = executor._pool.submit
    monkeypatch.setattr(executor._pool, "submit", lambda task: (handed.append(task), submit(task)))
    fired: list[int] = []
    busy = threading.Event()

    def fire() -> None:
        fired.append(1)
        busy.wait(0.05)

    timers = [
        node.create_timer(0.02, fire, callback_group=MutuallyExclusiveCallbackGroup())
        for _ in range(4)  # more than the pool has threads, so that some have to wait
    ]
    spin_until(executor, lambda: len(fired) >= 12)
    for timer in timers:
        timer.cancel()
    assert len(set(map(id, handed))) == len(handed) >= len(fired)


class Dying(Waitable):
    """Destroyed by another thread just before rclpy waits for it."""

    def __init__(self, node: Node) -> None:
        super().__init__(MutuallyExclusiveCallbackGroup())
        self.node, self.asked = node, 0

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def get_num_entities(self) -> NumberOfEntities:
        return NumberOfEntities()

    def is_ready(self, wait_set: object) -> bool:
        return False

    def add_to_wait_set(self, wait_set: object) -> None:
        self.asked += 1
        self.node.remove_waitable(self)
        gone = self.node.create_guard_condition(print)
        gone.destroy()
        with gone.handle:
            raise AssertionError("a handle that was destroyed could be used")


def test_what_is_destroyed_meanwhile_does_not_end_the_spinning(spinning):
    node, executor = spinning
    dying = Dying(node)
    node.add_waitable(dying)
    fired: list[int] = []
    timer = node.create_timer(0.01, lambda: fired.append(1))
    spin_until(executor, lambda: dying.asked and len(fired) >= 3)
    timer.cancel()
    assert dying.asked == 1


def test_what_a_callback_raises_is_reported_and_survived(spinning):
    node, executor = spinning

    def fail() -> None:
        raise KeyError("on purpose")

    timer = node.create_timer(0.01, fail)
    publisher = node.create_publisher(Int32, "/numbers", 5)
    node.create_subscription(Int32, "/numbers", lambda message: fail(), 5)
    spin_until(executor, lambda: publisher.get_subscription_count() and len(ERRORS) >= 2)
    timer.cancel()
    before = len(ERRORS)
    publisher.publish(Int32(data=1))
    spin_until(executor, lambda: len(ERRORS) > before)
    assert all(isinstance(error, KeyError) for error in ERRORS)
