"""The exported graph: what it says of itself, what it computes, and what its reader refuses."""

from __future__ import annotations

import copy
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bisenet_ros.errors import ArgumentError, WeightsError
from bisenet_ros.inference.engines.base import RunnableModel
from bisenet_ros.inference.export import reader
from bisenet_ros.inference.export.graph import (
    ServedNetwork,
    file_or_onnx,
    interface,
    network_onnx,
    to_onnx,
)
from bisenet_ros.networks import SegmentationNetwork

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)


@dataclass(frozen=True)
class Options:
    num_classes: int = 3
    auxiliary: bool = False


class Tiny(SegmentationNetwork):
    """Four pixels per logit, padded to eight: exported in no time."""

    architecture, stride, multiple = "tiny", 4, 8

    def __init__(self, config: Options | None = None) -> None:
        super().__init__()
        self.config = config or Options()
        self.conv = nn.Conv2d(3, 5, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(5)
        self.head = nn.Conv2d(5, 3, 3, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        self.check_size(images)
        return self.head(self.norm(self.conv(images)).relu())


@pytest.fixture(scope="module")
def network() -> Tiny:
    torch.manual_seed(3)
    made = Tiny().eval()
    nn.init.uniform_(made.norm.running_mean, -1, 1)
    nn.init.uniform_(made.norm.running_var, 0.5, 2)
    return made


def plain(network: Tiny, images: np.ndarray) -> np.ndarray:
    """Normalise, repeat the border up to multiples of 8, run, cut off: step by step, in float64."""
    height, width = images.shape[1:3]
    x = (images / 255 - MEAN) / STD
    x = np.pad(x, ((0, 0), (0, -height % 8), (0, -width % 8), (0, 0)), "edge")
    with torch.no_grad():
        logits = copy.deepcopy(network).double()(torch.from_numpy(x.transpose(0, 3, 1, 2)))
    return logits.numpy()[..., : height // 4, : width // 4]


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def session(content: bytes):
    return pytest.importorskip("onnxruntime").InferenceSession(content)


@pytest.mark.parametrize("size", [(8, 16), (12, 20), (4, 8)])
def test_bytes_go_in_and_logits_of_the_plain_network_come_out(network, size):
    served = ServedNetwork(network, MEAN, STD)
    images = pixels(1, *size, 3)
    wanted = plain(network, images)
    with torch.no_grad():
        assert np.allclose(served(torch.from_numpy(images)), wanted, atol=1e-5)
    content = to_onnx(served, size)
    (entry,), (out,) = session(content).get_inputs(), session(content).get_outputs()
    assert (entry.name, entry.type, entry.shape) == ("images", "tensor(uint8)", [1, *size, 3])
    assert (out.name, out.type) == ("logits", "tensor(float)")
    (found,) = session(content).run(None, {"images": images})
    assert np.allclose(found, wanted, atol=1e-5)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in served.modules())


def test_the_network_alone_takes_any_number_of_normalised_images(network):
    content = network_onnx(network, (8, 16))
    (entry,) = session(content).get_inputs()
    assert entry.name == "images" and entry.shape == ["batch", 3, 8, 16]
    for count in (1, 3):
        images = torch.randn(count, 3, 8, 16)
        with torch.no_grad():
            wanted = network(images).numpy()
        (found,) = session(content).run(["logits"], {"images": images.numpy()})
        assert np.allclose(found, wanted, atol=1e-5)


def test_files_are_of_the_operators_that_old_runtimes_read_and_logs_are_left_alone(network):
    onnx = pytest.importorskip("onnx")
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.INFO)
    try:
        model = onnx.load_from_string(to_onnx(ServedNetwork(network, MEAN, STD), (8, 8)))
        assert log.level == logging.INFO
    finally:
        log.setLevel(before)
    assert [entry.version for entry in model.opset_import if not entry.domain] == [17]


def test_a_weights_file_is_exported_and_an_exported_file_taken_as_it_is(network, small_card):
    model = RunnableModel(small_card, 4, 4, network=network)
    content = file_or_onnx(model, (8, 16))
    assert isinstance(content, bytes)
    assert session(content).get_inputs()[0].shape == [1, 8, 16, 3]
    images = pixels(1, 8, 16, 3)
    (found,) = session(content).run(None, {"images": images})
    assert np.allclose(found, plain(network, images), atol=1e-4)
    file = reader.Exported(Path("x.onnx"), small_card, (8, 16), 4, 4, "fp32", (3, 2, 4))
    assert file_or_onnx(RunnableModel(small_card, 4, 4, file=file), (8, 16)) == Path("x.onnx")


def test_the_interface_is_written_out_for_those_without_this_package():
    assert interface((72, 104), (3, 9, 13)) == {
        "input": {
            "name": "images",
            "type": "uint8",
            "layout": "NHWC",
            "channels": "RGB",
            "shape": [1, 72, 104, 3],
            "normalisation": "none: mean and std of the card are part of the graph",
        },
        "output": {
            "name": "logits",
            "type": "float32",
            "layout": "NCHW",
            "shape": [1, 3, 9, 13],
            "to_mask": "resize each class bilinearly to the image, then take the class with the "
            "highest value of each pixel",
            "to_confidence": "softmax of the resized values divided by the card's temperature",
        },
    }


def test_metadata_are_the_cards_and_the_files_own_as_json(small_card):
    entries = reader.metadata(small_card, "int8", 4, (72, 104), (3, 9, 13))
    own = {
        "precision": "int8",
        "input_step": 4,
        **interface((72, 104), (3, 9, 13)),
    }
    assert {name: json.loads(entries[name]) for name in own} == own
    assert small_card.metadata().items() <= entries.items()
    assert len(entries) == len(small_card.metadata()) + len(own)


@pytest.mark.parametrize(
    ("name", "exported"),
    [("a.onnx", True), ("a.XML", True), ("a.Onnx", True), ("a.safetensors", False), ("xml", False)],
)
def test_exported_models_are_told_by_their_suffix(name, exported):
    assert reader.is_exported(Path(name)) is exported


def entries(card) -> dict[str, str]:
    return reader.metadata(card, "fp32", 4, (96, 128), (3, 12, 16))


@pytest.fixture
def read(monkeypatch, tmp_path, small_card):
    """Reads an .xml whose runtime says what the test says."""
    path = tmp_path / "a.xml"
    path.write_text("")

    def run(image: list, logits: list, said: dict[str, str] | None = None):
        found = entries(small_card) if said is None else said
        monkeypatch.setattr(reader, "_read_ir", lambda _: (found, image, logits))
        return reader.read(path)

    return run


def test_sizes_and_stride_are_those_of_the_tensors(read, small_card):
    found = read([1, 96, 128, 3], [1, 3, 12, 16])
    assert (found.size, found.stride, found.input_step) == ((96, 128), 8, 4)
    assert (found.logits, found.precision, found.path.name) == ((3, 12, 16), "fp32", "a.xml")
    # Rounded up inside: a row and a column more.
    assert read([1, 96, 128, 3], [1, 3, 13, 17]).stride == 7
    assert read([1, 96, 128, 3], [1, 3, 192, 256]).stride == 1
    old = {k: v for k, v in entries(small_card).items() if k != "input_step"}
    assert read([1, 96, 128, 3], [1, 3, 12, 16], old).input_step == 8


@pytest.mark.parametrize(
    ("image", "logits"),
    [
        ([1, 96, 128, 4], [1, 3, 12, 16]),
        ([1, 96, 128], [1, 3, 12, 16]),
        ([1, 96, 128, 3], [1, 3, 12]),
        ([1, 96, 128, 3], [1, 4, 12, 16]),
        ([1, 96, "w", 3], [1, 3, 12, 16]),
        ([1, 96, 128, 3], [1, 3, 0, 16]),
        ([1, 96, 128, 3], [1, 3, 12, None]),
    ],
)
def test_tensors_of_other_shapes_are_refused_with_those_expected(read, image, logits):
    with pytest.raises(WeightsError) as caught:
        read(image, logits)
    assert str(caught.value).endswith(
        f"a.xml is not a model exported by this package: it maps {image} to {logits}; expected "
        "(1, H, W, 3) to (1, 3, h, w); create one with python -m bisenet_ros export"
    )


def test_whatever_a_runtime_raises_is_said_in_one_line(monkeypatch, tmp_path):
    path = tmp_path / "a.onnx"
    path.write_text("")

    def fail(error: Exception) -> str:
        def read_onnx(_: Path) -> None:
            raise error

        monkeypatch.setattr(reader, "_read_onnx", read_onnx)
        with pytest.raises(type(error) if isinstance(error, ArgumentError) else WeightsError) as e:
            reader.read(path)
        return str(e.value)

    assert ": two lines; create" in fail(RuntimeError("two\n  lines"))
    assert ": KeyError; create" in fail(KeyError())
    assert fail(ArgumentError("install it")) == "install it"
    with pytest.raises(WeightsError) as caught:
        reader.read(tmp_path / "none.onnx")
    assert str(caught.value) == (
        f"model file {tmp_path / 'none.onnx'} cannot be opened; "
        "pass a .onnx, .xml or .safetensors file"
    )
