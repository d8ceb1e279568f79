"""Reads images and label files from disk; knows nothing of classes."""

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
    image = _decoded(path, _content(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"{path} cannot be read as an image; expected a whole PNG or JPEG file")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_label(path: Path, deep: bool = False) -> np.ndarray:
    """What a label file holds: ids (H, W) uint8, or colours (H, W, 3) uint8 RGB.

    With ``deep``, ids of one channel of 16 bits are given as uint16.

    An indexed PNG gives its indices, which is where labelling tools write the ids; its palette
    is for the eye.

    Raises:
        DataError: the file is unreadable, or has more than eight bits a channel.
    """
    content = _content(path)
    bits = _indexed_bits(content)
    if bits:
        content = _as_grey(content)
    pixels = _decoded(path, content, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise DataError(f"{path} cannot be read as a label; expected a whole PNG file")
    if deep and pixels.dtype == np.uint16 and pixels.ndim == 2:
        return pixels
    if pixels.dtype != np.uint8:
        raise DataError(f"{path} has 16 bits a channel; expected 8-bit ids or 8-bit RGB colours")
    if 0 < bits < 8:
        pixels = pixels // (255 // (2**bits - 1))  # the decoder spreads few bits over 0–255
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels[..., :3], cv2.COLOR_BGR2RGB)  # a fourth channel is opacity
    return pixels


def read_palette(path: Path) -> np.ndarray | None:
    """The colours (n, 3) uint8 RGB of an indexed PNG, None for any other file."""
    with _opened(path) as file:
        head = file.read(33)
        if not _indexed_bits(head):
            return None
        while len(start := file.read(8)) == 8 and start[4:] != b"IDAT":
            (length,) = struct.unpack(">I", start[:4])
            if start[4:] == b"PLTE":
                return np.frombuffer(file.read(length - length % 3), np.uint8).reshape(-1, 3)
            file.seek(length + 4, 1)
    return None


def check_whole(path: Path) -> None:
    """See that a PNG or JPEG has its end; decoders differ in whether they mind.

    Raises:
        DataError: it is cut off, or is no such file.
    """
    content = _content(path)
    if content.startswith(_PNG):
        position = 8
        while position + 12 <= len(content) and content[position + 4 : position + 8] != b"IEND":
            position += 12 + struct.unpack(">I", content[position : position + 4])[0]
        whole = position + 12 <= len(content)
    else:
        # The last scan is followed by the end of the image; what cameras append may come after.
        whole = content.startswith(b"\xff\xd8") and content.rfind(b"\xff\xd9") > content.rfind(
            b"\xff\xda"
        )
    if not whole:
        raise DataError(f"{path} is cut off, or is no PNG or JPEG; copy it again")


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) as the file's head says, before a camera's rotation tag is obeyed.

    A file whose head is not understood is decoded; DataError if that fails.
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


def _decoded(path: Path, content: bytes, way: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), way)
    except cv2.error as error:  # it claims to have more pixels than OpenCV lets a picture have
        raise DataError(f"{path} is not a picture that can be decoded: {error.err}") from error


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror}") from error


def _content(path: Path) -> bytes:
    """The file's bytes, at least one. OpenCV's own reading does not say what went wrong."""
    with _opened(path) as file:
        content = file.read()
    if not content:
        raise DataError(f"{path} is empty; copy it again")
    return content


def _indexed_bits(content: bytes) -> int:
    """Bits a pixel of an indexed PNG, 0 for any other file."""
    if len(content) < 26 or not content.startswith(_PNG) or content[25] != _INDEXED:
        return 0
    return content[24]


def _as_grey(content: bytes) -> bytes:
    """An indexed PNG as a grey one of the same numbers.

    OpenCV cannot be asked for indices: it always looks them up in the palette. The pixels of both
    kinds lie alike in the file, so another header (and its check sum) before them is enough.
    """
    parts, position = [content[:8]], 8
    while position + 12 <= len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        chunk = content[position : position + 12 + length]
        if chunk[4:8] == b"IHDR":
            # Name, size and bits; the colour type; the rest.
            head = chunk[4:17] + bytes([_GREY]) + chunk[18:21]
            chunk = chunk[:4] + head + struct.pack(">I", zlib.crc32(head))
        if chunk[4:8] in (b"IHDR", b"IDAT", b"IEND"):  # not the palette and what refers to it
            parts.append(chunk)
        position += 12 + length
    return b"".join(parts)
