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

from bisenet_ros.errors import ArgumentError, BisenetError
from bisenet_ros.ros.segmentation.node import SegmentationNode
from bisenet_ros.system.shared_memory import remove_stale_segments

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

    Args:
        num_threads: of the pool.
        on_error: called with what a callback raised; spinning goes on.
        context: of the nodes; None for the default one.
    """

    def __init__(
        self,
        num_threads: int,
        on_error: Callable[[BaseException], None],
        context: Context | None = None,
    ) -> None:
        super().__init__(context=context)
        self._on_error = on_error
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
        except UnicodeDecodeError as error:
            # A message whose string is not UTF-8 cannot be taken; the next one can.
            self._on_error(error)
            return
        if isinstance(entity, Subscription):
            task()
            self._report(task)
        elif task not in self._submitted:
            self._submitted.append(task)
            self._pool.submit(task)
        for done in [task for task in self._submitted if task.done()]:
            self._submitted.remove(done)
            self._report(done)

    def _report(self, done: Task) -> None:
        error = done.exception()
        if error is not None and not isinstance(error, ExternalShutdownException):
            self._on_error(error)

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
    try:
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        node = SegmentationNode()
    except BisenetError as error:
        return _fail_start(str(error), error.exit_code)
    except Exception as error:  # a log folder or a namespace that rcl does not accept
        return _fail_start(" ".join(str(error).split()), ArgumentError.exit_code)
    if node.parameters.clean_shared_memory and (stale := remove_stale_segments()):
        node.get_logger().info(f"removed {len(stale)} stale Fast DDS shared-memory segments")
    if node.parameters.autostart:
        node.trigger_configure()
        if node.failure is not None:
            node.destroy_node()
            rclpy.try_shutdown()
            return node.failure.exit_code
        node.trigger_activate()
    started()
    # One can load weights while the other publishes diagnostics.
    executor = FrameExecutor(num_threads=2, on_error=node.callback_failed)
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


def _fail_start(reason: str, code: int) -> int:
    print(f"segmentation_node: {reason}", file=sys.stderr)
    rclpy.try_shutdown()
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
