"""Masks as Autoware sends them: runs of one class instead of pixels."""

from __future__ import annotations

import numpy as np

RUN = np.dtype([("value", "u1"), ("length", "<i4")])  # packed: 5 bytes a run


def encode_runs(mask: np.ndarray) -> np.ndarray:
    """Turn a mask into runs, row by row; a run may go on in the next row.

    Args:
        mask: (H, W) uint8, not empty.

    Returns:
        (runs,) of :data:`RUN`; its bytes are what Autoware's segmentation_pointcloud_fusion expects
        as the data of an Image of the mask's height and width, labelled mono8.
    """
    pixels = mask.reshape(-1)
    starts = np.concatenate([[0], np.flatnonzero(pixels[1:] != pixels[:-1]) + 1])
    runs = np.empty(len(starts), RUN)
    runs["value"] = pixels[starts]
    runs["length"] = np.diff(starts, append=pixels.size)
    return runs
