"""What those who score a recording may add to its film and its report."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bisenet_ros.recordings.frame_stream import FrameSource
from bisenet_ros.replay.predictor import Predictor
from bisenet_ros.replay.recording_scores import RecordingScores
from bisenet_ros.report.recording import RecordingReportData


class ReportExtras:
    """Hooks of a run; these add nothing."""

    def film_picture(self, overlay: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """What the film shows of a frame.

        Args:
            overlay: (H, W, 3) uint8 RGB.
            mask: (H, W) uint8 ids.

        Returns:
            (h, w, 3) uint8 RGB, of one size for all frames.
        """
        return overlay

    def add(
        self,
        data: RecordingReportData,
        scores: RecordingScores,
        source: FrameSource,
        predictor: Predictor,
        folder: Path,
    ) -> RecordingReportData:
        """The content of the report with what is added; further files go into ``folder``.

        Args:
            data: what the report shows anyway.
            scores: of the recording, frame by frame.
            source, predictor: to look at frames again.
            folder: of the report.
        """
        return data
