"""OpenVINO on the CPU."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bisenet_ros.errors import WeightsError
from bisenet_ros.inference.device import Compute
from bisenet_ros.system.optional import needed

HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoEngine:
    """Runs an exported network, image by image.

    Args:
        model: the content of an ONNX file, or the path of an exported ``.xml`` or ``.onnx``.
        stride: input pixels per logit.
        compute: device and precision; int8 for quantised files only.

    Raises:
        ArgumentError: OpenVINO is not installed.
        WeightsError: OpenVINO cannot read or run the file.
    """

    name = "openvino"

    def __init__(self, model: bytes | Path, stride: int, compute: Compute) -> None:
        self.compute, self.stride = compute, stride
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # Pinned threads would wait for a core that another process occupies.
            "ENABLE_CPU_PINNING": False,
        }
        if compute.precision in HINTS:
            options["INFERENCE_PRECISION_HINT"] = HINTS[compute.precision]
        try:
            core = shared_core()
            parsed = core.read_model(io.BytesIO(model) if isinstance(model, bytes) else model)
            self._request = core.compile_model(parsed, "CPU", options).create_infer_request()
        except RuntimeError as error:
            what = "the network" if isinstance(model, bytes) else model
            reason = " ".join(str(error).split())
            raise WeightsError(f"OpenVINO cannot run {what}: {reason}") from error

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (N, n, h, w) float32 of images (N, H, W, 3) uint8 RGB."""
        return self.forward(self.prepare(images), (images.shape[1], images.shape[2]))

    def prepare(self, images: Tensor) -> Tensor:
        """The images unchanged: the graph normalises."""
        return images

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits of images of ``size``, which must be the size the model was exported for."""
        # Batching gains nothing on the CPU, and a fixed batch size of 1 serves any batch.
        return torch.from_numpy(np.concatenate([self._infer(image[None]) for image in x.numpy()]))

    def _infer(self, image: np.ndarray) -> np.ndarray:
        self._request.infer({0: image}, share_inputs=True)
        return self._request.get_output_tensor(0).data.copy()


@functools.cache
def shared_core() -> Any:
    """The process's one Core, which lives as long as the process.

    OpenVINO's CPU plugin gives the thread that creates a Core a larger stack for signal handlers,
    and frees that memory with the Core, on whatever thread that happens: the next signal that the
    first thread handles would be a segmentation fault.

    Raises:
        ArgumentError: OpenVINO is not installed.
    """
    return load_openvino().Core()


def load_openvino() -> Any:
    """Import the package; ArgumentError names the extra to install."""
    return needed("openvino", "openvino", "engine openvino")
