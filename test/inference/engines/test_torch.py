"""The PyTorch engine, with and without torch.compile."""

import logging
import os

import pytest
import torch
from torch import Tensor, nn

from bisenet_ros.checkpoints import load
from bisenet_ros.errors import ArgumentError, NonFiniteOutput
from bisenet_ros.inference.device import Compute, choose
from bisenet_ros.inference.engines.torch import TorchEngine
from bisenet_ros.inference.engines.torch_compile import CompileEngine


def test_the_engine_does_not_change_its_network(small_weights):
    network, card = load(small_weights)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    TorchEngine(network, card.mean, card.std, choose("cpu", "bf16"))
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())


def test_logits_are_float32_at_an_eighth_of_the_unpadded_size(small_weights):
    network, card = load(small_weights)
    for precision in ("fp32", "bf16"):
        engine = TorchEngine(network, card.mean, card.std, choose("cpu", precision))
        logits = engine(torch.zeros(2, 40, 72, 3, dtype=torch.uint8))
        assert logits.shape == (2, 3, 5, 9) and logits.dtype == torch.float32


class Plain(nn.Module):
    """Stands for a compiled network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """What torch.compile was asked for; nothing is compiled."""
    asked = []

    def compile_(network: nn.Module, **options: object) -> nn.Module:
        asked.append(options)
        return Plain(network)

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setenv("CXX", "sh")  # a program that is there
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return asked


def test_every_input_shape_is_compiled_once_and_logged(small_weights, compiled, caplog, tmp_path):
    caplog.set_level(logging.INFO, logger="bisenet_ros.inference")
    network, card = load(small_weights)
    compute = Compute(torch.device("cpu"), "fp32")
    engine = CompileEngine(network, card.mean, card.std, compute)
    plain = TorchEngine(network, card.mean, card.std, compute)
    assert compiled == [{"dynamic": False, "options": {"freezing": True}}]
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"].startswith(str(tmp_path))
    assert (engine.name, engine.compile_seconds) == ("compile", 0.0)
    for count in (1, 2, 1, 2):
        images = torch.randint(0, 256, (count, 32, 64, 3), dtype=torch.uint8)
        assert torch.allclose(engine(images), plain(images), atol=1e-4)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.rpartition(" in ")[0] for line in lines if line.startswith("compiled")] == [
        "compiled for 1×4×32×64",
        "compiled for 2×4×32×64",
    ]
    assert engine.compile_seconds > 0


def test_a_compiler_that_is_missing_is_named(small_weights, compiled, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    network, card = load(small_weights)
    with pytest.raises(ArgumentError) as caught:
        CompileEngine(network, card.mean, card.std, Compute(torch.device("cpu"), "fp32"))
    assert str(caught.value) == (
        "engine compile needs a C++ compiler, but no-such-compiler was not found; "
        "install g++, or pass engine:=torch"
    )


def test_tensors_that_overflow_in_the_running_precision_are_refused(small_weights):
    network, card = load(small_weights)
    network.head.conv_out[1].weight.data[0] = 3.4e38  # finite, but not in bfloat16
    TorchEngine(network, card.mean, card.std, Compute(torch.device("cpu"), "fp32"))
    with pytest.raises(NonFiniteOutput) as caught:
        TorchEngine(network, card.mean, card.std, Compute(torch.device("cpu"), "bf16"))
    assert str(caught.value) == (
        "its tensors overflow in bf16; pass precision fp32 or other weights"
    )
