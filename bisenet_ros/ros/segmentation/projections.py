"""Ground grids and points of a camera, computed beside the inference thread.

Masks do not wait for them: while the grid of one frame is laid out, the next image can already be
in the network. Nothing is computed, received or kept for an output that has no subscriber.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node

from bisenet_ros.ros.segmentation.camera_info import CameraInfoRelay
from bisenet_ros.ros.segmentation.ground import FindPose, GroundOutput
from bisenet_ros.ros.segmentation.points import PointsOutput
from bisenet_ros.ros.segmentation.segmented_frame import SegmentedFrame
from bisenet_ros.ros.segmentation.statistics import CameraStatistics


class Projections:
    """Ground and points of one camera.

    Args:
        node: owner of the topics.
        depth_topic: of the camera; empty: none.
        prefix: of the output topics.
        group: callback group of the camera.
        calibration: of the camera.
        find_pose: the camera's pose at an image's header.
        statistics: of the camera; gets the times.
    """

    def __init__(
        self,
        node: Node,
        depth_topic: str,
        prefix: str,
        group: CallbackGroup,
        calibration: CameraInfoRelay,
        find_pose: FindPose,
        statistics: CameraStatistics,
    ) -> None:
        self.wake: Callable[[], None] = lambda: None  # of the thread that works
        self.ground = GroundOutput(node, prefix, calibration, find_pose)
        self.points = PointsOutput(
            node, depth_topic, prefix, group, calibration, lambda: self.wake()
        )
        self._statistics, self._calibration = statistics, calibration

    def subscribe(self) -> None:
        """Follow the subscribers of the outputs; call again and again."""
        self.points.subscribe()
        if not self.ground.wanted:
            self.ground.state.run()

    def unsubscribe(self) -> None:
        """Stop receiving depth."""
        self.points.unsubscribe()

    def close(self) -> None:
        """Destroy publishers and subscriptions."""
        self.points.close()
        self.ground.close()

    def add(self, frame: SegmentedFrame) -> None:
        """Take a frame that was segmented, if somebody wants what comes of it."""
        ground, points = self.ground.wanted, self.points.wanted
        if ground:
            self.ground.add(frame)
        if points:
            self.points.add(frame)
        if ground or points:
            self.wake()

    def work(self, now: Callable[[], float]) -> None:
        """Publish what is ready; ``now`` gives seconds on the node's clock."""
        for name, output in (("ground", self.ground), ("points", self.points)):
            started = time.perf_counter()
            if output.work():
                self._statistics.projected(name, now(), 1e3 * (time.perf_counter() - started))

    @property
    def problems(self) -> list[str]:
        """Why outputs pause."""
        states = (self.ground.state, self.points.state, self._calibration.state)
        return [f"{state.name} paused: {state.problem}" for state in states if state.problem]

    def values(self) -> dict[str, object]:
        """What diagnostics report of them."""
        ground, points = self.ground, self.points
        pose = ground.pose
        return {
            "ground_published": ground.published,
            "ground_pose": "none" if pose is None else pose.source,
            "ground_pose_age_ms": float("nan") if pose is None else 1e3 * pose.age_s,
            "ground_seen_share": ground.seen,
            "ground_known_share": ground.known,
            "ground_tables_made": ground.rebuilt,
            "points_published": points.published,
            "points_unpaired": points.pairing.unpaired,
        }


class ProjectionThread:
    """Runs the projections of all cameras whenever one of them is woken.

    Args:
        cameras: what to run.
        now: seconds on the node's clock.
        failed: called with what a projection raised by mistake; the thread goes on.
    """

    def __init__(
        self,
        cameras: Iterable[Projections],
        now: Callable[[], float],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._cameras, self._now, self._failed = list(cameras), now, failed
        self._woken = threading.Event()
        self._stopped = False
        for camera in self._cameras:
            camera.wake = self._woken.set
        self._thread = threading.Thread(target=self._run, name="projection", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 0.4) -> bool:
        """End after what is being computed; False if it takes longer than ``timeout_s``."""
        self._stopped = True
        self._woken.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self._woken.wait()
            self._woken.clear()
            for camera in self._cameras:
                if self._stopped:
                    return
                try:
                    camera.work(self._now)
                except Exception as error:  # a bug must not end the thread silently
                    self._failed(error)
