"""Operation counts are the network's; peaks are positive and plausible in order."""

import pytest
import torch
from torch import nn

from bisenet_ros.benchmark.roofline import copy_bandwidth, cost, gemm_peak
from bisenet_ros.networks import BiSeNetV2, BiSeNetV2Config


def test_a_convolution_is_counted_by_hand():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 1, groups=8))
    found = cost(network, (32, 64))
    pixels = 16 * 32
    assert found.macs == pixels * 8 * 27 + pixels * 8
    assert found.values == 3 * 32 * 64 + 3 * 8 * pixels


def test_bisenetv2_is_counted_with_its_wide_head():
    network = BiSeNetV2(BiSeNetV2Config(19, auxiliary=False)).eval()
    assert cost(network, (512, 1024)).macs == pytest.approx(24.6e9, rel=0.01)


def test_the_hooks_are_gone_afterwards():
    network = nn.Sequential(nn.Conv2d(3, 8, 3))
    cost(network, (8, 8))
    assert not network[0]._forward_hooks


def test_peaks_are_measured():
    cpu = torch.device("cpu")
    assert gemm_peak(cpu, torch.float32) > 1e8
    assert copy_bandwidth(cpu) > 1e7
