"""Draws a data set: shapes on textures, to try training without a download.

Five shapes overlap on a background. Colour alone does not tell them apart: square and cross are
both blue, disc and star both warm, in front of stripes, bars and blotches of every hue; each
image has its own lighting, blur and noise. The same arguments give the same files.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np
import yaml

from bisenet_ros.datasets.base import LabelledSet
from bisenet_ros.datasets.folder import open_folder
from bisenet_ros.datasets.options import DatasetOptions
from bisenet_ros.errors import ArgumentError
from bisenet_ros.recordings.codec import encode_jpeg, encode_png

CLASSES = {  # name: colour in overlays, RGB
    "background": (60, 60, 60),
    "disc": (230, 60, 50),
    "triangle": (60, 200, 80),
    "square": (60, 100, 240),
    "star": (250, 200, 40),
    "cross": (180, 90, 240),
}
LICENCE = "none needed: every pixel is computed"

# Of each shape: mean hue and spread, in degrees, and its pattern.
LOOKS = {
    "disc": (5, 14, "plain"),
    "triangle": (130, 25, "plain"),
    "square": (215, 18, "stripes"),
    "star": (50, 12, "plain"),
    "cross": (225, 25, "plain"),
}


def draw(
    root: str | Path,
    train: int = 120,
    val: int = 30,
    size: tuple[int, int] = (512, 1024),
    seed: int = 1,
) -> None:
    """Write a set of the ``folder`` kind: images/, masks/ (ids), labels.yaml, train.txt, val.txt.

    The set is drawn next to ``root`` and then moved, so that ``root`` is never incomplete.

    Args:
        root: a folder that is missing or empty.
        train: images for training.
        val: images for validation.
        size: (height, width) of each image in pixels, at least 32 each.
        seed: random seed; image i of a split does not depend on the counts.

    Raises:
        ArgumentError: a number is too small, or ``root`` is not empty or cannot be written.
    """
    root = Path(root)
    if train < 1 or val < 1 or min(size) < 32 or seed < 0:
        raise ArgumentError(
            f"asked to draw {train} + {val} images of {size[0]}×{size[1]}, seed {seed}; expected "
            "at least one image each, sides of at least 32 pixels, and a seed of at least 0"
        )
    if not is_absent(root):
        raise ArgumentError(f"{root} is not empty; choose an empty folder, or remove it first")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{root.name}.", dir=root.parent) as scratch:
            made = Path(scratch, "set")
            for part, (split, count) in enumerate((("train", train), ("val", val))):
                _write_split(made, split, count, size, (seed, part))
            _write_labels(made / "labels.yaml", size)
            made.replace(root)
    except OSError as error:
        # Several processes of one run may draw the same set; the first one to finish wins.
        if not (root / "labels.yaml").is_file():
            raise ArgumentError(f"{root} cannot be written: {error.strerror}") from error


def open_shapes(root: Path, split: str, options: DatasetOptions | None = None) -> LabelledSet:
    """A ``folder`` set in ``root``, which is drawn first if the folder is empty or missing."""
    if is_absent(root):
        draw(root)
    return open_folder(root, split, options)


def is_absent(root: Path) -> bool:
    """Whether the folder is missing or empty."""
    return not root.exists() or (root.is_dir() and not any(root.iterdir()))


def _write_split(
    root: Path, split: str, count: int, size: tuple[int, int], seed: tuple[int, int]
) -> None:
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True, exist_ok=True)
    names = [f"{split}_{index:04d}" for index in range(count)]
    for index, name in enumerate(names):
        image, ids = picture(size, np.random.default_rng([*seed, index]))
        (root / "images" / f"{name}.jpg").write_bytes(encode_jpeg(image, 92))
        (root / "masks" / f"{name}.png").write_bytes(encode_png(ids))
    (root / f"{split}.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def _write_labels(path: Path, size: tuple[int, int]) -> None:
    classes = [{"name": name, "color": list(colour)} for name, colour in CLASSES.items()]
    data = {
        "source": "Shapes drawn by bisenet_ros",
        "licence": LICENCE,
        "resolution": list(size),
        "classes": classes,
    }
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")


def picture(size: tuple[int, int], random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One image (H, W, 3) uint8 RGB and its ids (H, W) uint8."""
    canvas = _background(size, random)
    ids = np.zeros(size, np.uint8)
    names = list(CLASSES)
    # Each class once and perhaps one twice, in random order: later ones cover earlier ones.
    drawn = [*names[1:], *random.choice(names[1:], random.integers(0, 2))]
    random.shuffle(drawn)
    for name in drawn:
        _lay(canvas, ids, name, random)
    return _photographed(canvas, random), ids


def _lay(canvas: np.ndarray, ids: np.ndarray, name: str, random: np.random.Generator) -> None:
    """Draw one shape on the canvas and its id on the ids, in place."""
    corners = _outline(name, ids.shape, random)
    height, width = ids.shape
    (x0, y0), (x1, y1) = corners.min(0).clip(0), corners.max(0) + 1
    box = slice(y0, min(y1, height)), slice(x0, min(x1, width))
    below = ids[box]
    mask = np.zeros(below.shape, np.uint8)
    cv2.fillPoly(mask, [corners - (x0, y0)], 1)
    surface = _surface(name, below.shape, min(ids.shape), random)
    canvas[box] = np.where(mask[..., None] > 0, surface, canvas[box])
    below[mask > 0] = list(CLASSES).index(name)


def _outline(name: str, size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Corners (n, 2) int32 x, y of a shape at a random position, size and rotation."""
    radius = random.uniform(0.2, 0.34) * min(size)
    centre = random.uniform(0.05, 0.95, 2) * (size[1], size[0])
    turn = random.uniform(0, 2 * np.pi)
    if name == "cross":
        quarter = np.array([(1, 0.4), (0.4, 0.4), (0.4, 1)])
        corners = np.concatenate([quarter @ _rotation(k * np.pi / 2) for k in range(4)])
    else:
        count = {"disc": 64, "triangle": 3, "square": 4, "star": 10}[name]
        angles = np.arange(count) * 2 * np.pi / count
        corners = np.stack([np.cos(angles), np.sin(angles)], 1)
        if name == "star":
            corners[1::2] *= 0.55
        if name == "triangle":
            corners *= 1.25  # as much area as the others
    placed = corners @ _rotation(turn) * radius * random.uniform(0.85, 1.15, 2) + centre
    return np.rint(placed).astype(np.int32)


def _rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _surface(
    name: str, size: tuple[int, int], unit: int, random: np.random.Generator
) -> np.ndarray:
    """A shape's texture, (H, W, 3) float32 RGB in 0–1; ``unit`` is the image's shorter side."""
    middle, spread, pattern = LOOKS[name]
    hue = middle + random.uniform(-spread, spread)
    saturation = random.uniform(0.5, 0.95)
    shade = 0.85 + 0.3 * _blotches(size, random, 3)
    if pattern == "stripes":
        shade = shade * np.where(_stripes(size, random, (0.06 * unit, 0.1 * unit)) > 0, 1.0, 0.45)
    return _tinted(hue, saturation, random.uniform(0.5, 0.85) * shade)


def _background(size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Blotches, stripes and bars, (H, W, 3) float32 RGB in 0–1."""
    shade = 0.5 + random.uniform(0.3, 0.9) * (
        _blotches(size, random, int(random.integers(3, 24))) - 0.5
    )
    if random.random() < 0.5:
        shade = shade + random.uniform(0.05, 0.15) * _stripes(
            size, random, (0.02 * min(size), 0.2 * min(size))
        )
    canvas = _tinted(random.uniform(0, 360), random.uniform(0.05, 0.3), shade)
    for _ in range(random.integers(4, 12)):
        ends = np.rint(random.uniform(-0.1, 1.1, (2, 2)) * (size[1], size[0])).astype(int)
        colour = _tinted(random.uniform(0, 360), random.uniform(0.3, 0.9), np.full((1, 1), 0.7))
        width = max(1, int(random.uniform(0.004, 0.02) * min(size)))
        cv2.line(canvas, ends[0].tolist(), ends[1].tolist(), colour[0, 0].tolist(), width)
    return canvas


def _photographed(canvas: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The image as a camera would see it: uneven light, a soft lens, noise; uint8."""
    height, width = canvas.shape[:2]
    slope = random.uniform(-0.35, 0.35, 2)
    light = random.uniform(0.75, 1.15) + (
        slope[0] * np.linspace(-1, 1, height)[:, None] + slope[1] * np.linspace(-1, 1, width)
    )
    seen = canvas * np.clip(light, 0.35, 1.5)[..., None].astype(np.float32)
    seen = cv2.GaussianBlur(seen, (0, 0), random.uniform(0.4, 0.9))
    noise = random.standard_normal(seen.shape, np.float32) * random.uniform(0.01, 0.04)
    return np.clip((seen + noise) * 255, 0, 255).astype(np.uint8)


def _tinted(hue: float, saturation: float, shade: np.ndarray) -> np.ndarray:
    """(H, W) brightness to (H, W, 3) float32 RGB of one hue; 0–1, but the hue in degrees."""
    hsv = np.empty((*shade.shape, 3), np.float32)
    hsv[..., 0], hsv[..., 1], hsv[..., 2] = hue % 360, saturation, np.clip(shade, 0, 1)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _blotches(size: tuple[int, int], random: np.random.Generator, grains: int) -> np.ndarray:
    """Smooth noise (H, W) float32 in 0–1, about ``grains`` blotches in height."""
    coarse = random.random((grains + 1, 2 * grains + 1), np.float32)
    return np.clip(cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_CUBIC), 0, 1)


def _stripes(
    size: tuple[int, int], random: np.random.Generator, wave: tuple[float, float]
) -> np.ndarray:
    """Waves (H, W) float32 in −1–1 of random direction, ``wave`` pixels long."""
    angle = random.uniform(0, np.pi)
    length = random.uniform(*wave)
    y, x = np.ogrid[: size[0], : size[1]]
    along = x * np.cos(angle) + y * np.sin(angle)
    return np.sin(2 * np.pi * along / length + random.uniform(0, 2 * np.pi)).astype(np.float32)
