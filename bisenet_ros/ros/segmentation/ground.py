"""~/ground and ~/ground_points: the mask laid onto the ground in front of the robot."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import numpy as np
from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from bisenet_ros.errors import DataError
from bisenet_ros.projection.costs import read_costs
from bisenet_ros.projection.ground import BASE, Grid, Ground, GroundProjector
from bisenet_ros.ros import qos
from bisenet_ros.ros.clouds import Cloud
from bisenet_ros.ros.parameters.definition import Parameters
from bisenet_ros.ros.segmentation.camera_info import CameraInfoRelay
from bisenet_ros.ros.segmentation.camera_pose import CameraPose
from bisenet_ros.ros.segmentation.output_state import OutputState
from bisenet_ros.ros.segmentation.segmented_frame import SegmentedFrame
from bisenet_ros.system.share import preset_file, presets

FindPose = Callable[[Header, Parameters], CameraPose]


class GroundOutput:
    """Publishes grid and obstacle bases of a camera while somebody subscribes to either.

    Args:
        node: owner of the topics.
        prefix: of the output topics.
        calibration: of the camera.
        find_pose: the camera's pose at an image's header; raises DataError.
    """

    def __init__(
        self, node: Node, prefix: str, calibration: CameraInfoRelay, find_pose: FindPose
    ) -> None:
        self._node, self._calibration, self._find_pose = node, calibration, find_pose
        self.state = OutputState(f"{prefix}/ground", node.get_logger())
        self.published = 0
        self.rebuilt = 0
        self.pose: CameraPose | None = None  # of the last grid
        self.seen = self.known = 0.0  # shares of its cells
        self._projector: GroundProjector | None = None
        self._costs: tuple[str, tuple[str, ...], np.ndarray | DataError] | None = None
        self._grid = self._advertise(OccupancyGrid, f"{prefix}/ground")
        self._bases = self._advertise(PointCloud2, f"{prefix}/ground_points")
        self._newest: SegmentedFrame | None = None

    def _advertise(self, kind: type, topic: str) -> Publisher:
        return self._node.create_publisher(
            kind, topic, qos.newest(), qos_overriding_options=qos.overridable()
        )

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes to the grid or the bases."""
        return any(p.get_subscription_count() > 0 for p in (self._grid, self._bases))

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in (self._grid, self._bases):
            self._node.destroy_publisher(publisher)

    def forget_costs(self) -> None:
        """Read the costs file again before the next grid."""
        self._costs = None

    def add(self, frame: SegmentedFrame) -> None:
        """A frame that was segmented; it replaces one that was not yet projected."""
        self._newest = frame

    def work(self) -> bool:
        """Publish the newest frame's ground; whether there was one."""
        frame, self._newest = self._newest, None
        if frame is None:
            return False
        try:
            ground = self._project(frame)
        except Exception as error:  # a calibration may be absurd in ways that nobody thought of
            self.pose = None
            self.state.fail(error)
            return False
        self.state.run()
        header = Header(stamp=frame.header.stamp, frame_id=frame.parameters.ground_frame)
        grid = grid_of(frame.parameters)
        if self._grid.get_subscription_count():
            self._grid.publish(to_occupancy_grid(header, ground.costs, grid))
        if self._bases.get_subscription_count():
            cloud = Cloud(BASE, (1, len(ground.bases)), is_dense=True)
            cloud.points[0] = ground.bases
            self._bases.publish(cloud.under(header))
        self.published += 1
        return True

    def _project(self, frame: SegmentedFrame) -> Ground:
        parameters = frame.parameters
        model = self._calibration.model(
            frame.image_size, frame.mask_size, parameters.image_rectified
        )
        found = self._find_pose(frame.header, parameters)
        grid, costs = grid_of(parameters), self._costs_of(parameters, frame.labels.names)
        projector = self._projector
        if projector is None or projector.grid != grid:
            self._projector = projector = GroundProjector(grid, costs)
        projector.costs, projector.pose_tolerance = costs, parameters.pose_tolerance
        self.rebuilt += projector.update(model, found.pose)
        ground = projector.project(frame.mask)
        assert projector.table is not None
        self.pose, self.seen, self.known = found, projector.table.share, ground.known
        return ground

    def _costs_of(self, parameters: Parameters, names: tuple[str, ...]) -> np.ndarray:
        known = self._costs
        if known is None or known[:2] != (parameters.ground_costs, names):
            table: np.ndarray | DataError
            try:
                table = class_costs(parameters.ground_costs, names)
            except DataError as error:
                table = error
            self._costs = known = parameters.ground_costs, names, table
        if isinstance(known[2], DataError):
            raise known[2]
        return known[2]


def grid_of(parameters: Parameters) -> Grid:
    """The grid that the parameters describe; ArgumentError if they contradict each other."""
    return Grid(
        parameters.ground_resolution,
        parameters.ground_x_min,
        parameters.ground_x_max,
        parameters.ground_y_max,
    )


def class_costs(name: str, classes: tuple[str, ...]) -> np.ndarray:
    """(256,) int8 costs by id from the file that ``ground_costs`` names.

    Args:
        name: a path or the name of a shipped file; empty: the shipped file that knows no other
            classes than these.
        classes: names of the mask's classes.

    Raises:
        DataError: the file does not exist, or does not fit the classes.
    """
    if name:
        return read_costs(preset_file("costs", name), classes)
    for path in presets("costs"):
        try:
            return read_costs(path, classes)
        except DataError:
            continue
    raise DataError(
        f"no file in config/costs fits the classes {', '.join(classes)}; write one and set "
        "ground_costs"
    )


def to_occupancy_grid(header: Header, costs: np.ndarray, grid: Grid) -> OccupancyGrid:
    """The message of (rows, columns) int8 costs; row 0 is the rightmost, column 0 the nearest."""
    message = OccupancyGrid(header=header)
    message.info.map_load_time = header.stamp
    message.info.resolution = float(grid.resolution)
    message.info.height, message.info.width = costs.shape
    message.info.origin.position.x, message.info.origin.position.y = map(float, grid.origin)
    message.info.origin.orientation.w = 1.0
    data = array("b")
    data.frombytes(np.ascontiguousarray(costs).data.cast("B"))
    message.data = data
    return message
