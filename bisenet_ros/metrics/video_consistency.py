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
        self._runs = (np.zeros(0, np.uint8), np.zeros(0, np.uint8))

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
            # From a run of 0, every id makes a run of 1.
            self._last = (truth, mask)
            self._runs = (np.zeros(truth.shape, np.uint8), np.zeros(mask.shape, np.uint8))
        grown = (
            _longer(self._runs[0], self._last[0], truth),
            _longer(self._runs[1], self._last[1], mask),
        )
        self._last, self._runs = (truth, mask), grown
        for n in self.windows:
            constant = grown[0] >= n
            count = int(np.count_nonzero(constant))
            if count:
                constant &= grown[1] >= n
                self._sums[n] += int(np.count_nonzero(constant)) / count
                self._counts[n] += 1

    def score(self, n: int) -> float:
        """VC_n, 0–1; NaN where a frame had no truth or no window had a constant pixel."""
        if not self.complete or not self._counts[n]:
            return float("nan")
        return self._sums[n] / self._counts[n]


def _longer(run: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """(H, W) uint8: for how many frames, up to 255, each pixel has had its id; 0 for 255."""
    longer = run + (run < 255)
    longer *= new == old
    # A pixel that was 255 has a run of 0, so that its first id makes a run of 1 either way.
    np.maximum(longer, 1, out=longer)
    longer *= new != UNLABELLED
    return longer
