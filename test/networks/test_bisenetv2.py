"""The network's shape, size and options."""

import pytest
import torch

from bisenet_ros.networks import BiSeNetV2, BiSeNetV2Config, build, upsample
from bisenet_ros.networks.bisenetv2 import AGGREGATIONS
from bisenet_ros.networks.layers import pad_to_multiple


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("classes", "inference", "training"),
    [(19, 3_358_627, 5_231_487), (11, 3_350_427, 5_212_375), (6, 3_345_302, 5_200_430)],
)
def test_parameter_counts_are_the_published_ones(classes, inference, training):
    network = BiSeNetV2(BiSeNetV2Config(classes))
    assert count(network) == training
    assert count(network.for_inference()) == inference


def test_parts_have_the_published_counts():
    network = BiSeNetV2(BiSeNetV2Config(19))
    parts = {name: count(getattr(network, name)) for name in ("detail", "segment", "bga", "head")}
    assert parts == {"detail": 519_232, "segment": 1_159_504, "bga": 478_720, "head": 1_201_171}


def multiply_adds(network: torch.nn.Module) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad(), torch.device("meta"):
        network.to("meta")(torch.zeros(1, 3, 512, 1024))
    return counter.get_total_flops() // 2


def test_multiply_adds_at_512_by_1024():
    network = BiSeNetV2(BiSeNetV2Config(19)).for_inference()
    assert round(multiply_adds(network) / 1e9, 2) == 24.60


def test_large_reads_the_paper_as_documented():
    network = build("bisenetv2-large", 19, auxiliary=False).eval()
    assert round(count(network) / 1e6, 1) == 22.6
    assert round(multiply_adds(network) / 1e9, 1) == 105.7


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("size", [(32, 32), (64, 96), (160, 32)])
def test_logits_come_at_an_eighth(aggregation, size):
    network = BiSeNetV2(BiSeNetV2Config(5, aggregation=aggregation)).eval()
    with torch.no_grad():
        logits = network(torch.randn(2, 3, *size))
    assert logits.shape == (2, 5, size[0] // 8, size[1] // 8)
    assert logits.isfinite().all()


def test_training_mode_returns_auxiliary_logits_and_eval_mode_does_not():
    network = BiSeNetV2(BiSeNetV2Config(4))
    images = torch.randn(2, 3, 64, 96)
    logits, auxiliary = network.train()(images)
    assert logits.shape == (2, 4, 8, 12)
    assert [tuple(b.shape[-2:]) for b in auxiliary] == [(32, 48), (16, 24), (8, 12), (4, 6)]
    assert all(b.shape[1] == 4 for b in auxiliary)
    assert isinstance(network.eval()(images), torch.Tensor)


def test_dropping_the_auxiliary_heads_changes_no_logit():
    network = BiSeNetV2(BiSeNetV2Config(3)).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(images), network.for_inference()(images))


@pytest.mark.parametrize("size", [(360, 480), (720, 1280), (33, 64), (31, 32), (0, 32)])
def test_sizes_between_multiples_are_refused_with_the_size(size):
    network = BiSeNetV2(BiSeNetV2Config(2)).eval()
    if 0 not in size and not (size[0] % 32 or size[1] % 32):
        pytest.skip("a multiple")
    with pytest.raises(ValueError, match=f"{size[0]}×{size[1]}.*multiples of 32"):
        network(torch.zeros(1, 3, *size))


def test_nearest_and_bilinear_aggregations_share_their_weights():
    """The option changes how maps are enlarged, not which tensors there are."""
    shapes = [
        {k: v.shape for k, v in BiSeNetV2(BiSeNetV2Config(2, aggregation=a)).state_dict().items()}
        for a in AGGREGATIONS
    ]
    assert shapes[0] == shapes[1] == shapes[2]


def test_sigmoid_before_nearest_is_sigmoid_after_it():
    gate = torch.randn(1, 2, 3, 4)
    grow = torch.nn.Upsample(scale_factor=4)
    assert torch.allclose(grow(torch.sigmoid(gate)), torch.sigmoid(grow(gate)), atol=1e-6)


def test_names_are_those_of_published_checkpoints():
    names = set(BiSeNetV2(BiSeNetV2Config(19)).state_dict())
    assert {
        "head.conv_out.1.weight",
        "aux2.conv_out.0.1.conv.weight",
        "detail.S1.0.conv.weight",
        "segment.S1S2.left.0.bn.running_mean",
        "segment.S3.0.shortcut.3.weight",
        "segment.S5_4.3.dwconv.1.bias",
        "segment.S5_5.conv_gap.conv.weight",
        "bga.left1.2.weight",
        "bga.right2.2.weight",
        "bga.conv.0.weight",
    } <= names


@pytest.mark.parametrize(
    "changes", [{"num_classes": 0}, {"aggregation": "cubic"}, {"width": 0.1}, {"depth": -1}]
)
def test_options_out_of_range_are_refused_by_name(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        BiSeNetV2Config(**{"num_classes": 3, **changes})


def test_residual_branches_start_at_zero_and_classifiers_small():
    network = BiSeNetV2(BiSeNetV2Config(3))
    assert not network.segment.S3[0].conv2[1].weight.any()
    assert network.head.conv_out[1].weight.std() < 0.02
    assert network.detail.S1[0].bn.weight.eq(1).all()


@pytest.mark.parametrize("size", [(32, 64), (1, 1), (33, 70), (360, 480)])
def test_padding_repeats_the_last_row_and_column(size):
    images = torch.rand(1, 3, *size)
    padded = pad_to_multiple(images, 32)
    assert padded.shape[-2] % 32 == 0 and padded.shape[-1] % 32 == 0
    assert padded.shape[-2] - size[0] < 32 and padded.shape[-1] - size[1] < 32
    assert torch.equal(padded[..., : size[0], : size[1]], images)
    assert torch.equal(padded[..., -1, : size[1]], images[..., -1, :])
    assert torch.equal(padded[..., : size[0], -1], images[..., :, -1])


def test_upsampling_takes_height_before_width():
    assert upsample(torch.zeros(1, 2, 3, 4), (24, 40)).shape == (1, 2, 24, 40)


def test_branches_have_widths_of_their_own_in_multiples_of_eight():
    config = BiSeNetV2Config(5, width=0.8, detail_width=0.6, head_width=64)
    assert [config.channels("detail", c) for c in (64, 128)] == [40, 80]
    assert [config.channels("semantic", c) for c in (16, 32, 64, 128)] == [16, 24, 48, 104]
    network = BiSeNetV2(config)
    assert network.detail.S3[2].conv.weight.shape[:2] == (80, 80)
    assert network.segment.S5_5.conv_last.conv.weight.shape[:2] == (104, 104)
    assert network.bga.right1[0].weight.shape[:2] == (80, 104)
    assert network.bga.right2[2].weight.shape[:2] == (80, 104)
    images = torch.randn(2, 3, 64, 96)
    output = network(images)
    assert output.logits.shape == (2, 5, 8, 12) and len(output.auxiliary) == 4
    small = network.for_inference()
    assert small(images).shape == (2, 5, 8, 12)
    wide = BiSeNetV2(BiSeNetV2Config(5)).for_inference()
    assert sum(p.numel() for p in small.parameters()) < 0.5 * sum(
        p.numel() for p in wide.parameters()
    )


@pytest.mark.parametrize("name", ["width", "detail_width", "semantic_width"])
@pytest.mark.parametrize("value", [-1, 17, float("nan"), "1", True, None])
def test_widths_that_make_no_sense(name, value):
    with pytest.raises(ValueError, match=f"^{name} is .*expected a number from 0.125 to 16"):
        BiSeNetV2Config(3, **{name: value})
