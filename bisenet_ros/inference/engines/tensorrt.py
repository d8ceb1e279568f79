"""TensorRT on NVIDIA GPUs: the GPU pipeline, with its network replaced once a plan is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bisenet_ros.errors import ArgumentError
from bisenet_ros.inference.cuda.pipeline import CudaPipeline, Ticket
from bisenet_ros.inference.cuda.tensorrt_plan import (
    FOLDER,
    PlanBuilder,
    PlanCache,
    PlanNetwork,
    build_plan,
    log,
    plan_key,
    types_are_in_the_onnx,
)
from bisenet_ros.inference.device import INT8, Compute
from bisenet_ros.inference.engines.base import RunnableModel, Size
from bisenet_ros.inference.export.graph import network_onnx
from bisenet_ros.inference.export.quantised import find, padded_size
from bisenet_ros.inference.result import OutputRequest
from bisenet_ros.system.optional import cache_folder, needed

OLDEST = 10  # major version of the API that is used


class TensorRtPipeline(CudaPipeline):
    """Runs on PyTorch until the plan is built, then on the plan; pixels stay on the GPU.

    Args:
        model: a weights file.
        compute: device and precision.
        input_size: (height, width) of the network's input.

    Attributes:
        builder: of the plan.

    Raises:
        ArgumentError: TensorRT is not installed, or too old; or there is no network quantised for
            this input size, and the precision is int8.
    """

    def __init__(self, model: RunnableModel, compute: Compute, input_size: Size) -> None:
        trt = needed("tensorrt", "", "the engine tensorrt")
        version = str(trt.__version__)
        if int(version.split(".")[0]) < OLDEST:
            raise ArgumentError(
                f"engine tensorrt needs TensorRT {OLDEST} or newer, found {version}; update "
                "JetPack, or pass engine:=torch"
            )
        assert model.network is not None
        padded = padded_size(model.network, input_size)
        onnx = _onnx(model, compute, padded, typed=types_are_in_the_onnx(trt))
        super().__init__(model.network, model.card, compute, input_size)
        self.name = "tensorrt"
        key = plan_key(trt, compute, onnx, padded)
        self.builder = PlanBuilder(
            make=lambda: build_plan(trt, onnx, key),
            load=lambda plan: PlanNetwork(trt, plan, compute),
            cache=PlanCache(_folders(model.path)),
            key=key,
        )

    @property
    def compute(self) -> Compute:
        """Device and precision; its ``fallback`` follows the plan."""
        builder = getattr(self, "builder", None)
        notes = (self._compute.fallback, builder.note if builder is not None else "")
        return replace(self._compute, fallback="; ".join(filter(None, notes)))

    @compute.setter
    def compute(self, value: Compute) -> None:
        self._compute = value

    def submit(
        self, images: Sequence[np.ndarray], orders: Sequence[str], requests: Sequence[OutputRequest]
    ) -> Ticket:
        """As of :class:`CudaPipeline`, on the plan as soon as it is there."""
        network = self.builder.take()
        if network is not None:
            self.runner.replace(network)
        return super().submit(images, orders, requests)


def _onnx(model: RunnableModel, compute: Compute, padded: Size, typed: bool) -> bytes:
    """The network to compile."""
    assert model.network is not None
    if compute.precision != INT8:
        return network_onnx(model.network, padded, half=typed and compute.precision == "fp16")
    if model.path is None:
        raise ArgumentError("precision int8 needs a weights file; save the network first")
    return find(model.path, padded)


def _folders(weights: Path | None) -> list[Path]:
    """Where plans are kept: beside the weights, or in the user's cache."""
    beside = [] if weights is None else [weights.resolve().parent / FOLDER]
    try:
        return [*beside, cache_folder(FOLDER)]
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        log.warning("TensorRT plans are kept beside the weights alone: %s", error)
        return beside
