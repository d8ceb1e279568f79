"""Depth images as drivers send them: raw, or as image_transport's compressedDepth."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np

from bisenet_ros.errors import DataError

MAX_PIXELS = 64 * 2**20  # more than any camera has; a header may lie
_KINDS = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}
_CONFIG = struct.Struct("<iff")  # what compressedDepth puts before its PNG
_PNG = b"\x89PNG\r\n\x1a\n"


def decode_raw(
    encoding: str, height: int, width: int, step: int, data: Any, big_endian: bool = False
) -> np.ndarray:
    """View or copy the pixels of a sensor_msgs/Image.

    Args:
        encoding: 16UC1 or mono16 (millimetres), or 32FC1 (metres).
        height: in pixels.
        width: in pixels.
        step: bytes from one row to the next.
        data: a buffer.
        big_endian: the order of the values' bytes.

    Returns:
        (height, width) uint16 or float32 in the machine's byte order; a view where it can be.

    Raises:
        DataError: the encoding is another one, or the data is too short for the size.
    """
    if encoding not in _KINDS:
        raise DataError(
            f"depth image is {encoding!r}; expected 16UC1 (millimetres) or 32FC1 (metres)"
        )
    kind = np.dtype((">" if big_endian else "<") + _KINDS[encoding])
    content = np.frombuffer(data, np.uint8)
    if height < 1 or width < 1 or step < width * kind.itemsize or content.size < height * step:
        raise DataError(
            f"depth image of {width}×{height} pixels has {content.size} bytes, {step} a row; "
            f"expected at least {height} rows of {max(width, 0) * kind.itemsize}"
        )
    rows = content[: height * step].reshape(height, step)[:, : width * kind.itemsize]
    if step % kind.itemsize:
        rows = np.ascontiguousarray(rows)
    pixels = rows.view(kind)
    return pixels.astype(kind.newbyteorder("="), copy=False)


def decode_compressed(form: str, data: Any) -> np.ndarray:
    """Decode a sensor_msgs/CompressedImage of compressed_depth_image_transport.

    Depth in millimetres is a PNG; depth in metres is one of inverse depths, d = a / (value − b).

    Args:
        form: the message's ``format``, such as ``16UC1; compressedDepth png``.
        data: a buffer.

    Returns:
        (H, W) uint16 millimetres (0: none) or float32 metres (NaN: none).

    Raises:
        DataError: it is not depth, not a PNG, broken, or larger than any camera.
    """
    encoding, _, transport = (part.strip() for part in form.partition(";"))
    if encoding not in _KINDS or transport not in ("", "compressedDepth", "compressedDepth png"):
        raise DataError(
            f"depth image's format is {form!r}; expected 16UC1 or 32FC1 as compressedDepth png"
        )
    content = np.frombuffer(data, np.uint8)
    head = content[: _CONFIG.size + 24].tobytes()
    png = head[_CONFIG.size :]
    if len(png) < 24 or not png.startswith(_PNG):
        raise DataError(f"compressed depth image of {content.size} bytes holds no PNG")
    width, height = struct.unpack_from(">II", png, 16)
    if width * height > MAX_PIXELS:
        raise DataError(f"compressed depth image says it has {width}×{height} pixels; refused")
    stored = cv2.imdecode(content[_CONFIG.size :], cv2.IMREAD_UNCHANGED)
    if stored is None or stored.ndim != 2 or stored.dtype != np.uint16:
        raise DataError("compressed depth image cannot be decoded as a PNG of 16 bits")
    if _KINDS[encoding] == "u2":
        return stored
    _, a, b = _CONFIG.unpack_from(head)
    with np.errstate(divide="ignore", invalid="ignore"):
        metres = np.float32(a) / (stored.astype(np.float32) - np.float32(b))
    metres[stored == 0] = np.nan
    return metres


def encode_compressed(depth: np.ndarray) -> bytes:
    """The data of a ``16UC1; compressedDepth png`` message for (H, W) uint16 millimetres."""
    png = cv2.imencode(".png", depth, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]
    return _CONFIG.pack(0, 0.0, 0.0) + png.tobytes()
