"""The mask laid onto the ground: an occupancy grid and the places where obstacles stand.

Only what lies on the ground z = 0 can be projected from one image. So each viewing ray is followed
outwards over the ground until it meets the first obstacle; what the image shows there is the
obstacle's foot, and what it shows further out is the obstacle again or hidden by it.

The ground around the camera's foot point is sampled at fixed nodes, by azimuth and distance. Which
pixel sees a node and which nodes lie in a cell depends on camera, pose and grid only and is looked
up in tables; a frame costs a few gathers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.labels import UNLABELLED
from bisenet_ros.projection.camera_model import CameraModel, nearest_pixels
from bisenet_ros.projection.costs import LETHAL, UNKNOWN
from bisenet_ros.projection.pose import Pose

SAMPLES = 3  # per side of a cell
# How far the centre of the nearest pixel may be from the place that is looked up, in cells. With
# the distance between samples it is one cell: what a cell says is true of it or of its neighbour.
_MAX_BLUR = 1 - 1 / SAMPLES
_EDGE = 4 * SAMPLES  # nodes at the image's edge, where cells are seen in part
_NEVER = 1_000_000  # number of a distance that no ray reaches
_MAX_CELLS = 500_000
_MAX_NODES = 8_000_000
_BLOCK = 32  # azimuths worked on at a time: what one block needs stays in the processor's cache
_AWAY = 0.5 * np.array([[1, 1], [1, -1]])  # half a pixel in both directions

BASE = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("label", "<u4")])


@dataclass(frozen=True)
class Grid:
    """The part of the ground that is looked at; metres in the ground frame.

    Attributes:
        resolution: side of a cell.
        x_min: where the grid begins ahead.
        x_max: where it ends.
        y_max: how far it reaches to either side.
    """

    resolution: float = 0.05
    x_min: float = 0.3
    x_max: float = 8.0
    y_max: float = 4.0

    def __post_init__(self) -> None:
        values = (self.resolution, self.x_min, self.x_max, self.y_max)
        if not all(map(math.isfinite, values)) or self.resolution <= 0:
            raise ArgumentError(
                f"ground grid: resolution {self.resolution}, x {self.x_min} to {self.x_max}, y "
                f"±{self.y_max}; expected finite metres and a resolution above 0"
            )
        if self.x_max - self.x_min < self.resolution or self.y_max < self.resolution:
            raise ArgumentError(
                f"ground grid reaches from x {self.x_min} to {self.x_max} and y ±{self.y_max}; "
                f"expected at least one cell of {self.resolution} m"
            )
        rows, columns = self.shape
        if rows * columns > _MAX_CELLS:
            raise ArgumentError(
                f"the ground grid has {rows}×{columns} cells; expected at most {_MAX_CELLS}; raise "
                "ground_resolution or lower ground_x_max and ground_y_max"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(rows along y, columns along x), as OccupancyGrid's (height, width)."""
        rows = math.ceil(2 * self.y_max / self.resolution - 1e-6)
        return rows, math.ceil((self.x_max - self.x_min) / self.resolution - 1e-6)

    @property
    def origin(self) -> tuple[float, float]:
        """Corner of the first cell, x and y."""
        return self.x_min, -self.y_max


@dataclass(frozen=True)
class Ground:
    """What one mask says of the ground.

    Attributes:
        costs: (rows, columns) int8 as in OccupancyGrid.data: 0 free … 100 lethal, −1 unknown;
            row 0 is the rightmost, column 0 the nearest.
        bases: (n,) of :data:`BASE`: where viewing rays meet their first obstacle and its class id,
            metres in the ground frame, z = 0. Where an obstacle's foot is out of the image, that
            is the first place at which it is in it.
        known: share of the cells that are not unknown.
    """

    costs: np.ndarray
    bases: np.ndarray
    known: float


class GroundTable:
    """Which pixel sees which place on the ground, for one camera, pose and grid.

    Args:
        camera: of the masks' size.
        pose: of the camera over the ground.
        grid: see :class:`Grid`.

    Attributes:
        seen: (rows, columns) bool: cells that are in the image with enough pixels.
        share: how many of the cells those are.

    Raises:
        DataError: the camera is not above the ground, or sees none of the grid.
        ArgumentError: the grid is too fine for its size.
    """

    def __init__(self, camera: CameraModel, pose: Pose, grid: Grid) -> None:
        self.camera, self.pose, self.grid = camera, pose, grid
        if pose.translation[2] <= 0:
            raise DataError(
                f"the camera is {pose.translation[2]:.3f} m above the ground plane; expected more "
                "than 0; correct camera_height or the transform to the ground frame"
            )
        self.seen = self._resolved()
        self.share = float(self.seen.mean())
        if not self.seen.any():
            raise DataError(
                "the camera sees none of the ground grid with at least a pixel per cell; correct "
                "its pose (camera_pitch is positive when it looks down) or the grid's limits"
            )
        self._lay_nodes(_sample_places(grid)[self.seen])
        self._cells = np.flatnonzero(self.seen)
        self._frame = _Frame(self.shape)

    @property
    def shape(self) -> tuple[int, int]:
        """(azimuths, distances) of the nodes."""
        return len(self.azimuths), len(self.distances)

    def project(self, mask: np.ndarray, costs: np.ndarray) -> Ground:
        """Lay a mask onto the ground.

        Args:
            mask: (H, W) uint8 class ids of the camera's size, 255 unlabelled.
            costs: (256,) int8 of :func:`.costs.read_costs`; 100 is an obstacle.

        Raises:
            ValueError: the mask has another size or type.
        """
        expected = (self.camera.height, self.camera.width)
        if mask.shape != expected or mask.dtype != np.uint8:
            raise ValueError(f"mask is {mask.dtype} {mask.shape}; expected uint8 {expected}")
        frame = self._frame
        np.take(mask.reshape(-1), self._pixels, out=frame.classes, mode="clip")
        np.bitwise_or(frame.classes, self._outside, out=frame.classes)
        cv2.LUT(frame.classes, costs.reshape(1, 256), dst=frame.costs)
        first = frame.first_obstacle(self._starts)
        stray = self._stray(first)
        np.greater(self._steps, (first - stray)[:, None], out=frame.hidden)
        np.copyto(frame.costs, UNKNOWN, where=frame.hidden)
        return self._result(np.where(stray, len(self.distances), first))

    def _stray(self, first: np.ndarray) -> np.ndarray:
        """(azimuths,) bool: rays that pass an obstacle by less than a pixel.

        Pixels at an obstacle's edge show it to such a ray, but somewhere along its side or behind
        it, where nothing stands. It meets its first obstacle more than a cell behind its neighbours
        on one side, and those on the other side meet theirs, if any, much further out. Along a
        wall, however slanted, the distances grow steadily.
        """
        count = self._pixel_rays
        first = np.where(first < len(self.distances), first, _NEVER)
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(first, count, "edge"), count)
        right, left = windows[: len(first)], windows[count + 1 :]
        stray = np.zeros(len(first), np.bool_)
        for near, far in ((right.min(1), left.max(1)), (left.min(1), right.max(1))):
            behind = first - near
            stray |= (behind > SAMPLES) & (far - first > 2 * behind + SAMPLES)
        return stray & (first < _NEVER)

    def _result(self, first: np.ndarray) -> Ground:
        rays = np.flatnonzero(first < len(self.distances))
        steps = first[rays]
        cells = self._node_cells[rays, steps]
        rays, steps, cells = rays[cells >= 0], steps[cells >= 0], cells[cells >= 0]
        flat = np.full(self.seen.size, UNKNOWN, np.int8)
        flat[self._cells] = self._highest()
        flat[cells] = LETHAL
        bases = np.zeros(len(rays), BASE)
        bases["x"], bases["y"] = self.place(rays, steps)
        bases["label"] = self._frame.classes[rays, steps]
        known = float(np.count_nonzero(flat != UNKNOWN) / flat.size)
        return Ground(flat.reshape(self.seen.shape), bases, known)

    def _highest(self) -> np.ndarray:
        """(seen cells,) int8: the highest cost among a cell's samples."""
        costs = self._frame.costs.reshape(-1)
        highest = np.take(costs, self._cell_nodes[0], mode="clip")
        one = np.empty_like(highest)
        for nodes in self._cell_nodes[1:]:
            np.maximum(highest, np.take(costs, nodes, out=one, mode="clip"), out=highest)
        return highest

    def place(self, ray: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nodes of these azimuths and distances: x and y in the ground frame."""
        distance, azimuth = self.distances[step], self.azimuths[ray]
        x, y, _ = self.pose.translation
        return x + distance * np.cos(azimuth), y + distance * np.sin(azimuth)

    def node(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (azimuth, distance) of the nodes nearest to places in the ground frame."""
        x, y = x - self.pose.translation[0], y - self.pose.translation[1]
        azimuth = np.arctan2(y, x) - self.azimuths[0]
        azimuth = azimuth - 2 * np.pi * np.floor(azimuth / (2 * np.pi) + 1e-9)
        ray = np.rint(azimuth / self._azimuth_step).astype(np.intp)
        step = np.rint((np.hypot(x, y) - self.distances[0]) / self._distance_step).astype(np.intp)
        return (
            np.clip(ray, 0, len(self.azimuths) - 1),
            np.clip(step, 0, len(self.distances) - 1),
        )

    def _project(self, places: np.ndarray) -> np.ndarray:
        """(…, 2) places on the ground → (…, 2) pixels, NaN where the camera does not see."""
        points = np.concatenate([places, np.zeros((*places.shape[:-1], 1))], -1)
        return self.camera.project(self.pose.to_optical(points))

    def _resolved(self) -> np.ndarray:
        """(rows, columns) bool: cells wholly in the image, footprint and blur as they should be."""
        pixels = self._project(_corner_places(self.grid))
        inside = nearest_pixels(pixels, self.camera.height, self.camera.width) >= 0
        # Pixels per cell along each axis, from opposite sides.
        along_x, along_y = np.diff(pixels, axis=1), np.diff(pixels, axis=0)
        along_x, along_y = (along_x[1:] + along_x[:-1]) / 2, (along_y[:, 1:] + along_y[:, :-1]) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            area = along_x[..., 0] * along_y[..., 1] - along_x[..., 1] * along_y[..., 0]
            # The inverse: cells per pixel. Half a pixel off is at most this far on the ground.
            cells_x = np.stack([along_y[..., 1], -along_y[..., 0]], -1) / area[..., None]
            cells_y = np.stack([-along_x[..., 1], along_x[..., 0]], -1) / area[..., None]
            blur = np.maximum(np.abs(cells_x @ _AWAY.T), np.abs(cells_y @ _AWAY.T)).max(-1)
            whole = inside[1:, 1:] & inside[1:, :-1] & inside[:-1, 1:] & inside[:-1, :-1]
            return whole & (np.abs(area) >= 1) & (blur <= _MAX_BLUR)

    def _lay_nodes(self, samples: np.ndarray) -> None:
        """Make the tables of nodes that reach over these samples, (n, SAMPLES, SAMPLES, 2)."""
        spacing = self.grid.resolution / SAMPLES
        offset = (samples - self.pose.translation[:2]).reshape(-1, 2)
        distance, azimuth = np.hypot(*offset.T), np.arctan2(offset[:, 1], offset[:, 0])
        # Angles from the middle of what is seen, so that the seam lies behind.
        middle = math.atan2(np.sin(azimuth).sum(), np.cos(azimuth).sum())
        azimuth = (azimuth - middle + np.pi) % (2 * np.pi) - np.pi
        self._distance_step = spacing
        self._azimuth_step = min(spacing / float(distance.max()), 0.1)
        rays = math.ceil(float(np.ptp(azimuth)) / self._azimuth_step) + 1
        steps = math.ceil(float(distance.max()) / spacing) + 1
        if rays * steps > _MAX_NODES:
            raise ArgumentError(
                f"the ground grid takes {rays * steps / 1e6:.0f} million samples a frame; expected "
                f"at most {_MAX_NODES // 10**6}; raise ground_resolution or lower ground_x_max"
            )
        self.azimuths = middle + float(azimuth.min()) + np.arange(rays) * self._azimuth_step
        self.distances = np.arange(steps) * spacing
        pixels, cells = self._look_up_nodes()
        nearest = int(np.argmax((pixels >= 0).any(0)))  # nothing is seen before
        self.distances = self.distances[nearest:]
        self._node_cells = np.ascontiguousarray(cells[:, nearest:])
        pixels = pixels[:, nearest:]
        self._pixels = np.ascontiguousarray(np.maximum(pixels, 0))
        self._outside = np.where(pixels < 0, UNLABELLED, 0).astype(np.uint8)
        self._steps = np.arange(len(self.distances), dtype=np.int32)[None]
        self._starts = self._first_seen(pixels >= 0)
        ray, step = self.node(samples[..., 0], samples[..., 1])
        nodes = ray * len(self.distances) + step
        self._cell_nodes = np.ascontiguousarray(nodes.reshape(len(samples), -1).T)
        self._pixel_rays = self._rays_per_half_pixel(samples[:, SAMPLES // 2, SAMPLES // 2])

    def _first_seen(self, shown: np.ndarray) -> np.ndarray:
        """(azimuths,) the first node in a seen cell, 0 if the ray is in the image long before."""
        starts = (self._node_cells >= 0).argmax(1)
        return np.where(starts - shown.argmax(1) <= _EDGE, starts, 0)

    def _rays_per_half_pixel(self, places: np.ndarray) -> int:
        """How many neighbouring rays may see an edge by the same pixel; at least 2."""
        offset = places - self.pose.translation[:2]
        aside = np.stack([-offset[:, 1], offset[:, 0]], -1) * (self._azimuth_step / 2)
        apart = self._project(places + aside) - self._project(places - aside)
        pixels = float(np.nanmedian(np.hypot(*apart.T)))
        return min(math.ceil(0.5 / pixels), len(self.azimuths)) + 1

    def _look_up_nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """(azimuths, distances) intp pixel and int32 cell of each node, −1 for none."""
        pixels = np.empty(self.shape, np.intp)
        cells = np.empty(self.shape, np.int32)
        steps = np.arange(self.shape[1])
        for start in range(0, self.shape[0], _BLOCK):
            rays = np.arange(start, min(start + _BLOCK, self.shape[0]))[:, None]
            places = np.stack(self.place(rays, steps), -1)
            part = slice(start, start + _BLOCK)
            seen = self._project(places)
            pixels[part] = nearest_pixels(seen, self.camera.height, self.camera.width)
            cells[part] = self._cells_at(places)
        return pixels, cells

    def _cells_at(self, places: np.ndarray) -> np.ndarray:
        """(…, 2) places → (…) int32 index of the cell they lie in, −1 where it is not seen."""
        rows, columns = self.seen.shape
        column, row = np.moveaxis(
            np.floor((places - self.grid.origin) / self.grid.resolution).astype(np.int32), -1, 0
        )
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        cell = np.where(inside, row * columns + column, 0)
        return np.where(inside & self.seen.reshape(-1)[cell], cell, -1).astype(np.int32)


class _Frame:
    """Working arrays of one table, used again for each mask."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.classes = np.empty(shape, np.uint8)
        self.costs = np.empty(shape, np.int8)
        self.hidden = np.empty(shape, np.bool_)
        self._rays = np.arange(shape[0])

    def first_obstacle(self, starts: np.ndarray) -> np.ndarray:
        """(azimuths,) int32: the number of the first lethal distance, their count where none is.

        Args:
            starts: (azimuths,) where the ray gets to cells that are seen. An obstacle met before,
                at the image's edge, and still there counts from there on.
        """
        lethal = np.equal(self.costs, LETHAL, out=self.hidden)
        first = lethal.argmax(1)
        first = np.where(lethal[self._rays, first], first, lethal.shape[1])
        reaching = (first < starts) & lethal[self._rays, starts]
        return np.where(reaching, starts, first).astype(np.int32)


class GroundProjector:
    """Lays masks onto the ground and makes the table anew when camera or pose have changed.

    Args:
        grid: see :class:`Grid`.
        costs: (256,) int8 of :func:`.costs.read_costs`.
        pose_tolerance: how far the camera may move (metres) or turn (radians) before.
    """

    def __init__(self, grid: Grid, costs: np.ndarray, pose_tolerance: float = 0.002) -> None:
        self.grid, self.costs, self.pose_tolerance = grid, costs, pose_tolerance
        self.table: GroundTable | None = None

    def update(self, camera: CameraModel, pose: Pose) -> bool:
        """Set camera and pose of the next mask; True if the table was rebuilt.

        Raises:
            DataError, ArgumentError: as :class:`GroundTable`; there is no table then.
        """
        table = self.table
        if (
            table is not None
            and table.camera == camera
            and max(table.pose.distance(pose)) <= self.pose_tolerance
        ):
            return False
        self.table = None
        self.table = GroundTable(camera, pose, self.grid)
        return True

    def project(self, mask: np.ndarray) -> Ground:
        """Lay a mask onto the ground as :meth:`GroundTable.project`, after :meth:`update`."""
        if self.table is None:
            raise ValueError("no camera and pose yet; call update first")
        return self.table.project(mask, self.costs)


def _sample_places(grid: Grid) -> np.ndarray:
    """(rows, columns, SAMPLES along y, SAMPLES along x, 2) places, centres of a cell's parts."""
    rows, columns = grid.shape
    x = grid.x_min + (np.arange(columns * SAMPLES) + 0.5) * (grid.resolution / SAMPLES)
    y = -grid.y_max + (np.arange(rows * SAMPLES) + 0.5) * (grid.resolution / SAMPLES)
    places = np.stack(np.meshgrid(x, y), -1).reshape(rows, SAMPLES, columns, SAMPLES, 2)
    return places.swapaxes(1, 2)


def _corner_places(grid: Grid) -> np.ndarray:
    """(rows + 1, columns + 1, 2) corners of the cells."""
    rows, columns = grid.shape
    x = grid.x_min + np.arange(columns + 1) * grid.resolution
    y = -grid.y_max + np.arange(rows + 1) * grid.resolution
    return np.stack(np.meshgrid(x, y), -1)
