"""What is written: the card, the size of the output, int8 if there are examples, and the check."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bisenet_ros.checkpoints import load
from bisenet_ros.errors import BarNotMet
from bisenet_ros.inference.export import reader, writer

SIZE = (32, 64)
EXAMPLES = [np.full((*SIZE, 3), value, np.uint8) for value in (0, 9, 200)]


@pytest.fixture
def loaded(small_weights):
    return load(small_weights)


@pytest.fixture
def quantised(monkeypatch):
    """What nncf was given; the model stays as it is."""
    asked = []

    def needed(package, extra, what):
        if package != "nncf":
            return pytest.importorskip(package)
        asked.append((package, extra, what))
        return SimpleNamespace(Dataset=list, quantize=quantize)

    def quantize(model, data, subset_size):
        asked.append((data, subset_size))
        return model

    monkeypatch.setattr(writer, "needed", needed)
    return asked


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
@pytest.mark.parametrize("examples", [None, EXAMPLES], ids=["fp32", "int8"])
def test_files_carry_card_sizes_and_precision(tmp_path, loaded, quantised, suffix, examples):
    pytest.importorskip("onnxruntime" if suffix == ".onnx" else "openvino")
    network, card = loaded
    path = tmp_path / f"a{suffix}"
    writer.write(path, network, card, SIZE, examples)
    found = reader.read(path)
    assert found.card.as_dict() == card.as_dict() and found.size == SIZE
    assert (found.stride, found.input_step, found.logits) == (8, 8, (3, 4, 8))
    assert found.precision == ("fp32" if examples is None else "int8")
    if examples is None:
        assert not quantised
        return
    (names, (data, count)) = quantised
    assert names == ("nncf", "int8", "quantising to int8") and count == 3
    batches = [one["images"] if suffix == ".onnx" else one for one in data]
    assert [batch.shape for batch in batches] == [(1, *SIZE, 3)] * 3
    assert all(np.array_equal(a[0], b) for a, b in zip(batches, EXAMPLES, strict=True))


def test_names_survive_in_both_formats(tmp_path, loaded):
    network, card = loaded
    pytest.importorskip("openvino")
    path = tmp_path / "a.xml"
    writer._write_ir(
        path,
        writer.to_onnx(writer.ServedNetwork(network, card.mean, card.std), SIZE),
        {"names": json.dumps("Straße", ensure_ascii=False)},
        None,
    )
    entries, image, logits = reader._read_ir(path)
    assert json.loads(entries["names"]) == "Straße"
    assert (image, logits) == ([1, 32, 64, 3], [1, 3, 4, 8])
    weights = path.with_suffix(".bin").stat().st_size
    assert weights > 3 * sum(p.numel() for p in network.for_inference().parameters())  # not fp16


class Off:
    """An engine whose logits are off by some share of the largest."""

    def __init__(self, wanted: torch.Tensor, share: float) -> None:
        self.logits = wanted.clone()
        self.logits[0, 0, 0, 0] += share * wanted.abs().max()

    def __call__(self, _: torch.Tensor) -> torch.Tensor:
        return self.logits


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
@pytest.mark.parametrize("share", [0.0, 0.0009, 0.0011, float("nan")])
def test_the_largest_difference_decides(tmp_path, loaded, monkeypatch, suffix, share):
    network, card = loaded
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    served = writer.ServedNetwork(network, card.mean, card.std)
    with torch.no_grad():
        wanted = served(torch.from_numpy(image)[None])
    made = []

    def engine(path, stride, compute):
        made.append((path, stride, compute.device.type, compute.precision))
        return Off(wanted, share)

    name = "OpenVinoEngine" if suffix == ".xml" else "OnnxRuntimeEngine"
    monkeypatch.setattr(writer, name, engine)
    path = tmp_path / f"a{suffix}"
    if share < writer.TOLERANCE:
        assert writer.check(path, network, card, [image]) == pytest.approx(share, rel=0.01)
    else:
        with pytest.raises(BarNotMet) as caught:
            writer.check(path, network, card, [image])
        assert str(caught.value) == (
            f"the exported network's logits differ from the original's by {share:.1e} of the "
            "largest logit; expected at most 1e-03, so nothing was written"
        )
    assert made == [(path, 8, "cpu", "fp32")]


def test_the_worst_of_all_images_counts(tmp_path, loaded, monkeypatch):
    network, card = loaded
    images = [np.full((*SIZE, 3), value, np.uint8) for value in (0, 100, 200)]
    served = writer.ServedNetwork(network, card.mean, card.std)
    with torch.no_grad():
        wanted = [served(torch.from_numpy(image)[None]) for image in images]
    answers = iter(
        [Off(logits, share) for logits, share in zip(wanted, (0, 5e-4, 1e-4), strict=True)]
    )
    monkeypatch.setattr(writer, "OnnxRuntimeEngine", lambda *_: lambda batch: next(answers)(batch))
    found = writer.check(tmp_path / "a.onnx", network, card, images)
    assert found == pytest.approx(5e-4, rel=0.01)
