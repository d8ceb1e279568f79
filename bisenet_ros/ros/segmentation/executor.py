"""Start the node, spin it, end it."""

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

LOOK = 0.1  # seconds between looks at the stop flag
# Seconds a thread may keep Python's lock from another. To receive a message takes the lock some
# dozens of times; at the default of 5 ms a thread that loads weights would hold up every frame.
SWITCH = 0.0005
TIMEOUT_S = 0.5  # seconds that callbacks in hand get to end; the whole exit has 2


class FrameExecutor(Executor):
    """Takes messages in the thread that waits for them; all else runs in a pool beside it.

    A message is only put aside here, so that frames are received while a service loads weights.
    rclpy's own executor of several threads hands a message to its pool instead, and hands the
    same task over again until one of its threads has Python's lock: up to hundreds of times a
    frame, for seconds on end. Its shutdown does not wait for callbacks in hand either; one that
    ends after it finds its guard condition gone, which prints an error at exit.
    """

    def __init__(self, num_threads: int, context: Context | None = None) -> None:
        super().__init__(context=context)
        self._pool = ThreadPoolExecutor(num_threads, "callback")
        self._handed: list[Task] = []  # given to the pool and not yet done

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for something to do, for at most ``timeout_sec``, and see to it."""
        try:
            task, entity, _ = self.wait_for_ready_callbacks(timeout_sec=timeout_sec)
        except (ShutdownException, TimeoutException):
            return
        except InvalidHandle:
            # A camera was listened to anew in the pool after rclpy had noted the old subscription
            # and before it waited for it (ros2/rclpy issue 1355). The next look finds the new one.
            return
        if isinstance(entity, Subscription):
            task()
            task.result()  # raises what the callback raised
        elif task not in self._handed:
            self._handed.append(task)
            self._pool.submit(task)
        for done in [task for task in self._handed if task.done()]:
            self._handed.remove(done)
            done.result()

    def drain(self, patience: float) -> bool:
        """Take no more callbacks; False if one still runs after ``patience`` seconds."""
        pool = threading.Thread(target=self._pool.shutdown, daemon=True)
        pool.start()
        pool.join(patience)
        return not pool.is_alive()


def run(arguments: list[str] | None, stop: threading.Event, started: Callable[[], None]) -> int:
    """Run the node until ``stop`` is set; returns the exit code of the process.

    Args:
        arguments: the command line; None for the process' own.
        stop: set by whoever wants the node to end.
        started: called once the node has something to close.
    """
    sys.setswitchinterval(SWITCH)
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
    # One may load other weights while the other reports.
    executor = FrameExecutor(num_threads=2)
    executor.add_node(node)
    code = 0
    try:
        while not stop.is_set():
            executor.spin_once(timeout_sec=LOOK)
    except ExternalShutdownException:
        stop.set()  # somebody shut the context down: the same as a signal
    except Exception:  # ours to mend; the threads still running would keep the process for ever
        traceback.print_exc()
        code = 1
    _end(node, executor, code)
    return code


def _end(node: SegmentationNode, executor: FrameExecutor, code: int) -> None:
    idle = node.close()
    if executor.drain(TIMEOUT_S) and idle:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
        return
    # A forward pass or a loading of seconds holds a thread, and Python would wait for it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
