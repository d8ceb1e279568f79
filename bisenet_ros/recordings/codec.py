"""Encodes and decodes compressed images, as used by camera drivers and bags."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from bisenet_ros.errors import DataError


def decode_rgb(data: Any) -> np.ndarray:
    """JPEG or PNG bytes (any buffer) to (H, W, 3) uint8 RGB; DataError if they are corrupt."""
    return cv2.cvtColor(_decode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def decode_ids(data: Any) -> np.ndarray:
    """PNG bytes (any buffer) of class ids to (H, W) uint8.

    Raises:
        DataError: the bytes are corrupt, or colours or 16-bit values instead of ids.
    """
    ids = _decode(data, cv2.IMREAD_UNCHANGED)
    if ids.ndim != 2 or ids.dtype != np.uint8:
        found = f"{1 if ids.ndim == 2 else ids.shape[2]} channel(s) of {ids.dtype}"
        raise DataError(f"label image has {found}; expected one channel of 8-bit class ids")
    return ids


def encode_png(image: np.ndarray) -> bytes:
    """(H, W) or (H, W, 3) RGB uint8 as a PNG, fast rather than small."""
    stored = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """(H, W, 3) uint8 RGB as a JPEG of ``quality`` 1–100."""
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _decode(data: Any, flags: int) -> np.ndarray:
    content = np.frombuffer(data, np.uint8)
    image = cv2.imdecode(content, flags) if content.size else None
    if image is None:
        raise DataError(
            f"compressed image of {content.size} bytes cannot be decoded; expected a JPEG or PNG"
        )
    return image
