"""Print how far the logits of converted checkpoints are from their sources' own.

    python scripts/parity_table.py

Every seeded checkpoint whose source's logits are kept (test/checkpoints/convert) goes through
``convert``, a weights file and ``load_network``; the table (Markdown) holds the largest difference
of any logit, auxiliary heads included, relative to the largest logit.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "test" / "checkpoints" / "convert")]
import deeplab_cases  # noqa: E402
import seeded  # noqa: E402

from bisenet_ros.checkpoints import load, save  # noqa: E402
from bisenet_ros.checkpoints.convert import convert  # noqa: E402
from bisenet_ros.labels import LabelSet  # noqa: E402
from bisenet_ros.networks import SegmentationNetwork  # noqa: E402


def main() -> None:
    """A line per kept case."""
    print("| checkpoint | network | options that differ from the default | relative error |")
    print("|---|---|---|---:|")
    for name in seeded.answered():
        network = converted(name)
        changed = _changed(network)
        error = f"{worst(name, network):.1e}"
        print(f"| {name} | {network.architecture} | {changed} | {error} |", flush=True)


def converted(name: str) -> SegmentationNetwork:
    """The network of a weights file that was made of the seeded checkpoint."""
    if name in deeplab_cases.CASES:
        shapes, gain = deeplab_cases.shapes_of(name), seeded.RESIDUAL_GAIN
        options = deeplab_cases.CASES[name].options
    else:
        facts = seeded.manifest(name)
        shapes, gain, options = facts["shapes"], facts["gain"], {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pth"
        torch.save({"state_dict": seeded.fill(shapes, gain)}, path)
        count = _classes(shapes)
        labels = LabelSet(tuple(map(str, range(count))), ((0, 0, 0),) * count)
        made = convert(path, labels, options=options)
        return load(save(Path(folder) / "x.safetensors", made.network, made.card))[0]


def worst(name: str, network: SegmentationNetwork) -> float:
    """The largest relative error of any head."""
    wanted = seeded.reference(name)
    wanted.pop("shape", None)
    if name in deeplab_cases.CASES:
        found = deeplab_cases.answers(name, network)
        found = {key: deeplab_cases.sample(value) for key, value in found.items()}
    else:
        found = _answers(network)
    return max(
        float(np.abs(found[key] - wanted[key]).max() / np.abs(wanted[key]).max()) for key in wanted
    )


def _answers(network: SegmentationNetwork) -> dict[str, np.ndarray]:
    """Main and auxiliary logits, of which the first four classes are kept."""
    with torch.no_grad():
        found = {"logits": network(seeded.images()).numpy()}
        network.training = network.config.auxiliary  # it alone: its norms stay in eval mode
        if network.training:
            output = network(seeded.images().repeat(2, 1, 1, 1))
            heads = enumerate(output.auxiliary)
            found |= {f"auxiliary{i}": head[:1, :4].numpy() for i, head in heads}
    return found


def _classes(shapes: dict[str, list[int]]) -> int:
    """Rows of the last classifier, whatever it is called: biases of it alone have no norm."""
    last = ("head.conv_out.1.bias", "head.conv_out.bias", "conv_out.conv_out.weight")
    last += ("decode_head.conv_seg.bias", "cls.4.bias", "base.aspp.c0.bias")
    last += ("classifier.classifier.3.bias", "classifier.classifier.4.bias", "classifier.4.bias")
    return next(shapes[key][0] for key in last if key in shapes)


def _changed(network: SegmentationNetwork) -> str:
    default = type(network.config)(network.config.num_classes)
    names = [n for n in vars(default) if n not in ("num_classes", "auxiliary")]
    pairs = {n: getattr(network.config, n) for n in names}
    return ", ".join(f"{n} {v}" for n, v in pairs.items() if v != getattr(default, n)) or "none"


if __name__ == "__main__":
    main()
