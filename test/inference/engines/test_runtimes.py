"""What ONNX Runtime and OpenVINO are asked for, with stand-ins that remember it."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bisenet_ros.errors import ArgumentError, WeightsError
from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.engines import onnx_runtime, openvino
from bisenet_ros.inference.engines.onnx_runtime import (
    CPU,
    CUDA,
    TENSORRT,
    OnnxRuntimeEngine,
    providers,
)
from bisenet_ros.inference.engines.openvino import OpenVinoEngine

ON_CPU = Compute(torch.device("cpu"), "fp32")


class FakeOptions:
    """onnxruntime.SessionOptions."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    def add_session_config_entry(self, key: str, value: str) -> None:
        self.entries[key] = value


class FakeOnnxRuntime:
    """The module; its sessions return the images' sums, one per channel."""

    SessionOptions = FakeOptions

    def __init__(self, available: list[str], error: Exception | None = None) -> None:
        self.available, self.error = available, error

    def get_available_providers(self) -> list[str]:
        return self.available

    def InferenceSession(self, model, options, providers):  # noqa: N802
        if self.error is not None:
            raise self.error
        self.model, self.options, self.providers = model, options, providers
        return SimpleNamespace(
            get_providers=lambda: [p if isinstance(p, str) else p[0] for p in providers],
            run=lambda names, feed: [sums(feed["images"])],
        )


def sums(image: np.ndarray) -> np.ndarray:
    """(1, H, W, 3) → (1, 3, 1, 1), as a network's logits might be."""
    assert image.shape[0] == 1
    return image.sum((1, 2), dtype=np.float32).reshape(1, 3, 1, 1)


@pytest.fixture
def onnxruntime(monkeypatch):
    def pretend(*arguments) -> FakeOnnxRuntime:
        fake = FakeOnnxRuntime(*arguments)
        monkeypatch.setattr(onnx_runtime, "load_onnxruntime", lambda: fake)
        return fake

    return pretend


IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), np.uint8))
WANTED = IMAGES.sum((1, 2)).float().view(3, 3, 1, 1)


def test_onnx_runtime_gets_threads_that_do_not_spin_and_each_image_by_itself(onnxruntime, caplog):
    caplog.set_level(logging.INFO, logger="bisenet_ros.inference")
    fake = onnxruntime([CPU])
    engine = OnnxRuntimeEngine(b"content", 8, ON_CPU)
    assert (engine.name, engine.stride, engine.compute) == ("onnxruntime", 8, ON_CPU)
    assert fake.model == b"content" and fake.providers == [CPU]
    assert fake.options.intra_op_num_threads == torch.get_num_threads()
    assert fake.options.entries == {"session.intra_op.allow_spinning": "0"}
    assert fake.options.log_severity_level == 3  # errors
    assert "onnxruntime uses CPUExecutionProvider" in caplog.text
    assert torch.equal(engine(IMAGES), WANTED)
    assert engine.prepare(IMAGES) is IMAGES
    OnnxRuntimeEngine(Path("a.onnx"), 8, ON_CPU)
    assert fake.model == "a.onnx"


def test_the_providers_are_those_of_the_build_in_order_of_speed(onnxruntime, caplog):
    caplog.set_level(logging.INFO, logger="bisenet_ros.inference")
    fake = onnxruntime([CUDA, CPU])
    OnnxRuntimeEngine(b"", 8, Compute(torch.device("cuda", 1), "fp32"))
    assert fake.providers == [(CUDA, {"device_id": "1"}), CPU]
    assert "onnxruntime uses CUDAExecutionProvider, CPUExecutionProvider" in caplog.text


def test_tensorrt_in_onnx_runtime_keeps_what_takes_minutes(monkeypatch, tmp_path):
    monkeypatch.setattr(onnx_runtime, "cache_folder", lambda name: tmp_path / name)
    for precision, half in (("fp16", "True"), ("fp32", "False")):
        found = providers(Compute(torch.device("cuda"), precision), [TENSORRT, CUDA, CPU])
        assert found == [
            (
                TENSORRT,
                {
                    "device_id": "0",
                    "trt_fp16_enable": half,
                    "trt_engine_cache_enable": "True",
                    "trt_engine_cache_path": str(tmp_path / "tensorrt"),
                    "trt_timing_cache_enable": "True",
                },
            ),
            (CUDA, {"device_id": "0"}),
            CPU,
        ]


def test_what_onnx_runtime_cannot_run_is_one_line_with_the_reason(onnxruntime):
    onnxruntime([CPU], RuntimeError("bad\n  graph"))
    for model, what in ((b"", "the network"), (Path("a.onnx"), "a.onnx")):
        with pytest.raises(WeightsError) as caught:
            OnnxRuntimeEngine(model, 8, ON_CPU)
        assert str(caught.value) == f"ONNX Runtime cannot run {what}: bad graph"
    onnxruntime([CPU, "OtherExecutionProvider"])
    with pytest.raises(ArgumentError) as refused:
        OnnxRuntimeEngine(b"", 8, Compute(torch.device("cuda", 0), "fp32"))
    assert str(refused.value) == (
        "this ONNX Runtime has no provider for cuda:0, only CPUExecutionProvider, "
        "OtherExecutionProvider; install onnxruntime-gpu, or pass engine:=torch"
    )


class FakeCore:
    """openvino.Core; its requests return the images' sums."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def read_model(self, model):
        if self.error is not None:
            raise self.error
        return model.read() if isinstance(model, io.BytesIO) else model

    def compile_model(self, model, device, options):
        self.model, self.device, self.options = model, device, options
        return SimpleNamespace(create_infer_request=lambda: self)

    def infer(self, feed, share_inputs):
        assert share_inputs is True
        self.out = sums(feed[0])

    def get_output_tensor(self, index):
        assert index == 0
        return SimpleNamespace(data=self.out)


@pytest.mark.parametrize(
    ("precision", "hint"),
    [
        ("fp32", {"INFERENCE_PRECISION_HINT": "f32"}),
        ("bf16", {"INFERENCE_PRECISION_HINT": "bf16"}),
        ("int8", {}),
    ],
)
def test_openvino_gets_the_precision_and_threads_that_nothing_is_pinned_to(
    monkeypatch, precision, hint
):
    core = FakeCore()
    monkeypatch.setattr(openvino, "shared_core", lambda: core)
    compute = Compute(torch.device("cpu"), precision)
    engine = OpenVinoEngine(b"content", 8, compute)
    assert (engine.name, engine.stride, engine.compute) == ("openvino", 8, compute)
    assert (core.model, core.device) == (b"content", "CPU")
    assert core.options == {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "ENABLE_CPU_PINNING": False,
        **hint,
    }
    found = engine(IMAGES)
    assert torch.equal(found, WANTED)
    core.out[:] = 0  # the runtime's own memory, which the next image overwrites
    assert torch.equal(found, WANTED) and engine.prepare(IMAGES) is IMAGES
    OpenVinoEngine(Path("a.xml"), 8, compute)
    assert core.model == Path("a.xml")


def test_what_openvino_cannot_run_is_one_line_with_the_reason(monkeypatch):
    monkeypatch.setattr(openvino, "shared_core", lambda: FakeCore(RuntimeError("bad\n  graph")))
    for model, what in ((b"", "the network"), (Path("a.xml"), "a.xml")):
        with pytest.raises(WeightsError) as caught:
            OpenVinoEngine(model, 8, ON_CPU)
        assert str(caught.value) == f"OpenVINO cannot run {what}: bad graph"


@pytest.mark.parametrize(
    ("module", "load", "arguments"),
    [
        (
            onnx_runtime,
            onnx_runtime.load_onnxruntime,
            ("onnxruntime", "onnx", "engine onnxruntime"),
        ),
        (openvino, openvino.load_openvino, ("openvino", "openvino", "engine openvino")),
    ],
)
def test_a_runtime_is_loaded_by_name_with_the_extra_that_installs_it(
    monkeypatch, module, load, arguments
):
    monkeypatch.setattr(module, "needed", lambda *given: given)
    assert load() == arguments


def test_there_is_one_core_in_the_process(monkeypatch):
    made = []
    monkeypatch.setattr(
        openvino, "load_openvino", lambda: SimpleNamespace(Core=lambda: made.append(1) or object())
    )
    monkeypatch.setattr(openvino, "shared_core", fresh := openvino.shared_core.__wrapped__)
    assert fresh() is not None and made == [1]
