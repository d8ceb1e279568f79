"""Exported files: written with the card, checked, run, and refused if another tool wrote them."""

import json

import numpy as np
import pytest

from bisenet_ros.checkpoints import load
from bisenet_ros.cli import main
from bisenet_ros.errors import ArgumentError, BarNotMet, WeightsError
from bisenet_ros.inference import Segmenter
from bisenet_ros.inference.export import reader, writer

ENGINE = {".onnx": "onnxruntime", ".xml": "openvino"}
SIZE = (72, 104)


@pytest.fixture(scope="module", params=[".onnx", ".xml"])
def model(request, small_weights, tmp_path_factory):
    """The small network, reader."""
    pytest.importorskip(ENGINE[request.param])
    if request.param == ".onnx":
        pytest.importorskip("onnx")
    path = tmp_path_factory.mktemp("exported") / f"small{request.param}"
    writer.write(path, *load(small_weights), SIZE)
    return path


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


def test_the_card_travels_with_it(model, small_card):
    found = reader.read(model)
    assert found.card.as_dict() == small_card.as_dict()
    assert (found.size, found.stride, found.precision) == (SIZE, 8, "fp32")


def test_it_says_what_goes_in_and_comes_out(model, small_card, capsys):
    assert main(["inspect", str(model), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["class_names"] == list(small_card.labels.names)
    assert said["input"]["shape"] == [1, *SIZE, 3]
    assert (
        said["input"]["type"] == "uint8" and "part of the graph" in said["input"]["normalisation"]
    )
    assert said["output"]["shape"] == [1, 3, SIZE[0] // 8, SIZE[1] // 8]
    assert main(["inspect", str(model)]) == 0
    assert "floor" in capsys.readouterr().out
    if model.suffix == ".onnx":
        runtime = pytest.importorskip("onnxruntime")
        entries = runtime.InferenceSession(str(model)).get_modelmeta().custom_metadata_map
        for part in ("input", "output"):
            assert json.loads(entries[part]) == said[part]


def test_it_is_served_like_weights(model, small_weights):
    served = Segmenter(model, device="cpu", precision="fp32")
    plain = Segmenter(small_weights, device="cpu", precision="fp32", input_size=SIZE)
    assert served.engine.name == ENGINE[model.suffix] and model.name in served.engine.why
    assert served.input_size == SIZE and served.weights == model
    served.check(3, (96, 128))
    images = [image(100, 140), image(40, 40)]
    for found, wanted in zip(served(images), plain(images), strict=True):
        assert (found.mask != wanted.mask).mean() < 0.002


def test_the_check_accepts_its_network_and_refuses_another(model, small_weights):
    network, card = load(small_weights)
    assert writer.check(model, network, card, [image(*SIZE)]) < writer.TOLERANCE
    network.head.conv_out[1].weight.data += 0.1
    with pytest.raises(BarNotMet, match="nothing was written"):
        writer.check(model, network, card, [image(*SIZE)])


def test_another_input_size_is_refused(model):
    with pytest.raises(WeightsError, match="exported for 104×72.*128×96"):
        Segmenter(model, device="cpu", input_size=(96, 128))
    assert Segmenter(model, device="cpu", input_size=(70, 100)).input_size == SIZE


def test_an_engine_that_cannot_run_it_is_refused(model):
    with pytest.raises(ArgumentError, match=f"pass engine:={ENGINE[model.suffix]}"):
        Segmenter(model, device="cpu", engine="torch")


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_foreign_files_are_refused_in_one_line(tmp_path, suffix):
    pytest.importorskip(ENGINE[suffix])
    path = tmp_path / f"x{suffix}"
    for content in (b"", b"no model at all", bytes(1000)):
        path.write_bytes(content)
        with pytest.raises(WeightsError) as caught:
            Segmenter(path, device="cpu")
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(WeightsError, match="cannot be opened"):
        Segmenter(path, device="cpu")


def test_models_without_a_card_are_refused(tmp_path, model):
    """Complete and readable, but without a card."""
    path = tmp_path / model.name
    if model.suffix == ".onnx":
        onnx = pytest.importorskip("onnx")
        file = onnx.load(str(model))
        del file.metadata_props[:]
        path.write_bytes(file.SerializeToString())
    else:
        openvino = pytest.importorskip("openvino")
        file = openvino.Core().read_model(model)
        file.set_rt_info(json.dumps({}), [reader.ENTRY])
        openvino.save_model(file, str(path))
    with pytest.raises(WeightsError, match="not a model exported by this package"):
        Segmenter(path, device="cpu")
