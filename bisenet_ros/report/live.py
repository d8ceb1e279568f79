"""What the report of a live run shows besides a recording's scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from bisenet_ros.labels import LabelSet
from bisenet_ros.recordings.codec import encode_png
from bisenet_ros.report.figure import View
from bisenet_ros.report.html import data_uri
from bisenet_ros.report.pictures import Tile, flat, photo
from bisenet_ros.system.share import SAMPLE_BAG

SAMPLE_CREDIT = Markup(
    "Frames and labels: CamVid. Gabriel J. Brostow, Julien Fauqueur, Roberto Cipolla, "
    "<cite>Semantic object classes in video: a high-definition ground truth database</cite>, "
    "Pattern Recognition Letters, 2008; size, split and labels of 11 classes by Alex Kendall, "
    "Vijay Badrinarayanan and Roberto Cipolla for SegNet. "
    '<a href="https://creativecommons.org/licenses/by-nc/4.0/">CC BY-NC 4.0</a>: research and '
    "personal use. Changed: JPEG instead of PNG; void became 255. The shipped "
    "weights were trained on other frames of the same drive, so the scores are optimistic."
)


@dataclass(frozen=True)
class GroundView:
    """A frame seen from above.

    Attributes:
        picture: (H, W, 3) uint8 RGB: ground green to amber by its cost, obstacles red.
        assumed: what of the camera was assumed for it.
    """

    picture: np.ndarray
    assumed: str

    @property
    def source(self) -> str:
        """The picture embedded in the page."""
        return data_uri("image/png", encode_png(self.picture))


@dataclass(frozen=True)
class LargeFrame:
    """A frame shown large.

    Attributes:
        place: which frame, from 0.
        miou: its score.
        view: its pictures.
    """

    place: int
    miou: float
    view: View

    def tiles(self, labels: LabelSet) -> list[Tile]:
        """The pictures with their titles."""
        view = self.view
        return [
            ("Camera", photo(view.image)),
            ("Truth", flat(view.truth, labels)),
            ("Prediction", flat(view.mask, labels)),
            ("Overlay", photo(view.overlay)),
        ]


@dataclass(frozen=True)
class LiveView:
    """What a live run adds.

    Attributes:
        problems: mismatches between the frames played and the masks received.
        frame: shown large; None without truth.
        ground: of that frame, if the camera is known; the film then shows it too.
    """

    problems: list[str]
    frame: LargeFrame | None = None
    ground: GroundView | None = None


def credit_of(bag: str) -> Markup | str:
    """Whom to thank for the sample drive; empty for other bags."""
    return SAMPLE_CREDIT if bag == Path(SAMPLE_BAG).name else ""
