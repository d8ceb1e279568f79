"""Which engine, device and precision are taken, in which words, on machines of every kind."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bisenet_ros.errors import ArgumentError, WeightsError
from bisenet_ros.inference import device, gpu
from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.engines import ENGINES, registry, selection
from bisenet_ros.inference.engines.base import RunnableModel
from bisenet_ros.inference.engines.registry import EngineSpec, on
from bisenet_ros.inference.export.reader import Exported


@pytest.fixture
def machine(monkeypatch):
    """Pretends to be a machine with so many GPUs and these packages."""

    def pretend(gpus: int, packages: tuple[str, ...] = (), bf16: bool = True) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(gpu, "problem", lambda index: "")
        monkeypatch.setattr(gpu, "too_old", lambda index, precision: "")
        monkeypatch.setattr(registry, "installed", lambda package: package in packages)
        monkeypatch.setattr(device, "cpu_has_bf16", lambda: bf16)

    return pretend


@pytest.fixture
def weights(small_card) -> RunnableModel:
    return RunnableModel(small_card, 8, 8)


def exported(card, name: str, precision: str = "fp32") -> RunnableModel:
    file = Exported(Path("/models") / name, card, (96, 128), 8, 8, precision, (3, 12, 16))
    return RunnableModel(card, 8, 8, file=file)


def refusal(call, *arguments) -> str:
    with pytest.raises(ArgumentError) as caught:
        call(*arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("gpus", "packages", "device_name", "names", "why"),
    [
        (0, ("openvino",), "auto", ["openvino", "torch"], "a CPU"),
        (0, (), "auto", ["torch"], "a CPU without the extra 'openvino'"),
        (1, ("openvino",), "auto", ["torch"], "a GPU"),
        (1, ("openvino",), "cpu", ["openvino", "torch"], "a CPU"),
    ],
)
def test_auto_takes_the_fastest_exact_engines(
    machine, weights, gpus, packages, device_name, names, why
):
    machine(gpus, packages)
    found = selection.candidates(weights, "auto", device_name)
    assert found == (names, f"the fastest exact engine on {why}")


def test_a_requested_engine_is_the_only_one(weights):
    assert selection.candidates(weights, "compile", "auto") == (["compile"], "requested")


def test_an_exported_model_has_one_engine(small_card):
    for name, runner in (("m.onnx", "onnxruntime"), ("m.XML", "openvino")):
        model = exported(small_card, name)
        for asked in ("auto", runner):
            assert selection.candidates(model, asked, "auto") == ([runner], f"required by {name}")
        assert refusal(selection.candidates, model, "torch", "auto") == (
            f"engine is 'torch', but /models/{name} is an exported model, which needs {runner}; "
            f"pass engine:={runner} or a .safetensors file"
        )


def test_arguments_wrong_for_any_model_are_refused_before_loading():
    selection.check("auto", "cpu", "auto")
    selection.check("torch", "cpu", "fp32")
    assert refusal(selection.check, "warp", "cpu", "auto") == (
        f"engine is 'warp'; expected auto, {', '.join(ENGINES)}"
    )
    assert "tpu" in refusal(selection.check, "auto", "tpu", "auto")
    assert "int4" in refusal(selection.check, "auto", "cpu", "int4")


@pytest.mark.parametrize(
    ("gpus", "engine", "device_name", "precision", "expected"),
    [
        (0, "torch", "auto", "auto", ("cpu", "bf16")),
        (1, "torch", "auto", "auto", ("cuda:0", "fp16")),
        (1, "torch", "cpu", "auto", ("cpu", "bf16")),
        (1, "openvino", "auto", "auto", ("cpu", "bf16")),
        (1, "openvino", "auto", "fp32", ("cpu", "fp32")),
        (1, "gpu", "auto", "auto", ("cuda:0", "fp32")),  # the fastest is not among its own
        (1, "gpu", "cuda", "bf16", ("cuda:0", "bf16")),
    ],
)
def test_device_and_precision_are_those_the_engine_has(
    machine, monkeypatch, weights, gpus, engine, device_name, precision, expected
):
    machine(gpus)
    spec = EngineSpec("for GPUs alone", on(cuda=("bf16", "fp32")), lambda *_: None)
    monkeypatch.setitem(ENGINES, "gpu", spec)
    found = selection.resolve_compute(weights, engine, device_name, precision)
    assert (str(found.device), found.precision) == expected


def test_what_an_engine_lacks_is_refused_with_what_it_has(machine, monkeypatch, weights):
    machine(1)
    resolve = selection.resolve_compute
    assert refusal(resolve, weights, "openvino", "cuda", "fp32") == (
        "engine openvino does not run on cuda:0 here, only on cpu; pass device:=cpu"
    )
    assert refusal(resolve, weights, "tensorrt", "cpu", "fp32") == (
        "engine tensorrt does not run on cpu here, only on cuda; pass device:=cuda"
    )
    assert refusal(resolve, weights, "tensorrt", "cuda", "bf16") == (
        "precision is 'bf16', but engine tensorrt supports fp16, fp32, int8 on cuda:0 here; "
        "pass one of these or auto"
    )


def test_quantised_models_run_as_they_are(machine, small_card):
    machine(0)
    model = exported(small_card, "m.xml", "int8")
    for precision in ("auto", "fp32"):
        found = selection.resolve_compute(model, "openvino", "cpu", precision)
        assert (str(found.device), found.precision) == ("cpu", "int8")
    plain = selection.resolve_compute(exported(small_card, "m.xml"), "openvino", "cpu", "fp32")
    assert plain.precision == "fp32"


def test_engines_are_tried_in_turn_and_the_last_ones_error_is_raised(
    machine, monkeypatch, weights, caplog
):
    machine(0, ("first", "second", "last"))
    caplog.set_level(logging.INFO, logger="bisenet_ros.inference")
    seen = []

    def engine(name: str, error: Exception | None) -> EngineSpec:
        def start(model: RunnableModel, compute: Compute, size: tuple[int, int]):
            seen.append((name, model, compute.precision, size))
            if error is not None:
                raise error
            return SimpleNamespace(engine=SimpleNamespace(compute=compute))

        return EngineSpec("", on(cpu=("fp32",)), start, automatic=("cpu",), package=name)

    monkeypatch.setattr(selection, "ENGINES", made := {})
    made["first"] = engine("first", OSError("no library"))
    made["second"] = engine("second", None)
    made["last"] = engine("last", None)
    running = selection.start(weights, "auto", "cpu", "fp32", (96, 128))
    assert (running.name, running.why) == (
        "second",
        "first, which is faster, does not work on this machine",
    )
    assert running.compute.precision == "fp32"
    assert seen == [(name, weights, "fp32", (96, 128)) for name in ("first", "second")]
    assert [record.getMessage() for record in caplog.records] == [
        "engine first does not work on this machine: no library",
        "engine second on cpu, fp32: first, which is faster, does not work on this machine",
    ]
    made["second"] = engine("second", OSError("neither"))
    made["last"] = engine("last", WeightsError("the last"))
    with pytest.raises(WeightsError, match="^the last$"):
        selection.start(weights, "auto", "cpu", "fp32", (96, 128))
    with pytest.raises(OSError, match="neither"):  # asked for by name: no other is tried
        selection.start(weights, "second", "cpu", "fp32", (96, 128))


def test_what_is_read_is_told_by_the_suffix(small_weights, small_card, monkeypatch):
    model = selection.read_model(small_weights)
    assert model.network is not None and model.file is None
    assert (model.stride, model.input_step, model.path) == (8, 8, small_weights)
    assert model.card.as_dict() == small_card.as_dict()
    file = exported(small_card, "m.onnx").file
    monkeypatch.setattr(selection.reader, "read", lambda path: file)
    model = selection.read_model(Path("/models/m.onnx"))
    assert model.network is None and model.file is file and model.path is None
    assert (model.card, model.stride, model.input_step) == (small_card, 8, 8)


def test_an_engine_is_installed_if_its_package_is(monkeypatch):
    asked = []
    monkeypatch.setattr(registry, "installed", lambda name: asked.append(name) or name == "there")
    spec = EngineSpec("", on(), lambda *_: None)
    assert spec.installed and not asked
    assert EngineSpec("", on(), lambda *_: None, package="there").installed
    assert not EngineSpec("", on(), lambda *_: None, package="gone").installed
    assert asked == ["there", "gone"]
    assert (spec.precisions("cpu"), spec.precisions("cuda")) == ((), ())
    both = on(cpu=("fp32",), cuda=("fp16",))
    assert (both("cpu"), both("cuda")) == (("fp32",), ("fp16",))


@pytest.mark.parametrize(
    ("name", "module", "engine_class"),
    [
        ("torch", "torch", "TorchEngine"),
        ("compile", "torch_compile", "CompileEngine"),
        ("openvino", "openvino", "OpenVinoEngine"),
        ("onnxruntime", "onnx_runtime", "OnnxRuntimeEngine"),
    ],
)
def test_each_engine_is_started_with_the_models_own_values(
    monkeypatch, small_card, name, module, engine_class
):
    made = []

    def engine(*arguments):
        made.append(arguments)
        return "engine"

    package = "bisenet_ros.inference.engines"
    monkeypatch.setattr(f"{package}.{module}.{engine_class}", engine)
    asked = []
    if name in ("openvino", "onnxruntime"):
        monkeypatch.setattr(f"{package}.{module}.load_{name}", lambda: asked.append(name))
    exporting = "bisenet_ros.inference.export.graph.file_or_onnx"
    monkeypatch.setattr(exporting, lambda *asked_for: asked_for)
    network = SimpleNamespace()
    model = RunnableModel(small_card, 8, 8, network=network)
    compute = Compute(torch.device("cpu"), "fp32")
    pipeline = ENGINES[name].start(model, compute, (96, 128))
    if asked:
        # OpenVINO's graph depends on the precision, ONNX Runtime's does not.
        exported = (model, (96, 128), "fp32") if name == "openvino" else (model, (96, 128))
        assert made == [(exported, 8, compute)]
    else:
        assert made == [(network, small_card.mean, small_card.std, compute)]
    assert pipeline.engine == "engine" and pipeline.input_size == (96, 128)
    assert (pipeline.palette == small_card.labels.palette()).all()


def test_the_packages_names_come_when_they_are_asked_for():
    import bisenet_ros.inference as package
    from bisenet_ros.inference import segmenter

    assert package.Segmenter is segmenter.Segmenter
    assert package.OutputRequest is segmenter.OutputRequest
    with pytest.raises(AttributeError) as caught:
        package.Sorter  # noqa: B018
    assert str(caught.value) == "module 'bisenet_ros.inference' has no attribute 'Sorter'"
