"""The engine tensorrt, against a stand-in for the calls it makes, or TensorRT where it imports."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bisenet_ros.errors import ArgumentError
from bisenet_ros.inference import OutputRequest, Segmenter
from bisenet_ros.inference.cuda.tensorrt_plan import MAX_BATCH, PlanCache, PlanKey
from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.engines import selection
from bisenet_ros.inference.engines.tensorrt import TensorRtPipeline
from bisenet_ros.inference.export.graph import network_onnx

CPU = Compute(torch.device("cpu"), "fp32")
SIZE = (64, 96)


@pytest.fixture
def weights(small_weights: Path, tmp_path: Path) -> Path:
    path = tmp_path / "model/mine.safetensors"
    path.parent.mkdir()
    path.write_bytes(small_weights.read_bytes())
    return path


def start(weights: Path) -> TensorRtPipeline:
    return TensorRtPipeline(selection.read_model(weights), CPU, SIZE)


def images(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (50 + i, 70, 3), np.uint8) for i in range(count)]


def masks(pipeline, count: int = 2) -> list[np.ndarray]:
    request = OutputRequest()
    found = pipeline(images(count), ["rgb"] * count, [request] * count)
    return [result.mask.copy() for result in found]


def test_torch_runs_until_the_plan_is_built_and_then_the_plan(trt, weights, small_weights):
    trt.may_build.clear()
    pipeline = start(weights)
    assert pipeline.name == "tensorrt" and "building the TensorRT plan" in pipeline.compute.fallback
    before = masks(pipeline)
    trt.may_build.set()
    pipeline.builder.wait(60)
    assert "TensorRT" not in pipeline.compute.fallback
    after = masks(pipeline)
    assert type(pipeline.runner.network).__name__ == "PlanNetwork"
    segmenter = Segmenter(small_weights, "cpu", "fp32", "torch", SIZE)
    wanted = [result.mask for result in segmenter(images(2))]
    for ours, plan, theirs in zip(before, after, wanted, strict=True):
        assert (ours != theirs).mean() <= 0.002 and (plan != ours).mean() <= 0.002
    shapes = trt.built[0]["images"]
    assert shapes == ((1, 3, *SIZE), (1, 3, *SIZE), (MAX_BATCH, 3, *SIZE))


def test_more_images_than_the_plan_takes_go_through_in_parts(trt, weights):
    pipeline = start(weights)
    pipeline.builder.wait(60)
    alone = [masks_of for i in range(3) for masks_of in masks(pipeline, i + 1)[-1:]]
    together = masks(pipeline, MAX_BATCH + 3)
    assert len(together) == MAX_BATCH + 3
    for index, mask in enumerate(alone):
        assert (together[index] != mask).mean() <= 0.002


def test_the_plan_is_kept_beside_the_weights_and_taken_at_the_next_start(trt, weights):
    start(weights).builder.wait(60)
    (kept,) = (weights.parent / "tensorrt").iterdir()
    assert kept.name.startswith("cpu-trt10.3.0-64x96-b8-fp32-")
    again = start(weights)
    assert len(trt.built) == 1 and not again.compute.fallback
    masks(again)
    assert type(again.runner.network).__name__ == "PlanNetwork"


def test_another_version_of_tensorrt_builds_its_own(trt, weights):
    start(weights).builder.wait(60)
    trt.__version__ = "10.4.1"
    start(weights).builder.wait(60)
    assert len(list((weights.parent / "tensorrt").iterdir())) == len(trt.built) == 2


@pytest.mark.parametrize("content", [b"", b"cut", b'{"version": "9.9.9"}\nx'])
def test_a_plan_that_does_not_load_is_built_again(trt, weights, caplog, content):
    start(weights).builder.wait(60)
    (kept,) = (weights.parent / "tensorrt").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(content)
    start(weights).builder.wait(60)
    assert kept.read_bytes() == whole and len(trt.built) == 2
    assert "does not load, as of another version or GPU: it is built again" in caplog.text


@pytest.mark.parametrize(
    ("broken", "said"),
    [("parse", "cannot read the network: node 0 is unknown; node 1"), ("build", "cannot compile")],
)
def test_what_cannot_be_built_leaves_torch_running_with_a_warning(
    trt, weights, caplog, broken, said
):
    trt.broken = broken
    pipeline = start(weights)
    pipeline.builder.wait(60)
    assert f"TensorRT does not work here, torch runs instead: TensorRT 10.3.0 {said}" in (
        pipeline.compute.fallback
    )
    assert "\n" not in pipeline.compute.fallback and said in caplog.text
    assert len(masks(pipeline)) == 2


def test_a_plan_that_cannot_run_is_an_error_of_its_batch(trt, weights):
    pipeline = start(weights)
    pipeline.builder.wait(60)
    trt.broken = "run"
    with pytest.raises(RuntimeError, match="TensorRT could not run the plan"):
        masks(pipeline)
    trt.broken = ""
    assert len(masks(pipeline)) == 2


def test_a_full_disk_costs_the_cache_and_not_the_plan(trt, weights, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bisenet_ros.inference.cuda.tensorrt_plan.write_bytes", full)
    pipeline = start(weights)
    pipeline.builder.wait(60)
    masks(pipeline)
    assert type(pipeline.runner.network).__name__ == "PlanNetwork"
    assert "is not kept and will be built again" in caplog.text
    assert "No space left on device" in caplog.text


def test_16_bit_is_asked_for_and_refused_where_the_gpu_is_too_old(trt, weights, small_weights):
    from bisenet_ros.inference.cuda.tensorrt_plan import build_plan

    network = selection.read_model(small_weights).network
    onnx = network_onnx(network, SIZE)
    key = PlanKey("Orin (nvgpu)", "10.3.0", SIZE, 8, "fp16", "0" * 64)
    build_plan(trt, onnx, key)
    assert trt.built[-1]["flags"] == ["fp16"] and trt.built[-1]["types"] == ["float16"] * 2
    trt.fast_fp16 = False
    with pytest.raises(ArgumentError, match="has no fast fp16; pass precision:=fp32"):
        build_plan(trt, onnx, key)


def test_every_part_of_a_key_counts(tmp_path):
    base = {"gpu": "NVIDIA Orin (nvgpu)", "tensorrt": "10.3.0", "size": (512, 1024), "batch": 8}
    base |= {"precision": "fp16", "network": "a" * 64}
    others = {"gpu": "H100", "tensorrt": "10.4.0", "size": (512, 512), "batch": 4}
    others |= {"precision": "fp32", "network": "b" * 64}
    name = PlanKey(**base).file_name
    assert name == "nvidia-orin-nvgpu-trt10.3.0-512x1024-b8-fp16-aaaaaaaaaaaaaaaa.plan"
    assert all(PlanKey(**{**base, key: value}).file_name != name for key, value in others.items())
    cache = PlanCache([tmp_path / "no/such", tmp_path])
    (tmp_path / "no").write_text("a file where a folder should be")
    assert cache.write(PlanKey(**base), b"plan") == tmp_path / name
    assert cache.read(PlanKey(**base)) == b"plan"
    cache.forget(PlanKey(**base))
    assert cache.read(PlanKey(**base)) is None


def test_without_tensorrt_or_with_an_old_one_one_line_says_so(monkeypatch, trt, weights):
    trt.__version__ = "8.6.1"
    with pytest.raises(ArgumentError, match="needs TensorRT 10 or newer, found 8.6.1"):
        start(weights)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(ArgumentError, match="which is not installed; install tensorrt"):
        start(weights)
    with pytest.raises(ArgumentError, match="engine tensorrt does not run on cpu here"):
        Segmenter(weights, "cpu", engine="tensorrt")


@pytest.mark.skipif(
    not torch.cuda.is_available() or importlib.util.find_spec("tensorrt") is None,
    reason="needs a GPU and TensorRT",
)
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_tensorrt_itself(weights, small_weights, precision):
    segmenter = Segmenter(weights, "cuda", precision, "tensorrt", SIZE)
    segmenter.engine.pipeline.builder.wait()  # type: ignore[attr-defined]
    assert not segmenter.compute.fallback
    wanted = Segmenter(small_weights, "cpu", "fp32", "torch", SIZE)(images(3))
    for ours, theirs in zip(segmenter(images(3)), wanted, strict=True):
        assert (ours.mask != theirs.mask).mean() <= 0.03
