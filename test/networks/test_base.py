"""What all networks share: sizes, checks in full sentences, padding, layers, initialisation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from bisenet_ros.networks import NETWORKS, build
from bisenet_ros.networks.base import SegmentationNetwork, TrainingOutput, check_size
from bisenet_ros.networks.checks import check_choices, check_tuple, check_whole_numbers
from bisenet_ros.networks.layers import (
    ConvBNReLU,
    channels_last,
    conv,
    conv_bn,
    crop_padding,
    initialise,
    pad_to_multiple,
    round_up,
    upsample,
)


@dataclass(frozen=True)
class Options:
    num_classes: int = 3
    auxiliary: bool = True


class Small(SegmentationNetwork):
    """Heads, and two convolutions with as many channels as classes that are not their outputs."""

    architecture, stride, multiple, smallest_batch = "small", 4, 8, 2
    head_prefixes = ("head",)
    auxiliary_prefixes = ("aux",)

    def __init__(self, config: Options | None = None) -> None:
        super().__init__()
        self.config = config or Options()
        self.body = nn.Sequential(nn.Conv2d(3, 3, 3, 2, 1), nn.Dropout(0.5))
        self.head = nn.Module()
        self.head.conv = nn.Conv2d(3, 3, 3, 2, 1)
        self.head.bn = nn.BatchNorm2d(3)
        inner = nn.Module()
        inner.conv, inner.bn = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.head_in = nn.Sequential(inner)
        self.head_out = nn.Sequential(nn.Conv2d(3, 5, 1), nn.Conv2d(5, 3, 1))
        if self.config.auxiliary:
            self.aux = nn.Conv2d(3, 3, 1)

    def forward(self, images: Tensor) -> Tensor | TrainingOutput:
        self.check_size(images)
        self.check_batch(images)
        x = self.head.bn(self.head.conv(self.body(images)))
        logits = self.head_out(x)
        if not (self.training and self.config.auxiliary):
            return logits
        return TrainingOutput(logits, (self.aux(x),))


class Odd(Small):
    """Has a row and a column more than its stride says."""

    aligned = False

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.pad(super().forward(images), (0, 1, 0, 2))


def refusal(call) -> str:
    with pytest.raises(ValueError) as caught:
        call()
    return str(caught.value)


def test_the_size_of_the_logits_is_told_without_computing_them():
    found = Small().logits_size((24, 40))
    assert found == (6, 10) and all(type(side) is int for side in found)
    odd = Odd()
    odd.forward = None  # a new network tells
    assert odd.logits_size((24, 40)) == (8, 11)
    assert (Small().input_step, odd.input_step) == (4, 8)
    assert "multiples of 8" in refusal(lambda: Odd().logits_size((20, 40)))


def test_output_convolutions_are_those_with_a_channel_per_class_and_no_norm():
    assert Small().output_convolutions() == ("head_out.1", "aux")
    assert Small(Options(auxiliary=False)).output_convolutions() == ("head_out.1",)
    assert Small(Options(num_classes=5)).output_convolutions() == ("head_out.0",)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_names_the_convolutions_of_its_classes(name):
    with torch.device("meta"):
        network = build(name, 7)
    modules = dict(network.named_modules())
    found = network.output_convolutions()
    assert found and all(modules[one].out_channels == 7 for one in found)
    others = {n for n, m in modules.items() if getattr(m, "out_channels", 0) == 7}
    assert set(found) == others  # nothing else in a network has seven channels


def test_a_copy_for_inference_has_the_weights_the_type_and_no_auxiliary_head():
    network = Small().double()
    lean = network.for_inference()
    assert network.training and not lean.training and not lean.config.auxiliary
    kept = {name: value for name, value in network.state_dict().items() if "aux" not in name}
    assert lean.state_dict().keys() == kept.keys()
    assert all(torch.equal(value, kept[name]) for name, value in lean.state_dict().items())
    assert lean.head.conv.weight.dtype == torch.float64
    lean.head.conv.weight.data.zero_()
    assert network.head.conv.weight.any()


def test_a_batch_too_small_is_refused_in_training_alone():
    network = Small()
    assert refusal(lambda: network(torch.zeros(1, 3, 8, 8))) == (
        "Small got a training batch of 1; expected at least 2 images, since a batch norm follows "
        "global pooling: raise the batch size"
    )
    assert network(torch.zeros(2, 3, 8, 8)).logits.shape == (2, 3, 2, 2)
    assert network.eval()(torch.zeros(1, 3, 8, 8)).shape == (1, 3, 2, 2)


@pytest.mark.parametrize(
    ("size", "one_more", "accepted"),
    [
        ((32, 64), None, True),
        ((32, 65), None, False),
        ((33, 64), 8, True),
        ((9, 17), 8, True),
        ((10, 32), 8, False),
        ((32, 10), 8, False),
        ((0, 32), None, False),
        ((32, 0), 8, False),
        ((1, 32), 8, True),
    ],
)
def test_sides_are_multiples_or_one_more(size, one_more, accepted):
    def check() -> None:
        check_size(torch.zeros(1, 1, *size), 32, "Net", one_more)

    if accepted:
        check()
        return
    also = f" or one more than multiples of {one_more}" if one_more else ""
    assert refusal(check) == (
        f"Net got images of {size[0]}×{size[1]} (height × width); "
        f"both must be multiples of 32{also}: pad them first"
    )


@dataclass
class Fields:
    choice: object = "a"
    number: object = 1
    several: object = (1, 2)


@pytest.mark.parametrize("choice", ["a", 3, True])
def test_a_choice_is_one_of_those_named(choice):
    check_choices(Fields(choice=choice), choice=("a", 3, True))


@pytest.mark.parametrize(("choice", "known"), [("c", ("a", "b")), (1, (True,)), (True, (1, "a"))])
def test_another_choice_is_refused_with_those_there_are(choice, known):
    assert refusal(lambda: check_choices(Fields(choice=choice), number=(1,), choice=known)) == (
        f"choice is {choice!r}; expected one of {', '.join(map(str, known))}"
    )


def test_whole_numbers_reach_from_one_to_the_largest():
    for number in (1, 5):
        check_whole_numbers(Fields(number=number), number=5)
    for number in (0, 6, -1, 2.0, True, "2", None):
        assert refusal(lambda: check_whole_numbers(Fields(number=number), number=5)) == (  # noqa: B023
            f"number is {number!r}; expected a whole number from 1 to 5"
        )


def test_tuples_of_whole_numbers_may_come_as_lists():
    for value in ((1, 9), [9, 1], (1, 2, 3)):
        config = Fields(several=value)
        check_tuple(config, "several", (2, 3), 9)
        assert config.several == tuple(value) and type(config.several) is tuple
    for value in ((1,), (1, 10), (0, 1), (1, 2.0), (True, 1), "12", None, [1, 2, 3, 4]):
        assert refusal(lambda: check_tuple(Fields(several=value), "several", (2, 3), 9)) == (  # noqa: B023
            f"several is {value!r}; expected 2 or 3 whole numbers from 1 to 9"
        )


def test_unknown_networks_and_options_are_refused_with_those_there_are():
    assert refusal(lambda: build("unet", 3)) == (
        f"network is 'unet'; expected one of {', '.join(NETWORKS)}"
    )
    assert refusal(lambda: build("bisenetv2", 3, colour=1)).startswith(
        "bisenetv2 does not accept these options: "
    )
    assert "colour" in refusal(lambda: build("bisenetv2", 3, colour=1))


def test_rounding_up():
    assert [round_up(value, 8) for value in (0, 1, 7, 8, 9, 16, 17)] == [0, 8, 8, 8, 16, 16, 24]


@pytest.mark.parametrize("size", [(4, 6), (3, 6), (4, 5), (1, 1)])
def test_padding_is_pixel_by_pixel_the_nearest_one(size):
    images = torch.rand(2, 3, *size)
    padded = pad_to_multiple(images, 4)
    height, width = (math.ceil(side / 4) * 4 for side in size)
    assert padded.shape == (2, 3, height, width)
    for y in range(height):
        for x in range(width):
            nearest = images[..., min(y, size[0] - 1), min(x, size[1] - 1)]
            assert torch.equal(padded[..., y, x], nearest)
    whole = torch.rand(1, 1, 4, 8)
    assert pad_to_multiple(whole, 4) is whole


def test_the_logits_of_the_padding_are_cut_off():
    logits = torch.rand(2, 3, 4, 8)
    assert crop_padding(logits, (32, 64), (32, 64)) is logits
    assert torch.equal(crop_padding(logits, (24, 56), (32, 64)), logits[..., :3, :7])
    assert torch.equal(crop_padding(logits, (32, 40), (32, 64)), logits[..., :, :5])


def test_enlarging_has_half_pixel_centres():
    found = upsample(torch.tensor([[[[0.0, 4.0]]]]), (1, 8))
    # Centres at (x + ½) / 4 − ½ of the source, held at its ends.
    wanted = [4 * min(max((x + 0.5) / 4 - 0.5, 0), 1) for x in range(8)]
    assert found[0, 0, 0].tolist() == pytest.approx(wanted)


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 2), (5, 3), (7, 1)])
def test_convolutions_keep_the_size_and_have_no_bias(kernel, dilation):
    made = conv(4, 6, kernel, dilation=dilation)
    assert made.bias is None and made(torch.zeros(1, 4, 9, 11)).shape == (1, 6, 9, 11)
    assert made.dilation == (dilation, dilation) and made.stride == (1, 1) and made.groups == 1


def test_the_parts_of_a_layer_are_passed_on():
    layer = ConvBNReLU(4, 8, kernel=5, stride=2, groups=4, dilation=3)
    found = layer.conv
    assert [name for name, _ in layer.named_children()] == ["conv", "bn", "relu"]
    assert (found.in_channels, found.out_channels, found.kernel_size) == (4, 8, (5, 5))
    assert (found.stride, found.groups, found.dilation) == ((2, 2), 4, (3, 3))
    assert found.padding == (6, 6) and layer.bn.num_features == 8 and layer.relu.inplace
    plain = ConvBNReLU(4, 8).conv
    assert (plain.kernel_size, plain.stride, plain.groups, plain.dilation) == (
        *((3, 3), (1, 1), 1, (1, 1)),
    )
    assert conv(4, 6).kernel_size == (3, 3)
    pair = conv_bn(4, 8, stride=2, groups=2, kernel=1)
    assert (pair[0].kernel_size, pair[0].stride, pair[0].groups) == ((1, 1), (2, 2), 2)
    assert pair[1].num_features == 8 and conv_bn(4, 8)[0].kernel_size == (3, 3)


def test_initial_values_are_those_of_the_paper():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(16, 64, 3), nn.BatchNorm2d(64), nn.Conv2d(64, 4, 1, bias=False)
    )
    for parameter in network.parameters():
        nn.init.constant_(parameter, 7.0)
    initialise(network)
    # Variance 2 / (outputs · kernel²): arXiv 1502.01852, equation 14.
    assert float(network[0].weight.detach().std()) == pytest.approx(
        math.sqrt(2 / (64 * 9)), rel=0.05
    )
    assert float(network[2].weight.detach().std()) == pytest.approx(math.sqrt(2 / 4), rel=0.15)
    assert abs(network[0].weight.mean()) < 0.01
    assert network[0].bias.eq(0).all()
    assert network[1].weight.eq(1).all() and network[1].bias.eq(0).all()


def test_convolution_weights_are_laid_out_channels_last_and_others_left():
    network = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Linear(4, 4), nn.BatchNorm2d(8))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    channels_last(network)
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert not network[0].weight.is_contiguous()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
