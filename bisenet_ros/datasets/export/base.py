"""What every writer of a format has in common."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from PIL import Image

from bisenet_ros.datasets.class_list import BACKGROUND_NAMES, UNLABELLED_NAMES, voc_colour
from bisenet_ros.datasets.decoding import Colour
from bisenet_ros.errors import DataError
from bisenet_ros.labels import LabelSet


class Exporter(Protocol):
    """Writes one format: images with their ids one by one, and what lists them at the end."""

    def __init__(self, out: Path, labels: LabelSet) -> None:
        """Start in an empty folder; DataError if the format cannot hold a class's name."""

    def add(self, split: str, name: str, image: Path, ids: np.ndarray) -> None:
        """Write one image.

        Args:
            split: ``train``, ``val``, …
            name: a path without suffix that no other image of any split has.
            image: the picture, which is copied as it is.
            ids: (H, W) uint8 with 255 for unlabelled, as the picture is shown.
        """

    def finish(self) -> None:
        """Write what lists classes and images."""


def copy_image(image: Path, folder: Path, name: str) -> str:
    """Copy a picture to ``folder/name`` with its own suffix; its new path in the folder."""
    target = f"{name}{image.suffix.lower()}"
    write(folder / target, image.read_bytes())
    return target


def write(path: Path, content: bytes) -> None:
    """Write a file that is not there yet, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(content)


def png(pixels: np.ndarray) -> bytes:
    """(H, W) uint8, or (H, W, 3) uint8 RGB, as a PNG."""
    bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    return cv2.imencode(".png", bgr)[1].tobytes()


def indexed_png(ids: np.ndarray, palette: np.ndarray) -> bytes:
    """(H, W) uint8 indices and (256, 3) uint8 RGB as a PNG with a palette."""
    image = Image.fromarray(ids)
    image.putpalette(palette.astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", bits=8)
    return buffer.getvalue()


def check_names(labels: LabelSet, forbidden: str = "\n\r") -> None:
    """See that a format can hold the classes' names.

    Raises:
        DataError: a name is empty, holds a forbidden character, is there twice, or would be read
            as that of unlabelled pixels.
    """
    for name in labels.names:
        held = [character for character in forbidden if character in name]
        if held or name != name.strip() or not name:
            said = f"{held[0]!r}" if held else "space around it"
            raise DataError(
                f"class {name!r} cannot be written in this format, because of {said}; rename it"
            )
        if name.casefold() in UNLABELLED_NAMES:
            raise DataError(
                f"class {name!r} would be read as pixels without a class; rename it, or list its "
                "id under ignore: in labels.yaml"
            )
        if labels.names.count(name) > 1:
            raise DataError(f"two classes are called {name!r}; give each its own name")


def background_of(labels: LabelSet) -> int | None:
    """The id of the class called background, None if there is none."""
    for index, name in enumerate(labels.names):
        if name.casefold() in BACKGROUND_NAMES:
            return index
    return None


def own_colours(labels: LabelSet, taken: tuple[Colour, ...] = ()) -> list[Colour]:
    """The classes' colours, others for those that are taken or that an earlier class has."""
    found: list[Colour] = []
    used = set(taken)
    reserved = used | set(labels.colours)
    spare = (colour for i in range(1, 1 << 16) if (colour := voc_colour(i)) not in reserved)
    for colour in labels.colours:
        mine = next(spare) if colour in used else colour
        used.add(mine)
        found.append(mine)
    return found
