"""Weights files that somebody tampered with: a working network or one line, in bounded memory."""

from __future__ import annotations

import json
import resource
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from bisenet_ros.checkpoints import ModelCard, load, read_card
from bisenet_ros.errors import WeightsError
from bisenet_ros.networks import BiSeNetV2, BiSeNetV2Config

MEMORY = 6 << 30  # bytes of address space; importing torch reserves two thirds of it
NUMBERS = st.one_of(
    st.integers(-(10**400), 10**400),
    st.floats(),
    st.sampled_from([0, 1, 2**31, 2**63, 10**7, 1e308, -1]),
)
WORDS = st.one_of(st.text(max_size=8), st.sampled_from(["\ud800", "\x1b[31m", "a" * 5000, ""]))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = (
    "format",
    "format_version",
    "architecture",
    "options",
    "class_names",
    "colours",
    "mean",
    "std",
    "resolution",
    "dataset",
    "scores",
    "licence",
    "temperature",
)
TEXTS = st.one_of(
    VALUES.map(json.dumps),
    st.sampled_from(["[" * 100_000, "Infinity", "NaN", "", "1" * 5000, '{"depth": 1e9}', "\x00"]),
    st.text(max_size=10),
)
EXAMPLES = settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, *HealthCheck]
)


@dataclass(repr=False)
class Parts:
    """Tensors and metadata of a good file; hypothesis would print them all."""

    tensors: dict[str, torch.Tensor]
    metadata: dict[str, str]


@pytest.fixture(scope="module")
def parts(small_card: ModelCard) -> Parts:
    network = BiSeNetV2(BiSeNetV2Config(**small_card.options))
    return Parts(dict(network.state_dict()), small_card.metadata())


def outcome(path: Path) -> str:
    """ "loaded" with finite parameters, or the one line of the error."""
    try:
        network, card = load(path)
    except WeightsError as error:
        text = str(error)
        assert "\n" not in text and str(path) in text and len(text) < 5000
        text.encode()  # it can be logged
        return text
    assert all(bool(torch.isfinite(p).all()) for p in network.parameters())
    assert card == read_card(path)
    return "loaded"


def write(path: Path, header: dict[str, Any], data: bytes) -> Path:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@EXAMPLES
@given(changes=st.dictionaries(st.sampled_from(KEYS), st.one_of(st.none(), TEXTS), max_size=3))
def test_any_card_is_loaded_or_refused(parts, tmp_path_factory, changes):
    folder = tmp_path_factory.getbasetemp()
    path = folder / "card.safetensors"
    save_file(parts.tensors, path, metadata=parts.metadata)
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    for key, text in changes.items():
        if text is None:
            header["__metadata__"].pop(key)
        else:
            header["__metadata__"][key] = text
    outcome(write(path, header, content[8 + length :]))


@EXAMPLES
@given(data=st.data())
def test_any_tensor_is_loaded_or_refused(parts, tmp_path_factory, data):
    tensors = dict(parts.tensors)
    name = data.draw(st.sampled_from(sorted(tensors)))
    kind = data.draw(st.sampled_from(["dtype", "shape", "value", "missing", "more"]))
    if kind == "dtype":
        kinds = [torch.int8, torch.uint8, torch.bool, torch.float64, torch.bfloat16, torch.int32]
        tensors[name] = tensors[name].to(data.draw(st.sampled_from(kinds)))
    elif kind == "shape":
        tensors[name] = torch.zeros(data.draw(st.lists(st.integers(0, 3), max_size=5)))
    elif kind == "value":
        value = data.draw(st.sampled_from([float("nan"), float("inf"), -1e38, 3e38, -1.0]))
        tensors[name] = torch.full_like(tensors[name].float(), value)
    elif kind == "missing":
        del tensors[name]
    else:
        tensors["another"] = torch.zeros(2)
    path = tmp_path_factory.getbasetemp() / "tensors.safetensors"
    save_file({k: v.contiguous() for k, v in tensors.items()}, path, metadata=parts.metadata)
    found = outcome(path)
    if kind in ("missing", "more"):
        assert "tensors of another network" in found


@EXAMPLES
@given(data=st.data())
def test_flipped_bytes_are_loaded_or_refused(parts, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "flipped.safetensors"
    save_file(parts.tensors, path, metadata=parts.metadata)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.one_of(st.integers(0, 4000), st.integers(0, len(content) - 1)))
        content[min(at, len(content) - 1)] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    outcome(path)


HOSTILE = """
import json, resource, struct, sys
from pathlib import Path
from bisenet_ros.checkpoints import load
from bisenet_ros.errors import WeightsError
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
path = Path(sys.argv[1])
content = path.read_bytes()
(length,) = struct.unpack("<Q", content[:8])
good = json.loads(content[8 : 8 + length])
for options in (
    {"num_classes": 3, "width": 10**7},
    {"num_classes": 3, "depth": 10**7},
    {"num_classes": 10**9},
    {"num_classes": 3, "head_width": 10**9},
    {"num_classes": 3, "auxiliary_width": 10**9},
):
    header = json.loads(json.dumps(good))
    header["__metadata__"]["options"] = json.dumps(options)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    try:
        load(path)
    except WeightsError as error:
        print(error)
# Not getrusage: its peak begins with what the process that started this one had.
status = open("/proc/self/status").read()
print("peak", int(status.partition("VmHWM:")[2].split()[0]) // 1024)
"""


def test_giant_options_take_no_memory_and_no_time(small_weights, tmp_path):
    path = tmp_path / "giant.safetensors"
    path.write_bytes(small_weights.read_bytes())
    line = [sys.executable, "-c", HOSTILE, str(path), str(MEMORY)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    *refused, peak = done.stdout.strip().splitlines()
    assert len(refused) == 5
    assert int(peak.split()[1]) < 1500  # MB, torch's own included
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 4 << 20
