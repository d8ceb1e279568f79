"""Weights files: safetensors with a card in the metadata; nothing in them is ever executed."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bisenet_ros.checkpoints.card import ModelCard
from bisenet_ros.errors import WeightsError
from bisenet_ros.networks import NETWORKS, SegmentationNetwork, build

LARGEST = 4 << 30  # bytes; no network of this package comes near


def save(path: str | Path, network: SegmentationNetwork, card: ModelCard) -> Path:
    """Write ``network`` and ``card`` to ``path``, whole or not at all.

    Raises:
        WeightsError: the folder cannot be written.
    """
    path = Path(path)
    state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as folder:
            part = Path(folder) / "part"
            save_file(state, part, metadata=card.metadata())
            part.chmod(0o644)  # the node may run as another user than the training
            part.replace(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def load(path: str | Path) -> tuple[SegmentationNetwork, ModelCard]:
    """Read a weights file: the network, in eval mode on the CPU in float32, and its card.

    Raises:
        WeightsError: one line that names the file, what was expected and what was found.
    """
    path = Path(path)
    card, tensors = _read(path)
    if card.architecture not in NETWORKS:
        raise WeightsError(
            f"{path}: its architecture is {card.architecture!r}; "
            f"this package builds {', '.join(NETWORKS)}"
        )
    network = _skeleton(path, card)
    _check_tensors(path, network.state_dict(), tensors)
    # The network takes the file's tensors as they are, so nothing is initialised in vain.
    network.load_state_dict({k: _as_float32(v) for k, v in tensors.items()}, assign=True)
    return network.eval(), card


def load_network(path: str | Path, device: str | torch.device = "cpu") -> SegmentationNetwork:
    """The network of a weights file, in eval mode on ``device``; raises as :func:`load` does."""
    return load(path)[0].to(device)


def read_card(path: str | Path) -> ModelCard:
    """The card alone, without reading the tensors; raises as :func:`load` does."""
    path = Path(path)
    _check_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            return _card(path, file.metadata())
    except (SafetensorError, OSError) as error:
        raise _not_safetensors(path, error) from error


def fingerprint(path: str | Path) -> str:
    """The first 12 hexadecimal digits of the file's sha256, as diagnostics report it."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:12]


def _read(path: Path) -> tuple[ModelCard, dict[str, Tensor]]:
    _check_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            card = _card(path, file.metadata())
            return card, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _not_safetensors(path, error) from error


def _check_file(path: Path) -> None:
    try:
        status = os.stat(path)
    except OSError as error:
        raise WeightsError(
            f"weights file {path} cannot be opened ({error.strerror}); "
            "pass weights:=FILE with the path of a .safetensors file"
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise WeightsError(f"weights file {path} is not a regular file; pass a .safetensors file")
    if not os.access(path, os.R_OK):
        raise WeightsError(f"weights file {path} is not readable by this user; check its mode")
    if status.st_size > LARGEST:
        raise WeightsError(
            f"weights file {path} has {status.st_size} bytes; expected at most {LARGEST}"
        )


def _not_safetensors(path: Path, error: Exception) -> WeightsError:
    start = path.open("rb").read(8)
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return WeightsError(
            f"{path} is a PyTorch pickle, which can run code when opened, and was not opened; "
            "expected a .safetensors file: make one with python -m bisenet_ros convert"
        )
    return WeightsError(
        f"{path} is not a whole safetensors file ({path.stat().st_size} bytes; {error}); "
        "it may be truncated: copy or download it again"
    )


def _card(path: Path, metadata: dict[str, str] | None) -> ModelCard:
    try:
        return ModelCard.from_metadata(metadata or {})
    except ValueError as error:
        raise WeightsError(
            f"{path} is safetensors but no weights file of this package: {error}; "
            "make one with python -m bisenet_ros convert or train"
        ) from error


def _skeleton(path: Path, card: ModelCard) -> SegmentationNetwork:
    """The network without memory for its tensors, so that a wild card allocates nothing."""
    try:
        with torch.device("meta"):
            return build(card.architecture, **card.options)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise WeightsError(
            f"{path}: its options {card.options} build no network: {error}"
        ) from error


def _check_tensors(path: Path, wanted: dict[str, Any], found: dict[str, Tensor]) -> None:
    missing, strange = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    if missing or strange:
        raise WeightsError(
            f"{path} holds another network's tensors: {_some(missing)} missing, "
            f"{_some(strange)} not expected"
        )
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape:
            raise WeightsError(
                f"{path}: {name} has shape {tuple(tensor.shape)}; "
                f"its own card says {tuple(wanted[name].shape)}"
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"{path}: {name} holds NaN or infinity; train or copy it again")


def _some(names: list[str]) -> str:
    if not names:
        return "none"
    rest = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + rest


def _as_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
