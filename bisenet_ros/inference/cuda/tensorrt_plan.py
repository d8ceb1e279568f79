"""TensorRT plans: built from the network's ONNX, kept on disk, run on tensors of the GPU.

A plan is the network compiled for one GPU, one TensorRT and one input size; building it takes
minutes. Written to the public API of TensorRT 10, and of 11, which takes every type from the ONNX
file instead of from flags (https://docs.nvidia.com/deeplearning/tensorrt).
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bisenet_ros.errors import ArgumentError, BisenetError
from bisenet_ros.inference.device import INT8, Compute
from bisenet_ros.inference.export.graph import INPUT, OUTPUT
from bisenet_ros.system.atomic_files import write_bytes

MAX_BATCH = 8  # images at once; more go through in parts
WORKSPACE = 1 << 30  # bytes that the builder may use for trying out kernels
FOLDER = "tensorrt"  # beside the weights, or of the user's cache
log = logging.getLogger("bisenet_ros.inference")


@dataclass(frozen=True)
class PlanKey:
    """What a plan is for; another value of any of these needs another plan.

    Attributes:
        gpu: its name.
        tensorrt: version.
        size: (height, width) of the network's input, padded.
        batch: most images at once.
        precision: ``int8``, ``fp16`` or ``fp32``.
        network: hash of the ONNX, weights and scales of int8 included.
    """

    gpu: str
    tensorrt: str
    size: tuple[int, int]
    batch: int
    precision: str
    network: str

    @property
    def file_name(self) -> str:
        """Readable, and different for every key."""
        height, width = self.size
        gpu = re.sub(r"[^a-z0-9]+", "-", self.gpu.lower()).strip("-")
        return (
            f"{gpu}-trt{self.tensorrt}-{height}x{width}-b{self.batch}-{self.precision}-"
            f"{self.network[:16]}.plan"
        )


def plan_key(trt: Any, compute: Compute, onnx: bytes, size: tuple[int, int]) -> PlanKey:
    """The key of a network on this machine."""
    on_gpu = compute.device.type == "cuda"
    name = torch.cuda.get_device_name(compute.device) if on_gpu else "cpu"
    digest = hashlib.sha256(onnx).hexdigest()
    return PlanKey(name, str(trt.__version__), size, MAX_BATCH, compute.precision, digest)


class PlanCache:
    """Plans as files.

    Args:
        folders: where to look, and where to write: the first that can be written to.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)

    def read(self, key: PlanKey) -> bytes | None:
        """The plan of this key, if there is one."""
        for folder in self.folders:
            path = folder / key.file_name
            try:
                return path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                log.warning("the TensorRT plan %s cannot be read: %s", path, error.strerror)
        return None

    def write(self, key: PlanKey, plan: bytes) -> Path | None:
        """Keep a plan; a warning and None if no folder takes it, since it runs all the same."""
        reasons = []
        for folder in self.folders:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                write_bytes(folder / key.file_name, plan)
                return folder / key.file_name
            except OSError as error:
                reasons.append(f"{folder}: {error.strerror}")
        log.warning(
            "the TensorRT plan (%d MB) is not kept and will be built again at the next start: %s",
            len(plan) >> 20,
            "; ".join(reasons),
        )
        return None

    def forget(self, key: PlanKey) -> None:
        """Remove a plan that does not load."""
        for folder in self.folders:
            try:
                (folder / key.file_name).unlink(missing_ok=True)
            except OSError as error:
                log.warning("%s cannot be removed: %s", folder / key.file_name, error.strerror)


def types_are_in_the_onnx(trt: Any) -> bool:
    """Whether this TensorRT has no flags for precisions, as from version 11 on."""
    return not hasattr(trt.BuilderFlag, "FP16")


def build_plan(trt: Any, onnx: bytes, key: PlanKey) -> bytes:
    """Compile a network; takes minutes.

    Args:
        trt: the module ``tensorrt``.
        onnx: of :func:`~bisenet_ros.inference.export.graph.network_onnx`, or for int8 of
            :func:`~bisenet_ros.inference.export.quantised.quantise`.
        key: what for.

    Raises:
        ArgumentError: the GPU has no fast fp16 or int8.
        BisenetError: TensorRT cannot read or compile the network; says why.
    """
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    flags = () if types_are_in_the_onnx(trt) else _flags(builder, key)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise BisenetError(f"TensorRT {key.tensorrt} cannot read the network: {_line(errors)}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE)
    for flag in flags:
        config.set_flag(getattr(trt.BuilderFlag, flag))
    if "FP16" in flags:
        network.get_input(0).dtype = trt.float16
        network.get_output(0).dtype = trt.float16
    profile = builder.create_optimization_profile()
    one, most = (1, 3, *key.size), (key.batch, 3, *key.size)
    profile.set_shape(INPUT, one, one, most)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BisenetError(
            f"TensorRT {key.tensorrt} cannot compile the network for {key.gpu} in {key.precision}; "
            "its log above says why"
        )
    return bytes(plan)


def _flags(builder: Any, key: PlanKey) -> tuple[str, ...]:
    """The precisions that TensorRT 10 may use beside float32.

    Where the network is quantised is in the graph; the rest of it is better off in fp16.
    """
    fp16, int8 = builder.platform_has_fast_fp16, builder.platform_has_fast_int8
    if key.precision == "fp16" and not fp16:
        raise ArgumentError(f"{key.gpu} has no fast fp16; pass precision:=fp32 or engine:=torch")
    if key.precision == INT8 and not int8:
        raise ArgumentError(f"{key.gpu} has no fast int8; pass precision:=fp16 or fp32")
    if key.precision == INT8:
        return ("INT8", "FP16") if fp16 else ("INT8",)
    return ("FP16",) if key.precision == "fp16" else ()


class PlanNetwork:
    """Runs a plan on tensors, on the current stream.

    Raises:
        BisenetError: the plan does not load, as of another version or GPU.
    """

    def __init__(self, trt: Any, plan: bytes, compute: Compute) -> None:
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise BisenetError("the TensorRT plan does not load, as of another version or GPU")
        self._context = self._engine.create_execution_context()
        self._compute = compute
        self._types = [
            torch.float16 if self._engine.get_tensor_dtype(name) == trt.float16 else torch.float32
            for name in (INPUT, OUTPUT)
        ]

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (N, n, h, w) of normalised images (N, 3, H, W), in the images' floating type."""
        parts = [self._run(part) for part in images.split(MAX_BATCH)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _run(self, images: Tensor) -> Tensor:
        taken, given = self._types
        wanted = images.dtype
        # Rows of one channel after the other, as ONNX has them.
        images = images.to(taken).contiguous()
        self._context.set_input_shape(INPUT, tuple(images.shape))
        shape = tuple(self._context.get_tensor_shape(OUTPUT))
        logits = torch.empty(shape, dtype=given, device=images.device)
        self._context.set_tensor_address(INPUT, images.data_ptr())
        self._context.set_tensor_address(OUTPUT, logits.data_ptr())
        if not self._context.execute_async_v3(self._stream()):
            raise RuntimeError("TensorRT could not run the plan; its log above says why")
        return logits.to(wanted)

    def _stream(self) -> int:
        on_gpu = self._compute.device.type == "cuda"
        return torch.cuda.current_stream(self._compute.device).cuda_stream if on_gpu else 0


class PlanBuilder:
    """Gets a plan from the cache, or builds it in a thread.

    Args:
        make: builds the plan; called in the thread.
        load: makes a network of a plan.
        cache: where plans are kept.
        key: of the plan.
    """

    def __init__(
        self,
        make: Callable[[], bytes],
        load: Callable[[bytes], PlanNetwork],
        cache: PlanCache,
        key: PlanKey,
    ) -> None:
        self._make, self._load, self._cache, self._key = make, load, cache, key
        self._network: PlanNetwork | None = self._cached()
        self._failure = ""
        self._begun = time.monotonic()
        self._thread: threading.Thread | None = None
        if self._network is None:
            self._thread = threading.Thread(target=self._build, name="tensorrt", daemon=True)
            self._thread.start()

    @property
    def note(self) -> str:
        """What runs slower than it could, and why; empty once the plan is there."""
        if self._failure:
            return f"TensorRT does not work here, torch runs instead: {self._failure}"
        if self._thread is None or not self._thread.is_alive():
            return ""
        seconds = time.monotonic() - self._begun
        return f"building the TensorRT plan for {seconds:.0f} s, torch runs meanwhile"

    def take(self) -> PlanNetwork | None:
        """The network, once, as soon as it is there."""
        network, self._network = self._network, None
        return network

    def wait(self, timeout_s: float | None = None) -> None:
        """Until the plan is built or has failed."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _cached(self) -> PlanNetwork | None:
        plan = self._cache.read(self._key)
        if plan is None:
            return None
        try:
            return self._load(plan)
        except BisenetError as error:
            log.warning("%s: it is built again", error)
            self._cache.forget(self._key)
            return None

    def _build(self) -> None:
        try:
            plan = self._make()
            self._cache.write(self._key, plan)
            self._network = self._load(plan)
        except Exception as error:  # TensorRT's errors share no base class
            self._failure = _line(str(error)) or type(error).__name__
            log.warning("%s", self.note)


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
