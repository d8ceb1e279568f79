"""One seeded checkpoint of another project: converted, loaded, compared with what that computes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bisenet_ros.checkpoints import load_network, save
from bisenet_ros.checkpoints.convert import convert, read, recognise
from bisenet_ros.labels import LabelSet
from bisenet_ros.selftest import seeded
from bisenet_ros.selftest.engines import check_engines, relative
from bisenet_ros.selftest.row import SOURCE_TOLERANCE, Row

SIZE = (64, 96)  # of the engines' input


@dataclass(frozen=True)
class Case:
    """A checkpoint whose source's own logits are kept in data/.

    Attributes:
        source: a key of ``SOURCES``.
        size: (height, width) of the seeded images.
    """

    source: str
    size: tuple[int, int] = (304, 320)


CASES = {
    "coincheung_bisenetv2": Case("coincheung", (64, 128)),
    "coincheung_bisenetv1": Case("coincheung", (64, 128)),
    "mmsegmentation_deeplabv3plus_resnet50": Case("mmsegmentation"),
    "torchvision_deeplabv3_resnet50": Case("torchvision"),
    "vainf_deeplabv3plus_mobilenet": Case("vainf"),
    "semseg_pspnet_resnet50": Case("semseg", (305, 321)),
    "kazuto_deeplabv2_resnet101": Case("kazuto"),
}


def check_case(name: str, folder: Path, engines: list[str]) -> Row:
    """Write, convert, load and run a seeded checkpoint.

    Args:
        name: a key of ``CASES``.
        folder: for its files.
        engines: keys of ``ENGINES``.
    """
    row, case = Row("source", name), CASES[name]
    with row.checking("convert, load"):
        path = write_checkpoint(name, folder / f"{name}.pth")
        source, match = recognise(path, read(path, device="meta").tensors)
        row.expect(source == case.source, f"was taken for a checkpoint of {source}")
        made = convert(path, _labels(match.num_classes), source=case.source)
        path.unlink()  # these are large
        weights = save(folder / f"{name}.safetensors", made.network, made.card)
        network = load_network(weights)
        row.parameters = sum(p.numel() for p in network.for_inference().parameters())
        with torch.inference_mode():
            logits = network(_images(case)).numpy()
        row.source_error = error = _error(name, logits)
        row.expect(
            error <= SOURCE_TOLERANCE,
            f"logits differ from the source's by {error:.1e}; "
            f"expected at most {SOURCE_TOLERANCE:.0e}",
        )
    if not row.failures:
        with row.checking("engines"):
            check_engines(row, weights, engines, SIZE)
    return row


def write_checkpoint(name: str, path: Path) -> Path:
    """The seeded checkpoint of a case, as its source would save the state dict."""
    facts = seeded.manifest(seeded.DATA / f"{name}.json")
    torch.save({"state_dict": seeded.fill(facts["shapes"], facts["gain"])}, path)
    return path


def _images(case: Case) -> torch.Tensor:
    height, width = case.size
    whole = seeded.images(height + -height % 16, width + -width % 16)
    return whole[..., :height, :width]


def _error(name: str, logits: np.ndarray) -> float:
    """The largest difference from the kept logits, of which some have only a sample."""
    with np.load(seeded.DATA / f"{name}.npz") as kept:
        wanted = kept["logits"]
        if "shape" not in kept:
            return relative(logits, wanted)
        if logits.shape != tuple(kept["shape"]):
            return float("inf")
        return relative(seeded.sample(logits), wanted)


def _labels(count: int) -> LabelSet:
    return LabelSet(tuple(f"class {i}" for i in range(count)), ((0, 0, 0),) * count)
