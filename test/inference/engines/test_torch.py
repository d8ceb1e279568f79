"""The PyTorch engine."""

import torch

from bisenet_ros.checkpoints import load
from bisenet_ros.inference.device import choose
from bisenet_ros.inference.engines.torch import TorchEngine


def test_the_engine_leaves_the_network_it_was_given_alone(small_weights):
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
