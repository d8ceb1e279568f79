"""ONNX Runtime, with the TensorRT or CUDA provider where the installed build has one."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bisenet_ros.errors import ArgumentError, WeightsError
from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.export.graph import INPUT
from bisenet_ros.system.optional import cache_folder, needed

CPU, CUDA, TENSORRT = (f"{kind}ExecutionProvider" for kind in ("CPU", "CUDA", "Tensorrt"))

log = logging.getLogger("bisenet_ros.inference")


class OnnxRuntimeEngine:
    """Runs an exported network, image by image.

    Args:
        model: the content of an ONNX file, or the path of an exported ``.onnx``.
        stride: input pixels per logit.
        compute: device and precision; int8 for quantised files only.

    Raises:
        ArgumentError: ONNX Runtime is not installed, or its build does not support ``compute``.
        WeightsError: ONNX Runtime cannot read or run the file.
    """

    name = "onnxruntime"

    def __init__(self, model: bytes | Path, stride: int, compute: Compute) -> None:
        self.compute, self.stride = compute, stride
        self._session = open_session(model, compute)
        log.info("onnxruntime uses %s", ", ".join(self._session.get_providers()))

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (N, n, h, w) float32 of images (N, H, W, 3) uint8 RGB."""
        return self.forward(self.prepare(images), (images.shape[1], images.shape[2]))

    def prepare(self, images: Tensor) -> Tensor:
        """The images unchanged: the graph normalises."""
        return images

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits of images of ``size``, which must be the size the model was exported for."""
        logits = [self._session.run(None, {INPUT: image[None]})[0] for image in x.numpy()]
        return torch.from_numpy(np.concatenate(logits))


def open_session(model: bytes | Path, compute: Compute) -> Any:
    """A session of ONNX Runtime with torch's number of threads.

    Args:
        model: the content of an ONNX file, or its path.
        compute: device and precision.

    Raises:
        ArgumentError: ONNX Runtime is not installed, or its build does not support ``compute``.
        WeightsError: ONNX Runtime cannot read or run the file.
    """
    runtime = load_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Threads that spin between frames starve the robot's other processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(
            model if isinstance(model, bytes) else str(model),
            options,
            providers=providers(compute, runtime.get_available_providers()),
        )
    except ArgumentError:
        raise
    except Exception as error:  # its errors share no other base class
        what = "the network" if isinstance(model, bytes) else model
        reason = " ".join(str(error).split())
        raise WeightsError(f"ONNX Runtime cannot run {what}: {reason}") from error


def providers(compute: Compute, available: list[str]) -> list[str | tuple[str, dict[str, str]]]:
    """The execution providers to request, in order of preference.

    Raises:
        ArgumentError: the installed build has no provider for the device.
    """
    if compute.device.type == "cpu":
        return [CPU]
    index = str(compute.device.index or 0)
    cuda = (CUDA, {"device_id": index})
    if TENSORRT in available:
        options = {
            "device_id": index,
            "trt_fp16_enable": str(compute.precision == "fp16"),
            "trt_engine_cache_enable": "True",  # building one takes minutes
            "trt_engine_cache_path": str(cache_folder("tensorrt")),
            "trt_timing_cache_enable": "True",
        }
        return [(TENSORRT, options), cuda, CPU]
    if CUDA not in available:
        raise ArgumentError(
            f"this ONNX Runtime has no provider for {compute.device}, only "
            f"{', '.join(available)}; install onnxruntime-gpu, or pass engine:=torch"
        )
    return [cuda, CPU]


def precisions(device: str) -> tuple[str, ...]:
    """The precisions of the installed build on ``cpu`` or ``cuda``; fp16 requires TensorRT.

    Raises:
        ArgumentError: ONNX Runtime is not installed.
    """
    available = load_onnxruntime().get_available_providers()
    if device == "cuda" and TENSORRT in available:
        return "fp16", "fp32"
    return ("fp32",) if device == "cpu" or CUDA in available else ()


def load_onnxruntime() -> Any:
    """Import the package; ArgumentError names the extra to install."""
    return needed("onnxruntime", "onnx", "engine onnxruntime")
