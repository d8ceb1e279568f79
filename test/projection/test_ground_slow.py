"""The ground grid, against a slow version that is written as the documentation says."""

import math

import numpy as np
import pytest
from painted_ground import BOX, BOXES, COSTS, scene
from renderer import render
from views import CAMERAS, POSES

from bisenet_ros.projection.camera_model import CameraModel
from bisenet_ros.projection.ground import Grid, GroundTable


def slowly(table: GroundTable, mask: np.ndarray, costs: np.ndarray) -> tuple[np.ndarray, list]:
    """The grid as its documentation says, cell by cell and node by node."""
    grid, (x0, y0, _) = table.grid, table.pose.translation
    height, width = mask.shape
    azimuths, distances = table.azimuths, table.distances
    azimuth_step = azimuths[1] - azimuths[0]
    distance_step = distances[1] - distances[0]

    def pixel(ray: int, step: int) -> tuple[int, int] | None:
        x = x0 + distances[step] * np.cos(azimuths[ray])
        y = y0 + distances[step] * np.sin(azimuths[ray])
        point = table.pose.to_optical(np.array([[x, y, 0.0]]))
        u, v = table.camera.project(point)[0]
        if math.isnan(u):
            return None
        column, row = math.floor(u + 0.5), math.floor(v + 0.5)
        return (row, column) if 0 <= row < height and 0 <= column < width else None

    def in_image(ray: int, step: int) -> bool:
        return pixel(ray, step) is not None

    def look_up(ray: int, step: int) -> int:
        place = pixel(ray, step)
        return 255 if place is None else int(mask[place])

    def cell_of(ray: int, step: int) -> tuple[int, int] | None:
        column = (x0 + distances[step] * math.cos(azimuths[ray]) - grid.x_min) / grid.resolution
        row = (y0 + distances[step] * math.sin(azimuths[ray]) + grid.y_max) / grid.resolution
        cell = math.floor(row), math.floor(column)
        rows, columns = grid.shape
        inside = 0 <= cell[0] < rows and 0 <= cell[1] < columns
        return cell if inside and table.seen[cell] else None

    walks: list[list[int]] = []
    for ray in range(len(azimuths)):
        walk: list[int] = []
        for step in range(len(distances)):
            walk.append(look_up(ray, step))
            if costs[walk[-1]] == 100:
                break
        # An obstacle that begins at the image's edge counts from the first cell that is seen.
        steps = range(len(distances))
        start = next((step for step in steps if cell_of(ray, step)), 0)
        entry = next((step for step in steps if in_image(ray, step)), 0)
        begins_early = costs[walk[-1]] == 100 and len(walk) - 1 < start
        if begins_early and start - entry <= 12 and costs[look_up(ray, start)] == 100:
            walk = [255] * start + [look_up(ray, start)]
        walks.append(walk)

    never = 10**6
    met = [len(walk) - 1 if costs[walk[-1]] == 100 else never for walk in walks]
    aside = table._pixel_rays
    stray = []
    for ray, step in enumerate(met):
        one = [met[max(i, 0)] for i in range(ray - aside, ray)]
        other = [met[min(i, len(met) - 1)] for i in range(ray + 1, ray + aside + 1)]
        stray.append(
            step < never
            and any(
                step - min(a) > 3 and max(b) - step > 2 * (step - min(a)) + 3
                for a, b in ((one, other), (other, one))
            )
        )
    for walk, passed_by in zip(walks, stray, strict=True):
        if passed_by:
            walk.pop()

    expected = np.full(grid.shape, -1, np.int8)
    for row, column in zip(*np.nonzero(table.seen), strict=True):
        highest = -1
        for i in range(3):
            for j in range(3):
                x = grid.x_min + (column + (j + 0.5) / 3) * grid.resolution - x0
                y = -grid.y_max + (row + (i + 0.5) / 3) * grid.resolution - y0
                turn = (math.atan2(y, x) - azimuths[0] + 1e-9) % (2 * math.pi) - 1e-9
                ray = min(max(round(turn / azimuth_step), 0), len(azimuths) - 1)
                step = round((math.hypot(x, y) - distances[0]) / distance_step)
                step = min(max(step, 0), len(distances) - 1)
                if step < len(walks[ray]):
                    highest = max(highest, int(costs[walks[ray][step]]))
        expected[row, column] = highest
    bases = []
    for ray, walk in enumerate(walks):
        if walk and costs[walk[-1]] == 100:
            distance = distances[len(walk) - 1]
            cell = cell_of(ray, len(walk) - 1)
            if cell is not None:
                expected[cell] = 100
                x = x0 + distance * math.cos(azimuths[ray])
                y = y0 + distance * math.sin(azimuths[ray])
                bases.append((x, y, walk[-1]))
    return expected, bases


@pytest.mark.parametrize("camera", ["plumb_bob", "fisheye_150"])
@pytest.mark.parametrize("content", ["boxes", "noise", "few_obstacles", "unlabelled"])
def test_the_fast_grid_is_the_slow_one(camera: str, content: str):
    pose = POSES["all"]
    small = CAMERAS[camera].scaled(180, 320)
    table = GroundTable(CameraModel(small), pose, Grid(0.2, 0.3, 4.0, 1.6))
    generator = np.random.default_rng(7)
    mask = {
        "boxes": lambda: render(scene(BOXES), small, pose.rotation, pose.translation).labels,
        "noise": lambda: generator.integers(0, 9, (180, 320), np.uint8),
        "few_obstacles": lambda: np.where(
            generator.random((180, 320)) < 2e-3, BOX, generator.integers(0, 4, (180, 320))
        ).astype(np.uint8),
        "unlabelled": lambda: generator.choice(np.uint8([0, 3, 99, 255]), (180, 320)),
    }[content]()
    ground = table.project(mask, COSTS)
    expected, bases = slowly(table, mask, COSTS)
    assert np.array_equal(ground.costs, expected)
    assert [base[2] for base in bases] == ground.bases["label"].tolist()
    if bases:
        places = np.stack([ground.bases["x"], ground.bases["y"]], -1)
        assert np.allclose(places, [base[:2] for base in bases], atol=1e-5)
    # A second frame finds no trace of the first.
    assert np.array_equal(table.project(np.zeros_like(mask), COSTS).costs, table.seen - 1)
    assert np.array_equal(table.project(mask, COSTS).costs, expected)
