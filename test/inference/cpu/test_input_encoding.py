"""Bytes in, the same as normalised pixels in: inside the image, at its border and beyond."""

import numpy as np
import pytest
import torch
from torch import fx, nn

from bisenet_ros.inference.cpu.buffers import Buffers
from bisenet_ros.inference.cpu.input_encoding import PixelTable, take_bytes, whole_mean
from bisenet_ros.inference.fusion import inference_graph
from bisenet_ros.networks import NETWORKS, build
from bisenet_ros.networks.layers import pad_to_multiple

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RANDOM = np.random.default_rng(5)


def normalised(images: np.ndarray) -> torch.Tensor:
    x = torch.from_numpy(images).permute(0, 3, 1, 2).double() / 255
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_table_holds_whole_numbers_exactly(dtype):
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 3)
    found = PixelTable(MEAN, dtype).look_up(ramp, 1, Buffers())
    assert found.dtype == dtype and found.shape == (1, 4, 16, 16)
    assert found.is_contiguous(memory_format=torch.channels_last)
    for channel, mean in enumerate(whole_mean(MEAN)):
        assert torch.equal(
            found[0, channel].double().flatten(), torch.arange(256.0).double() - mean
        )
    assert (found[0, 3] == 1).all()


@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 1), (2, 3)])
def test_a_convolution_of_bytes_equals_one_of_normalised_pixels_at_every_pixel(stride, padding):
    plain = nn.Conv2d(3, 8, 2 * padding + 1, stride, padding).double()
    network = fx.symbolic_trace(nn.Sequential(plain))
    images = RANDOM.integers(0, 256, (2, 17, 30, 3), np.uint8)
    with torch.no_grad():
        wanted = network(normalised(images))
        network = take_bytes(network, MEAN, STD)
        pixels = PixelTable(MEAN, torch.float32).look_up(images, 1, Buffers())
        found = network(pixels.double())
    assert (found - wanted).abs().max() < 1e-6


def test_sixteen_bit_is_closer_than_normalising_first():
    images = RANDOM.integers(0, 256, (1, 32, 32, 3), np.uint8)
    plain = nn.Conv2d(3, 32, 3, 2, 1)
    with torch.no_grad():
        wanted = plain.double()(normalised(images))
        half = nn.Conv2d(3, 32, 3, 2, 1)
        half.load_state_dict(plain.state_dict())
        before = half.bfloat16()(normalised(images).bfloat16()).double()
        network = take_bytes(fx.symbolic_trace(nn.Sequential(plain.float())), MEAN, STD)
        pixels = PixelTable(MEAN, torch.bfloat16).look_up(images, 1, Buffers())
        after = network.bfloat16()(pixels).double()
    assert (after - wanted).pow(2).mean() < (before - wanted).pow(2).mean()


@pytest.mark.parametrize("size", [(40, 72), (8, 8), (32, 64), (96, 8)])
def test_padding_repeats_the_last_row_and_column(size):
    images = RANDOM.integers(0, 256, (2, *size, 3), np.uint8)
    table, buffers = PixelTable(MEAN, torch.float32), Buffers()
    table.look_up(RANDOM.integers(0, 256, (2, *size, 3), np.uint8), 32, buffers)  # leaves rubbish
    found = table.look_up(images, 32, buffers)
    assert torch.equal(found, pad_to_multiple(table.look_up(images, 1, Buffers()), 32))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_takes_bytes_in_its_first_convolutions(name):
    torch.manual_seed(0)
    network = build(name, 3).double().eval()
    images = RANDOM.integers(0, 256, (1, 64, 96, 3), np.uint8)
    graph = inference_graph(network).double()
    with torch.no_grad():
        wanted = graph(normalised(images))
        changed = take_bytes(graph, MEAN, STD)
        pixels = PixelTable(MEAN, torch.float32).look_up(images, 32, Buffers())
        found = changed(pixels.double())
    assert changed is graph
    assert (found - wanted).abs().max() < 1e-6 * wanted.abs().max()


class TwoReaders(nn.Module):
    """Reads its image by a convolution and as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x) + x


@pytest.mark.parametrize("traced", [True, False])
def test_a_network_that_reads_its_image_otherwise_gets_it_normalised(traced):
    network = TwoReaders().double()
    images = RANDOM.integers(0, 256, (1, 16, 24, 3), np.uint8)
    with torch.no_grad():
        wanted = network(normalised(images))
        changed = take_bytes(fx.symbolic_trace(network) if traced else network, MEAN, STD)
        pixels = PixelTable(MEAN, torch.float32).look_up(images, 1, Buffers())
        found = changed(pixels.double())
    assert (found - wanted).abs().max() < 1e-6
