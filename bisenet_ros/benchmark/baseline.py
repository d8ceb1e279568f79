"""The usual pipeline from camera image to mask: the baseline of `python -m bisenet_ros benchmark`.

It does what public ROS nodes for BiSeNetV2 do, step by step, and is never tuned: every speed-up
this project reports is a ratio to it.
"""

from __future__ import annotations

import time

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.inference.result import STAGES


class WithUpsampling(nn.Module):
    """A network that upsamples its logits to its input size itself, as is usual."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(1, 3, H, W) → (1, n, H, W)."""
        logits = self.network(x)
        return F.interpolate(logits, x.shape[-2:], mode="bilinear", align_corners=False)


class UsualPipeline:
    """Eager float32 network in NCHW; NumPy preprocessing, full-size logits.

    Args:
        network: in eval mode, (1, 3, H, W) → logits (1, n, h, w); H, W as it needs them.
        mean, std: of RGB images scaled to 0–1.
        palette: (256, 3) uint8 RGB.
        size: (height, width) of the network's input.
        device: where the network runs.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        palette: np.ndarray,
        size: tuple[int, int],
        device: str | torch.device = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.network = WithUpsampling(network).to(self.device).eval()
        self.mean = np.array(mean, np.float32)
        self.std = np.array(std, np.float32)
        self.palette, self.size = palette, size

    def __call__(
        self, data: bytes, height: int, width: int, alpha: float = 0.5
    ) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
        """Segment one bgr8 frame.

        Args:
            data: height × width × 3 bytes.
            alpha: opacity of the palette.

        Returns:
            mask (H, W) uint8, overlay (H, W, 3) uint8 RGB, and the milliseconds of each stage.
        """
        clock = [time.perf_counter()]
        image = np.frombuffer(data, np.uint8).reshape(height, width, 3)
        clock.append(time.perf_counter())

        resized = cv2.resize(image, (self.size[1], self.size[0]))
        rgb = cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)
        normalised = (rgb.astype(np.float32) / 255.0 - self.mean) / self.std
        chw = np.ascontiguousarray(normalised.transpose(2, 0, 1))
        x = torch.from_numpy(chw).unsqueeze(0)
        clock.append(time.perf_counter())

        with torch.no_grad():
            logits = self.network(x.to(self.device))
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        clock.append(time.perf_counter())

        with torch.no_grad():
            full = F.interpolate(logits, (height, width), mode="bilinear", align_corners=False)
            mask = full.argmax(1)[0].cpu().numpy().astype(np.uint8)
        colours = self.palette[mask]
        picture = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        overlay = cv2.addWeighted(picture, 1 - alpha, colours, alpha, 0)
        clock.append(time.perf_counter())

        times = {
            stage: 1e3 * (after - before)
            for stage, before, after in zip(STAGES[:-1], clock, clock[1:], strict=False)
        }
        return mask, overlay, times
