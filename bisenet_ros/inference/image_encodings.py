"""Converts the bytes of image messages to pixels: checked first, and not copied if avoidable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from bisenet_ros.errors import DataError
from bisenet_ros.recordings.codec import decode_bgr

MAX_PIXELS = 1 << 26  # 67 megapixels; more is a broken or hostile header, not a camera

Buffer = Any  # anything with the buffer protocol: bytes, bytearray, array, memoryview, ndarray


class Pixels(NamedTuple):
    """An image ready for the Segmenter: (H, W, 3) uint8 and its channel order, rgb or bgr."""

    image: np.ndarray
    order: str


@dataclass(frozen=True)
class Encoding:
    """The memory layout of one encoding, and its conversion to three channels.

    Attributes:
        bytes_per_pixel: in the first plane, for planar formats.
        convert: (H, W, bytes_per_pixel) uint8 → (H, W, 3) uint8; None if no conversion is needed.
        order: channel order of the result.
        even: sides that must be even: ``""``, ``"width"`` or ``"both"``.
        planes: rows of data per two image rows; 3 for 4:2:0 formats.
    """

    bytes_per_pixel: int
    convert: Callable[[np.ndarray], np.ndarray] | None = None
    order: str = "rgb"
    even: str = ""
    planes: int = 2


def _cvt_color(code: int) -> Callable[[np.ndarray], np.ndarray]:
    def convert(view: np.ndarray) -> np.ndarray:
        return cv2.cvtColor(view, code)

    return convert


def _bayer(code: int) -> Callable[[np.ndarray], np.ndarray]:
    def convert(view: np.ndarray) -> np.ndarray:
        mosaic = view[..., 0]
        height, width = mosaic.shape
        if height > 2 and width > 2:
            return cv2.cvtColor(mosaic, code)
        # OpenCV needs three rows and columns; mirrored rows keep the 2×2 pattern.
        padded = cv2.copyMakeBorder(mosaic, 0, 4, 0, 4, cv2.BORDER_REFLECT_101)
        return np.ascontiguousarray(cv2.cvtColor(padded, code)[:height, :width])

    return convert


def _grey16(view: np.ndarray) -> np.ndarray:
    wide = np.ascontiguousarray(view).view(np.uint16)[..., 0]
    return cv2.cvtColor(cv2.convertScaleAbs(wide, alpha=255 / 65535), cv2.COLOR_GRAY2RGB)


GREY = Encoding(1, _cvt_color(cv2.COLOR_GRAY2RGB))
UYVY = Encoding(2, _cvt_color(cv2.COLOR_YUV2RGB_UYVY), even="width")
YUYV = Encoding(2, _cvt_color(cv2.COLOR_YUV2RGB_YUY2), even="width")

ENCODINGS = {
    "rgb8": Encoding(3),
    "bgr8": Encoding(3, order="bgr"),
    "8UC3": Encoding(3, order="bgr"),
    "rgba8": Encoding(4, _cvt_color(cv2.COLOR_RGBA2RGB)),
    "bgra8": Encoding(4, _cvt_color(cv2.COLOR_BGRA2RGB)),
    "8UC4": Encoding(4, _cvt_color(cv2.COLOR_BGRA2RGB)),
    "mono8": GREY,
    "8UC1": GREY,
    "mono16": Encoding(2, _grey16),
    # OpenCV names a Bayer pattern by its second row, ROS by its first.
    "bayer_rggb8": Encoding(1, _bayer(cv2.COLOR_BayerBG2RGB)),
    "bayer_bggr8": Encoding(1, _bayer(cv2.COLOR_BayerRG2RGB)),
    "bayer_gbrg8": Encoding(1, _bayer(cv2.COLOR_BayerGR2RGB)),
    "bayer_grbg8": Encoding(1, _bayer(cv2.COLOR_BayerGB2RGB)),
    "yuv422": UYVY,
    "uyvy": UYVY,
    "yuv422_yuy2": YUYV,
    "yuyv": YUYV,
    "nv12": Encoding(1, _cvt_color(cv2.COLOR_YUV2RGB_NV12), even="both", planes=3),
    "nv21": Encoding(1, _cvt_color(cv2.COLOR_YUV2RGB_NV21), even="both", planes=3),
}


def check_raw(encoding: str, height: int, width: int, step: int, length: int) -> None:
    """Raise :class:`DataError` with the reason if a raw image's fields are inconsistent.

    Args:
        encoding: a name of ``ENCODINGS``.
        height, width: pixels.
        step: bytes from one row to the next.
        length: size of the data in bytes.
    """
    known = ENCODINGS.get(encoding)
    if known is None:
        raise DataError(
            f"encoding {encoding[:40]!r} is not supported; expected one of {', '.join(ENCODINGS)}"
        )
    if height < 1 or width < 1:
        raise DataError(f"image size {width}×{height} is empty")
    if height * width > MAX_PIXELS:
        raise DataError(f"image size {width}×{height} exceeds the limit of {MAX_PIXELS} pixels")
    if (known.even and width % 2) or (known.even == "both" and height % 2):
        raise DataError(f"image size {width}×{height} is odd; {encoding} needs an even size")
    if step < width * known.bytes_per_pixel:
        raise DataError(
            f"step {step} is too small for {width} pixels of {encoding}; "
            f"expected at least {width * known.bytes_per_pixel}"
        )
    required = step * (height * known.planes // 2)
    if length < required:
        raise DataError(
            f"data has {length} bytes; expected at least {required} "
            f"for {height} rows with a step of {step}"
        )


def from_raw(
    data: Buffer, encoding: str, height: int, width: int, step: int, big_endian: bool = False
) -> Pixels:
    """View or convert a raw image; rgb8, bgr8 and 8UC3 are views of ``data``, not copies.

    Args:
        data: at least ``height`` rows of ``step`` bytes.
        encoding, height, width, step: as in sensor_msgs/Image.
        big_endian: byte order of 16-bit values.

    Raises:
        DataError: the fields are inconsistent; see :func:`check_raw`.
    """
    view = view_raw(data, encoding, height, width, step)
    known = ENCODINGS[encoding]
    if known.convert is None:
        return Pixels(view, known.order)
    if encoding == "mono16" and big_endian:
        view = view[..., ::-1]
    return Pixels(known.convert(view), known.order)


def view_raw(data: Buffer, encoding: str, height: int, width: int, step: int) -> np.ndarray:
    """View a raw image as (rows, width, bytes per pixel) uint8, without copying.

    Planar formats have more rows than the image; all others ``height``.

    Raises:
        DataError: the numbers do not fit together; see :func:`check_raw`.
    """
    flat = np.frombuffer(data, np.uint8)
    check_raw(encoding, height, width, step, flat.size)
    known = ENCODINGS[encoding]
    rows, size = height * known.planes // 2, known.bytes_per_pixel
    table = flat[: rows * step].reshape(rows, step)[:, : width * size]
    return table.reshape(rows, width, size)


def check_compressed(data: Buffer) -> None:
    """Raise :class:`DataError` unless this looks like a complete JPEG or PNG of a sane size.

    Reads the header only, so a small file that would expand to gigabytes is never decoded.
    """
    view = memoryview(data).cast("B")
    head = bytes(view[:26])
    if head[:2] == b"\xff\xd8":
        height, width = _jpeg_size(view)
        if b"\xff\xd9" not in bytes(view[-64:]):
            raise DataError(f"JPEG of {len(view)} bytes has no end marker; it is truncated")
    elif head[:8] == b"\x89PNG\r\n\x1a\n" and head[12:16] == b"IHDR" and len(head) > 23:
        width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
        if b"IEND" not in bytes(view[-64:]):
            raise DataError(f"PNG of {len(view)} bytes has no end chunk; it is truncated")
    else:
        raise DataError(f"compressed data of {len(view)} bytes is neither JPEG nor PNG")
    if height < 1 or width < 1:
        raise DataError(f"image size {width}×{height} is empty")
    if height * width > MAX_PIXELS:
        raise DataError(f"image size {width}×{height} exceeds the limit of {MAX_PIXELS} pixels")


def from_compressed(data: Buffer) -> Pixels:
    """Decode a JPEG or PNG to BGR.

    Raises:
        DataError: as :func:`check_compressed`, or the image cannot be decoded.
    """
    check_compressed(data)
    return Pixels(decode_bgr(data), "bgr")


def _jpeg_size(view: memoryview) -> tuple[int, int]:
    """(height, width) from the start-of-frame segment (ITU-T T.81, B.2.2)."""
    position = 2
    while position + 9 <= len(view):
        if view[position] != 0xFF:
            break
        marker = view[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:  # these have no length
            position += 2
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return (
                int.from_bytes(view[position + 5 : position + 7], "big"),
                int.from_bytes(view[position + 7 : position + 9], "big"),
            )
        if marker in (0xD9, 0xDA):
            break
        position += 2 + int.from_bytes(view[position + 2 : position + 4], "big")
    raise DataError(f"JPEG of {len(view)} bytes has no readable frame header")
