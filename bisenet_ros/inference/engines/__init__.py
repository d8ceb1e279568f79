"""What can run a network: PyTorch, its compiler, OpenVINO, ONNX Runtime."""

from bisenet_ros.inference.engines.base import Engine, Pipeline, RunnableModel
from bisenet_ros.inference.engines.registry import ENGINES, EngineSpec

__all__ = ["ENGINES", "Engine", "EngineSpec", "Pipeline", "RunnableModel"]
