"""The two pipelines that are compared; both record the time of each stage."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from bisenet_ros.benchmark.baseline import UsualPipeline
from bisenet_ros.benchmark.frames import Frames
from bisenet_ros.checkpoints import ModelCard, save
from bisenet_ros.inference import OutputRequest, Segmenter
from bisenet_ros.inference.image_encodings import from_raw
from bisenet_ros.inference.result import STAGES
from bisenet_ros.labels import LabelSet
from bisenet_ros.networks import SegmentationNetwork, build
from bisenet_ros.networks.layers import crop_padding, pad_to_multiple

CLASSES = 19  # of random weights: as in Cityscapes, where most published figures come from


class TimedPipeline:
    """Frames in, masks and overlays out; records how long each stage took."""

    def __init__(self) -> None:
        self.times: list[dict[str, float]] = []

    def reset(self) -> None:
        """Clear the recorded stage times."""
        self.times = []

    def stages(self, last: int) -> dict[str, float | None]:
        """Median milliseconds of each stage over the ``last`` calls; None for a missing stage."""
        recent = self.times[-last:]
        return {
            stage: median(t[stage] for t in recent) if recent and stage in recent[0] else None
            for stage in STAGES
        }


class TimedSegmenter(TimedPipeline):
    """A :class:`Segmenter` with the node's decoding, on a batch of one frame per camera.

    Args:
        segmenter: what is timed.
        frames: its input.
        cameras: how many at once.
        overlay: whether it draws one in addition to the mask.
    """

    def __init__(
        self, segmenter: Segmenter, frames: Frames, cameras: int, overlay: bool = True
    ) -> None:
        super().__init__()
        self.segmenter, self.frames, self.cameras = segmenter, frames, cameras
        self._request = OutputRequest(overlay=overlay)

    def __call__(self, index: int) -> np.ndarray:
        """Segment one frame per camera; returns the first camera's mask."""
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
            [p.image for p in pixels], [p.order for p in pixels], self._request
        )
        self.times.append({"decode": decoded, **vars(results[0].times)})
        return results[0].mask


def warm_up(segmenter: Segmenter, cameras: int, progress: Callable[[str], None]) -> None:
    """Get a segmenter ready to be timed with up to ``cameras`` images at once."""
    segmenter.warm_up(cameras)
    builder = getattr(segmenter.engine.pipeline, "builder", None)
    if builder is not None:  # TensorRT's plan, without which torch would be measured
        progress("building the TensorRT plan")
        builder.wait()
        segmenter.warm_up(cameras)


class TimedBaseline(TimedPipeline):
    """The usual pipeline, one camera after the other, since it does not support batches."""

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
        """Segment one frame per camera; returns the first camera's mask."""
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
    """Pads the input to a size the network accepts; the usual pipeline fails on, say, 360 rows."""

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 3, H, W) → (1, n, H / stride, W / stride)."""
        padded = pad_to_multiple(x, self.network.multiple)
        logits = self.network(padded)
        assert isinstance(logits, torch.Tensor)
        return crop_padding(logits, (x.shape[2], x.shape[3]), (padded.shape[2], padded.shape[3]))


def random_weights(
    path: Path, size: tuple[int, int], network: str = "bisenetv2", **options: Any
) -> Path:
    """Write an untrained network with a fixed seed, whose masks contain several classes.

    Args:
        path: of the file.
        size: (height, width) of the card.
        network: a key of ``NETWORKS``.
        options: of its config.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built = build(network, CLASSES, **{"auxiliary": False, **options})
        with torch.no_grad():
            for name in built.output_convolutions():
                built.get_submodule(name).get_parameter("weight").normal_(std=1.0)
    colours = np.random.default_rng(0).integers(0, 256, (CLASSES, 3)).tolist()
    card = ModelCard(
        architecture=built.architecture,
        options=asdict(built.config),
        labels=LabelSet(tuple(f"class {i}" for i in range(CLASSES)), tuple(map(tuple, colours))),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        resolution=size,
        dataset="none: random weights",
        command="python -m bisenet_ros benchmark",
    )
    return save(path, built, card)
