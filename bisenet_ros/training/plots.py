"""Plots of a run: its curves, and predictions on some images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bisenet_ros.labels import LabelSet
from bisenet_ros.training.callbacks import rows

SAMPLES = 4  # rows of samples.png
INK, FAINT = "#181b20", "#68707a"
LINES = {"train": "#1f6feb", "val": "#d9480f"}
PANELS: tuple[tuple[str, dict[str, str], tuple[float, float] | None], ...] = (
    ("loss", {"loss": "train", "val_loss": "val"}, None),
    ("mIoU", {"val_miou": "val"}, (0.0, 1.0)),
    ("pixel accuracy", {"accuracy": "train", "val_accuracy": "val"}, (0.0, 1.0)),
)


def draw_curves(metrics: Path, out: Path) -> None:
    """Loss, mIoU and pixel accuracy over epochs, from a run's ``metrics.csv``, as a PNG."""
    lines = rows(metrics)
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    for axes, (title, curves, limits) in zip(figure.subplots(1, 3), PANELS, strict=True):
        for column, name in curves.items():
            _curve(axes, lines, column, name)
        axes.set_title(title, color=INK, loc="left", fontsize=12)
        axes.set_xlabel("epochs", color=FAINT)
        axes.tick_params(color=FAINT, labelcolor=FAINT)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(left=0)
        axes.set_ylim(*(limits or (0, None)))
        axes.legend(frameon=False)
    figure.savefig(out, dpi=110)


def _curve(axes: Axes, lines: Sequence[dict[str, str]], column: str, name: str) -> None:
    points = [(float(r["epoch"]), float(r[column])) for r in lines if r.get(column)]
    xs, ys = np.array(points, np.float64).reshape(-1, 2).T
    if xs.size > 200:  # steps are noisy: draw them faintly under their running mean
        axes.plot(xs, ys, color=LINES[name], alpha=0.2, linewidth=0.8)
        window = xs.size // 50
        ys = np.convolve(ys, np.ones(window) / window, "valid")
        xs = xs[window // 2 :][: ys.size]
    marker = "o" if xs.size < 40 else None
    axes.plot(xs, ys, color=LINES[name], label=name, linewidth=1.6, marker=marker, ms=3)


def draw_samples(
    predict: Callable[[np.ndarray], np.ndarray],
    read: Callable[[int], tuple[np.ndarray, np.ndarray]],
    count: int,
    labels: LabelSet,
    out: Path,
) -> None:
    """Image, truth and prediction of evenly spaced images, with a legend, as a PNG.

    Args:
        predict: from an image (H, W, 3) uint8 RGB to its ids (H, W) uint8.
        read: from an index below ``count`` to an image and its ids.
        count: number of images.
        labels: names and colours.
        out: the file.
    """
    chosen = np.unique(np.linspace(0, count - 1, min(SAMPLES, count)).round().astype(int))
    palette = labels.palette()
    height, width = read(int(chosen[0]))[0].shape[:2]
    row_height = 13 / 3 * height / width + 0.1  # inches of a row
    figure = Figure(figsize=(13, row_height * len(chosen) + 0.8), layout="constrained")
    grid = figure.subplots(len(chosen), 3, squeeze=False)
    for row, index in zip(grid, chosen, strict=True):
        image, truth = read(int(index))
        pictures = (image, palette[truth], palette[predict(image)])
        for axes, picture in zip(row, pictures, strict=True):
            axes.imshow(picture, interpolation="nearest")
            axes.set_axis_off()
    for axes, title in zip(grid[0], ("image", "truth", "prediction"), strict=True):
        axes.set_title(title, color=INK, loc="left", fontsize=12)
    _legend(figure, labels)
    figure.savefig(out, dpi=100)


def _legend(figure: Figure, labels: LabelSet) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(color=(red / 255, green / 255, blue / 255), label=name)
        for name, (red, green, blue) in zip(labels.names, labels.colours, strict=True)
    ]
    shown = patches[:40]  # more do not fit in the legend
    figure.legend(
        handles=shown, loc="outside lower center", ncols=min(10, len(shown)), frameon=False
    )
