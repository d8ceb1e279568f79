"""Folding changes numbers by rounding only."""

import torch

from bisenet_ros.checkpoints import load
from bisenet_ros.inference.device import choose
from bisenet_ros.inference.engines.torch import TorchEngine, fold_batch_norms


def test_folding_leaves_the_function_as_it_was(small_weights):
    network, _ = load(small_weights)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -1, 1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.uniform_(module.bias, -1, 1)
    network = network.double().without_boosters().double()
    images = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        before = network(images)
        fold_batch_norms(network)
        after = network(images)
    assert torch.allclose(before, after, rtol=1e-9, atol=1e-9)
    left = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(left) == 1  # the one that follows the mean in the context embedding


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
