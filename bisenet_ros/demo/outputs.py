"""What the report of a live run shows besides: one frame large, the ground ahead, the ages."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bisenet_ros.demo.birds_eye import ASSUMED, BirdsEye, beside, of_drive
from bisenet_ros.inference.cpu.overlay import blend
from bisenet_ros.labels import UNLABELLED, LabelSet
from bisenet_ros.recordings.codec import encode_png
from bisenet_ros.recordings.frame_stream import FrameSource, read_chosen
from bisenet_ros.replay.evaluation import OPACITY
from bisenet_ros.replay.predictor import Predictor
from bisenet_ros.replay.recording_scores import RecordingScores
from bisenet_ros.replay.report_extras import ReportExtras
from bisenet_ros.replay.side_by_side import run_model
from bisenet_ros.report.figure import View, grid
from bisenet_ros.report.live import GroundView, LargeFrame, LiveView
from bisenet_ros.report.pictures import present
from bisenet_ros.report.recording import RecordingReportData
from bisenet_ros.system.atomic_files import write_bytes

PICTURE = "overlay.png"


class LiveExtras(ReportExtras):
    """Adds to the report of a bag that was played through the node.

    Args:
        bag: its name; the sample drive's ground is shown, since its camera is known.
        labels: what the ids of the masks mean.
        problems: what did not fit between the frames played and the masks received.
        ages_ms: of the masks, by the stamps of their frames.
    """

    def __init__(
        self, bag: str, labels: LabelSet, problems: list[str], ages_ms: dict[int, float]
    ) -> None:
        self.bag, self.labels = bag, labels
        self.problems, self.ages_ms = problems, ages_ms
        self._views: dict[tuple[int, ...], BirdsEye | None] = {}

    def film_picture(self, overlay: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The overlay, with the ground as seen from above beside it where that is known."""
        view = self._view(mask)
        return overlay if view is None else beside(overlay, view.draw(mask, overlay.shape[0]))

    def add(
        self,
        data: RecordingReportData,
        scores: RecordingScores,
        source: FrameSource,
        predictor: Predictor,
        folder: Path,
    ) -> RecordingReportData:
        """Also writes overlay.png, if a frame is labelled."""
        stamps = scores.records.column("stamp_ns").tolist()
        ages = np.array([self.ages_ms.get(stamp, np.nan) for stamp in stamps])
        live = LiveView(self.problems)
        place = best_frame(scores)
        if place is not None:
            live = replace(live, **self._large(place, scores, source, predictor, folder))
        seen = data.seen
        if live.frame is not None:
            seen = seen | present(live.frame.view.truth, live.frame.view.mask)
        return replace(data, live=live, seen=seen, columns={**data.columns, "age_ms": ages})

    def _large(
        self,
        place: int,
        scores: RecordingScores,
        source: FrameSource,
        predictor: Predictor,
        folder: Path,
    ) -> dict[str, Any]:
        """The frame and its ground, as fields of LiveView."""
        index = int(scores.records.column("index")[place])
        miou = float(scores.records.column("miou")[place])
        with closing(read_chosen(source, {index})) as frames:
            for frame in frames:
                (found,) = run_model(predictor, [frame])
                rgb, truth = frame.rgb, frame.truth
                if truth is None:
                    truth = np.full(found.mask.shape, UNLABELLED, np.uint8)
                overlay = blend(rgb, found.mask, self.labels.palette(), OPACITY)
                view = View(rgb, truth, found.mask, overlay)
                caption = f"{self.bag}, frame {place} of {len(scores.records)}: mIoU {miou:.3f}"
                picture = encode_png(grid(view, self.labels, caption))
                write_bytes(folder / PICTURE, picture)
                above = self._view(found.mask)
                ground = None
                if above is not None:
                    ground = GroundView(above.draw(found.mask, found.mask.shape[0]), ASSUMED)
                return {"frame": LargeFrame(place, miou, view), "ground": ground}
        return {}

    def _view(self, mask: np.ndarray) -> BirdsEye | None:
        shape = mask.shape
        if shape not in self._views:
            self._views[shape] = of_drive(self.bag, self.labels, shape[0], shape[1])
        return self._views[shape]


def best_frame(scores: RecordingScores) -> int | None:
    """The place of the frame with the highest mIoU times number of classes; None without truth."""
    worth = scores.records.column("miou") * scores.records.counts.any(1).sum(1)
    return None if np.isnan(worth).all() else int(np.nanargmax(worth))
