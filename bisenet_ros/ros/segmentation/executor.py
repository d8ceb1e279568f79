"""Starts, spins and stops the node."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import rclpy
from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.executors import (
    Executor,
    ExternalShutdownException,
    ShutdownException,
    TimeoutException,
)
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription
from rclpy.task import Task

from bisenet_ros.errors import BisenetError
from bisenet_ros.ros.segmentation.node import SegmentationNode

STOP_CHECK_S = 0.1  # seconds between checks of the stop flag
# Seconds a thread may hold the GIL while another waits for it. Receiving a message takes the GIL
# dozens of times; at the default of 5 ms a thread that loads weights would delay every frame.
SWITCH_INTERVAL_S = 0.0005
TIMEOUT_S = 0.5  # seconds for running callbacks to finish; the whole shutdown has 2


class FrameExecutor(Executor):
    """Runs subscription callbacks in the spinning thread and all others in a thread pool.

    A subscription callback here only stores the message, so frames are received even while a
    service loads weights. rclpy's MultiThreadedExecutor hands messages to its pool instead, and
    submits the same task again and again until a pool thread gets the GIL: up to hundreds of
    times per frame, for seconds on end. Nor does its shutdown wait for running callbacks; one
    that ends later finds its guard condition destroyed, which prints an error at exit.
    """

    def __init__(self, num_threads: int, context: Context | None = None) -> None:
        super().__init__(context=context)
        self._pool = ThreadPoolExecutor(num_threads, "callback")
        self._submitted: list[Task] = []  # to the pool, not yet done

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for a ready callback, for at most ``timeout_sec``, and run it."""
        try:
            task, entity, _ = self.wait_for_ready_callbacks(timeout_sec=timeout_sec)
        except (ShutdownException, TimeoutException):
            return
        except InvalidHandle:
            # A pool thread replaced a camera's subscription after rclpy had collected the old one
            # and before it waited on it (ros2/rclpy issue 1355). The next spin finds the new one.
            return
        if isinstance(entity, Subscription):
            task()
            task.result()  # raises what the callback raised
        elif task not in self._submitted:
            self._submitted.append(task)
            self._pool.submit(task)
        for done in [task for task in self._submitted if task.done()]:
            self._submitted.remove(done)
            done.result()

    def drain(self, timeout_s: float) -> bool:
        """Accept no more callbacks; False if one is still running after ``timeout_s`` seconds."""
        pool = threading.Thread(target=self._pool.shutdown, daemon=True)
        pool.start()
        pool.join(timeout_s)
        return not pool.is_alive()


def run(arguments: list[str] | None, stop: threading.Event, started: Callable[[], None]) -> int:
    """Run the node until ``stop`` is set; returns the exit code of the process.

    Args:
        arguments: the command line; None for that of the process.
        stop: set by the caller to end the node.
        started: called once the node has resources to close.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = SegmentationNode()
    except BisenetError as error:
        print(f"segmentation_node: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return error.exit_code
    if node.parameters.autostart:
        node.trigger_configure()
        if node.failure is not None:
            node.destroy_node()
            rclpy.try_shutdown()
            return node.failure.exit_code
        node.trigger_activate()
    started()
    # One can load weights while the other publishes diagnostics.
    executor = FrameExecutor(num_threads=2)
    executor.add_node(node)
    code = 0
    try:
        while not stop.is_set():
            executor.spin_once(timeout_sec=STOP_CHECK_S)
    except ExternalShutdownException:
        stop.set()  # the context was shut down: same as a signal
    except Exception:  # a bug; without an exit the remaining threads would keep the process alive
        traceback.print_exc()
        code = 1
    _shut_down(node, executor, code)
    return code


def _shut_down(node: SegmentationNode, executor: FrameExecutor, code: int) -> None:
    idle = node.close()
    if executor.drain(TIMEOUT_S) and idle:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
        return
    # A forward pass or model loading may occupy a thread for seconds, and Python would wait for it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
