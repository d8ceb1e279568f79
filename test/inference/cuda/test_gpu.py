"""Tests that need a GPU: graphs, streams, memory, other threads."""

import threading

import numpy as np
import pytest
import torch

from bisenet_ros.benchmark.pipelines import random_weights
from bisenet_ros.checkpoints import load
from bisenet_ros.inference import OutputRequest
from bisenet_ros.inference.cuda.pipeline import CudaPipeline
from bisenet_ros.inference.device import Compute
from bisenet_ros.networks import NETWORKS

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

EVERYTHING = OutputRequest(confidence=True, overlay=True)
PRECISIONS = ["fp32", "fp16", "bf16"]


@pytest.fixture(scope="module")
def make(small_weights):
    network, card = load(small_weights)

    def build(precision="fp16", device="cuda:0", **options) -> CudaPipeline:
        compute = Compute(torch.device(device), precision)
        return CudaPipeline(network, card, compute, card.resolution, **options)

    return build


def batch(picture, seeds=(1, 2, 3)):
    """Images of three sizes, one of them twice, and their requests."""
    sizes = [(80, 100), (33, 47), (80, 100)]
    images = [picture(*size, seed) for size, seed in zip(sizes, seeds, strict=True)]
    return (
        images,
        ["rgb", "bgr", "rgb"],
        [EVERYTHING, OutputRequest(), OutputRequest(threshold=0.4)],
    )


def same(first, second) -> bool:
    """Whether two results of one image are equal in every byte."""
    pairs = [(first.mask, second.mask), (first.confidence, second.confidence)]
    pairs.append((first.overlay, second.overlay))
    return all((a is None and b is None) or np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_masks_of_the_cpu(make, picture, precision):
    images, orders, wanted = batch(picture)
    limit = 0.002 if precision == "fp32" else 0.03
    ours = make(precision)(images, orders, wanted)
    theirs = make("fp32", "cpu")(images, orders, wanted)
    for a, b in zip(ours, theirs, strict=True):
        assert (a.mask != b.mask).mean() <= limit
        if precision == "fp32" and a.confidence is not None:
            assert np.abs(a.confidence.astype(int) - b.confidence).max() <= 1


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_graph_is_captured_and_gives_what_the_network_gives(make, picture, precision):
    path, eager = make(precision), make(precision, graphs=False)
    assert not path.compute.fallback
    for seeds in [(1, 2, 3), (4, 5, 6)]:  # replayed on other pixels
        images, orders, wanted = batch(picture, seeds)
        for a, b in zip(path(images, orders, wanted), eager(images, orders, wanted), strict=True):
            assert (a.mask != b.mask).mean() <= 0.01  # cuDNN may choose other kernels
    assert not path.runner.fallback
    assert all(batch.graph is not None for batch in path.runner._batches.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_gives_the_masks_of_the_cpu(tmp_path, picture, name):
    network, card = load(random_weights(tmp_path / "n.safetensors", (128, 192), name))
    images = [picture(100, 130, 1), picture(33, 47, 2)]
    requests, orders = [OutputRequest()] * 2, ["rgb"] * 2
    masks = []
    for device in ("cuda:0", "cpu"):
        compute = Compute(torch.device(device), "fp32")
        pipeline = CudaPipeline(network, card, compute, card.resolution)
        masks.append([result.mask for result in pipeline(images, orders, requests)])
    for ours, theirs in zip(*masks, strict=True):
        assert (ours != theirs).mean() <= 0.005


def test_torch_compile_gives_what_the_network_gives(make, picture):
    images, orders, wanted = batch(picture)
    compiled, path = make(compiled=True), make()
    for a, b in zip(compiled(images, orders, wanted), path(images, orders, wanted), strict=True):
        assert (a.mask != b.mask).mean() <= 0.03


def test_batches_in_flight_do_not_mix(make, picture):
    path = make()
    rounds = [batch(picture, (seed, seed + 1, seed + 2)) for seed in range(12)]
    alone = [path(*arguments) for arguments in rounds]
    tickets = [path.submit(*arguments) for arguments in rounds]
    for ticket, expected in zip(tickets, alone, strict=True):
        assert all(map(same, path.collect(ticket), expected))


def test_images_may_change_once_they_are_submitted(make, picture):
    path = make()
    image = picture(720, 1280)
    expected = path([image], ["rgb"], [EVERYTHING])[0]
    ticket = path.submit([image], ["rgb"], [EVERYTHING])
    image[:] = 0
    assert same(path.collect(ticket)[0], expected)


def test_results_are_never_overwritten(make, picture):
    path = make()
    kept = [path(*batch(picture, (seed, seed, seed))) for seed in range(6)]
    again = [path(*batch(picture, (seed, seed, seed))) for seed in range(6)]
    for first, second in zip(kept, again, strict=True):
        assert all(map(same, first, second))


def test_memory_is_constant_in_the_steady_state(make, picture):
    path, arguments = make(), batch(picture)

    def reserved() -> tuple[int, int]:
        for _ in range(50):
            path(*arguments)
        return torch.cuda.memory_allocated(0), torch.cuda.memory_reserved(0)

    assert reserved() == reserved()


def test_a_full_gpu_loses_one_batch_only(make, picture):
    path = make()
    small, large = picture(40, 50), np.zeros((6000, 8000, 3), np.uint8)
    expected = path([small], ["rgb"], [EVERYTHING])[0]
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(
        min(1.0, (torch.cuda.memory_reserved(0) + (64 << 20)) / total), 0
    )
    try:
        with pytest.raises(torch.cuda.OutOfMemoryError):
            path([large], ["rgb"], [EVERYTHING])
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, 0)
    assert same(path([small], ["rgb"], [EVERYTHING])[0], expected)


def test_a_model_is_captured_while_another_runs(make, picture):
    path, arguments = make(), batch(picture)
    expected, wrong, stop = path(*arguments), [], threading.Event()

    def run() -> None:
        while not stop.is_set():
            if not all(map(same, path(*arguments), expected)):
                wrong.append("a result changed")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        others = [make() for _ in range(5)]
    finally:
        stop.set()
        thread.join()
    assert not wrong and not any(other.compute.fallback for other in others)
    for other in others:
        assert (other(*arguments)[0].mask != expected[0].mask).mean() <= 0.01


def test_on_the_second_gpu(make, picture):
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    images, orders, wanted = batch(picture)
    first, second = make(device="cuda:0"), make(device="cuda:1")
    for a, b in zip(first(images, orders, wanted), second(images, orders, wanted), strict=True):
        assert (a.mask != b.mask).mean() <= 0.01
