"""Every source's checkpoint, wrapped as that source saves it, goes through the whole converter."""

from __future__ import annotations

from typing import Any

import deeplab_cases
import pytest
import seeded
import torch

from bisenet_ros.checkpoints import load, save
from bisenet_ros.checkpoints.convert import SOURCES, convert
from bisenet_ros.labels import LabelSet

CASES = [name for name, case in deeplab_cases.CASES.items() if case.kept]
KAZUTO_MEAN = (122.675 / 255, 116.669 / 255, 104.008 / 255)


def as_saved(source: str, state: dict[str, torch.Tensor]) -> tuple[Any, tuple[str, ...]]:
    """What the source's training script passes to ``torch.save``, and what is to be taken off."""
    if source == "semseg":
        state = {f"module.{key}": value for key, value in state.items()}
        return {"epoch": 3, "state_dict": state, "optimizer": {}}, ("state_dict", "module.")
    if source == "vainf":
        return {"cur_itrs": 9, "model_state": state, "best_score": 0.5}, ("model_state",)
    if source == "mmsegmentation":
        return {"meta": {"epoch": 3}, "state_dict": state}, ("state_dict",)
    return state, ()


def labels(count: int) -> LabelSet:
    return LabelSet(tuple(map(str, range(count))), ((0, 0, 0),) * count)


@pytest.mark.parametrize("case", CASES)
def test_the_file_becomes_the_network_whose_logits_are_pinned(tmp_path, case):
    source, facts = case.partition("_")[0], deeplab_cases.CASES[case]
    state = seeded.fill(deeplab_cases.shapes_of(case), seeded.RESIDUAL_GAIN)
    content, unwrapped = as_saved(source, state)
    torch.save(content, tmp_path / "model.pth")
    wanted = deeplab_cases.converted(case, state)
    count = wanted.config.num_classes

    found = convert(tmp_path / "model.pth", labels(count), options=facts.options)
    assert (found.source, found.unwrapped) == (source, unwrapped)
    assert not found.unplaced and not found.unfilled and not found.dropped and not found.counters
    assert not set(found.assumed) & set(facts.options)
    network, card = load(save(tmp_path / "out.safetensors", found.network, found.card))
    assert network.config == wanted.config and card == found.card
    ours, theirs = network.state_dict(), wanted.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    if source == "kazuto":
        assert card.mean == KAZUTO_MEAN and card.std == (1 / 255,) * 3
    else:
        assert card.mean == (0.485, 0.456, 0.406) and card.std == (0.229, 0.224, 0.225)


def test_no_source_takes_anothers_checkpoint():
    """Only names and shapes are looked at, so tensors need no memory."""
    names = [*CASES, *(name for name in seeded.answered() if "bisenet" in name)]
    for name in names:
        folded = seeded.manifest(name) if "bisenet" in name else None
        shapes = deeplab_cases.shapes_of(name) if folded is None else folded["shapes"]
        tensors = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
        takers = [s.name for s in SOURCES.values() if s.detect(tensors) is not None]
        assert takers == [name.partition("_")[0]]
