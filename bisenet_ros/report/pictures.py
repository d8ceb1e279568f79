"""Pictures of single frames: camera, truth, prediction, errors, confidence, differences."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from bisenet_ros.labels import UNLABELLED, LabelSet
from bisenet_ros.recordings.codec import encode_jpeg, encode_png
from bisenet_ros.report.figure import colours
from bisenet_ros.report.html import data_uri

WIDEST = 480  # pixels
QUALITY = 80
WRONG, GAINED, LOST, OTHER = (220, 38, 38), (22, 163, 74), (220, 38, 38), (217, 119, 6)

Tile = tuple[str, str]  # title, URL


def photo(rgb: np.ndarray) -> str:
    """A camera picture (H, W, 3) uint8 RGB as a URL."""
    return data_uri("image/jpeg", encode_jpeg(_fit(rgb, cv2.INTER_AREA), QUALITY))


def flat(ids: np.ndarray, labels: LabelSet) -> str:
    """Class ids (H, W) uint8 in the classes' colours as a URL."""
    return data_uri("image/png", encode_png(colours(_fit(ids, cv2.INTER_NEAREST), labels), 6))


def grey(values: np.ndarray) -> str:
    """(H, W) uint8 as a URL of a grey picture."""
    return data_uri("image/jpeg", encode_jpeg(cv2.merge([_fit(values, cv2.INTER_AREA)] * 3), 80))


def error_map(rgb: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The camera picture in pale grey, with wrong pixels in red and unlabelled ones dark.

    Args:
        rgb: (H, W, 3) uint8.
        truth, mask: (H, W) uint8 ids; truth's 255 is unlabelled.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    paper = _pale(rgb)
    labelled = truth != UNLABELLED
    paper[~labelled] = paper[~labelled] // 3
    return _painted(paper, labelled & (truth != mask), WRONG)


def difference_map(
    rgb: np.ndarray, truth: np.ndarray | None, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Where two masks differ: green where only the second is right, red where only the first is.

    Orange where neither is, or where there is no truth. Arguments and result as of
    :func:`error_map`.
    """
    differ = first != second
    paper = _painted(_pale(rgb), differ, OTHER)
    if truth is None:
        return paper
    labelled = differ & (truth != UNLABELLED)
    pale = _pale(rgb)
    paper = _painted(paper, labelled & (second == truth), GAINED, pale)
    return _painted(paper, labelled & (first == truth), LOST, pale)


def frame_tiles(
    rgb: np.ndarray,
    truth: np.ndarray | None,
    mask: np.ndarray,
    confidence: np.ndarray | None,
    overlay: np.ndarray,
    labels: LabelSet,
) -> list[Tile]:
    """Four pictures of a frame: with truth camera, truth, prediction and errors."""
    if truth is not None:
        errors = photo(error_map(rgb, truth, mask))
        return [
            ("Camera", photo(rgb)),
            ("Truth", flat(truth, labels)),
            ("Prediction", flat(mask, labels)),
            ("Errors", errors),
        ]
    last = [] if confidence is None else [("Confidence", grey(confidence))]
    return [
        ("Camera", photo(rgb)),
        ("Prediction", flat(mask, labels)),
        ("Overlay", photo(overlay)),
        *last,
    ]


def present(*ids: np.ndarray | None) -> set[int]:
    """Ids that occur in any of the masks."""
    seen: set[int] = set()
    for one in ids:
        if one is not None:
            seen.update(np.unique(one).tolist())
    return seen


def _pale(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: grey, at half the contrast, brighter."""
    pale = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) // 2 + 110
    return cv2.merge([pale] * 3)


def _painted(
    paper: np.ndarray,
    where: np.ndarray,
    colour: tuple[int, int, int],
    under: np.ndarray | None = None,
) -> np.ndarray:
    """The picture with pixels covered by a colour through which ``under`` shows a little."""
    base: Any = paper if under is None else under
    out = paper.copy()
    out[where] = (base[where] * 0.25 + np.array(colour) * 0.75).astype(np.uint8)
    return out


def _fit(picture: np.ndarray, way: int) -> np.ndarray:
    height, width = picture.shape[:2]
    if width <= WIDEST:
        return picture
    size = (WIDEST, max(1, round(height * WIDEST / width)))
    return cv2.resize(picture, size, interpolation=way)
