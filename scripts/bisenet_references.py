"""Run the BiSeNet implementations of other projects on seeded weights and keep what they answer.

    python scripts/bisenet_references.py --coincheung GIT_FOLDER --mmsegmentation SITE_FOLDER

``GIT_FOLDER`` is a clone of github.com/CoinCheung/BiSeNet with its history (bare will do),
``SITE_FOLDER`` holds mmsegmentation 1.2.2, mmcv-lite 2.1.0 and mmengine 0.10.7, unpacked. For each
network it writes keys and shapes (JSON) and, where the converter takes the network, its logits
(npz) to test/checkpoints/convert/data, or to bisenet_ros/selftest/data if it has them. Logits are
those before the final upsampling.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.utils.model_zoo
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "test" / "checkpoints" / "convert")]
import seeded  # noqa: E402

CLASSES = 19
# name → commit, file, class; ``refused`` ones are kept for their keys alone
COINCHEUNG = {
    "coincheung_bisenetv2": ("6b4b67a", "lib/models/bisenetv2.py", "BiSeNetV2"),
    "coincheung_bisenetv2_2020": ("0471e80", "lib/models/bisenetv2.py", "BiSeNetV2"),
    "coincheung_bisenetv2_pixel_shuffle": ("12cd095", "lib/models/bisenetv2.py", "BiSeNetV2"),
    "coincheung_bisenetv2_first": ("f8189d5", "bisenetv2/bisenetv2.py", "BiSeNetV2"),
    "coincheung_bisenetv1": ("6b4b67a", "lib/models/bisenetv1.py", "BiSeNetV1"),
    "coincheung_bisenetv1_2021": ("c0422a1", "lib/models/bisenetv1.py", "BiSeNetV1"),
    "coincheung_bisenetv1_2020": ("0471e80", "lib/models/bisenetv1.py", "BiSeNetV1"),
    "coincheung_bisenetv1_pixel_shuffle": ("12cd095", "lib/models/bisenetv1.py", "BiSeNetV1"),
}
REFUSED = {
    "coincheung_bisenetv2_pixel_shuffle",
    "coincheung_bisenetv2_first",
    "coincheung_bisenetv1_pixel_shuffle",
}
MMSEGMENTATION = {
    "mmsegmentation_bisenetv2": "bisenetv2/bisenetv2_fcn_4xb4-160k_cityscapes-1024x1024.py",
    "mmsegmentation_bisenetv1_r18": "bisenetv1/bisenetv1_r18-d32_4xb4-160k_cityscapes-1024x1024.py",
    "mmsegmentation_bisenetv1_r50": "bisenetv1/bisenetv1_r50-d32_4xb4-160k_cityscapes-1024x1024.py",
}
# modules whose outputs are the logits before their upsampling, the main head first
CLASSIFIERS = {
    "v2": ("head.conv_out.1", *(f"aux{i}.conv_out.1" for i in ("2", "3", "4", "5_4"))),
    "v2_plain": ("head.conv_out", *(f"aux{i}.conv_out" for i in ("2", "3", "4", "5_4"))),
    "v1": ("conv_out.conv_out", "conv_out16.conv_out", "conv_out32.conv_out"),
}


def main() -> None:
    """Run every network whose source is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coincheung", type=Path)
    parser.add_argument("--mmsegmentation", type=Path)
    given = parser.parse_args()
    if given.coincheung:
        for name, (commit, file, cls) in COINCHEUNG.items():
            network = coincheung(given.coincheung, commit, file, cls)
            kind = "v1" if cls == "BiSeNetV1" else "v2_plain" if "2020" in name else "v2"
            write(name, network, CLASSIFIERS[kind], lambda n, x: n(x), {"commit": commit})
    if given.mmsegmentation:
        build = mmsegmentation(given.mmsegmentation)
        for name, config in MMSEGMENTATION.items():
            network = build(config)
            # BiSeNetV2's auxiliary heads there have no counterpart here.
            auxiliary = () if "v2" in name else ("auxiliary_head.0", "auxiliary_head.1")
            heads = tuple(f"{head}.conv_seg" for head in ("decode_head", *auxiliary))
            write(name, network, heads, _mm_forward, {"config": config})


def write(
    name: str,
    network: nn.Module,
    classifiers: tuple[str, ...],
    forward: Callable[[nn.Module, Tensor], object],
    facts: dict[str, Any],
) -> None:
    """Fill the network, run it, and write its keys and what ``classifiers`` put out."""
    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
    gain = seeded.RESIDUAL_GAIN if "v1" in name else seeded.GAIN
    network.load_state_dict(seeded.fill(shapes, gain))
    parameters = sum(p.numel() for p in network.parameters())
    facts |= {"classes": CLASSES, "parameters": parameters, "gain": gain, "shapes": shapes}
    text = json.dumps(facts, separators=(",", ":"))
    seeded.file(f"{name}.json").write_text(text + "\n", encoding="utf-8")
    if name in REFUSED:
        return
    found: dict[str, np.ndarray] = {}
    modules = dict(network.named_modules())
    for key in classifiers:
        modules[key].register_forward_hook(
            lambda _m, _i, out, key=key: found.update({key: out.numpy()})
        )
    with torch.no_grad():
        forward(network.eval(), seeded.images())
    names = ["logits", *(f"auxiliary{i}" for i in range(len(classifiers) - 1))]
    arrays = dict(zip(names, (found[key] for key in classifiers), strict=True))
    # A few classes of the auxiliary logits will do, and keep the files small.
    arrays |= {key: array[:, :4] for key, array in arrays.items() if key != "logits"}
    np.savez_compressed(seeded.file(f"{name}.npz"), **arrays)
    spread = arrays["logits"].std(axis=(2, 3)).mean()
    print(f"{name}: {parameters} parameters, logits {arrays['logits'].shape}, σ {spread:.2f}")


def coincheung(git: Path, commit: str, file: str, cls: str) -> nn.Module:
    """The class as of a commit; its download of pretrained weights is answered with nothing."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / f"{cls}_at_{commit}"
        package.mkdir()
        top = str(Path(file).parent)
        for path in _git(git, "ls-tree", "--name-only", commit, f"{top}/").split():
            if path.endswith(".py"):
                (package / Path(path).name).write_text(_git(git, "show", f"{commit}:{path}"))
        (package / "__init__.py").write_text("")
        torch.utils.model_zoo.load_url = lambda *_a, **_k: {}
        sys.modules.setdefault("torchvision", types.ModuleType("torchvision"))  # never called
        sys.path.insert(0, folder)
        try:
            module = importlib.import_module(f"{package.name}.{Path(file).stem}")
            return getattr(module, cls)(CLASSES)
        finally:
            sys.path.remove(folder)


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *words], check=True, capture_output=True, text=True
    ).stdout


class _Absent(types.ModuleType):
    """Stands in for a compiled or heavy module that the networks here do not call."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def mmsegmentation(folder: Path) -> Callable[[str], nn.Module]:
    """A function from the name of a published config to its network, SyncBN as BN."""
    sys.path[:0] = [str(folder)]
    for name in ("", ".optimize", ".interpolate", ".ndimage", ".special", ".stats"):
        sys.modules[f"scipy{name}"] = _Absent(f"scipy{name}")
    sys.modules["mmcv.ops"] = _Absent("mmcv.ops")
    from mmengine.config import Config
    from mmseg.registry import MODELS
    from mmseg.utils import register_all_modules

    register_all_modules(True)
    configs = folder / "mmseg" / ".mim" / "configs"

    def build(name: str) -> nn.Module:
        model = Config.fromfile(str(configs / name)).model.to_dict()
        _for_one_process(model)
        return MODELS.build(model)

    return build


def _for_one_process(config: object) -> None:
    if isinstance(config, dict):
        config.update({"type": "BN"} if config.get("type") == "SyncBN" else {})
        config.pop("pretrained", None)
        config.pop("init_cfg", None)
        for value in config.values():
            _for_one_process(value)
    elif isinstance(config, list):
        for value in config:
            _for_one_process(value)


def _mm_forward(network: nn.Module, images: Tensor) -> None:
    features = network.extract_feat(images)  # type: ignore[operator]
    for head in (network.decode_head, *network.auxiliary_head):  # type: ignore[union-attr, misc]
        head(features)


if __name__ == "__main__":
    main()
