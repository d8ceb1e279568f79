"""A recorded drive on disk: what the evaluation node writes and ``replay`` reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bisenet_ros.errors import DataError
from bisenet_ros.labels import LabelSet
from bisenet_ros.recordings.codec import decode_ids, decode_rgb, encode_jpeg, encode_png
from bisenet_ros.system.atomic_files import make_folder, write_bytes, write_json

OVERLAY_QUALITY = 98  # encoding without loss takes twenty times as long next to a busy network


@dataclass(frozen=True)
class Recording:
    """The folder ``folder``; images are named by their stamp in nanoseconds.

    ``masks/STAMP.png`` (mono8 ids), ``confidence/STAMP.png`` (mono8, probability · 255),
    ``overlays/STAMP.jpg``, ``labels.json`` (the node's ``~/labels``), ``diagnostics.json`` (the
    last of each status), ``metrics.json`` (the scores).
    Reading raises :class:`DataError` if a file is missing or corrupt.
    """

    folder: Path

    @property
    def metrics(self) -> Path:
        """Path of the scores."""
        return self.folder / "metrics.json"

    def prepare(self, what: str) -> None:
        """Create the folders; ArgumentError, naming ``what``, if that fails."""
        for name in ("", "masks", "overlays", "confidence"):
            make_folder(self.folder / name, what)

    def add_mask(self, stamp: int, mask: np.ndarray) -> None:
        """Save a mask (H, W) uint8."""
        write_bytes(self.folder / "masks" / f"{stamp}.png", encode_png(mask))

    def add_confidence(self, stamp: int, confidence: np.ndarray) -> None:
        """Save a confidence map (H, W) uint8."""
        content = encode_png(confidence)
        write_bytes(self.folder / "confidence" / f"{stamp}.png", content)

    def add_overlay(self, stamp: int, overlay: np.ndarray) -> None:
        """Save an overlay (H, W, 3) uint8 RGB."""
        content = encode_jpeg(overlay, OVERLAY_QUALITY)
        write_bytes(self.folder / "overlays" / f"{stamp}.jpg", content)

    def add_labels(self, message: dict[str, Any]) -> None:
        """Save the content of the node's ``~/labels``."""
        write_json(self.folder / "labels.json", message)

    def add_diagnostics(self, statuses: dict[str, Any]) -> None:
        """Save the last diagnostics, status by name."""
        write_json(self.folder / "diagnostics.json", statuses)

    def mask_stamps(self) -> list[int]:
        """Stamps in nanoseconds of the masks so far, oldest first."""
        return sorted(int(path.stem) for path in (self.folder / "masks").glob("[0-9]*.png"))

    def confidence_stamps(self) -> list[int]:
        """Stamps in nanoseconds of the confidence maps so far, oldest first."""
        return sorted(int(path.stem) for path in (self.folder / "confidence").glob("[0-9]*.png"))

    def overlay_stamps(self) -> list[int]:
        """Stamps in nanoseconds of the overlays so far, oldest first."""
        return sorted(int(path.stem) for path in (self.folder / "overlays").glob("[0-9]*.jpg"))

    def mask(self, stamp: int) -> np.ndarray:
        """(H, W) uint8 ids."""
        return decode_ids((self.folder / "masks" / f"{stamp}.png").read_bytes())

    def confidence(self, stamp: int) -> np.ndarray | None:
        """(H, W) uint8, probability of the mask's class · 255; None if it was not received."""
        path = self.folder / "confidence" / f"{stamp}.png"
        return decode_ids(path.read_bytes()) if path.exists() else None

    def overlay(self, stamp: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        return decode_rgb((self.folder / "overlays" / f"{stamp}.jpg").read_bytes())

    def diagnostics(self) -> dict[str, Any]:
        """Status by name; empty if none was received yet."""
        path = self.folder / "diagnostics.json"
        return read_json(path) if path.exists() else {}

    def label_set(self) -> LabelSet:
        """Class names and colours as published by the node."""
        return label_set(read_json(self.folder / "labels.json"))


def label_set(message: Any) -> LabelSet:
    """The content of ``~/labels`` as a label set; DataError if it is malformed."""
    try:
        classes = sorted(message["classes"], key=lambda entry: entry["id"])
        if [entry["id"] for entry in classes] != list(range(len(classes))):
            raise ValueError("ids are not 0, 1, 2, …")
        names = tuple(str(entry["name"]) for entry in classes)
        colours = tuple((int(r), int(g), int(b)) for r, g, b in (c["color"] for c in classes))
        return LabelSet(names, colours)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"the labels topic is malformed ({error!r}); expected classes with id, name, color"
        ) from error


def read_json(path: Path) -> Any:
    """The JSON value in a file; DataError if it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} of the recording cannot be read: {error}") from error
