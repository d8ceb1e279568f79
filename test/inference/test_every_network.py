"""Every network, on every backbone and with every published arithmetic, through every engine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import seeded
import torch
from torch import Tensor

from bisenet_ros.checkpoints import ModelCard, load, save
from bisenet_ros.errors import ArgumentError, WeightsError
from bisenet_ros.inference import OutputRequest, Segmenter
from bisenet_ros.inference.cuda.pipeline import CudaPipeline
from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.engines import ENGINES
from bisenet_ros.inference.export.graph import ServedNetwork
from bisenet_ros.inference.export.reader import read
from bisenet_ros.inference.export.writer import write
from bisenet_ros.inference.reference import Predictor
from bisenet_ros.labels import LabelSet
from bisenet_ros.networks import SegmentationNetwork, build, upsample
from bisenet_ros.networks.layers import round_up

CLASSES = 3
NARROW = {"width": 0.25}
CAFFE = {**NARROW, "ceil_pool": True, "stride_on": "1x1", "first_block_dilation": "own"}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bisenetv1": ("bisenetv1", {"backbone": "resnet50", "channels": 32}),
    "deeplabv2": ("deeplabv2", {"backbone": "resnet50", "backbone_options": NARROW}),
    "deeplabv3": ("deeplabv3", {"backbone_options": NARROW, "width": 16}),
    "deeplabv3plus": ("deeplabv3plus", {"backbone": "mobilenetv2", "width": 16}),
    "pspnet": ("pspnet", {"backbone_options": NARROW, "width": 16}),
    # Logits of these are not of (H / stride, W / stride).
    "deeplabv2 ceil": ("deeplabv2", {"backbone": "resnet50", "backbone_options": CAFFE}),
    "deeplabv3 xception": (
        "deeplabv3",
        {"backbone": "xception", "backbone_options": {"variant": "original"}, "width": 16},
    ),
    "deeplabv3plus mobilenetv2": (
        "deeplabv3plus",
        {"backbone": "mobilenetv2", "backbone_options": {"padding": "block_input"}, "width": 16},
    ),
}
ODD = {"deeplabv2 ceil": (9, 13), "deeplabv3 xception": (3, 5)}  # their logits for INPUT
REQUESTED = (120, 200)
RUNS = [
    *(
        (case, engine)
        for case in CASES
        for engine in ("torch", "openvino", "onnxruntime")  # "compile" takes a minute each
        if case not in ("deeplabv3 xception", "deeplabv3plus mobilenetv2")
    ),
    ("deeplabv3 xception", "torch"),  # large
    ("deeplabv3plus mobilenetv2", "torch"),
]
INPUT = {"deeplabv2 ceil": (64, 96), "deeplabv3 xception": (112, 144)}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """A weights file of each case, filled with values that show mistakes; made when asked for."""
    folder = tmp_path_factory.mktemp("networks")
    made: dict[str, Path] = {}

    class Files(dict):
        def __missing__(self, case: str) -> Path:
            made[case] = weights(case, folder / f"{case}.safetensors")
            self[case] = made[case]
            return made[case]

    return Files()


def weights(case: str, path: Path) -> Path:
    name, options = CASES[case]
    network = build(name, CLASSES, **{**options, "auxiliary": False})
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    network.load_state_dict(seeded.fill(shapes, seeded.RESIDUAL_GAIN))
    with torch.no_grad():  # so that every class is somewhere the best
        logits = network.eval()(seeded.images(128, 160))
        last = network.get_submodule(network.output_convolutions()[0])
        last.bias -= logits.mean(dim=(0, 2, 3))
    card = ModelCard(
        architecture=name,
        options=asdict(network.config),
        labels=LabelSet(("a", "b", "c"), ((10, 20, 30), (200, 0, 0), (0, 0, 250))),
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.3, 0.25),
        resolution=(96, 128),
    )
    return save(path, network, card)


def picture(height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(1)
    coarse = random.integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def plain_mask(path: Path, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Every logit that the network puts out, enlarged to the image: what the sources do."""
    network, card = load(path)
    resized = torch.from_numpy(cv2.resize(image, size[::-1])).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(three).view(1, 3, 1, 1) for three in (card.mean, card.std))
    with torch.no_grad():
        logits = network((resized - mean) / std)
    assert isinstance(logits, Tensor)
    return upsample(logits, image.shape[:2])[0].argmax(0).numpy()


def segmenter(path: Path, engine: str, size: tuple[int, int] | None = None) -> Segmenter:
    if not ENGINES[engine].installed:
        pytest.skip(f"{engine} is not installed")
    return Segmenter(path, "cpu", "fp32", engine, size)


def rounded(network: SegmentationNetwork) -> tuple[int, int]:
    """``REQUESTED`` as an input size of the network."""
    height, width = (round_up(side, network.input_step) for side in REQUESTED)
    return height, width


@pytest.mark.parametrize("case", CASES)
def test_which_logits_there_are_for_an_input(case):
    name, options = CASES[case]
    network = build(name, CLASSES, **options).eval()
    size = INPUT.get(case, (64, 96))
    with torch.no_grad():
        logits = network(torch.zeros(1, 3, *size))
    height, width = logits.shape[2:]
    assert network.logits_size(size) == (height, width)
    assert (height, width) == ODD.get(case, (size[0] // network.stride, size[1] // network.stride))
    assert network.aligned == (case not in ODD)
    assert network.input_step == (network.stride if network.aligned else network.multiple)


@pytest.mark.parametrize(("case", "engine"), RUNS)
def test_every_engine_gives_the_plain_networks_mask(files, case, engine):
    image = picture(90, 130)
    found = segmenter(files[case], engine, REQUESTED)
    network, card = load(files[case])
    assert found.input_size == rounded(network)
    mask = found([image])[0].mask
    assert len(np.unique(mask)) > 1
    reference = Predictor(network, card, size=REQUESTED)
    assert (reference(image) != mask).mean() < 0.002
    if case in ODD:
        assert (plain_mask(files[case], image, (128, 208)) != mask).mean() < 0.002


@pytest.mark.parametrize("case", ["bisenetv1", "deeplabv3plus", "pspnet", "deeplabv2 ceil"])
def test_the_cuda_pipeline_takes_it(files, case):
    """Its code, run without a GPU; test_gpu.py has what needs one."""
    network, card = load(files[case])
    size = rounded(network)
    compute = Compute(torch.device("cpu"), "fp32")
    image = picture(90, 130)
    pipeline = CudaPipeline(network, card, compute, size)
    found = pipeline([image], ["rgb"], [OutputRequest()])[0].mask
    assert (found != Predictor(network, card, size=size)(image)).mean() < 0.002


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
@pytest.mark.parametrize("case", ["deeplabv3plus", "deeplabv2 ceil"])
def test_an_exported_file_knows_its_sizes(files, tmp_path, case, suffix):
    pytest.importorskip("onnx" if suffix == ".onnx" else "openvino")
    network, card = load(files[case])
    size = rounded(network)
    out = tmp_path / f"model{suffix}"
    write(out, network, card, size)
    found = read(out)
    assert (found.size, found.stride, found.input_step) == (
        size,
        network.stride,
        network.input_step,
    )
    image = picture(90, 130)
    # Rounded up as before it was exported.
    exported = Segmenter(out, "cpu", "fp32", input_size=REQUESTED)
    assert exported.input_size == size
    wanted = segmenter(files[case], "torch", REQUESTED)
    assert (exported([image])[0].mask != wanted([image])[0].mask).mean() < 0.002
    with pytest.raises(WeightsError, match="was exported for"):
        Segmenter(out, device="cpu", input_size=(64, 64))


def test_the_served_network_cuts_the_padding_off_and_nothing_else(files):
    for case, size in (("deeplabv3plus", (120, 200)), ("deeplabv2 ceil", (64, 96))):
        network, card = load(files[case])
        served = ServedNetwork(network, card.mean, card.std)
        with torch.no_grad():
            logits = served(torch.zeros(1, *size, 3, dtype=torch.uint8))
        assert tuple(logits.shape[2:]) == network.logits_size(size)


def test_an_input_that_the_original_xception_consumes_is_refused(files):
    with pytest.raises(ArgumentError, match="64×64.*too small for.*larger input"):
        Segmenter(files["deeplabv3 xception"], "cpu", "fp32", "torch", (64, 64))


def test_deeplab_in_int8(files, tmp_path):
    pytest.importorskip("nncf")
    pytest.importorskip("openvino")
    network, card = load(files["deeplabv3plus"])
    examples = [picture(64, 96), picture(96, 64).transpose(1, 0, 2).copy()]
    out = tmp_path / "int8.xml"
    write(out, network, card, (64, 96), examples)
    found = Segmenter(out, device="cpu")
    assert found.compute.precision == "int8" and found.input_size == (64, 96)
    assert found([picture(90, 130)])[0].mask.shape == (90, 130)
