"""int8 in the engine tensorrt: quantised by ``export --int8 --tensorrt``, run by the stand-in."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bisenet_ros.checkpoints import load, save
from bisenet_ros.cli import main
from bisenet_ros.errors import ArgumentError, WeightsError
from bisenet_ros.inference import OutputRequest, Segmenter
from bisenet_ros.inference.cuda.tensorrt_plan import PlanKey, build_plan
from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.engines import selection
from bisenet_ros.inference.engines.tensorrt import TensorRtPipeline
from bisenet_ros.inference.export.quantised import (
    ENTRY,
    Quantised,
    describe,
    find,
    signed_scale,
)

INT8 = Compute(torch.device("cpu"), "int8")
SIZE = (64, 96)


@pytest.fixture(scope="module")
def labelled(small_weights: Path, tmp_path_factory) -> Path:
    """Images labelled by the small network itself."""
    root = tmp_path_factory.mktemp("labelled")
    segmenter = Segmenter(small_weights, "cpu", "fp32", "torch", SIZE)
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    pairs = zip(segmenter.labels.names, segmenter.labels.colours, strict=True)
    classes = [{"name": name, "color": list(colour)} for name, colour in pairs]
    (root / "labels.yaml").write_text(yaml.safe_dump({"classes": classes}))
    (root / "val.txt").write_text("0\n1\n2\n3\n")
    random = np.random.default_rng(0)
    for index in range(4):
        coarse = random.integers(0, 256, (6, 8, 3), np.uint8)
        image = cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(root / f"images/{index}.png"), image)
        cv2.imwrite(str(root / f"masks/{index}.png"), segmenter([image], "bgr")[0].mask)
    return root


def images(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (50 + i, 70, 3), np.uint8) for i in range(count)]


def masks(pipeline, count: int = 2) -> list[np.ndarray]:
    found = pipeline(images(count), ["rgb"] * count, [OutputRequest()] * count)
    return [result.mask.copy() for result in found]


def export(out: Path, weights: Path, labelled: Path, *more: object) -> int:
    options = ("--weights", weights, "--int8", "--tensorrt", "--calibrate", labelled)
    size = ("--dataset", "folder", "--size", "64x90", "--max-drop", 50)
    return main(["export", *map(str, (out, *options, *size, *more))])


@pytest.fixture(scope="module")
def quantised(small_weights: Path, labelled: Path, tmp_path_factory) -> Path:
    """A weights file with its quantised network beside it."""
    for package in ("onnxruntime", "onnx", "nncf"):
        pytest.importorskip(package)
    weights = tmp_path_factory.mktemp("model") / "mine.safetensors"
    weights.write_bytes(small_weights.read_bytes())
    facts = weights.parent / "facts.json"
    out = weights.with_name("mine-int8.onnx")
    assert export(out, weights, labelled, "--json", facts) == 0
    measured = json.loads(facts.read_text())
    assert measured["input"] == "64x96" and measured["scored_images"] == 2
    assert measured["drop"] == measured["miou_fp32"] - measured["miou_int8"] < 20
    return weights


def test_the_scales_are_as_tensorrt_takes_them(quantised):
    import onnx

    graph = onnx.load(quantised.with_name("mine-int8.onnx")).graph
    values = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    nodes = [n for n in graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(nodes) > 100
    weights = set(values)  # and what only passes them on
    for node in graph.node:
        weights.update(node.output if weights.issuperset(node.input) else ())
    for node in nodes:
        scale, zero = (values[name] for name in node.input[1:3])
        assert zero.dtype == np.int8 and not zero.any() and (scale > 0).all()
        assert node.input[0] in weights or (scale.size == 1 and not node.attribute)
    made = {n.output[0] for n in nodes if n.op_type == "DequantizeLinear"}
    convolutions = [n for n in graph.node if n.op_type == "Conv"]
    assert all(n.input[1] in made & weights for n in convolutions)
    assert sum(n.input[0] in made for n in convolutions) > 0.9 * len(convolutions)


def test_the_plan_is_of_the_quantised_network(trt, quantised, small_weights):
    pipeline = TensorRtPipeline(selection.read_model(quantised), INT8, SIZE)
    pipeline.builder.wait(60)
    assert not pipeline.compute.fallback and pipeline.compute.precision == "int8"
    assert trt.built[0]["flags"] == ["int8", "fp16"]
    assert trt.built[0]["types"] == ["float16"] * 2
    found = masks(pipeline)
    assert type(pipeline.runner.network).__name__ == "PlanNetwork"
    wanted = Segmenter(small_weights, "cpu", "fp32", "torch", SIZE)(images(2))
    differs = [(ours != exact.mask).mean() for ours, exact in zip(found, wanted, strict=True)]
    assert 0 < max(differs) < 0.2  # quantised, and the same network
    (kept,) = (quantised.parent / "tensorrt").iterdir()
    assert "-b8-int8-" in kept.name
    TensorRtPipeline(selection.read_model(quantised), INT8, SIZE)
    assert len(trt.built) == 1  # taken from the cache
    exact = TensorRtPipeline(selection.read_model(quantised), Compute(INT8.device, "fp32"), SIZE)
    exact.builder.wait(60)
    assert len(trt.built) == 2 and trt.built[1]["flags"] == []


def test_from_version_11_on_types_are_those_of_the_onnx(trt, quantised):
    trt.forget_flags()
    device = torch.device("cpu")
    pipeline = TensorRtPipeline(selection.read_model(quantised), INT8, SIZE)
    pipeline.builder.wait(60)
    assert not pipeline.compute.fallback and len(masks(pipeline)) == 2
    assert trt.built[-1]["flags"] == [] and trt.built[-1]["types"] == [None, None]
    # On the CPU nothing else runs in float16, so this is the plan alone.
    half = TensorRtPipeline(selection.read_model(quantised), Compute(device, "fp16"), SIZE)
    half.builder.wait(60)
    plan = half.builder.take()
    assert plan is not None and not half.compute.fallback
    torch.manual_seed(0)
    inputs = torch.randn(2, 3, *SIZE).half()
    logits = plan(inputs)
    network = selection.read_model(quantised).network
    assert network is not None
    with torch.no_grad():
        expected = network(inputs.float())
    assert logits.dtype == torch.float16 and logits.shape == expected.shape
    assert (logits.float() - expected).abs().max() <= 0.02 * expected.abs().max()


def test_without_a_network_for_the_size_one_line_says_how_to_make_one(trt, quantised, tmp_path):
    model = selection.read_model(quantised)
    with pytest.raises(
        ArgumentError, match="quantised for 96x128 beside it, and none is in"
    ) as got:
        TensorRtPipeline(model, INT8, (96, 128))
    assert "mine-int8.onnx is for 64x96" in str(got.value) and "\n" not in str(got.value)
    assert "--size 96x128 --int8 --tensorrt --calibrate DIR" in str(got.value)
    shutil.copy(quantised.with_name("mine-int8.onnx"), tmp_path)
    network, card = load(quantised)
    with torch.no_grad():
        next(network.parameters()).add_(0.01)
    trained_on = save(tmp_path / quantised.name, network, card)
    with pytest.raises(ArgumentError, match=r"and none is in \S+; run python"):
        TensorRtPipeline(selection.read_model(trained_on), INT8, SIZE)
    assert find(quantised, SIZE)


def test_a_gpu_without_fast_int8_is_refused(trt):
    key = PlanKey("GTX 1080", "10.3.0", SIZE, 8, "int8", "0" * 64)
    trt.fast_int8 = False
    with pytest.raises(ArgumentError, match="GTX 1080 has no fast int8; pass precision:=fp16"):
        build_plan(trt, b"", key)


def test_other_files_are_not_taken_for_quantised_networks(quantised):
    content = quantised.with_name("mine-int8.onnx").read_bytes()
    about = describe(content)
    assert about is not None and about.size == SIZE
    for other in (b"", b"x", content[:-1], content[: len(content) // 2], b"\xff" * 40, b"\x72\x7f"):
        assert describe(other) is None


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reading_of_metadata(content):
    assert describe(content) is None


@pytest.mark.parametrize(
    "entry", ['{"size": [1e999, 2], "weights": "x"}', "[]", "{", '{"size": 3}']
)
def test_broken_metadata_is_that_of_another_file(entry):
    import onnx

    model = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))
    onnx.helper.set_model_props(model, {ENTRY: entry})
    assert describe(model.SerializeToString()) is None
    onnx.helper.set_model_props(model, {ENTRY: '{"size": [1, 2], "weights": "x"}'})
    assert describe(model.SerializeToString()) == Quantised("x", (1, 2))


@pytest.mark.parametrize(
    ("dtype", "zeros", "scales", "reach"),
    [
        (np.uint8, [0], [0.1], 25.5),
        (np.uint8, [0, 0], [0.1, 0.2], 51.0),  # per channel
        (np.uint8, [55], [0.1], 20.0),
        (np.uint8, [200], [0.1], 20.0),
        (np.int8, [0], [0.1], 12.7),
        (np.int8, [-28], [0.1], 15.5),
    ],
)
def test_the_signed_scale_covers_the_range(dtype, zeros, scales, reach):
    found = signed_scale(np.array(scales, np.float32), np.array(zeros, dtype))
    assert found * 127 == pytest.approx(reach, rel=1e-5)


def test_wrong_uses_are_refused(quantised, labelled, tmp_path, capsys):
    beside = quantised.with_name("other.onnx")
    for out, more, said in (
        (tmp_path / "x.onnx", (), "is not beside the weights"),
        (quantised.with_name("x.xml"), (), "is not beside the weights"),
    ):
        assert export(out, quantised, labelled, *more) == 2
        assert said in capsys.readouterr().err
    assert main(["export", str(beside), "--weights", str(quantised), "--tensorrt"]) == 2
    assert "--tensorrt is for --int8 alone" in capsys.readouterr().err
    with pytest.raises(WeightsError, match="quantised for TensorRT, which belongs beside"):
        Segmenter(quantised.with_name("mine-int8.onnx"), "cpu")
    for engine in ("torch", "auto"):
        with pytest.raises(ArgumentError, match="takes int8 from models exported with --int8"):
            Segmenter(quantised, "cpu", "int8", engine)
    assert not beside.exists()


@pytest.mark.skipif(
    not torch.cuda.is_available() or importlib.util.find_spec("tensorrt") is None,
    reason="needs a GPU and TensorRT",
)
def test_tensorrt_itself(quantised, small_weights):
    segmenter = Segmenter(quantised, "cuda", "int8", "tensorrt", SIZE)
    segmenter.engine.pipeline.builder.wait()  # type: ignore[attr-defined]
    assert not segmenter.compute.fallback
    wanted = Segmenter(small_weights, "cpu", "fp32", "torch", SIZE)(images(3))
    for ours, theirs in zip(segmenter(images(3)), wanted, strict=True):
        assert (ours.mask != theirs.mask).mean() <= 0.2
