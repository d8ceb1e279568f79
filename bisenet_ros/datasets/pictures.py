"""Reads image and label files from disk."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from bisenet_ros.errors import DataError

IMAGES = (".png", ".jpg", ".jpeg")  # suffixes in lower case
LABELS = (".png",)  # JPEG would change ids and colours

_PNG = b"\x89PNG\r\n\x1a\n"
_GREY, _INDEXED = 0, 3  # PNG's colour types
# JPEG's start-of-frame markers hold the size; C4, C8 and CC are tables and an extension.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def read_rgb(path: Path) -> np.ndarray:
    """The image, (H, W, 3) uint8 RGB; DataError if it cannot be read."""
    image = cv2.imdecode(np.frombuffer(_content(path), np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"{path} cannot be read as an image; expected a complete PNG or JPEG file")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_label(path: Path) -> np.ndarray:
    """Contents of a label file: ids (H, W) uint8, or colours (H, W, 3) uint8 RGB.

    An indexed PNG gives its indices, since labelling tools store the ids there; its palette is
    ignored.

    Raises:
        DataError: the file is unreadable, or has more than eight bits per channel.
    """
    content = _content(path)
    bits = _indexed_bits(content)
    if bits:
        content = _as_grey(content)
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise DataError(f"{path} cannot be read as a label; expected a complete PNG file")
    if pixels.dtype != np.uint8:
        raise DataError(f"{path} has 16 bits per channel; expected 8-bit ids or 8-bit RGB colours")
    if 0 < bits < 8:
        pixels = pixels // (255 // (2**bits - 1))  # the decoder scales fewer bits to 0–255
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels[..., :3], cv2.COLOR_BGR2RGB)  # drop alpha
    return pixels


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) from the file's header, before EXIF rotation.

    Decodes the file if the header is not understood; DataError if that fails.
    """
    with _opened(path) as file:
        start = file.read(24)
        if len(start) == 24 and start.startswith(_PNG):
            width, height = struct.unpack(">II", start[16:])
            return height, width
        file.seek(2)
        while start.startswith(b"\xff\xd8") and len(mark := file.read(9)) == 9 and mark[0] == 0xFF:
            if mark[1] in _FRAMES:
                height, width = struct.unpack(">HH", mark[5:])
                return height, width
            file.seek(struct.unpack(">H", mark[2:4])[0] - 7, 1)
    height, width = read_rgb(path).shape[:2]
    return height, width


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror}") from error


def _content(path: Path) -> bytes:
    """The file's bytes, at least one; cv2.imread would not say what went wrong."""
    with _opened(path) as file:
        content = file.read()
    if not content:
        raise DataError(f"{path} is empty; copy it again")
    return content


def _indexed_bits(content: bytes) -> int:
    """Bits per pixel of an indexed PNG, 0 for any other file."""
    if len(content) < 26 or not content.startswith(_PNG) or content[25] != _INDEXED:
        return 0
    return content[24]


def _as_grey(content: bytes) -> bytes:
    """An indexed PNG rewritten as greyscale with the same values.

    OpenCV always applies the palette and cannot return indices. Both kinds store pixels the same
    way, so replacing the header (and its checksum) is enough.
    """
    parts, position = [content[:8]], 8
    while position + 12 <= len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        chunk = content[position : position + 12 + length]
        if chunk[4:8] == b"IHDR":
            # Type, size and bit depth; the colour type; the rest.
            head = chunk[4:17] + bytes([_GREY]) + chunk[18:21]
            chunk = chunk[:4] + head + struct.pack(">I", zlib.crc32(head))
        if chunk[4:8] in (b"IHDR", b"IDAT", b"IEND"):  # drop the palette and what refers to it
            parts.append(chunk)
        position += 12 + length
    return b"".join(parts)
