"""Logs frames, masks and figures to Rerun: to a file, to its viewer, or to a browser.

Masks are logged as segmentation images with the classes' names and colours, which Rerun's own
import of bags does not do: it shows mono8 images as depth.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from bisenet_ros.errors import DataError
from bisenet_ros.labels import UNLABELLED, LabelSet
from bisenet_ros.recordings.codec import encode_jpeg
from bisenet_ros.report.pictures import error_map
from bisenet_ros.system.optional import needed

APPLICATION = "bisenet_ros"
QUALITY = 88  # of camera images; raw ones would fill the viewer's memory
OPACITY = 0.5  # of masks over the camera image
QUIET = "warn,re_log_encoding=off,re_sdk=off"
ROOM = 1 << 16  # bytes
WALL_CLOCK_NS = 10**17  # stamps above are dates, below seconds since something else
SCORES = {
    "miou": ("mIoU", (37, 99, 235)),
    "confidence": ("mean confidence", (13, 148, 136)),
    "consistency": ("temporal consistency", (217, 119, 6)),
}
UNSTEADY = {
    "flicker": ("flicker", (220, 38, 38)),
    "disagreement": ("differs from the frame before", (147, 51, 234)),
}
SPEED = {"fps": ("frames per second", (37, 99, 235)), "age_ms": ("age, ms", (217, 119, 6))}
GROUPS = {"scores": SCORES, "steadiness": UNSTEADY, "speed": SPEED}


def rerun() -> ModuleType:
    """The library; ArgumentError if it is not installed."""
    return needed("rerun", "viewer", "the viewer")


class RerunLog:
    """Writes frames to a recording stream of Rerun, and a layout that opens well arranged.

    Args:
        stream: ``rerun.RecordingStream``, already connected to where it should go.
        labels: what the ids of masks mean.
    """

    def __init__(self, stream: Any, labels: LabelSet) -> None:
        self._rr = rerun()
        self.stream = stream
        self.labels = labels
        stream.send_blueprint(self._blueprint())
        classes = [
            (i, name, colour)
            for i, (name, colour) in enumerate(zip(labels.names, labels.colours, strict=True))
        ]
        none = (UNLABELLED, "unlabelled", (0, 0, 0, 0))
        stream.log("/", self._rr.AnnotationContext([*classes, none]), static=True)
        for group, figures in GROUPS.items():
            for key, (name, colour) in figures.items():
                line = self._rr.SeriesLines(names=[name], colors=[colour])
                stream.log(f"figures/{group}/{key}", line, static=True)

    def add(
        self,
        index: int,
        stamp_ns: int,
        image: np.ndarray,
        order: str,
        mask: np.ndarray,
        confidence: np.ndarray | None = None,
        truth: np.ndarray | None = None,
        figures: Mapping[str, float | None] | None = None,
    ) -> None:
        """Log a frame.

        Args:
            index: its number.
            stamp_ns: when it was taken.
            image: (H, W, 3) uint8.
            order: of its channels, ``rgb`` or ``bgr``.
            mask: (H, W) uint8 ids.
            confidence: (H, W) uint8, or None.
            truth: (H, W) uint8 ids, or None.
            figures: by the keys of ``GROUPS``; None where undefined.
        """
        rr, stream = self._rr, self.stream
        stream.set_time("frame", sequence=index)
        if stamp_ns > WALL_CLOCK_NS:
            stream.set_time("recorded", timestamp=np.datetime64(stamp_ns, "ns"))
        else:
            stream.set_time("recorded", duration=stamp_ns / 1e9)
        photo = encode_jpeg(image, QUALITY, order)
        camera = rr.EncodedImage(contents=photo, media_type="image/jpeg")
        stream.log("camera/image", camera)
        stream.log("camera/mask", rr.SegmentationImage(mask, opacity=OPACITY))
        if confidence is not None:
            stream.log("confidence", rr.Image(confidence, color_model="L"))
        if truth is not None:
            rgb = image if order == "rgb" else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            errors = encode_jpeg(error_map(rgb, truth, mask), QUALITY)
            stream.log("truth", rr.SegmentationImage(truth))
            stream.log("errors", rr.EncodedImage(contents=errors, media_type="image/jpeg"))
        self.figures(figures or {})

    def figures(self, figures: Mapping[str, float | None]) -> None:
        """Log figures at the current time."""
        for group, known in GROUPS.items():
            for key in known:
                value = figures.get(key)
                if value is not None and not np.isnan(value):
                    self.stream.log(f"figures/{group}/{key}", self._rr.Scalars(value))

    def _blueprint(self) -> Any:
        views = needed("rerun.blueprint", "viewer", "the viewer")
        side = views.Vertical(
            views.Tabs(
                views.Spatial2DView(origin="errors", name="Errors"),
                views.Spatial2DView(origin="truth", name="Truth"),
                views.Spatial2DView(origin="camera", contents="camera/image", name="Camera"),
            ),
            views.Spatial2DView(origin="confidence", name="Confidence"),
        )
        plots = views.Horizontal(
            views.TimeSeriesView(origin="figures/scores", name="Scores"),
            views.TimeSeriesView(origin="figures/steadiness", name="Flicker"),
            views.TimeSeriesView(origin="figures/speed", name="Speed"),
        )
        main = views.Spatial2DView(origin="camera", name="Mask over camera")
        return views.Blueprint(
            views.Vertical(
                views.Horizontal(main, side, column_shares=[2, 1]), plots, row_shares=[3, 1]
            ),
            views.SelectionPanel(state="collapsed"),
            views.BlueprintPanel(state="collapsed"),
            views.TimePanel(state="collapsed"),
        )


@contextmanager
def saved(path: Path) -> Iterator[Any]:
    """A recording stream whose file appears, whole, when the block ends without an error.

    Raises:
        DataError: the file cannot be written.
    """
    # Read when the library is loaded; what it says of failed writes is said below.
    os.environ.setdefault("RUST_LOG", QUIET)
    stream = rerun().RecordingStream(APPLICATION)
    part = path.with_name(f".{path.name}-unfinished")
    try:
        part.touch()  # the library's own error is not one of the system
        stream.save(str(part))
        yield stream
        _finish(stream, part)
        part.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"{path} cannot be written: {reason}; make room, or name another"
        ) from error
    finally:
        stream.disconnect()
        part.unlink(missing_ok=True)


def _finish(stream: Any, part: Path) -> None:
    """Write what is left; OSError if the file is not whole."""
    failed: RuntimeError | None = None
    try:
        stream.flush()
    except (
        RuntimeError
    ) as error:  # its writing thread has ended: the disk is full, most of the time
        failed = error
    stream.disconnect()
    # The file's index is written now, and that it failed is only logged: look for room behind it.
    with part.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.write(bytes(ROOM))
        file.flush()
        os.fsync(file.fileno())
        file.truncate(size)
    if failed is not None:
        raise OSError(str(failed)) from failed
