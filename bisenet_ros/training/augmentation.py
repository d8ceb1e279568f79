"""Random augmentation of labelled images.

Geometric augmentation runs per image in the data loader, photometric augmentation per batch on
the training device.
"""

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

    Pixels outside the image become grey in the image and unlabelled in the label; ids are
    resampled with nearest neighbour.

    Attributes:
        size: (height, width) of the crop.
        scale: lowest and highest scale, drawn log-uniformly.
        flip: probability of a horizontal flip.
        rare: ids of rare classes; with probability ``rare_chance`` the crop is centred near a
            pixel of one of them, each class equally often.
    """

    size: tuple[int, int]
    scale: tuple[float, float] = (0.7, 1.6)
    flip: float = 0.5
    rare: tuple[int, ...] = ()
    rare_chance: float = 0.5

    def __call__(
        self, image: np.ndarray, label: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) and (H, W) uint8 in, the same at ``size`` out, with draws from ``random``."""
        height, width = self.size
        zoom = float(np.exp(random.uniform(*np.log(self.scale))))
        x0, y0 = self._corner(label, zoom, random)
        mirrored = random.random() < self.flip
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

    def _corner(
        self, label: np.ndarray, zoom: float, random: np.random.Generator
    ) -> tuple[float, float]:
        """Top left corner of the crop, in pixels of the image."""
        spans = [total - side / zoom for total, side in zip(label.shape, self.size, strict=True)]
        present = [c for c in self.rare if (label == c).any()]
        if present and random.random() < self.rare_chance:
            # Pick the class first: picking by pixel would hardly ever choose the rarest.
            rare = np.flatnonzero(label == random.choice(present))
            y, x = np.unravel_index(random.choice(rare), label.shape)
            # Near the middle, not in it, or the network would learn to expect it at the centre.
            jitter = random.uniform(0.2, 0.8, 2)
            origin = [y - jitter[0] * self.size[0] / zoom, x - jitter[1] * self.size[1] / zoom]
            corner = [
                float(np.clip(o, min(0, span), max(0, span)))
                for o, span in zip(origin, spans, strict=True)
            ]
        else:
            corner = [float(random.uniform(min(0, s), max(0, s))) for s in spans]
        return corner[1], corner[0]


def paste(
    pair: tuple[np.ndarray, np.ndarray], donor: tuple[np.ndarray, np.ndarray], ids: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The pair with the donor's pixels of classes ``ids`` pasted over it.

    ClassMix (arXiv 2007.07936) with labels instead of predictions: rare classes appear in
    contexts other than their own.
    """
    taken = np.isin(donor[1], ids)
    image = np.where(taken[..., None], donor[0], pair[0])
    return image, np.where(taken, donor[1], pair[1])


def photometric(
    jitter: float, hue: float = 0.0, light: float = 0.0, blur: float = 0.0, noise: float = 0.0
) -> nn.Module:
    """Random colour, light, blur and noise for images (N, 3, H, W) in 0–1, drawn per image.

    Args:
        jitter: strength of brightness, contrast and saturation jitter.
        hue: strength of the hue jitter, as a share of the circle.
        light: probability of a random gamma, and of a light gradient across the image.
        blur, noise: probability of each.
    """
    steps: list[nn.Module] = [K.ColorJiggle(jitter, jitter, jitter, hue, p=0.9)]
    if light:
        steps.append(K.RandomGamma((0.5, 1.8), p=light))
        steps.append(K.RandomLinearIllumination((0.05, 0.35), p=light))
    if blur:
        steps.append(K.RandomGaussianBlur((5, 5), (0.3, 1.5), p=blur))
    if noise:
        steps.append(K.RandomGaussianNoise(std=0.04, p=noise))
    return nn.Sequential(*steps)
