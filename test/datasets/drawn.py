"""Images that are drawn for the tests, and how they are written as files."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bisenet_ros.datasets.synthetic_shapes import picture

SIZE = (48, 72)


@dataclass(frozen=True)
class Drawn:
    """One image: its name, its split, RGB (H, W, 3) and ids (H, W)."""

    name: str
    split: str
    image: np.ndarray
    ids: np.ndarray


def drawn_images(train: int = 4, val: int = 2, size: tuple[int, int] = SIZE) -> list[Drawn]:
    """Shapes of five classes on a background; one lies over another in most."""
    images = []
    for split, count in (("train", train), ("val", val)):
        for index in range(count):
            part = int(split == "val")
            image, ids = picture(size, np.random.default_rng([3, part, index]))
            images.append(Drawn(f"{split[0]}{index}", split, image, ids))
    return images


def write_png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)


write_image = write_png  # by the suffix


def write_palette(path: Path, ids: np.ndarray, colours: list[tuple[int, int, int]]) -> None:
    """A PNG with a palette of as many colours as are given."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    rows = b"".join(b"\0" + row.tobytes() for row in ids.astype(np.uint8))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", ids.shape[1], ids.shape[0], 8, 3, 0, 0, 0))
        + chunk(b"PLTE", bytes(part for colour in colours for part in colour))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def voc_colours(count: int = 256) -> list[tuple[int, int, int]]:
    """The first colours of PASCAL VOC, as its published table begins, by its rule."""
    table = []
    for index in range(count):
        bits = f"{index:024b}"[::-1]
        table.append(
            tuple(sum(int(bits[3 * k + c]) << (7 - k) for k in range(8)) for c in range(3))
        )
    return table  # type: ignore[return-value]
