"""Compressed images: PNG and JPEG bytes, as files, messages and reports hold them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from bisenet_ros.errors import DataError


def decode(data: Any, flags: int = cv2.IMREAD_UNCHANGED) -> np.ndarray:
    """Bytes (any buffer) as OpenCV reads them: (H, W) or (H, W, 3 or 4), channels BGR(A).

    Raises:
        DataError: the bytes are broken or too many pixels.
    """
    content = np.frombuffer(data, np.uint8)
    try:
        image = cv2.imdecode(content, flags) if content.size else None
    except cv2.error as error:  # more pixels than OpenCV was told to allow
        raise DataError(
            f"compressed image of {content.size} bytes cannot be decoded ({error.err})"
        ) from error
    if image is None:
        raise DataError(f"compressed image of {content.size} bytes cannot be decoded")
    return image


def decode_bgr(data: Any) -> np.ndarray:
    """JPEG or PNG bytes to (H, W, 3) uint8 BGR; DataError where they are broken."""
    return decode(data, cv2.IMREAD_COLOR)


def decode_rgb(data: Any) -> np.ndarray:
    """JPEG or PNG bytes to (H, W, 3) uint8 RGB; DataError where they are broken."""
    return cv2.cvtColor(decode_bgr(data), cv2.COLOR_BGR2RGB)


def decode_ids(data: Any) -> np.ndarray:
    """PNG bytes (any buffer) of class ids to (H, W) uint8.

    Raises:
        DataError: the bytes are corrupt, or colours or 16-bit values instead of ids.
    """
    ids = decode(data)
    if ids.ndim != 2 or ids.dtype != np.uint8:
        found = f"{1 if ids.ndim == 2 else ids.shape[2]} channel(s) of {ids.dtype}"
        raise DataError(f"label image has {found}; expected one channel of 8-bit class ids")
    return ids


def encode_png(image: np.ndarray, compression: int = 1) -> bytes:
    """(H, W), (H, W, 3) RGB or (H, W, 4) RGBA uint8 as a PNG; 1 is fast, 9 small."""
    if image.ndim == 3:
        code = cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        image = cv2.cvtColor(image, code)
    return cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, compression])[1].tobytes()


def encode_jpeg(image: np.ndarray, quality: int, order: str = "rgb") -> bytes:
    """(H, W, 3) uint8 in the channel order ``rgb`` or ``bgr`` as a JPEG of ``quality`` 1–100."""
    bgr = image if order == "bgr" else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
