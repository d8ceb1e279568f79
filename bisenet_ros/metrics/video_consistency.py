"""Video consistency: whether predictions stay constant where the truth does.

VC_n of Miao, Wei, Wu, Liang, Li and Yang, "VSPW: A large-scale dataset for video scene parsing in
the wild", CVPR 2021, section 5: in a window of n consecutive frames, the pixels whose truth and
whose prediction both stay the same, over the pixels whose truth stays the same; the mean over all
windows. It does not check that the prediction is right, knows no motion, and needs truth for every
frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bisenet_ros.labels import UNLABELLED

WINDOWS = (8, 16)  # frames


class VideoConsistency:
    """Collects VC_n frame by frame; keeps one frame, whatever n and the recording's length.

    Args:
        windows: the n, each from 2 to 255.
    """

    def __init__(self, windows: Sequence[int] = WINDOWS) -> None:
        self.windows = tuple(windows)
        self.complete = True
        self._sums = dict.fromkeys(self.windows, 0.0)
        self._counts = dict.fromkeys(self.windows, 0)
        self._last: tuple[np.ndarray, np.ndarray] | None = None
        # For how many frames each pixel of truth and mask has kept its id.
        self._kept: list[np.ndarray] = []

    def add(self, truth: np.ndarray | None, mask: np.ndarray, follows: bool = True) -> None:
        """Look at the next frame.

        Args:
            truth: (H, W) uint8 ids, 255 unlabelled; None where the frame has none, after which no
                score is given.
            mask: (H, W) uint8 ids, 255 no class; neither kind of 255 counts as constant.
            follows: whether the frame follows the one before without a gap; a gap or another size
                begins new windows.
        """
        self.complete &= truth is not None
        if not self.complete or truth is None:
            self._last = None
            return
        if self._last is None or not follows or self._last[0].shape != truth.shape:
            kept = [np.zeros(ids.shape, np.uint8) for ids in (truth, mask)]
        else:
            kept = list(map(_longer, self._kept, self._last, (truth, mask)))
        self._last, self._kept = (truth, mask), kept
        for n in self.windows:
            # Before them there was the frame that began the run.
            constant = kept[0] >= n - 1
            count = int(np.count_nonzero(constant))
            if count:
                constant &= kept[1] >= n - 1
                self._sums[n] += int(np.count_nonzero(constant)) / count
                self._counts[n] += 1

    def score(self, n: int) -> float:
        """VC_n, 0–1; NaN where a frame had no truth or no window had a constant pixel."""
        if not self.complete or not self._counts[n]:
            return float("nan")
        return self._sums[n] / self._counts[n]


def _longer(kept: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """(H, W) uint8: for how many frames, up to 255, each pixel has kept its id; 0 for 255."""
    same = new == old
    same &= new != UNLABELLED
    longer = kept + (kept < 255)
    longer *= same.view(np.uint8)
    return longer
