"""Data sets as they lie on disk, small and made up."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import yaml


def write(path: Path, pixels: np.ndarray) -> Path:
    """Ids (H, W) or RGB (H, W, 3 or 4) as an image file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.ndim == 3:
        pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]
    assert cv2.imwrite(str(path), pixels)
    return path


def noise(height: int = 8, width: int = 10, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def write_indexed(path: Path, ids: np.ndarray, bits: int = 8) -> Path:
    """A PNG of palette indices, which OpenCV reads but does not write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unpacked = np.unpackbits(ids[..., None], axis=2)[..., 8 - bits :]
    rows = np.packbits(unpacked.reshape(len(ids), -1), axis=1)
    palette = np.random.default_rng(1).integers(0, 256, 3 << bits, np.uint8)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", ids.shape[1], ids.shape[0], bits, 3, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"PLTE", palette.tobytes())
        + chunk(b"tRNS", bytes(2))
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)))
        + chunk(b"IEND", b"")
    )
    return path


def write_sideways(path: Path, image: np.ndarray) -> Path:
    """A JPEG whose camera says that it is to be turned by a quarter when shown."""
    write(path, image)
    # One tag, 0x0112 (orientation), a short of value 6.
    tags = struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">I", 8) + tags
    head = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    content = path.read_bytes()
    path.write_bytes(content[:2] + head + content[2:])
    return path


def cityscapes(root: Path, ids: np.ndarray, ending: str = "labelIds") -> Path:
    for city in ("bochum", "aachen"):
        name = f"{city}_000000_000019"
        write(root / f"gtFine/val/{city}/{name}_gtFine_{ending}.png", ids)
        write(root / f"gtFine/val/{city}/{name}_gtFine_color.png", noise(*ids.shape))
        write(root / f"leftImg8bit/val/{city}/{name}_leftImg8bit.png", noise(*ids.shape))
    return root


def coco_stuff(root: Path, ids: np.ndarray) -> Path:
    write(root / "annotations/val2017/000000000139.png", ids)
    write(root / "images/val2017/000000000139.jpg", noise(*ids.shape))
    return root


CLASSES = [
    {"name": "floor", "color": [10, 20, 30]},
    {"name": "wall", "color": [200, 0, 0]},
    {"name": "thing", "color": [0, 0, 250]},
]


def folder(root: Path, count: int = 10, **listed: object) -> Path:
    """Images of which each second lies one folder deeper, and masks of the three ids."""
    for i in range(count):
        name = f"{'deep/' * (i % 2)}{i:02d}"
        write(root / f"images/{name}.jpg", noise(seed=i))
        write(root / f"masks/{name}.png", np.full((8, 10), i % 3, np.uint8))
    write_labels(root, **listed)
    return root


def write_labels(root: Path, **listed: object) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "labels.yaml").write_text(yaml.safe_dump({"classes": CLASSES, **listed}))
