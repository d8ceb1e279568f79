"""Random views of labelled images. Geometry runs an image at a time, colour a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import kornia.augmentation as K
import numpy as np
from torch import nn

from bisenet_ros.labels import UNLABELLED


@dataclass
class RandomView:
    """Random scale, flip and crop of an image and its label in one resampling.

    Pixels outside the image become grey in the image and unlabelled in the label; ids are taken
    from the nearest pixel, never mixed.

    Attributes:
        size: (height, width) of the crop.
        scale: lowest and highest zoom, drawn evenly on a log scale.
        flip: chance of a left-right flip.
        rare: ids of rare classes; with chance ``rare_chance`` the crop is centred near one of
            their pixels.
        generator: source of randomness; seed it for repeatable views.
    """

    size: tuple[int, int]
    scale: tuple[float, float] = (0.7, 1.6)
    flip: float = 0.5
    rare: tuple[int, ...] = ()
    rare_chance: float = 0.5
    generator: np.random.Generator | None = None

    def __post_init__(self) -> None:
        self.generator = self.generator or np.random.default_rng()

    def __call__(self, image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) and (H, W) uint8 in, the same kinds at ``size`` out."""
        assert self.generator is not None
        height, width = self.size
        zoom = float(np.exp(self.generator.uniform(*np.log(self.scale))))
        x0, y0 = self._corner(label, zoom)
        mirrored = self.generator.random() < self.flip
        # Maps a pixel of the view to a pixel of the image (warpAffine with WARP_INVERSE_MAP).
        step = 1 / zoom
        matrix = np.array([[step, 0, x0 + 0.5 * step - 0.5], [0, step, y0 + 0.5 * step - 0.5]])
        if mirrored:
            matrix[0] = -step, 0, x0 + (width - 0.5) * step - 0.5
        inverse, constant = cv2.WARP_INVERSE_MAP, cv2.BORDER_CONSTANT
        seen = cv2.warpAffine(
            image,
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR | inverse,
            borderMode=constant,
            borderValue=(114, 114, 114),
        )
        ids = cv2.warpAffine(
            label,
            matrix,
            (width, height),
            flags=cv2.INTER_NEAREST | inverse,
            borderMode=constant,
            borderValue=UNLABELLED,
        )
        return seen, ids

    def _corner(self, label: np.ndarray, zoom: float) -> tuple[float, float]:
        """Top left corner of the crop, in pixels of the image."""
        assert self.generator is not None
        spans = [total - side / zoom for total, side in zip(label.shape, self.size, strict=True)]
        rare = np.flatnonzero(np.isin(label, self.rare)) if self.rare else np.empty(0, np.intp)
        if rare.size and self.generator.random() < self.rare_chance:
            y, x = np.unravel_index(self.generator.choice(rare), label.shape)
            # Near the middle, not in it: the class must not learn to sit at the centre.
            jitter = self.generator.uniform(0.2, 0.8, 2)
            wish = [y - jitter[0] * self.size[0] / zoom, x - jitter[1] * self.size[1] / zoom]
            corner = [
                float(np.clip(w, min(0, span), max(0, span)))
                for w, span in zip(wish, spans, strict=True)
            ]
        else:
            corner = [float(self.generator.uniform(min(0, s), max(0, s))) for s in spans]
        return corner[1], corner[0]


def colour_jitter(strength: float, hue: float = 0.03) -> nn.Module:
    """Random brightness, contrast, saturation (±``strength``) and hue for (N, 3, H, W) in 0–1."""
    return K.ColorJiggle(strength, strength, strength, hue, p=0.9)
