"""Reads image and label files from disk."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from bisenet_ros.errors import DataError
from bisenet_ros.recordings.codec import decode_rgb
from bisenet_ros.system.paths import check_regular

IMAGES = (".png", ".jpg", ".jpeg")  # suffixes in lower case
LABELS = (".png",)  # JPEG would change ids and colours
MAX_PIXELS = 1 << 26
# What Pillow raises for files that are broken, cut off or too large.
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
SIXTEEN_BIT = ("I;16", "I;16B", "I", "F")  # Pillow's modes of more than eight bits per channel


def read_rgb(path: Path) -> np.ndarray:
    """The image, (H, W, 3) uint8 RGB; DataError if it cannot be read."""
    try:
        return decode_rgb(_content(path))
    except DataError as error:
        raise DataError(
            f"{path} cannot be read as an image; expected a complete PNG or JPEG file"
        ) from error


def read_label(path: Path, deep: bool = False) -> np.ndarray:
    """Contents of a label file: ids (H, W) uint8, or colours (H, W, 3) uint8 RGB.

    With ``deep``, ids of one channel of 16 bits are given as uint16.

    An indexed PNG gives its indices, since labelling tools store the ids there; its palette is
    ignored.

    Raises:
        DataError: the file is unreadable, or has more than eight bits per channel.
    """
    content = _content(path)
    try:
        image = _loaded(content)
    except UNREADABLE as error:
        raise DataError(
            f"{path} cannot be read as a label; expected a complete PNG file"
        ) from error
    if deep and image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)
    if image.mode in SIXTEEN_BIT or _bits(content) == 16:
        raise DataError(f"{path} has 16 bits per channel; expected 8-bit ids or 8-bit RGB colours")
    if image.mode in ("P", "L"):
        return np.asarray(image)
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    return np.asarray(image.convert("RGB"))  # a fourth channel is opacity


def read_palette(path: Path) -> np.ndarray | None:
    """The colours (n, 3) uint8 RGB of an indexed PNG, None for any other file."""
    check_regular(path)
    try:
        with Image.open(path) as image:
            if image.mode != "P":
                return None
            return np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    except UNREADABLE as error:
        raise DataError(
            f"{path} cannot be read as a label; expected a complete PNG file"
        ) from error


def check_whole(path: Path) -> None:
    """See that a PNG or JPEG is complete: Pillow decodes every byte and minds what is missing.

    Raises:
        DataError: it is truncated, or neither PNG nor JPEG.
    """
    try:
        content = _content(path)
        if _loaded(content).format == "PNG" and not 0 <= content.rfind(b"IEND") <= len(content) - 8:
            raise ValueError("no end chunk")
    except UNREADABLE as error:
        raise DataError(f"{path} is cut off, or is not a PNG or JPEG; copy it again") from error


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) as the file's header says, before a camera's rotation tag is applied.

    Raises:
        DataError: the file cannot be opened, or its header is not that of an image.
    """
    check_regular(path)
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except UNREADABLE:
        height, width = read_rgb(path).shape[:2]  # which says what is wrong
        return height, width


def _loaded(content: bytes) -> Image.Image:
    """Every pixel of a file, decoded by Pillow; raises one of ``UNREADABLE``."""
    image = Image.open(io.BytesIO(content))
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width}×{image.height} pixels")
    image.load()
    return image


def _bits(content: bytes) -> int:
    """Bits per channel of a PNG, from its header; Pillow reads 16-bit colours as 8-bit ones."""
    return content[24] if len(content) > 25 else 0


def _content(path: Path) -> bytes:
    """The file's bytes, at least one. OpenCV's own reading does not say what went wrong."""
    check_regular(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror}") from error
    if not content:
        raise DataError(f"{path} is empty; copy it again")
    return content
