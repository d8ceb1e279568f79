"""The few calls of TensorRT 10 that are made, with ONNX Runtime computing on the CPU.

A plan is the ONNX file behind a line that says for which version and shapes it was built. Addresses
are real: input is read from, and logits are written to, the tensors' own memory.
"""

from __future__ import annotations

import ctypes
import json
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime

__version__ = "10.3.0"
float16 = "float16"
fast_fp16 = True
may_build = threading.Event()
may_build.set()
broken = ""  # "parse", "build" or "run"
built: list[dict[str, Any]] = []

BuilderFlag = SimpleNamespace(FP16="fp16")
MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")


class Logger:
    WARNING = 2

    def __init__(self, level: int) -> None:
        self.level = level


class Network:
    def __init__(self) -> None:
        self.onnx = b""
        self.tensors = {"input": SimpleNamespace(dtype=None), "output": SimpleNamespace(dtype=None)}

    def get_input(self, index: int) -> Any:
        return self.tensors["input"]

    def get_output(self, index: int) -> Any:
        return self.tensors["output"]


class OnnxParser:
    def __init__(self, network: Network, logger: Logger) -> None:
        self.network = network
        self.num_errors = 0

    def parse(self, onnx: bytes) -> bool:
        self.network.onnx = onnx
        self.num_errors = 2 * (broken == "parse")
        return broken != "parse"

    def get_error(self, index: int) -> str:
        return f"node {index}\nis unknown"


class Config:
    def __init__(self) -> None:
        self.flags: list[str] = []
        self.profiles: list[Profile] = []
        self.limits: dict[str, int] = {}

    def set_flag(self, flag: str) -> None:
        self.flags.append(flag)

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self.limits[pool] = size

    def add_optimization_profile(self, profile: Profile) -> int:
        self.profiles.append(profile)
        return 0


class Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple] = {}

    def set_shape(self, name: str, low: tuple, usual: tuple, high: tuple) -> None:
        self.shapes[name] = (low, usual, high)


class Builder:
    def __init__(self, logger: Logger) -> None:
        self.platform_has_fast_fp16 = fast_fp16

    def create_network(self, flags: int) -> Network:
        return Network()

    def create_builder_config(self) -> Config:
        return Config()

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
        may_build.wait(60)
        about = {"version": __version__, "flags": config.flags, **config.profiles[0].shapes}
        built.append({**about, "types": [t.dtype for t in network.tensors.values()]})
        if broken == "build":
            return None
        return json.dumps(about).encode() + b"\n" + network.onnx


class Runtime:
    def __init__(self, logger: Logger) -> None:
        pass

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        about, newline, onnx = plan.partition(b"\n")
        if not newline or json.loads(about)["version"] != __version__:
            return None
        return Engine(json.loads(about)["images"], onnx)


class Engine:
    def __init__(self, shapes: list, onnx: bytes) -> None:
        self.shapes = shapes
        self.session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])

    def create_execution_context(self) -> Context:
        return Context(self)


class Context:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.shape: tuple[int, ...] = ()
        self.addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, _, high = self.engine.shapes
        assert low[0] <= shape[0] <= high[0] and list(shape[1:]) == low[1:] == high[1:]
        self.shape = shape
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        zeros = np.zeros(self.shape, np.float32)
        return self.engine.session.run(None, {"images": zeros})[0].shape

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        if broken == "run":
            return False
        images = _memory(self.addresses["images"], self.shape)
        logits = self.engine.session.run(None, {"images": images})[0]
        _memory(self.addresses["logits"], logits.shape)[...] = logits
        return True


def _memory(address: int, shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape))
    return np.ctypeslib.as_array((ctypes.c_float * size).from_address(address)).reshape(shape)
