"""Run other projects' DeepLab and PSPNet implementations on seeded weights, keep what they answer.

    python scripts/deeplab_references.py --vainf DIR --semseg DIR --kazuto DIR --site DIR

The folders are checkouts of VainF/DeepLabV3Plus-Pytorch (4e1087d), hszhao/semseg (4f274c3) and
kazuto1011/deeplab-pytorch (4219467); ``--site`` holds torchvision 0.29, mmsegmentation 1.2.2,
mmcv-lite 2.1.0, mmengine 0.10.7 and their pure Python dependencies, unpacked. Only what is given
runs. For each network it writes keys and shapes (JSON) and some of its logits before the final
upsampling (npz) to test/checkpoints/convert/data, where test_deeplab_sources.py reads them.
``--table`` also converts each checkpoint and prints the largest relative error of our network.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "test" / "checkpoints" / "convert")]
import deeplab_cases  # noqa: E402
import seeded  # noqa: E402

MMSEGMENTATION = {
    "pspnet": "pspnet/pspnet_r{depth}-d8_4xb2-40k_cityscapes-512x1024.py",
    "deeplabv3": "deeplabv3/deeplabv3_r{depth}-d8_4xb2-40k_cityscapes-512x1024.py",
    "deeplabv3plus": "deeplabv3plus/deeplabv3plus_r{depth}-d8_4xb2-40k_cityscapes-512x1024.py",
}


class Peer(NamedTuple):
    """A source's network.

    Attributes:
        name: of the case in deeplab_cases.py.
        network: whose state dict is a checkpoint.
        logits: name of the module that puts out the logits.
        auxiliary: the same of the auxiliary head.
        run: calls the network.
    """

    name: str
    network: nn.Module
    logits: str
    auxiliary: str = ""
    run: Callable[[nn.Module, Tensor], object] = lambda network, images: network(images)


def main() -> None:
    """Run the peers whose folders are given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("vainf", "semseg", "kazuto", "site"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--table", action="store_true", help="print our networks' errors")
    given = parser.parse_args()
    for folder, peers in (
        (given.vainf, vainf),
        (given.semseg, semseg),
        (given.kazuto, kazuto),
        (given.site, torchvision),
        (given.site, mmsegmentation),
    ):
        if folder is None:
            continue
        sys.path.insert(0, str(folder))
        for peer in peers(folder):
            shapes, logits = write(peer)
            if given.table:
                error = deeplab_cases.error(peer.name, shapes, logits)
                print(f"| {peer.name} | {error:.1e} |", flush=True)
        sys.path.remove(str(folder))


def write(peer: Peer) -> tuple[dict[str, list[int]], dict[str, np.ndarray]]:
    """Fill the network, run it, and write its keys and what its classifiers put out."""
    case = deeplab_cases.CASES[peer.name]
    state = peer.network.state_dict()
    shapes = {key: list(value.shape) for key, value in state.items()}
    peer.network.load_state_dict(seeded.fill(shapes, seeded.RESIDUAL_GAIN))
    found: dict[str, np.ndarray] = {}
    modules = dict(peer.network.named_modules())
    for name, key in (("logits", peer.logits), ("auxiliary", peer.auxiliary)):
        if key:
            modules[key].register_forward_hook(
                lambda _m, _i, out, name=name: found.update({name: out.numpy()})
            )
    images = deeplab_cases.images(peer.name)
    with torch.no_grad():
        peer.run(peer.network.eval(), images)
    if case.kept:
        arrays = {name: deeplab_cases.sample(array) for name, array in found.items()}
        arrays["shape"] = np.array(found["logits"].shape)
        np.savez_compressed(seeded.file(f"{peer.name}.npz"), **arrays)
        manifest = seeded.file(f"{case.manifest}.json")
        manifest.write_text(json.dumps(deeplab_cases.fold(shapes), separators=(",", ":")) + "\n")
    return shapes, found


def vainf(_folder: Path) -> Iterator[Peer]:
    """DeepLab v3 and v3+ of VainF/DeepLabV3Plus-Pytorch."""
    modeling = importlib.import_module("network.modeling")
    for backbone in ("resnet50", "resnet101", "mobilenet", "xception"):
        for version, last in (("v3", "4"), ("v3plus", "3")):
            for stride in (16, 8):
                name = f"vainf_deeplab{version}_{backbone}" + ("_os8" if stride == 8 else "")
                if name in deeplab_cases.CASES:
                    build = getattr(modeling, f"deeplab{version}_{backbone}")
                    network = build(19, output_stride=stride, pretrained_backbone=False)
                    yield Peer(name, network, f"classifier.classifier.{last}")


def semseg(_folder: Path) -> Iterator[Peer]:
    """PSPNet of hszhao/semseg."""
    module = importlib.import_module("model.pspnet")

    def run(network: Any, images: Tensor) -> None:
        fourth: list[Tensor] = []
        network.layer3.register_forward_hook(lambda _m, _i, out: fourth.append(out))
        network(images)
        network.aux(fourth[0])  # which it runs in training only

    for depth in (50, 101):
        network = module.PSPNet(layers=depth, classes=19, pretrained=False)
        yield Peer(f"semseg_pspnet_resnet{depth}", network, "cls.4", "aux.4", run)


def kazuto(_folder: Path) -> Iterator[Peer]:
    """DeepLab v2 of kazuto1011/deeplab-pytorch."""
    models = importlib.import_module("libs.models")
    network = models.DeepLabV2_ResNet101_MSC(n_classes=21)
    # One scale, of images whose channels are in the order BGR.
    yield Peer("kazuto_deeplabv2_resnet101", network, "base", "", lambda n, x: n.base(x.flip(1)))


class _Absent(types.ModuleType):
    """Stands in for a compiled or heavy module that the networks here do not call."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def torchvision(folder: Path) -> Iterator[Peer]:
    """DeepLab v3 of torchvision."""
    # Its packages without what they import: some of that needs a compiled extension.
    for name in ("", ".models", ".models.segmentation", ".ops"):
        package = types.ModuleType(f"torchvision{name}")
        package.__path__ = [str(folder / f"torchvision{name}".replace(".", "/"))]
        sys.modules[package.__name__] = package
    sys.modules["torchvision.transforms"] = _Absent("torchvision.transforms")
    sys.modules["torchvision.transforms._presets"] = _Absent("torchvision.transforms._presets")
    sys.modules["torchvision.utils"] = _Absent("torchvision.utils")
    sys.modules["torchvision.utils"]._log_api_usage_once = lambda _network: None  # type: ignore[attr-defined]
    sys.modules["torchvision.utils"]._make_ntuple = lambda value, n: (value,) * n  # type: ignore[attr-defined]
    resnet = importlib.import_module("torchvision.models.resnet")
    module = importlib.import_module("torchvision.models.segmentation.deeplabv3")
    for depth in (50, 101):
        body = getattr(resnet, f"resnet{depth}")(
            weights=None, replace_stride_with_dilation=[False, True, True]
        )
        network = module._deeplabv3_resnet(body, 21, True)
        name = f"torchvision_deeplabv3_resnet{depth}"
        yield Peer(name, network, "classifier.4", "aux_classifier.4")


def mmsegmentation(folder: Path) -> Iterator[Peer]:
    """PSPNet, DeepLab v3 and v3+ of mmsegmentation."""
    for name in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[name]
    sys.modules["torchvision"] = _Absent("torchvision")
    for name in ("", ".optimize", ".interpolate", ".ndimage", ".special", ".stats"):
        sys.modules[f"scipy{name}"] = _Absent(f"scipy{name}")
    sys.modules["mmcv.ops"] = _Absent("mmcv.ops")
    config = importlib.import_module("mmengine.config").Config
    registry = importlib.import_module("mmseg.registry")
    importlib.import_module("mmseg.utils").register_all_modules(True)

    def run(network: Any, images: Tensor) -> None:
        features = network.extract_feat(images)
        network.decode_head(features)
        network.auxiliary_head(features)

    for architecture, path in MMSEGMENTATION.items():
        for depth in (50, 101):
            name = f"mmsegmentation_{architecture}_resnet{depth}"
            if name not in deeplab_cases.CASES:
                continue
            file = folder / "mmseg" / ".mim" / "configs" / path.format(depth=depth)
            model = config.fromfile(str(file)).model.to_dict()
            _for_one_process(model)
            network = registry.MODELS.build(model)
            yield Peer(name, network, "decode_head.conv_seg", "auxiliary_head.conv_seg", run)


def _for_one_process(config: object) -> None:
    """Plain batch norms, and no download."""
    if isinstance(config, dict):
        config.update({"type": "BN"} if config.get("type") == "SyncBN" else {})
        config.pop("pretrained", None)
        config.pop("init_cfg", None)
        for value in config.values():
            _for_one_process(value)
    elif isinstance(config, list):
        for value in config:
            _for_one_process(value)


if __name__ == "__main__":
    main()
