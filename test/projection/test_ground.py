"""Masks laid onto the ground, against rendered scenes whose ground is known."""

import math

import numpy as np
import pytest
from painted_ground import BOX, BOXES, COSTS, scene
from renderer import Box, Rendered, Scene, render
from views import CAMERAS, DEGREES, LOOKING_DOWN, POSES, calibration

from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.projection import ground as ground_module
from bisenet_ros.projection.calibration import Calibration
from bisenet_ros.projection.camera_model import CameraModel
from bisenet_ros.projection.ground import BASE, Grid, Ground, GroundProjector, GroundTable
from bisenet_ros.projection.pose import Pose

GRID = Grid(resolution=0.1, x_min=0.3, x_max=7.0, y_max=3.0)


def look(
    camera: Calibration, pose: Pose, what: Scene, scale: int = 1, grid: Grid = GRID
) -> tuple[GroundTable, Ground, Rendered]:
    small = camera.scaled(camera.height // scale, camera.width // scale)
    seen = render(what, small, pose.rotation, pose.translation)
    table = GroundTable(CameraModel(camera).scaled(small.height, small.width), pose, grid)
    return table, table.project(seen.labels, COSTS), seen


def centres(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = grid.shape
    x = grid.x_min + (np.arange(columns) + 0.5) * grid.resolution
    y = -grid.y_max + (np.arange(rows) + 0.5) * grid.resolution
    return np.broadcast_to(x, (rows, columns)), np.broadcast_to(y[:, None], (rows, columns))


def truth(what: Scene, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Class of each cell, and whether it is that of everything up to one cell away."""
    x, y = centres(grid)
    around = [
        what.ground_at(x + i * grid.resolution / 4, y + j * grid.resolution / 4)
        for i in range(-6, 7)
        for j in range(-6, 7)
    ]
    return what.ground_at(x, y), np.all([a == around[0] for a in around], axis=0)


def shadow(pose: Pose, boxes: tuple[Box, ...], grid: Grid, margin: float) -> np.ndarray:
    """Cells whose way from the camera's foot, seen from above, crosses a box grown by margin."""
    x, y = centres(grid)
    ways = np.linspace(0, 1, 200)[:, None, None]
    x0, y0, _ = pose.translation
    return np.any(
        [b.covers(x0 + ways * (x - x0), y0 + ways * (y - y0), margin).any(0) for b in boxes], axis=0
    )


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("pose", POSES)
def test_cells_show_what_is_painted_there(camera: str, pose: str):
    what = scene()
    table, ground, _ = look(CAMERAS[camera], POSES[pose], what)
    classes, sure = truth(what, GRID)
    assert np.array_equal(ground.costs >= 0, table.seen)
    compared = table.seen & sure
    assert compared.sum() > 150
    assert np.array_equal(ground.costs[compared], 10 * classes[compared].astype(int))
    assert ground.known == pytest.approx(table.share)
    assert len(ground.bases) == 0


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_cells_are_as_right_in_a_smaller_mask(scale: int):
    what, grid = scene(tile=1.3), Grid(0.2, 0.4, 7.0, 3.0)
    shares = []
    for camera in CAMERAS.values():
        table, ground, _ = look(camera, LOOKING_DOWN, what, scale, grid)
        classes, sure = truth(what, grid)
        compared = table.seen & sure
        assert compared.sum() > 3
        assert np.array_equal(ground.costs[compared], 10 * classes[compared].astype(int))
        shares.append(table.share)
    assert max(shares) > {2: 0.5, 4: 0.3, 8: 0.05}[scale]


def test_rectified_images_are_projected_by_p():
    camera, what = CAMERAS["plumb_bob"], scene()
    seen = render(what, camera, LOOKING_DOWN.rotation, LOOKING_DOWN.translation, rectified=True)
    table = GroundTable(CameraModel(camera, rectified=True), LOOKING_DOWN, GRID)
    ground = table.project(seen.labels, COSTS)
    classes, sure = truth(what, GRID)
    compared = table.seen & sure
    assert compared.sum() > 300
    assert np.array_equal(ground.costs[compared], 10 * classes[compared].astype(int))


@pytest.mark.parametrize("camera", ["none", "plumb_bob", "fisheye_150"])
@pytest.mark.parametrize("pose", ["down", "rolled", "left", "right_and_aside", "all"])
def test_nothing_is_known_behind_a_box_and_all_beside_it(camera: str, pose: str):
    what = scene(BOXES)
    table, ground, _ = look(CAMERAS[camera], POSES[pose], what)
    x, y = centres(GRID)
    cell = GRID.resolution
    near = np.any([box.covers(x, y, 1.5 * cell) for box in BOXES], axis=0)
    behind = shadow(POSES[pose], BOXES, GRID, -cell) & ~near & table.seen
    assert behind.sum() > 50
    assert (ground.costs[behind] == -1).all()
    classes, sure = truth(what, GRID)
    beside = ~shadow(POSES[pose], BOXES, GRID, 1.5 * cell) & table.seen & sure
    assert beside.sum() > 50
    assert np.array_equal(ground.costs[beside], 10 * classes[beside].astype(int))
    # Only cells at a box are lethal.
    touching = np.any([box.covers(x, y, 1.5 * cell) for box in BOXES], axis=0)
    assert (ground.costs == 100).any() and touching[ground.costs == 100].all()


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("pose", ["down", "rolled", "left", "all"])
def test_bases_stand_where_the_boxes_begin(camera: str, pose: str):
    _, ground, _ = look(CAMERAS[camera], POSES[pose], scene(BOXES))
    assert ground.bases.dtype == BASE and len(ground.bases) > 20
    assert (ground.bases["label"] == BOX).all() and (ground.bases["z"] == 0).all()
    foot = POSES[pose].translation * [1, 1, 0] + [0, 0, 0.01]
    offset = np.stack([ground.bases["x"], ground.bases["y"], np.zeros(len(ground.bases))], -1)
    offset -= foot * [1, 1, 0]
    distance = np.hypot(offset[:, 0], offset[:, 1])
    ahead = offset / distance[:, None]
    # A ray that passes a corner within a cell may meet it: boxes are grown by a hair then.
    first = np.min([box.reached(foot, ahead) for box in BOXES], axis=0)
    met = np.isfinite(first)
    assert met.mean() > 0.9
    assert np.abs(distance - first)[met].max() <= GRID.resolution
    passing = offset[~met] + foot
    closest = np.any(
        [box.covers(passing[:, 0], passing[:, 1], GRID.resolution) for box in BOXES], axis=0
    )
    assert closest.all()
    column = np.floor((ground.bases["x"] - GRID.x_min) / GRID.resolution).astype(int)
    row = np.floor((ground.bases["y"] + GRID.y_max) / GRID.resolution).astype(int)
    assert (ground.costs[row, column] == 100).all()


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("pose", POSES)
def test_seen_cells_have_the_pixels_for_it(camera: str, pose: str):
    """Each has at least a pixel, and the nearest pixel's centre lies within a cell."""
    model = CameraModel(CAMERAS[camera])
    table = GroundTable(model, POSES[pose], GRID)
    x, y = centres(GRID)

    def shown(dx: float, dy: float) -> np.ndarray:
        place = np.stack([x + dx * GRID.resolution, y + dy * GRID.resolution, 0 * x], -1)
        return model.project(POSES[pose].to_optical(place))

    a, b, c, d = (shown(*corner) for corner in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)))
    one, two = c - a, d - b
    area = 0.5 * np.abs(one[..., 0] * two[..., 1] - one[..., 1] * two[..., 0])
    assert area[table.seen].min() > 0.9
    assert not table.seen[area < 0.8].any()
    middle = shown(0, 0)
    with np.errstate(invalid="ignore"):
        inside = (middle > -0.5).all(-1) & (middle < [model.width - 0.5, model.height - 0.5]).all(
            -1
        )
    assert not (table.seen & ~inside).any()
    # Back from the pixel's centre to the ground.
    rays = model.rays_at(np.floor(middle[table.seen] + 0.5)) @ POSES[pose].rotation.T
    eye = POSES[pose].translation
    hit = eye - rays * (eye[2] / rays[:, 2:])
    off = np.abs(hit[:, :2] - np.stack([x[table.seen], y[table.seen]], -1)) / GRID.resolution
    assert off.max() < 1


@pytest.mark.parametrize("aside", [0.5, 1.2])
def test_a_wall_along_the_way_is_found_all_along(aside: float):
    """Rays meet it at distances that grow fast: none of them may be taken for an edge's."""
    wall = Box(4.0, aside + 0.2, 20.0, 0.4, 2.5, BOX)
    camera, grid = calibration("plumb_bob", (-0.1, 0.0, 0.0, 0.0, 0.0)), Grid()
    table, ground, _ = look(camera, LOOKING_DOWN, scene((wall,)), grid=grid)
    x, y = centres(grid)
    lethal, along = ground.costs == 100, np.abs(y - aside) < 1.5 * grid.resolution
    seen = (table.seen | ~along).all(0) & (x[0] > 1.5 * aside + 0.5)
    near = seen & (x[0] < 1.25 + 2 * aside)
    assert near.sum() > 10 and seen.sum() > 30
    assert (lethal & along).any(0)[near].all()
    # Further out rays meet it several cells apart.
    assert (lethal & along).any(0)[seen].mean() > 0.7
    assert not (lethal & ~along)[:, x[0] > 1.5 * aside + 0.5].any()


def test_an_obstacle_whose_foot_is_below_the_image_is_lethal_where_it_comes_into_view():
    """The robot must not take it for unknown ground: nothing in front of it would be lethal."""
    box = Box(0.9, 0.0, 0.2, 1.0, 1.0, BOX)
    for height in (1.0, 1.1, 1.2, 1.3):
        pose = Pose.from_mounting(height)
        table, ground, _ = look(calibration("none"), pose, scene((box,)))
        y = centres(GRID)[1]
        ahead = (np.abs(y[:, 0]) < 0.4) & table.seen.any(1)
        assert ahead.sum() == 8
        columns = (ground.costs == 100).argmax(1)
        assert (ground.costs == 100).any(1)[ahead].all()
        assert (columns - table.seen.argmax(1))[ahead].max() <= 1
        assert (ground.costs[ahead] <= 0).sum() == (ground.costs[ahead] < 0).sum()
        assert len(ground.bases) > 20


def test_the_highest_cost_in_a_cell_counts():
    """A line of 3 cm is found by a cell of 10 cm, wherever in the cell it runs."""
    paint = np.zeros((300, 200), np.uint8)
    paint[:, 60] = 3
    what = Scene(paint, 0.035, (0.0, -5.0), around=0)
    _, ground, _ = look(calibration("none"), LOOKING_DOWN, what)
    line = int((60.5 * 0.035 - GRID.x_min) / GRID.resolution)
    known = ground.costs[:, line] >= 0
    assert known.sum() > 20
    assert (ground.costs[known, line] == 30).mean() > 0.95


def test_classes_without_a_cost_hide_nothing_and_stay_unknown():
    paint = np.zeros((20, 20), np.uint8)
    paint[:, 6:8] = 200  # no class: −1
    what = Scene(paint, 0.5, (0.0, -5.0))
    table, ground, _ = look(calibration("none"), LOOKING_DOWN, what)
    x, _ = centres(GRID)
    inside = (x > 3.15) & (x < 3.85) & table.seen
    beyond = (x > 4.15) & table.seen
    assert inside.sum() > 20 and (ground.costs[inside] == -1).all()
    assert beyond.sum() > 20 and (ground.costs[beyond] == 0).all()


def test_layout_is_that_of_an_occupancy_grid():
    paint = np.zeros((2, 1), np.uint8)
    paint[1] = 3  # to the left
    _, ground, _ = look(calibration("none"), LOOKING_DOWN, Scene(paint, 20.0, (-5.0, -20.0)))
    assert GRID.shape == (60, 67) == ground.costs.shape
    assert GRID.origin == (0.3, -3.0)
    assert ground.costs.dtype == np.int8 and ground.costs.flags.c_contiguous
    assert set(ground.costs[:29].reshape(-1)) == {-1, 0}
    assert set(ground.costs[31:].reshape(-1)) == {-1, 30}


def test_a_camera_inside_its_grid_sees_all_around():
    """Straight down from 2 m: azimuths go round, the camera's foot among the cells."""
    pose = Pose.from_mounting(2.0, pitch=math.pi / 2, x=0.55, y=0.05)
    what = scene((Box(0.2, 0.9, 0.2, 0.2, 0.3, BOX),))
    grid = Grid(0.1, -1.0, 2.0, 1.5)
    table, ground, _ = look(calibration("none", focal=200.0), pose, what, grid=grid)
    assert len(table.azimuths) * (table.azimuths[1] - table.azimuths[0]) > 2 * math.pi - 0.1
    classes, sure = truth(what, grid)
    free = ~shadow(pose, what.boxes, grid, 0.15) & table.seen & sure
    assert free.sum() > 100
    assert np.array_equal(ground.costs[free], 10 * classes[free].astype(int))
    assert len(ground.bases) > 3


def test_the_table_is_made_anew_only_when_camera_or_pose_changed():
    projector = GroundProjector(GRID, COSTS, pose_tolerance=0.01)
    camera = CameraModel(CAMERAS["plumb_bob"])
    with pytest.raises(ValueError, match="call update first"):
        projector.project(np.zeros((360, 640), np.uint8))
    assert projector.update(camera, LOOKING_DOWN)
    table = projector.table
    assert not projector.update(CameraModel(CAMERAS["plumb_bob"]), LOOKING_DOWN)
    nearly = Pose.from_mounting(1.209, pitch=20 * DEGREES + 0.009)
    assert not projector.update(camera, nearly) and projector.table is table
    # Measured from the pose of the table: many small steps add up.
    for pose in (
        Pose.from_mounting(1.211, pitch=20 * DEGREES),
        Pose.from_mounting(1.2, pitch=20 * DEGREES),
        Pose.from_mounting(1.2, pitch=20 * DEGREES + 0.011),
    ):
        assert projector.update(camera, pose)
    assert projector.update(CameraModel(CAMERAS["none"]), projector.table.pose)
    with pytest.raises(DataError):
        projector.update(camera, Pose.from_mounting(-1.0))
    assert projector.table is None
    assert projector.update(camera, LOOKING_DOWN)


@pytest.mark.parametrize("height", [0.0, -0.4])
def test_a_camera_below_the_ground_is_refused(height: float):
    with pytest.raises(DataError, match=f"{height:.3f} m above the ground plane"):
        GroundTable(CameraModel(CAMERAS["none"]), Pose.from_mounting(height), GRID)


@pytest.mark.parametrize("pitch", [-60, -120, 180])
def test_a_camera_that_looks_at_the_sky_is_refused(pitch: float):
    with pytest.raises(DataError, match="sees none of the ground grid"):
        pose = Pose.from_mounting(1.0, pitch=pitch * DEGREES)
        GroundTable(CameraModel(CAMERAS["plumb_bob"]), pose, GRID)


@pytest.mark.parametrize(
    "values",
    [(0.0, 0, 1, 1), (-0.1, 0, 1, 1), (math.nan, 0, 1, 1), (0.1, 2, 1, 1), (0.1, 0, 1, 0)],
)
def test_grids_without_a_cell_are_refused(values: tuple[float, ...]):
    with pytest.raises(ArgumentError, match="ground grid"):
        Grid(*values)


def test_grids_too_fine_for_a_robot_are_refused(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ArgumentError, match="700×800 cells; expected at most 500000"):
        Grid(0.01, 0.0, 8.0, 3.5)
    monkeypatch.setattr(ground_module, "_MAX_NODES", 100_000)
    with pytest.raises(ArgumentError, match="million samples.* raise ground_resolution"):
        GroundTable(
            CameraModel(CAMERAS["none"]), Pose.from_mounting(2.0, 0.6), Grid(0.02, 0.5, 5.0, 2.0)
        )


def test_masks_of_another_kind_are_refused():
    table = GroundTable(CameraModel(CAMERAS["none"]), LOOKING_DOWN, GRID)
    for mask in (np.zeros((180, 320), np.uint8), np.zeros((360, 640), np.int32)):
        with pytest.raises(ValueError, match="expected uint8"):
            table.project(mask, COSTS)
