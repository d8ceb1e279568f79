"""All engines by name. A new one needs a class and an entry here.

Importing this module imports neither torch nor any runtime: launch files read the names.
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
        help: one line that helps users choose.
        precisions: maps ``cpu`` or ``cuda`` to the precisions supported there, the fastest exact
            one first; empty if the device is not supported. Raises ArgumentError if a required
            package is not installed.
        start: creates the pipeline for a model, a resolved device and precision, and an input
            size (height, width). Raises a BisenetError if the engine does not work here.
        automatic: the device types on which ``auto`` tries it; the engines are tried in the order
            of ``ENGINES``.
        package: the optional Python package it needs; empty for none.
        extra: the extra of this package that installs it.
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
        """Whether the package it needs is installed; does not import it."""
        return not self.package or installed(self.package)


def on(cpu: Precisions = (), cuda: Precisions = ()) -> Callable[[str], Precisions]:
    """For an engine whose precisions are the same on every machine."""
    return {"cpu": cpu, "cuda": cuda}.__getitem__


def _start_torch(model: RunnableModel, compute: Compute, size: Size) -> Pipeline:
    assert model.network is not None
    if compute.device.type == "cuda":
        from bisenet_ros.inference.cuda.pipeline import CudaPipeline

        return CudaPipeline(model.network, model.card, compute, size)
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

    load_openvino()  # fail before the slow export
    content = file_or_onnx(model, size, compute.precision)
    return on_cpu(OpenVinoEngine(content, model.stride, compute), model, size)


def _start_onnxruntime(model: RunnableModel, compute: Compute, size: Size) -> Pipeline:
    from bisenet_ros.inference.engines.onnx_runtime import OnnxRuntimeEngine, load_onnxruntime
    from bisenet_ros.inference.export.graph import file_or_onnx

    load_onnxruntime()
    return on_cpu(OnnxRuntimeEngine(file_or_onnx(model, size), model.stride, compute), model, size)


def _onnxruntime_precisions(device: str) -> Precisions:
    from bisenet_ros.inference.engines.onnx_runtime import precisions

    return precisions(device)


def _start_tensorrt(model: RunnableModel, compute: Compute, size: Size) -> Pipeline:
    from bisenet_ros.inference.engines.tensorrt import TensorRtPipeline

    return TensorRtPipeline(model, compute, size)


def on_cpu(engine: Engine, model: RunnableModel, size: Size) -> Pipeline:
    """The pipeline that processes pixels on the CPU, with any engine."""
    from bisenet_ros.inference.cpu.pipeline import CpuPipeline

    return CpuPipeline(engine, model.card.labels.palette(), size, model.card.temperature)


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
        "PyTorch with torch.compile: compiles on the first frame",
        on(cpu=("bf16", "fp32"), cuda=("fp16", "bf16", "fp32")),
        _start_compile,
    ),
    "onnxruntime": EngineSpec(
        "ONNX Runtime: uses TensorRT or CUDA if its build includes them",
        _onnxruntime_precisions,
        _start_onnxruntime,
        package="onnxruntime",
        extra="onnx",
        reads=".onnx",
    ),
    "tensorrt": EngineSpec(
        "TensorRT: builds a plan at the first start, in the background, and keeps it",
        on(cuda=("fp16", "fp32", "int8")),
        _start_tensorrt,
        package="tensorrt",
    ),
}
