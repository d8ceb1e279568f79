"""Weights files: safetensors with the model card as metadata; they never contain code."""

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

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INTEGERS = (torch.int64,)
MAX_BYTES = 4 << 30  # far more than any network of this package needs


def save(path: str | Path, network: SegmentationNetwork, card: ModelCard) -> Path:
    """Write ``network`` and ``card`` to ``path`` atomically.

    Raises:
        WeightsError: the folder is not writable.
    """
    state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    return _write(Path(path), state, card)


def save_with_card(source: str | Path, path: str | Path, card: ModelCard) -> Path:
    """Write the tensors of a weights file, bit for bit, with another card to ``path``.

    Raises:
        WeightsError: the source cannot be read, or the folder is not writable.
    """
    _, tensors = _read(Path(source))
    return _write(Path(path), tensors, card)


def _write(path: Path, state: dict[str, Tensor], card: ModelCard) -> Path:
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as folder:
            part = Path(folder) / "part"
            save_file(state, part, metadata=card.metadata())
            part.chmod(0o644)  # training and the node may run as different users
            part.replace(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def load(path: str | Path) -> tuple[SegmentationNetwork, ModelCard]:
    """Read a weights file: the network, in eval mode on the CPU in float32, and its card.

    Raises:
        WeightsError: the file is missing, broken or inconsistent.
    """
    path = Path(path)
    card, tensors = _read(path)
    if card.architecture not in NETWORKS:
        raise WeightsError(
            f"{path}: its architecture is {card.architecture!r}; "
            f"expected one of {', '.join(NETWORKS)}"
        )
    network = _skeleton(path, card)
    _check_tensors(path, network.state_dict(), tensors)
    # assign: the network uses the file's tensors directly, without initialising its own.
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
        raise WeightsError(
            f"weights file {path} is not readable by this user; check its permissions"
        )
    if status.st_size > MAX_BYTES:
        raise WeightsError(
            f"weights file {path} has {status.st_size} bytes; expected at most {MAX_BYTES}"
        )


def _not_safetensors(path: Path, error: Exception) -> WeightsError:
    start = path.open("rb").read(8)
    if start[:2] == b"PK" or start[:1] == b"\x80":
        # Not above: the converters are built on this module.
        from bisenet_ros.checkpoints.convert.suggestion import refusal

        return WeightsError(refusal(path))
    return WeightsError(
        f"{path} is not a complete safetensors file ({path.stat().st_size} bytes; {error}); "
        "it may be truncated: copy or download it again"
    )


def _card(path: Path, metadata: dict[str, str] | None) -> ModelCard:
    try:
        return ModelCard.from_metadata(metadata or {})
    except ValueError as error:
        # Not above: the converters are built on this module.
        from bisenet_ros.checkpoints.convert.suggestion import convert_command

        raise WeightsError(
            f"{path} is a safetensors file but not a weights file of this package: {error}; "
            f"make one with {convert_command(path)}"
        ) from error


def _skeleton(path: Path, card: ModelCard) -> SegmentationNetwork:
    """The network on the meta device, so that a malicious card cannot exhaust the memory."""
    try:
        with torch.device("meta"):
            return build(card.architecture, **card.options)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise WeightsError(
            f"{path}: no network can be built from its options {card.options}: {error}"
        ) from error


def _check_tensors(path: Path, expected: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    missing = sorted(set(expected) - set(tensors))
    unexpected = sorted(set(tensors) - set(expected))
    if missing or unexpected:
        raise WeightsError(
            f"{path} holds the tensors of another network: {_abbreviate(missing)} missing, "
            f"{_abbreviate(unexpected)} unexpected"
        )
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise WeightsError(
                f"{path}: {name} has shape {tuple(tensor.shape)}; "
                f"its card implies {tuple(expected[name].shape)}"
            )
        if tensor.dtype not in (FLOATS if expected[name].is_floating_point() else INTEGERS):
            kinds = "a float of 16 to 64 bits" if expected[name].is_floating_point() else "int64"
            raise WeightsError(f"{path}: {name} is {tensor.dtype}; expected {kinds}")
        if name.endswith("running_var") and bool((tensor < 0).any()):
            raise WeightsError(f"{path}: {name} has negative variances; train or copy it again")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise WeightsError(
                f"{path}: {name} contains NaN or infinity; train or copy the file again"
            )


def _abbreviate(names: list[str]) -> str:
    if not names:
        return "none"
    rest = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + rest


def _as_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
