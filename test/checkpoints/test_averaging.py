"""The average of weights is that of every tensor; what does not belong together is refused."""

from dataclasses import replace

import pytest
import torch

from bisenet_ros.checkpoints import ModelCard, load, save
from bisenet_ros.checkpoints.averaging import average
from bisenet_ros.errors import ArgumentError, WeightsError
from bisenet_ros.labels import LabelSet
from bisenet_ros.networks import BiSeNetV2, BiSeNetV2Config


@pytest.fixture
def files(tmp_path, small_card):
    """Three files of random weights, with batches counted."""
    paths = []
    for number in range(3):
        torch.manual_seed(number)
        network = BiSeNetV2(BiSeNetV2Config(**small_card.options)).eval()
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                torch.nn.init.uniform_(tensor, 0.5, 1.5)
            else:
                tensor.fill_(number + 7)
        card = replace(
            small_card,
            dataset=("CamVid", "CamVid", "ours")[number],
            licence=("", "MIT", "MIT")[number],
            scores={"val_miou": 0.5},
            temperature=1.3,
        )
        paths.append(save(tmp_path / f"{number}.safetensors", network, card))
    return paths


@pytest.mark.parametrize(
    ("shares", "portions"),
    [((), (1 / 3, 1 / 3, 1 / 3)), ((2, 1, 1), (0.5, 0.25, 0.25)), ((0, 0, 5), (0, 0, 1))],
)
def test_every_tensor_is_averaged(files, shares, portions):
    states = [load(path)[0].state_dict() for path in files]
    network, _ = average(files, shares)
    assert not network.training
    for name, found in network.state_dict().items():
        if found.is_floating_point():
            wanted = sum(p * state[name] for p, state in zip(portions, states, strict=True))
            assert torch.allclose(found, wanted, atol=1e-6), name
            assert found.dtype == torch.float32
        else:
            assert torch.equal(found, states[0][name])


def test_a_file_averaged_with_itself_is_itself(files):
    network, _ = average([files[0]] * 2)
    before = load(files[0])[0].state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_the_card_says_what_it_was_made_of(files, tmp_path):
    network, card = average(files, command="the command")
    assert card.dataset == "CamVid; ours" and card.licence == "MIT"
    assert card.scores == {} and card.temperature == 1.0
    assert card.command == "the command"
    assert card.started_from == "0.safetensors, 1.safetensors, 2.safetensors"
    assert load(save(tmp_path / "mean.safetensors", network, card))[1] == card


def other(card: ModelCard, field: str) -> ModelCard:
    if field == "options":
        return replace(card, options={**card.options, "head_width": 72})
    if field == "labels":
        names = [*card.labels.names[:-1], "another"]
        return replace(card, labels=LabelSet(tuple(names), card.labels.colours))
    if field == "resolution":
        return replace(card, resolution=(32, 32))
    return replace(card, mean=(0.1, 0.2, 0.3))


@pytest.mark.parametrize("field", ["options", "labels", "resolution", "mean"])
def test_weights_that_do_not_belong_together_are_refused(files, small_card, tmp_path, field):
    card = other(small_card, field)
    network = BiSeNetV2(BiSeNetV2Config(**card.options))
    path = save(tmp_path / "other.safetensors", network, card)
    with pytest.raises(WeightsError, match=f"other.safetensors .* its {field} differs") as caught:
        average([files[0], path])
    assert "0.safetensors" in str(caught.value) and "expected weights of one" in str(caught.value)


@pytest.mark.parametrize(
    "shares",
    [(1,), (1, 2, 3, 4), (1, -1, 1), (0, 0, 0), (float("nan"), 1, 1), (1, 1, float("inf"))],
)
def test_shares_that_do_not_fit_are_refused(files, shares):
    with pytest.raises(ArgumentError, match="expected 3 numbers from 0, one for each file"):
        average(files, shares)


@pytest.mark.parametrize("count", [0, 1])
def test_one_file_is_no_average(files, count):
    with pytest.raises(ArgumentError, match=f"{count} weights files to average; expected two"):
        average(files[:count])
