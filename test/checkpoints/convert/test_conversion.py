"""Converting: what fits goes in; what does not is named in one line, and nothing is written."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from bisenet_ros.checkpoints import load, read_card, save
from bisenet_ros.checkpoints.convert import (
    SOURCES,
    Converted,
    IncompleteError,
    Match,
    Rule,
    Source,
    convert,
    registry,
)
from bisenet_ros.checkpoints.convert.placing import place, swap_channels, take
from bisenet_ros.errors import ArgumentError, BisenetError, WeightsError
from bisenet_ros.labels import LabelSet
from bisenet_ros.networks import build

State = dict[str, Tensor]
LABELS = LabelSet(("floor", "wall", "thing"), ((10, 20, 30), (200, 0, 0), (0, 0, 250)))
BIAS, GATE = "head.conv_out.1.bias", "bga.right1.0.weight"


@pytest.fixture(scope="module")
def made() -> State:
    """A checkpoint of CoinCheung's BiSeNetV2 with narrow heads and three classes."""
    torch.manual_seed(3)
    network = build("bisenetv2", 3, head_width=16, auxiliary_width=8)
    return network.state_dict()


@pytest.fixture
def state(made) -> State:
    return dict(made)


def converted(path: Path, state: Any, **options: Any) -> Converted:
    torch.save(state, path)
    return convert(path, **{"classes": LABELS, **options})


def refused(path: Path, state: Any, kind: type[BisenetError] = WeightsError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        converted(path, state, **options)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 900, text
    return text


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "model.pth"


def test_what_is_saved_comes_back_as_it_was_converted(path, state, tmp_path):
    found = converted(path, state, command="convert it", resolution=(96, 128))
    out = save(tmp_path / "out.safetensors", found.network, found.card)
    network, card = load(out)
    assert card == found.card == read_card(out)
    assert (card.command, card.resolution, card.dataset) == ("convert it", (96, 128), "")
    assert not network.training and not found.network.training
    loaded = network.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], state[key]) for key in state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(path, state, dtype):
    other = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
    network = converted(path, other).network
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert torch.equal(network.state_dict()[GATE], other[GATE].float())


def test_the_network_shares_no_memory_with_the_file(path, state):
    shared = torch.zeros(128, 128, 3, 3).expand(128, 128, 3, 3)
    network = converted(path, {**state, GATE: shared[:1].expand(128, 128, 3, 3)}).network
    assert network.state_dict()[GATE].is_contiguous()


def test_heads_for_training_are_built_if_the_checkpoint_has_them(path, state):
    assert converted(path, state).card.options["auxiliary"] is True
    lean = {key: value for key, value in state.items() if not key.startswith("aux")}
    found = converted(path, lean)
    assert found.card.options["auxiliary"] is False and not found.unfilled


def test_counters_that_old_files_lack_are_zero_and_counted(path, state):
    old = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    found = converted(path, old)
    assert len(found.counters) == len(state) - len(old) > 50
    assert int(found.network.state_dict()[found.counters[0]]) == 0


# --- what does not fit


def test_half_a_checkpoint(path, state):
    half = dict(list(state.items())[: len(state) // 2])
    text = refused(path, half, IncompleteError)
    assert "coincheung" in text and "tensors not filled" in text and "--allow-missing" in text


def test_one_tensor_less_and_one_more_are_listed_whole(path, state):
    del state[GATE], state["detail.S1.0.bn.bias"]
    state |= {f"extra.{i}": torch.ones(1) for i in range(9)}
    with pytest.raises(IncompleteError) as caught:
        converted(path, state)
    assert set(caught.value.unfilled) == {GATE, "detail.S1.0.bn.bias"}
    assert caught.value.unplaced == tuple(f"extra.{i}" for i in range(9))
    assert "9 keys without a place (extra.0" in str(caught.value) and "5 more" in str(caught.value)


def test_allowed_to_be_incomplete_it_keeps_the_initial_values_and_says_so(path, state):
    del state[GATE]
    state["extra"] = torch.ones(1)
    one = converted(path, state, allow_missing=True)
    two = converted(path, state, allow_missing=True)
    assert one.unfilled == (GATE,) and one.unplaced == ("extra",)
    first, second = one.network.state_dict()[GATE], two.network.state_dict()[GATE]
    assert torch.equal(first, second) and first.std() > 0
    assert torch.equal(one.network.state_dict()["head.conv.bn.bias"], state["head.conv.bn.bias"])


def test_a_backbone_alone_is_half_a_checkpoint_but_can_be_allowed(path, state):
    parts: dict[str, State] = {}
    for key, value in state.items():
        part, _, name = key.partition(".")
        if part in ("detail", "segment"):
            parts.setdefault(part, {})[name] = value
    assert "not filled" in refused(path, parts)
    found = converted(path, parts, allow_missing=True)
    assert found.unwrapped == ("one state dict per part",)
    assert all(name.startswith(("bga.", "head.")) for name in found.unfilled)
    assert found.card.options["head_width"] == 1024


def test_another_class_count(path, state):
    text = refused(path, state, classes="cityscapes")
    assert "3 classes" in text and "19" in text and "cityscapes" in text
    state |= {BIAS: torch.zeros(21), "head.conv_out.1.weight": torch.zeros(21, 16, 1, 1)}
    assert "--classes voc" in refused(path, state)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (GATE, torch.ones(64, 128, 3, 3), "64×128×3×3"),
        (GATE, torch.ones(()), "()"),
        (GATE, torch.ones(1).expand(10**6, 10**6), "1000000×1000000"),
        (GATE, torch.ones(128, 128, 3, 3, dtype=torch.complex64), "complex64"),
        (GATE, torch.ones(128, 128, 3, 3, dtype=torch.int64), "int64"),
        (GATE, torch.ones(128, 128, 3, 3, dtype=torch.bool), "bool"),
        (GATE, torch.ones(128, 128, 3, 3).to_sparse(), "sparse"),
        (GATE, torch.full((128, 128, 3, 3), float("nan")), "NaN or infinity"),
        (GATE, torch.full((128, 128, 3, 3), 1e300, dtype=torch.float64), "NaN or infinity"),
        ("bga.right1.1.running_var", torch.full((128,), -1.0), "negative variance"),
        ("bga.right1.1.num_batches_tracked", torch.ones(3), "()"),
        ("bga.right1.1.num_batches_tracked", torch.tensor(True), "bool"),
        ("head.conv.conv.weight", torch.ones(9, 128, 3, 3), "16"),
        ("head.conv.conv.weight", torch.ones(10**6, 0, 1, 1), "head_width"),
        ("aux2.conv.conv.weight", torch.ones(4, 16, 3, 3), "aux2"),
    ],
)
def test_a_tensor_of_another_shape_or_kind_is_named(path, state, key, value, said):
    state[key] = value
    text = refused(path, state)
    assert said in text and str(path) in text
    assert refused(path, state, allow_missing=True)


def test_a_quantised_tensor_is_named(path, state):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions of torch say that it is deprecated
        state[GATE] = torch.quantize_per_tensor(torch.ones(128, 128, 3, 3), 0.1, 0, torch.qint8)
    text = refused(path, state)
    assert GATE in text or "_rebuild_qtensor" in text  # torch 2.3 does not even build it


def test_an_unknown_fork(path, state):
    fork = {f"backend.{key}": value for key, value in state.items()}
    text = refused(path, fork)
    assert all(name in text for name in SOURCES) and "backend.detail" in text
    renamed = {key.replace("bga.", "bilateral."): value for key, value in state.items()}
    assert "bilateral.left1.0.weight" in refused(path, renamed, IncompleteError)


def test_the_wrong_source_named(path, state):
    text = refused(path, state, source="mmsegmentation")
    assert "--source is mmsegmentation" in text and "those of coincheung" in text
    fork = {f"backend.{key}": value for key, value in state.items()}
    assert "any other source" in refused(path, fork, source="mmsegmentation")
    assert "coincheung" in refused(path, state, ArgumentError, source="somebody")
    assert converted(path, state, source="coincheung").source == "coincheung"


# --- arguments


@pytest.mark.parametrize(
    ("mean", "std", "said"),
    [
        ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), "--mean 0.485,0.456,0.406"),
        ((0.5, 0.5, 0.5), (58.0, 57.0, 57.0), "0–1"),
        ((0.5, 0.5, 0.5), (0.2, 0.2, 0.0), "0–1"),
        ((-1.0, 0.5, 0.5), (0.2, 0.2, 0.2), "0–1"),
        ((float("nan"), 0.5, 0.5), (0.2, 0.2, 0.2), "three numbers"),
        ((0.5, 0.5), (0.2, 0.2), "three numbers"),
        ((0.5, 0.5, 0.5), None, "both or neither"),
        (None, (0.2, 0.2, 0.2), "both or neither"),
    ],
)
def test_mean_and_std_that_cannot_be(path, state, mean, std, said):
    assert said in refused(path, state, ArgumentError, mean=mean, std=std)


def test_where_mean_and_std_come_from(path, state):
    given = converted(path, state, mean=(0.1, 0.2, 0.3), std=(1 / 255, 0.5, 1.0))
    assert (given.card.mean, given.card.std[1]) == ((0.1, 0.2, 0.3), 0.5)
    assert given.normalisation == "as given"
    unknown = converted(path, state)
    assert unknown.card.mean == (0.3257, 0.3690, 0.3223)
    assert "assumed" in unknown.normalisation and "--mean" in unknown.normalisation


def test_a_preset_gives_the_normalisation_of_its_data_set(path, state, monkeypatch):
    state |= {BIAS: torch.zeros(171), "head.conv_out.1.weight": torch.zeros(171, 16, 1, 1)}
    lean = {key: value for key, value in state.items() if not key.startswith("aux")}
    found = converted(path, lean, classes="coco-stuff")
    assert found.card.mean == (0.46962251, 0.4464104, 0.40718787)
    assert (found.card.dataset, found.card.resolution) == ("coco-stuff", (640, 640))
    assert found.card.labels.names[0] == "person"


def test_options_of_the_network(path, state):
    found = converted(path, state, options={"aggregation": "bilinear"})
    assert found.card.options["aggregation"] == "bilinear"
    assert "aggregation" in refused(path, state, ArgumentError, options={"stride": 8})
    assert "cubic" in refused(path, state, ArgumentError, options={"aggregation": "cubic"})
    assert "num_classes" in refused(path, state, ArgumentError, options={"num_classes": 4})
    assert "shape" in refused(path, state, options={"head_width": 32})


def test_classes_from_a_file_that_is_none(path, state, tmp_path):
    assert "cityscapes" in refused(path, state, ArgumentError, classes="citiscapes")
    bad = tmp_path / "bad.yaml"
    for text in ("", "classes: 3", "classes: [{name: a}]", "{", "\x00", "classes: []"):
        bad.write_text(text)
        assert str(bad) in refused(path, state, ArgumentError, classes=bad)
    bad.write_bytes(b"\xff\xfe\x00")
    assert str(bad) in refused(path, state, ArgumentError, classes=bad)


# --- tables


def match(*rules: tuple[str, str], dropped: tuple[str, ...] = ()) -> Match:
    return Match("bisenetv2", {}, "a test", 3, tuple(Rule(*r) for r in rules), dropped=dropped)


NAMES = {"a.weight": torch.ones(1), "b.weight": torch.ones(2)}


def test_the_first_rule_that_matches_a_whole_key_says_its_name():
    table = match((r"x\.weight", "a.weight"), (r"(.)\.weight", r"\1.weight"))
    found = place(["x.weight", "b.weight", "c.weight", "x.weights"], table, NAMES)
    assert found.sources == {"a.weight": "x.weight", "b.weight": "b.weight"}
    assert found.unplaced == ("c.weight", "x.weights")
    assert not found.unfilled(NAMES)


def test_two_keys_that_mean_one_tensor_are_an_error():
    with pytest.raises(WeightsError, match=r"a\.weight and x\.weight both mean a\.weight"):
        place(["a.weight", "x.weight"], match((r".*\.weight", "a.weight")), NAMES)


def test_what_has_no_counterpart_is_dropped_and_listed():
    found = place(["a.weight", "aux.x"], match(("(.*)", r"\1"), dropped=(r"aux\..*",)), NAMES)
    assert found.dropped == ("aux.x",) and not found.unplaced


def test_shapes_are_checked_before_anything_is_copied():
    huge = torch.ones(1).expand(10**7, 10**7)
    found = place(["a.weight", "b.weight"], match(("(.*)", r"\1")), NAMES)
    with pytest.raises(WeightsError, match="10000000×10000000"):
        take(found, {"a.weight": huge, "b.weight": torch.ones(2)}, NAMES)


def test_a_source_of_bgr_images_takes_rgb_after_turning_its_first_convolutions():
    network = build("bisenetv2", 3, head_width=16).for_inference()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        bgr = network(images.flip(1))
        swap_channels(network)
        assert torch.allclose(network(images), bgr, atol=1e-5)


def test_adding_a_source_takes_one_entry(path, state, monkeypatch):
    """A toy source: CoinCheung's keys behind another prefix, fed with BGR."""

    def detect(tensors: Any) -> Match | None:
        if "toy.head.conv_out.1.weight" not in tensors:
            return None
        options = {"head_width": 16, "auxiliary_width": 8}
        return Match(
            "bisenetv2",
            options,
            "the toy. prefix",
            len(tensors["toy.head.conv_out.1.weight"]),
            (Rule(r"toy\.(.*)", r"\1"),),
            assumed={"aggregation": "nearest, as published"},
            channel_order="bgr",
        )

    monkeypatch.setitem(registry.SOURCES, "toy", Source("toy", "a toy", detect))
    found = converted(path, {f"toy.{key}": value for key, value in state.items()})
    assert found.source == "toy" and found.assumed == {"aggregation": "nearest, as published"}
    stem = "detail.S1.0.conv.weight"
    assert torch.equal(found.network.state_dict()[stem], state[stem].flip(1))
    assert found.card.mean == (0.485, 0.456, 0.406)
    named = converted(
        path, {f"toy.{k}": v for k, v in state.items()}, options={"aggregation": "bilinear"}
    )
    assert named.assumed == {} and named.card.options["aggregation"] == "bilinear"


def test_a_match_is_plain_values():
    assert all(isinstance(field.name, str) for field in dataclasses.fields(Match))


DTYPES = st.sampled_from([torch.complex64, torch.bool, torch.uint8])
FUZZ = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@FUZZ
@given(data=st.data())
def test_keys_lost_renamed_and_reshaped_at_random(tmp_path, made, data):
    state: dict[str, Any] = dict(made)
    for key in data.draw(st.lists(st.sampled_from(sorted(state)), min_size=1, max_size=6)):
        kind = data.draw(st.sampled_from(["lose", "rename", "reshape", "type", "number", "swap"]))
        state.pop(key, None)
        if kind == "rename":
            state[data.draw(st.text(min_size=1, max_size=6))] = made[key]
        elif kind == "reshape":
            state[key] = torch.ones(data.draw(st.lists(st.integers(0, 3), max_size=5)))
        elif kind == "type":
            state[key] = torch.ones(made[key].shape, dtype=data.draw(DTYPES))
        elif kind == "number":
            state[key] = 3
        elif kind == "swap":
            state[key] = made[data.draw(st.sampled_from(sorted(made)))]
    path = tmp_path / "model.pth"
    torch.save(state, path)
    for allow in (False, True):
        try:
            found = convert(path, LABELS, allow_missing=allow)
        except BisenetError as error:
            assert "\n" not in str(error) and str(path) in str(error)
        else:
            assert allow or not found.unfilled
            tensors = found.network.state_dict().values()
            assert all(torch.isfinite(tensor.float()).all() for tensor in tensors)
