"""What can run a network: PyTorch, its compiler, OpenVINO, ONNX Runtime."""

from bisenet_ros.inference.engines.base import Engine

__all__ = ["Engine"]
