"""Every engine: the same masks, clear errors for what is not supported, and a logged selection."""

import dataclasses
import importlib
import importlib.util
import itertools
import logging
import sys
import types

import cv2
import numpy as np
import pytest
import torch

from bisenet_ros.benchmark.frames import TOPICS
from bisenet_ros.checkpoints import load
from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.inference import Segmenter
from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.engines import ENGINES, onnx_runtime, registry, selection
from bisenet_ros.inference.engines.onnx_runtime import CPU, CUDA, TENSORRT, precisions, providers
from bisenet_ros.recordings.labelled_bag import Drive
from bisenet_ros.ros.parameters.definition import PRECISIONS, Parameters
from bisenet_ros.system.cpu import cpu_has_bf16
from bisenet_ros.system.share import SHIPPED_WEIGHTS, sample_bag, share_file

PACKAGES = {"openvino": "openvino", "onnxruntime": "onnxruntime"}
SIXTEEN_BIT = pytest.mark.skipif(not cpu_has_bf16(), reason="this CPU has no bfloat16")
ON_CPU = [
    pytest.param(engine, precision, marks=[SIXTEEN_BIT] if precision == "bf16" else [])
    for engine, spec in ENGINES.items()
    if spec.installed
    for precision in spec.precisions("cpu")
    if (engine, precision) != ("torch", "fp32")
    # Compiling takes half a minute each time; bf16 differs from fp32 in a cast.
    and (engine, precision) != ("compile", "bf16")
]


def there(engine: str) -> None:
    """Skip unless the engine can run here."""
    if engine in PACKAGES:
        pytest.importorskip(PACKAGES[engine])


def scores(weights, images: np.ndarray) -> torch.Tensor:
    """Logits of the original network in float64."""
    network, card = load(weights)
    network = network.for_inference().double()
    x = torch.from_numpy(images).permute(0, 3, 1, 2).double() / 255
    x = (x - torch.tensor(card.mean).view(3, 1, 1)) / torch.tensor(card.std).view(3, 1, 1)
    with torch.no_grad():
        return network(x)


@pytest.mark.parametrize(("engine", "precision"), [("torch", "fp32"), *ON_CPU])
def test_logits_equal_the_plain_network(small_weights, engine, precision):
    there(engine)
    images = np.random.default_rng(2).integers(0, 256, (2, 96, 128, 3), np.uint8)
    segmenter = Segmenter(small_weights, device="cpu", precision=precision, engine=engine)
    assert (segmenter.engine.name, segmenter.compute.precision) == (engine, precision)
    found = segmenter.engine.pipeline.engine(torch.from_numpy(images))
    wanted = scores(small_weights, images)
    assert found.shape == wanted.shape == (2, 3, 12, 16)
    assert found.dtype == torch.float32 and found.is_contiguous()
    limit = 1e-4 if precision == "fp32" else 0.05
    assert (found - wanted).abs().max() < limit * wanted.abs().max()


@pytest.mark.parametrize("engine", [name for name, s in ENGINES.items() if s.precisions("cpu")])
def test_batches_and_sizes_that_are_not_multiples(small_weights, engine):
    there(engine)
    segmenter = Segmenter(small_weights, "cpu", "fp32", engine, input_size=(72, 104))
    plain = Segmenter(small_weights, "cpu", "fp32", "torch", input_size=(72, 104))
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (h, 90, 3), np.uint8) for h in (50, 1, 200)]
    orders = ["rgb", "bgr", "rgb"]
    for found, wanted in zip(segmenter(images, orders), plain(images, orders), strict=True):
        assert (found.mask != wanted.mask).mean() < 0.002


@pytest.fixture(scope="module")
def drive() -> list[np.ndarray]:
    """Frames of the sample drive, RGB, enlarged to 720×960."""
    pytest.importorskip("rosbags")
    found = Drive.open(sample_bag(), *TOPICS).read([0, 30, 60, 90])
    return [cv2.resize(image, (960, 720)) for image, _ in found.values()]


@pytest.fixture(scope="module")
def trained():
    """The shipped weights."""
    try:
        return share_file(SHIPPED_WEIGHTS)
    except DataError:
        pytest.skip(f"{SHIPPED_WEIGHTS} is not there")


@pytest.fixture(scope="module")
def eager_masks(trained, drive) -> list[np.ndarray]:
    """Masks of the original float32 network, from one full-size tensor of logits."""
    network, card = load(trained)
    height, width = card.resolution
    tall, wide = (-(-side // 32) * 32 for side in card.resolution)
    masks = []
    for image in drive:
        small = cv2.resize(image, (width, height))
        padded = np.pad(small, ((0, tall - height), (0, wide - width), (0, 0)), "edge")
        x = (padded.astype(np.float32) / 255 - np.float32(card.mean)) / np.float32(card.std)
        with torch.no_grad():
            logits = network(torch.from_numpy(x).permute(2, 0, 1)[None])
            logits = logits[..., : height // 8, : width // 8]
            full = torch.nn.functional.interpolate(logits, image.shape[:2], mode="bilinear")
        masks.append(full.argmax(1)[0].numpy().astype(np.uint8))
    return masks


@pytest.mark.parametrize(
    ("engine", "precision"),
    [("torch", "fp32"), *(one for one in ON_CPU if one.values[0] != "compile")],
)
def test_masks_of_real_frames_differ_by_no_more_than_the_limit(
    trained, drive, eager_masks, engine, precision
):
    there(engine)
    segmenter = Segmenter(trained, device="cpu", precision=precision, engine=engine)
    wrong = np.mean(
        [
            (result.mask != mask).mean()
            for result, mask in zip(segmenter(drive), eager_masks, strict=True)
        ]
    )
    assert wrong <= (0.0005 if precision == "fp32" else 0.005)


def test_the_node_offers_the_engines_there_are():
    choices = {item.name: item.metadata["choices"] for item in dataclasses.fields(Parameters)}
    assert choices["engine"] == ("auto", *ENGINES)
    kinds = itertools.product(ENGINES.values(), ("cpu", "cuda"))
    known = {precision for spec, kind in kinds for precision in spec.precisions(kind)}
    assert set(PRECISIONS) == {"auto", *known}


def test_the_selected_engine_is_logged(small_weights, caplog):
    caplog.set_level(logging.INFO, logger="bisenet_ros.inference")
    segmenter = Segmenter(small_weights, device="cpu")
    assert segmenter.engine.name in ENGINES and segmenter.engine.why
    assert f"engine {segmenter.engine.name} on cpu" in caplog.text
    assert segmenter.engine.why in caplog.text


def pretend_gpu(monkeypatch) -> None:
    answers = {"is_available": True, "device_count": 1, "get_device_capability": (9, 0)}
    for name, answer in {**answers, "get_arch_list": ["sm_90"]}.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=answer: value)


@pytest.mark.parametrize(("there", "taken"), [(True, ["openvino", "torch"]), (False, ["torch"])])
def test_auto_selects_openvino_if_it_is_installed(monkeypatch, small_weights, there, taken):
    monkeypatch.setattr(registry, "installed", lambda package: there)
    names, why = selection.candidates(selection.read_model(small_weights), "auto", "cpu")
    assert names == taken and "fastest exact" in why
    pretend_gpu(monkeypatch)
    names, _ = selection.candidates(selection.read_model(small_weights), "auto", "auto")
    assert names == ["torch"]


def test_auto_falls_back_to_the_next_engine_on_failure(small_weights, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("no such luck")

    first = dataclasses.replace(ENGINES["onnxruntime"], start=fail)
    monkeypatch.setitem(ENGINES, "onnxruntime", first)
    monkeypatch.setattr(selection, "_automatic", lambda _: (["onnxruntime", "torch"], "quick"))
    segmenter = Segmenter(small_weights, device="cpu")
    assert segmenter.engine.name == "torch" and "onnxruntime" in segmenter.engine.why
    assert "no such luck" in caplog.text


@pytest.mark.parametrize(
    ("engine", "extra"),
    [("openvino", "bisenet_ros[openvino]"), ("onnxruntime", "bisenet_ros[onnx]")],
)
def test_an_engine_whose_package_is_missing_names_the_extra(
    small_weights, monkeypatch, engine, extra
):
    monkeypatch.setitem(sys.modules, PACKAGES[engine], None)
    with pytest.raises(ArgumentError) as caught:
        Segmenter(small_weights, device="cpu", engine=engine)
    assert extra in str(caught.value) and engine in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_package_that_cannot_be_loaded_says_why(small_weights, monkeypatch):
    real = importlib.import_module

    def broken(name, *rest):
        if name == "openvino":
            raise ImportError("libtbb.so.12: cannot open shared object file")
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(ArgumentError, match="libtbb"):
        Segmenter(small_weights, device="cpu", engine="openvino")


def test_an_unsupported_precision_is_refused(small_weights):
    with pytest.raises(ArgumentError, match="engine onnxruntime supports fp32 on cpu"):
        Segmenter(small_weights, device="cpu", precision="bf16", engine="onnxruntime")


def test_openvino_runs_on_the_cpu_of_a_machine_with_a_gpu(small_weights, monkeypatch):
    model = selection.read_model(small_weights)
    pretend_gpu(monkeypatch)
    assert selection.resolve_compute(model, "openvino", "auto", "fp32").device.type == "cpu"
    assert selection.resolve_compute(model, "torch", "auto", "fp32").device.type == "cuda"
    if not torch.version.cuda and importlib.util.find_spec("onnxruntime"):
        assert selection.resolve_compute(model, "onnxruntime", "auto", "fp32").device.type == "cpu"
    with pytest.raises(ArgumentError, match="does not run on cuda:0 here, only on cpu"):
        selection.resolve_compute(model, "openvino", "cuda", "fp32")


def test_without_a_compiler_the_compile_engine_says_so(small_weights, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ArgumentError, match="no-such-compiler was not found"):
        Segmenter(small_weights, device="cpu", engine="compile")


def test_providers_follow_device_and_build(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    gpu = torch.device("cuda", 1)
    assert providers(Compute(torch.device("cpu"), "fp32"), [CPU]) == [CPU]
    assert providers(Compute(gpu, "fp32"), [CUDA, CPU]) == [(CUDA, {"device_id": "1"}), CPU]
    first, *rest = providers(Compute(gpu, "fp16"), [TENSORRT, CUDA, CPU])
    assert first[0] == TENSORRT and first[1]["trt_fp16_enable"] == "True"
    assert first[1]["trt_engine_cache_path"].startswith(str(tmp_path)) and len(rest) == 2
    with pytest.raises(ArgumentError, match="onnxruntime-gpu"):
        providers(Compute(gpu, "fp32"), [CPU])


@pytest.mark.parametrize(
    ("available", "on_cpu", "on_cuda"),
    [
        ([CPU], ("fp32",), ()),
        ([CUDA, CPU], ("fp32",), ("fp32",)),
        ([TENSORRT, CUDA, CPU], ("fp32",), ("fp16", "fp32")),
    ],
)
def test_fp16_in_onnxruntime_requires_tensorrt(monkeypatch, available, on_cpu, on_cuda):
    fake = types.SimpleNamespace(get_available_providers=lambda: available)
    monkeypatch.setattr(onnx_runtime, "load_onnxruntime", lambda: fake)
    assert (precisions("cpu"), precisions("cuda")) == (on_cpu, on_cuda)
