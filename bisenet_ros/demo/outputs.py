"""Turn a recorded drive into the files people look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bisenet_ros.demo.birds_eye import ASSUMED, BirdsEye, beside, of_drive
from bisenet_ros.demo.pipeline import Played
from bisenet_ros.labels import UNLABELLED
from bisenet_ros.recordings.codec import encode_png
from bisenet_ros.recordings.labelled_bag import Drive
from bisenet_ros.report.bag import BagReportData, GroundView, render
from bisenet_ros.report.data import ReportImage
from bisenet_ros.report.figure import View, grid
from bisenet_ros.report.video import write_video
from bisenet_ros.system.atomic_files import write_bytes

ENDS = 3  # frames shown of the best and of the worst each


def show(metrics: dict[str, Any], drive: Drive, played: Played, out: Path) -> None:
    """Write overlay.mp4, overlay.png and report.html into ``out``."""
    numbers = {stamp: i for i, stamp in enumerate(played.stamps)}
    about, labels = metrics["drive"], played.recording.label_set()
    view = of_drive(about["bag"], labels, about["height"], about["width"])
    video = write_overlay_video(played, numbers, about["played_hz"], out / "overlay.mp4", view)
    chosen = choose(metrics["frames"], set(played.recording.overlay_stamps()) & set(numbers))
    shown = look_up(chosen, drive, played, numbers)
    hero, best, worst = shown
    above = None if view is None or hero is None else view.draw(hero.view.mask, about["height"])
    ground = None if above is None else GroundView(above, ASSUMED)
    data = BagReportData(metrics, labels, best, worst, numbers, hero, video, ground)
    if hero is not None:
        caption = f"{drive.path.name}, {hero.name.lower()} of {len(numbers)}: mIoU {hero.miou:.3f}"
        write_bytes(out / "overlay.png", encode_png(grid(hero.view, labels, caption)))
    write_bytes(out / "report.html", render(data).encode())


def write_overlay_video(
    played: Played, numbers: dict[int, int], rate: float, path: Path, view: BirdsEye | None
) -> Path | None:
    """Write the published overlays as a video, None if there are none.

    With a ``view``, each has the ground as seen from above beside it.
    """
    recording = played.recording
    stamps = [stamp for stamp in recording.overlay_stamps() if stamp in numbers]
    if view is not None:
        stamps = sorted(set(stamps) & set(recording.mask_stamps()))

    def picture(stamp: int) -> np.ndarray:
        overlay = recording.overlay(stamp)
        if view is None:
            return overlay
        return beside(overlay, view.draw(recording.mask(stamp), overlay.shape[0]))

    frames = ((numbers[stamp], picture(stamp)) for stamp in stamps)
    return path if write_video(path, frames, rate) else None


Chosen = tuple[dict[str, Any] | None, list[dict[str, Any]], list[dict[str, Any]]]


def choose(frames: list[dict[str, Any]], shown: set[int]) -> Chosen:
    """The hero, the best and the worst of the scored frames that have an overlay.

    The hero has the highest mIoU times number of classes.
    """
    scored = [f for f in frames if f["miou"] is not None and f["stamp"] in shown]
    ranked = sorted(scored, key=lambda f: f["miou"], reverse=True)
    hero = max(scored, key=lambda f: f["miou"] * f["classes"], default=None)
    ends = min(ENDS, len(ranked) // 2)
    return hero, ranked[:ends], ranked[len(ranked) - ends :][::-1]


def look_up(
    chosen: Chosen, drive: Drive, played: Played, numbers: dict[int, int]
) -> tuple[ReportImage | None, list[ReportImage], list[ReportImage]]:
    """The chosen frames with their images."""
    hero, best, worst = chosen
    wanted = {f["stamp"]: numbers[f["stamp"]] for f in (hero, *best, *worst) if f is not None}
    pairs = drive.read(set(wanted.values()))

    def shown(figures: dict[str, Any]) -> ReportImage:
        stamp = figures["stamp"]
        image, truth = pairs[wanted[stamp]]
        if truth is None:
            truth = np.full(image.shape[:2], UNLABELLED, np.uint8)
        mask, overlay = played.recording.mask(stamp), played.recording.overlay(stamp)
        return ReportImage(
            f"Frame {wanted[stamp] + 1}", figures["miou"], View(image, truth, mask, overlay)
        )

    return (
        None if hero is None else shown(hero),
        [shown(f) for f in best],
        [shown(f) for f in worst],
    )
