"""The few calls that are made of TensorRT 10, or of 11, with ONNX Runtime computing on the CPU.

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
float16, float32 = "float16", "float32"
fast_fp16 = fast_int8 = True
may_build = threading.Event()
may_build.set()
broken = ""  # "parse", "build" or "run"
built: list[dict[str, Any]] = []

BuilderFlag = SimpleNamespace(FP16="fp16", INT8="int8")
MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")


def forget_flags() -> None:
    """As from TensorRT 11 on: types come from the ONNX file alone."""
    global __version__
    __version__ = "11.4.0"
    vars(BuilderFlag).clear()
    for name in ("platform_has_fast_fp16", "platform_has_fast_int8"):
        delattr(Builder, name)


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
    platform_has_fast_fp16 = property(lambda self: fast_fp16)
    platform_has_fast_int8 = property(lambda self: fast_int8)

    def __init__(self, logger: Logger) -> None:
        pass

    def create_network(self, flags: int) -> Network:
        return Network()

    def create_builder_config(self) -> Config:
        return Config()

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
        may_build.wait(60)
        about = {"version": __version__, "flags": config.flags, **config.profiles[0].shapes}
        about["types"] = [tensor.dtype for tensor in network.tensors.values()]
        built.append(about)
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
        return Engine(json.loads(about), onnx)


class Engine:
    """Tensors have the type that was set, or the one in the ONNX file."""

    def __init__(self, about: dict[str, Any], onnx: bytes) -> None:
        self.shapes = about["images"]
        self.session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])

        ends = *self.session.get_inputs(), *self.session.get_outputs()
        self.own = {e.name: float16 if e.type == "tensor(float16)" else float32 for e in ends}
        set_types = zip(self.own, about["types"], strict=True)
        self.types = {name: chosen or self.own[name] for name, chosen in set_types}

    def get_tensor_dtype(self, name: str) -> str:
        return self.types[name]

    def compute(self, images: np.ndarray) -> np.ndarray:
        return self.session.run(None, {"images": images.astype(self.own["images"])})[0]

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
        return self.engine.compute(np.zeros(self.shape, np.float32)).shape

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        if broken == "run":
            return False
        types = self.engine.types
        images = _memory(self.addresses["images"], self.shape, types["images"])
        logits = self.engine.compute(images)
        _memory(self.addresses["logits"], logits.shape, types["logits"])[...] = logits
        return True


def _memory(address: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    content = (ctypes.c_byte * size).from_address(address)
    return np.frombuffer(content, dtype).reshape(shape)
