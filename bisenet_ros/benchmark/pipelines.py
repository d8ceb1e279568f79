"""The two ways that are compared, each called with frames and telling its stages."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

from bisenet_ros.benchmark.baseline import UsualPipeline
from bisenet_ros.benchmark.frames import Frames
from bisenet_ros.checkpoints import ModelCard, save
from bisenet_ros.inference import Segmenter, Wanted
from bisenet_ros.inference.image_encodings import from_raw
from bisenet_ros.labels import LabelSet
from bisenet_ros.networks import BiSeNetV2, BiSeNetV2Config, SegmentationNetwork
from bisenet_ros.networks.layers import pad_to_multiple

STAGES = ("decode", "preprocess", "forward", "postprocess", "publish")
CLASSES = 19  # of random weights: Cityscapes', for which most figures are published


class Contestant:
    """Frames in, masks and overlays out; remembers how long each stage took."""

    def __init__(self) -> None:
        self.times: list[dict[str, float]] = []

    def forget(self) -> None:
        """Start the stages' record anew."""
        self.times = []

    def stages(self, last: int) -> dict[str, float | None]:
        """Median milliseconds of each stage over the ``last`` calls; None where there is none."""
        recent = self.times[-last:]
        return {
            stage: median(t[stage] for t in recent) if recent and stage in recent[0] else None
            for stage in STAGES
        }


class Ours(Contestant):
    """A :class:`Segmenter` with what the node does before it, on some cameras at once."""

    def __init__(self, segmenter: Segmenter, frames: Frames, cameras: int) -> None:
        super().__init__()
        self.segmenter, self.frames, self.cameras = segmenter, frames, cameras

    def __call__(self, index: int) -> np.ndarray:
        """Segment a frame a camera; the first camera's mask."""
        started = time.perf_counter()
        height, width = self.frames.height, self.frames.width
        pixels = [
            from_raw(
                self.frames.data[(index + c) % len(self.frames.data)],
                "bgr8",
                height,
                width,
                3 * width,
            )
            for c in range(self.cameras)
        ]
        decoded = 1e3 * (time.perf_counter() - started)
        results = self.segmenter(
            [p.image for p in pixels], [p.order for p in pixels], Wanted(overlay=True)
        )
        self.times.append({"decode": decoded, **vars(results[0].times)})
        return results[0].mask


class Usual(Contestant):
    """The usual pipeline, one camera after the other, since it knows no batches."""

    def __init__(
        self,
        network: SegmentationNetwork,
        card: ModelCard,
        frames: Frames,
        size: tuple[int, int],
        device: torch.device,
        cameras: int,
    ) -> None:
        super().__init__()
        self.frames, self.cameras = frames, cameras
        self.pipeline = UsualPipeline(
            Padded(network) if any(side % network.multiple for side in size) else network,
            card.mean,
            card.std,
            card.labels.palette(),
            size,
            device,
        )

    def __call__(self, index: int) -> np.ndarray:
        """Segment a frame a camera; the first camera's mask."""
        total = dict.fromkeys(STAGES[:-1], 0.0)
        masks = []
        for camera in range(self.cameras):
            data = self.frames.data[(index + camera) % len(self.frames.data)]
            mask, _, times = self.pipeline(data, self.frames.height, self.frames.width)
            masks.append(mask)
            total = {stage: total[stage] + times[stage] for stage in total}
        self.times.append(total)
        return masks[0]


class Padded(torch.nn.Module):
    """A network for sizes it would refuse, such as 360 rows; the usual pipeline crashes there."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 3, H, W) → (1, n, H / stride, W / stride)."""
        height, width = (side // self.network.stride for side in x.shape[-2:])
        return self.network(pad_to_multiple(x, self.network.multiple))[..., :height, :width]


def random_weights(path: Path, size: tuple[int, int]) -> Path:
    """A weights file of an untrained BiSeNetV2, the same every time, whose classes vary."""
    generator = torch.random.get_rng_state()
    torch.manual_seed(0)
    network = BiSeNetV2(BiSeNetV2Config(CLASSES, auxiliary=False))
    with torch.no_grad():
        network.head.conv_out[1].get_parameter("weight").normal_(std=1.0)
    torch.random.set_rng_state(generator)
    colours = np.random.default_rng(0).integers(0, 256, (CLASSES, 3)).tolist()
    card = ModelCard(
        architecture=network.architecture,
        options=dict(vars(network.config)),
        labels=LabelSet(tuple(f"class {i}" for i in range(CLASSES)), tuple(map(tuple, colours))),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        resolution=size,
        dataset="none: random weights",
        command="python -m bisenet_ros benchmark",
    )
    return save(path, network, card)
