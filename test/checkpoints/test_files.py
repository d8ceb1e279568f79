"""Weights files: saved and loaded unchanged; other files are refused with one line."""

import json
import os
import pickle
import struct
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from bisenet_ros.checkpoints import (
    fingerprint,
    load,
    load_network,
    read_card,
    save,
    save_with_card,
)
from bisenet_ros.errors import WeightsError
from bisenet_ros.networks import BiSeNetV2, BiSeNetV2Config


@pytest.fixture
def made(tmp_path, small_card):
    network = BiSeNetV2(BiSeNetV2Config(**small_card.options)).eval()
    return save(tmp_path / "weights.safetensors", network, small_card), network, small_card


def test_a_saved_network_comes_back_with_its_card(made):
    path, network, card = made
    again, read = load(path)
    assert read == card == read_card(path)
    assert not again.training
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(network(images), again(images), atol=1e-5)
    before, after = network.state_dict(), again.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not load_network(path, "cpu").training


def test_metadata_carries_everything_the_contract_lists(made):
    facts = made[2].as_dict()
    assert set(facts) >= {
        "format_version",
        "architecture",
        "options",
        "class_names",
        "colours",
        "ignore_id",
        "mean",
        "std",
        "resolution",
        "dataset",
        "scores",
        "licence",
        "command",
        "temperature",
    }
    assert facts["ignore_id"] == 255


def test_a_file_without_a_temperature_has_one_of_1(tmp_path, made):
    assert load(rewritten(made[0], tmp_path, temperature=None))[1].temperature == 1.0
    assert load(rewritten(made[0], tmp_path, temperature=2))[1].temperature == 2.0


def test_the_same_tensors_with_another_card(tmp_path, made):
    path, network, card = made
    halves = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    save_file(halves, tmp_path / "half.safetensors", metadata=card.metadata())
    warm = replace(card, temperature=1.5)
    copy = save_with_card(tmp_path / "half.safetensors", tmp_path / "copy.safetensors", warm)
    assert read_card(copy) == warm
    tensors = load_file(copy)
    assert all(torch.equal(tensors[name], half) for name, half in halves.items())
    assert {name: tensor.dtype for name, tensor in tensors.items()} == {
        name: half.dtype for name, half in halves.items()
    }
    with pytest.raises(WeightsError, match="none.safetensors"):
        save_with_card(tmp_path / "none.safetensors", copy, card)


def test_half_precision_tensors_are_read_as_float32(tmp_path, made):
    path, network, card = made
    halves = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    save_file(halves, tmp_path / "half.safetensors", metadata=card.metadata())
    again, _ = load(tmp_path / "half.safetensors")
    assert {p.dtype for p in again.parameters()} == {torch.float32}


def test_fingerprint_is_the_start_of_the_sha256(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert fingerprint(path) == "ba7816bf8f01"


def refused(path) -> str:
    with pytest.raises(WeightsError) as caught:
        load(path)
    text = str(caught.value)
    assert "\n" not in text and str(path) in text
    return text


def test_a_missing_file(tmp_path):
    assert "No such file" in refused(tmp_path / "none.safetensors")


def test_a_folder_and_a_pipe(tmp_path):
    assert "not a regular file" in refused(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refused(tmp_path / "pipe")


@pytest.mark.parametrize("share", [0.0, 0.00001, 0.5, 0.999])
def test_a_truncated_file(tmp_path, made, share):
    whole = made[0].read_bytes()
    path = tmp_path / "cut.safetensors"
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "truncated" in refused(path)


class Trap:
    def __reduce__(self):
        return os.mkdir, ("sprung",)


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_pickle_with_code_is_not_opened(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pth"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Trap()))
    else:
        torch.save({"state_dict": Trap()}, path)
    assert "pickle" in refused(path)
    assert not (tmp_path / "sprung").exists()


def test_safetensors_without_a_card(tmp_path):
    path = tmp_path / "bare.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    said = refused(path)
    assert "metadata lacks" in said
    assert f"convert {path} {tmp_path / 'bare.converted.safetensors'} --classes FILE" in said


def rewritten(path, tmp_path, **changes):
    """The file with metadata entries replaced (None removes one)."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    for key, value in changes.items():
        if value is None:
            del header["__metadata__"][key]
        else:
            header["__metadata__"][key] = json.dumps(value)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    out = tmp_path / "changed.safetensors"
    out.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    return out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architecture": "unet"}, "architecture is 'unet'"),
        ({"format_version": 99}, "version 99"),
        ({"mean": None}, "mean"),
        ({"std": [1, 1, 0]}, "std"),
        ({"resolution": [10**9, 4]}, "resolution"),
        ({"class_names": ["a"]}, "1 names and 3 colours"),
        ({"options": {"num_classes": 3, "widht": 2}}, "widht"),
        ({"options": {"num_classes": 3, "auxiliary": False}}, "the tensors of another network"),
        ({"options": {"num_classes": 3, "width": 2}}, "shape"),
        ({"options": {"num_classes": 3, "head_width": 10**9}}, "head_width is 1000000000"),
        ({"options": {"num_classes": 3, "depth": 10**7}}, "depth is 10000000"),
        ({"options": {"num_classes": 3, "width": True}}, "width is True"),
        ({"temperature": 0}, "temperature is 0.0; expected a number from 0.01 to 100"),
        ({"temperature": -1.5}, "temperature is -1.5"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"temperature": 10**400}, "int too large"),
        ({"temperature": True}, "temperature is true"),
        ({"temperature": "1\n2"}, "temperature is"),
        ({"temperature": [1.5]}, "temperature is"),
        ({"temperature": {"a": 1}}, "temperature is"),
    ],
)
def test_a_card_at_odds_with_the_tensors(tmp_path, made, changes, said):
    assert said in refused(rewritten(made[0], tmp_path, **changes))


def test_nan_in_the_weights(tmp_path, made):
    path, network, card = made
    state = network.state_dict()
    state["head.conv_out.1.bias"][0] = float("nan")
    save_file(state, tmp_path / "nan.safetensors", metadata=card.metadata())
    assert "NaN" in refused(tmp_path / "nan.safetensors")


def test_saving_into_a_missing_folder_leaves_nothing(tmp_path, made):
    with pytest.raises(WeightsError, match="cannot be written"):
        save(tmp_path / "none" / "weights.safetensors", made[1], made[2])
    assert [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]
