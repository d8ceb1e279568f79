"""Every engine there is, by name. A new one takes a class and an entry here.

Importing this module loads neither torch nor any runtime: launch files read the names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bisenet_ros.system.optional import installed

if TYPE_CHECKING:
    from bisenet_ros.inference.device import Compute
    from bisenet_ros.inference.engines.base import Engine, Pipeline, RunnableModel, Size

Precisions = tuple[str, ...]


@dataclass(frozen=True)
class EngineSpec:
    """One engine.

    Attributes:
        help: one line for people who choose.
        precisions: from ``cpu`` or ``cuda`` to the precisions it computes in there, the fastest
            exact one first; empty where it does not run. Raises ArgumentError if what it needs
            is not installed.
        start: the pipeline through it, for a model, a settled device and precision, and the
            (height, width) of its input. Raises a BisenetError if it does not work here.
        automatic: the device types on which ``auto`` tries it; the engines are tried in the order
            of ``ENGINES``.
        package: the optional Python package it needs; empty for none.
        extra: the extra of this package that brings it.
        reads: suffix of the exported models it runs; empty for none.
    """

    help: str
    precisions: Callable[[str], Precisions]
    start: Callable[[RunnableModel, Compute, Size], Pipeline]
    automatic: tuple[str, ...] = ()
    package: str = ""
    extra: str = ""
    reads: str = ""

    @property
    def installed(self) -> bool:
        """Whether the package it needs is there; does not import it."""
        return not self.package or installed(self.package)


def on(cpu: Precisions = (), cuda: Precisions = ()) -> Callable[[str], Precisions]:
    """The precisions of an engine that are the same on every machine."""
    return {"cpu": cpu, "cuda": cuda}.__getitem__


def _start_torch(model: RunnableModel, compute: Compute, size: Size) -> Pipeline:
    assert model.network is not None
    if compute.device.type == "cuda":
        from bisenet_ros.inference.cuda.pipeline import CudaPath

        return CudaPath(model.network, model.card, compute, size)
    from bisenet_ros.inference.engines.torch import TorchEngine

    engine = TorchEngine(model.network, model.card.mean, model.card.std, compute)
    return on_cpu(engine, model, size)


def _start_compile(model: RunnableModel, compute: Compute, size: Size) -> Pipeline:
    from bisenet_ros.inference.engines.torch_compile import CompileEngine

    assert model.network is not None
    engine = CompileEngine(model.network, model.card.mean, model.card.std, compute)
    return on_cpu(engine, model, size)


def _start_openvino(model: RunnableModel, compute: Compute, size: Size) -> Pipeline:
    from bisenet_ros.inference.engines.openvino import OpenVinoEngine, load_openvino
    from bisenet_ros.inference.export.graph import file_or_onnx

    load_openvino()  # before the work of exporting
    return on_cpu(OpenVinoEngine(file_or_onnx(model, size), model.stride, compute), model, size)


def _start_onnxruntime(model: RunnableModel, compute: Compute, size: Size) -> Pipeline:
    from bisenet_ros.inference.engines.onnx_runtime import OnnxRuntimeEngine, load_onnxruntime
    from bisenet_ros.inference.export.graph import file_or_onnx

    load_onnxruntime()
    return on_cpu(OnnxRuntimeEngine(file_or_onnx(model, size), model.stride, compute), model, size)


def _onnxruntime_precisions(device: str) -> Precisions:
    from bisenet_ros.inference.engines.onnx_runtime import precisions

    return precisions(device)


def on_cpu(engine: Engine, model: RunnableModel, size: Size) -> Pipeline:
    """The pipeline whose pixels stay on the CPU, around any engine."""
    from bisenet_ros.inference.cpu.pipeline import PixelPath

    return PixelPath(engine, model.card.labels.palette(), size)


ENGINES = {
    "openvino": EngineSpec(
        "OpenVINO: the fastest exact engine on a CPU",
        on(cpu=("bf16", "fp32")),
        _start_openvino,
        automatic=("cpu",),
        package="openvino",
        extra="openvino",
        reads=".xml",
    ),
    "torch": EngineSpec(
        "PyTorch: runs everywhere, the fastest exact engine on a GPU",
        on(cpu=("bf16", "fp32"), cuda=("fp16", "bf16", "fp32")),
        _start_torch,
        automatic=("cuda", "cpu"),
    ),
    "compile": EngineSpec(
        "PyTorch with torch.compile: compiles at the first frame",
        on(cpu=("bf16", "fp32"), cuda=("fp16", "bf16", "fp32")),
        _start_compile,
    ),
    "onnxruntime": EngineSpec(
        "ONNX Runtime: with TensorRT or CUDA where its build has them",
        _onnxruntime_precisions,
        _start_onnxruntime,
        package="onnxruntime",
        extra="onnx",
        reads=".onnx",
    ),
}
