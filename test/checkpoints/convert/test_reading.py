"""Any file at all: named tensors, or one line that says what it is; nothing in it is run."""

from __future__ import annotations

import argparse
import collections
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from bisenet_ros.checkpoints.convert import read
from bisenet_ros.errors import WeightsError

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def refused(path: Path, *words: str) -> str:
    with pytest.raises(WeightsError) as caught:
        read(path)
    text = str(caught.value)
    assert "\n" not in text and str(path) in text and len(text) < 600, text
    for word in words:
        assert word in text
    return text


# --- wrappers


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + key: value for key, value in WEIGHTS.items()}


OPTIMISER = {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]}
WRAPPED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "bare": (WEIGHTS, ()),
    "ordered": (collections.OrderedDict(WEIGHTS), ()),
    "state_dict": ({"state_dict": WEIGHTS, "meta": {"epoch": 3}}, ("state_dict",)),
    "model": ({"model": WEIGHTS, "optimizer": OPTIMISER, "epoch": 3}, ("model",)),
    "model_state": ({"cur_itrs": 7, "model_state": WEIGHTS}, ("model_state",)),
    "ddp": (prefixed("module."), ("module.",)),
    "ddp in a wrapper": ({"state_dict": prefixed("module.")}, ("state_dict", "module.")),
    "compiled ddp": (prefixed("module._orig_mod."), ("module.", "_orig_mod.")),
    "lightning": (
        {"state_dict": prefixed("model."), "pytorch-lightning_version": "2.4"},
        ("state_dict", "model."),
    ),
    "nested": ({"model": {"state_dict": WEIGHTS}}, ("model", "state_dict")),
    "with numbers beside": ({**WEIGHTS, "epoch": 3, "name": "x"}, ()),
    "parts": (
        {"a": {"weight": WEIGHTS["a.weight"], "bias": WEIGHTS["a.bias"]}},
        ("one state dict per part",),
    ),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wrappers_and_prefixes_are_taken_off_and_named(tmp_path, name):
    content, unwrapped = WRAPPED[name]
    found = read(saved(tmp_path / "x.pth", content))
    assert found.unwrapped == unwrapped
    assert found.tensors.keys() == WEIGHTS.keys()
    assert all(torch.equal(found.tensors[key], WEIGHTS[key]) for key in WEIGHTS)


def test_a_prefix_that_only_some_keys_have_is_part_of_their_names(tmp_path):
    content = {**WEIGHTS, "module.b": torch.ones(1)}
    assert read(saved(tmp_path / "x.pth", content)).tensors.keys() == content.keys()


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".tar", ""])
def test_the_name_of_the_file_does_not_matter(tmp_path, suffix):
    assert read(saved(tmp_path / f"x{suffix}", WEIGHTS)).tensors.keys() == WEIGHTS.keys()


def test_the_format_before_pytorch_1_6_is_read(tmp_path):
    path = saved(tmp_path / "x.pth", WEIGHTS, _use_new_zipfile_serialization=False)
    assert torch.equal(read(path).tensors["a.weight"], WEIGHTS["a.weight"])


def test_somebody_elses_safetensors_are_read(tmp_path):
    save_file(prefixed("module."), tmp_path / "x.safetensors")
    assert read(tmp_path / "x.safetensors").tensors.keys() == WEIGHTS.keys()


def test_names_and_shapes_can_be_had_without_values(tmp_path):
    tensors = read(saved(tmp_path / "x.pth", WEIGHTS), device="meta").tensors
    assert tensors["a.weight"].shape == (2, 3) and tensors["a.weight"].is_meta


# What torch 2.3 says of such files is in test_older_versions_of_torch.
can_pass_over = pytest.mark.skipif(
    not hasattr(torch.serialization, "add_safe_globals"), reason="torch 2.3 cannot be told"
)


@can_pass_over
def test_scores_and_arguments_beside_the_tensors_do_no_harm(tmp_path):
    """VainF saves a NumPy score, torchvision's scripts their arguments, mmengine arrays."""
    content = {
        "model": WEIGHTS,
        "best_score": np.float64(0.7),
        "history": np.arange(5.0),
        "flags": np.array([True]),
        "args": argparse.Namespace(lr=0.1, names=["a"]),
    }
    assert read(saved(tmp_path / "x.pth", content)).tensors.keys() == WEIGHTS.keys()
    legacy = saved(tmp_path / "y.pth", content, _use_new_zipfile_serialization=False)
    assert read(legacy).tensors.keys() == WEIGHTS.keys()


def test_older_versions_of_torch(tmp_path, monkeypatch):
    """2.4 can be told of classes, but not for a while; 2.3 cannot be told at all."""
    serialization = torch.serialization
    plain = saved(tmp_path / "plain.pth", {"model": WEIGHTS, "epoch": 3})
    scored = saved(tmp_path / "scored.pth", {"model": WEIGHTS, "best_score": np.float64(0.7)})
    monkeypatch.delattr(serialization, "safe_globals", raising=False)
    if hasattr(serialization, "add_safe_globals"):
        before = set(serialization.get_safe_globals())
        assert read(scored).tensors.keys() == WEIGHTS.keys()
        assert set(serialization.get_safe_globals()) == before
        monkeypatch.delattr(serialization, "add_safe_globals")
    assert read(plain).tensors.keys() == WEIGHTS.keys()
    refused(scored, "Python code and was not run; torch", "where torch is 2.4 or newer")


@can_pass_over
def test_mmengines_message_hub_does_no_harm(tmp_path):
    data = io.BytesIO()
    torch.save({"state_dict": WEIGHTS, "message_hub": {"log": History()}}, data)
    renamed = _rename_class(data.getvalue())
    (tmp_path / "x.pth").write_bytes(renamed)
    assert read(tmp_path / "x.pth").tensors.keys() == WEIGHTS.keys()


class History:
    """Pickled in place of mmengine's class, whose name is put into the file afterwards."""

    def __init__(self) -> None:
        self.values = np.arange(3.0)


def _rename_class(file: bytes) -> bytes:
    """The checkpoint with ``History`` named as mmengine's class."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(file)) as old, zipfile.ZipFile(result, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("data.pkl"):
                theirs = b"cmmengine.logging.history_buffer\nHistoryBuffer\n"
                content = content.replace(f"c{__name__}\nHistory\n".encode(), theirs)
                assert theirs in content
            new.writestr(name, content)
    return result.getvalue()


# --- code


class Trap:
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "trap",
    [
        Trap(os.mkdir, "sprung"),
        Trap(eval, "__import__('os').mkdir('sprung')"),
        Trap(getattr, "text", "upper"),
        Trap(os.system, "mkdir sprung"),
    ],
)
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, monkeypatch, trap, legacy):
    monkeypatch.chdir(tmp_path)
    content = {"state_dict": WEIGHTS, "extra": trap}
    path = saved(tmp_path / "x.pth", content, _use_new_zipfile_serialization=not legacy)
    refused(path, "Python code", "not run", "state_dict alone")
    assert not (tmp_path / "sprung").exists()


def test_a_whole_module_is_refused_by_its_class(tmp_path):
    refused(saved(tmp_path / "x.pth", nn.Conv2d(1, 1, 1)), "torch.nn.modules.conv.Conv2d")


def test_a_plain_pickle_is_refused(tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"a": [1, 2]}))
    refused(tmp_path / "x.pkl", "cannot be read as a PyTorch checkpoint")


# --- other files


def _torchscript(path: Path) -> None:
    torch.jit.script(nn.ReLU()).save(str(path))


def _ours(path: Path) -> None:
    save_file(WEIGHTS, path, metadata={"format": '"bisenet_ros"'})


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def _onnx(path: Path) -> None:
    path.write_bytes(b"\x08\x08\x12\x07pytorch\x1a\x052.3.0:" + bytes(200))


FOREIGN: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "torchscript": (_torchscript, ("TorchScript", "not read")),
    "onnx": (_onnx, ("ONNX", "exported from")),
    "ours": (_ours, ("already is a weights file",)),
    "zip": (_zip, ("without data.pkl",)),
    "folder": (Path.mkdir, ("a folder",)),
    "pipe": (os.mkfifo, ("not a regular file",)),
    "empty": (Path.touch, ("0 bytes",)),
    "page": (lambda p: p.write_bytes(b"\n<!DOCTYPE html><html>"), ("web page", "download it")),
    "xml": (lambda p: p.write_bytes(b'<?xml version="1.0"?><net>'), ("OpenVINO",)),
    "hdf5": (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), ("HDF5",)),
    "gzip": (lambda p: p.write_bytes(b"\x1f\x8b\x08" + bytes(99)), ("gzip", "unpack")),
    "tar": (lambda p: p.write_bytes(b"x" * 257 + b"ustar" + bytes(250)), ("tar", "unpack")),
    "numpy": (lambda p: np.save(p.open("wb"), np.ones(3)), ("NumPy",)),
    "lfs": (lambda p: p.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), ("git lfs",)),
    "text": (lambda p: p.write_bytes(b"hello world"), ("68 65 6c 6c",)),
    "short pickle": (lambda p: p.write_bytes(b"\x80"), ("truncated",)),
    "short zip": (lambda p: p.write_bytes(b"PK\x03\x04"), ("truncated",)),
}


@pytest.mark.filterwarnings("ignore")  # TorchScript is deprecated, but people have files of it
@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_not_a_checkpoint_is_named(tmp_path, name):
    write, words = FOREIGN[name]
    write(tmp_path / "x.pth")
    refused(tmp_path / "x.pth", *words)


def test_a_missing_file_and_one_that_may_not_be_read(tmp_path, monkeypatch):
    refused(tmp_path / "none.pth", "No such file")
    path = saved(tmp_path / "x.pth", WEIGHTS)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read everything
    refused(path, "not readable")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (OPTIMISER, ("state of an optimiser", "no network")),
        ({"optimizer": OPTIMISER, "epoch": 3}, ("state of an optimiser", "optimizer, epoch")),
        ({"lr_scheduler": {"step": 1}, "epoch": 3}, ("state of an optimiser",)),
        ({"epoch": 3, "accuracy": 0.5}, ("no tensors", "epoch, accuracy")),
        ({}, ("it is empty",)),
        ({"state_dict": {}}, ("it is empty",)),
        (torch.ones(3), ("holds a Tensor",)),
        ([torch.ones(3)], ("holds a list",)),
        ("text", ("holds a str",)),
        ({"state_dict": {1: torch.ones(3)}}, ("keys that are not names",)),
        (
            {"pytorch-lightning_version": "2", "state_dict": {"network.a": torch.ones(1)}},
            ("training checkpoint of this package", "weights.safetensors"),
        ),
    ],
)
def test_a_checkpoint_without_a_network(tmp_path, content, words):
    refused(saved(tmp_path / "x.pth", content), *words)


def test_wrappers_without_end(tmp_path):
    content: Any = WEIGHTS
    for _ in range(30):
        content = {"model": content}
    refused(saved(tmp_path / "x.pth", content), "wrappers inside each other")


def test_a_dict_that_holds_itself(tmp_path):
    content: dict[str, Any] = {}
    content["model"] = content
    refused(saved(tmp_path / "x.pth", content), "wrappers inside each other")


# --- fuzzing


def attempt(path: Path) -> None:
    """Either tensors or one line; nothing else, and nothing else raised."""
    try:
        found = read(path)
    except WeightsError as error:
        assert "\n" not in str(error) and str(path) in str(error)
    else:
        assert found.tensors and all(isinstance(t, torch.Tensor) for t in found.tensors.values())


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    content = {"state_dict": prefixed("module."), "optimizer": OPTIMISER, "epoch": np.int64(3)}
    old = saved(folder / "old.pth", content, _use_new_zipfile_serialization=False)
    save_file(WEIGHTS, folder / "x.safetensors")
    return {
        "zip": saved(folder / "new.pth", content).read_bytes(),
        "legacy": old.read_bytes(),
        "safetensors": (folder / "x.safetensors").read_bytes(),
    }


FUZZ = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@FUZZ
@given(data=st.data())
def test_damaged_files(tmp_path, whole, kind, data):
    content = bytearray(whole[kind])
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(content))))
    path = tmp_path / "x.pth"
    path.write_bytes(bytes(content[:cut]))
    attempt(path)


@FUZZ
@given(
    start=st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02", b"\x80\x04", b"\x08\x08:", b"{"]),
    rest=st.binary(max_size=600),
)
def test_random_bytes(tmp_path, start, rest):
    path = tmp_path / "x.pth"
    path.write_bytes(start + rest)
    attempt(path)


@FUZZ
@given(pickled=st.binary(min_size=1, max_size=300), text=st.sampled_from([b"", b"\x80\x02}q\x00"]))
def test_random_pickles_inside_a_whole_zip(tmp_path, whole, pickled, text):
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(io.BytesIO(whole["zip"])) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            inner = text + pickled if name.endswith("data.pkl") else old.read(name)
            new.writestr(name, inner)
    attempt(path)


TENSORS = st.sampled_from(
    [
        torch.ones(2),
        torch.ones((), dtype=torch.int64),
        torch.ones(2, dtype=torch.complex64),
        torch.ones(2, dtype=torch.bool),
        torch.ones(2, 2).to_sparse(),
        torch.empty(0),
        nn.Parameter(torch.ones(1)),
    ]
)
PLAIN = st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=5), TENSORS)
KEYS = st.one_of(
    st.sampled_from(["state_dict", "model", "module.a", "module.", "optimizer", "a.b", ""]),
    st.text(max_size=4),
    st.integers(),
)
NESTED = st.recursive(
    PLAIN,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)


@FUZZ
@given(content=NESTED)
@pytest.mark.filterwarnings("ignore")
def test_any_content(tmp_path, content):
    attempt(saved(tmp_path / "x.pth", content))
