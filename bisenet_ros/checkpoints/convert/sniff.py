"""What a file is by its first bytes, before anything reads it."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open

from bisenet_ros.checkpoints.card import FORMAT
from bisenet_ros.errors import WeightsError

LARGEST = 4 << 30  # bytes; no checkpoint of a network here comes near
START = 512  # bytes looked at

CHECKPOINT, SAFETENSORS = "PyTorch checkpoint", "safetensors"
EXPECTED = "expected a PyTorch checkpoint (.pth, .pt, .ckpt) or safetensors with a state dict"

# First bytes → what the file is, and what to do.
FOREIGN = (
    (b"<?xml", "XML, such as an OpenVINO model", "convert the checkpoint it was made from"),
    (b"\x89HDF", "HDF5, such as a Keras model", "convert a PyTorch checkpoint"),
    (b"\x1f\x8b", "compressed with gzip", "unpack it first"),
    (b"\x93NUMPY", "a NumPy array", "convert the checkpoint it was made from"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "run git lfs pull"),
    (b"<", "a web page, not a checkpoint", "download it again, following the page's own link"),
)


def check_file(path: Path) -> None:
    """WeightsError unless ``path`` is a readable regular file of a plausible size."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise WeightsError(
            f"checkpoint {path} cannot be opened ({reason}); pass the path of a .pth file"
        ) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise WeightsError(f"checkpoint {path} is {kind}; {EXPECTED}")
    if not os.access(path, os.R_OK):
        raise WeightsError(f"checkpoint {path} is not readable by this user; check its mode")
    if not 0 < status.st_size <= LARGEST:
        raise WeightsError(
            f"checkpoint {path} has {status.st_size} bytes; expected 1 to {LARGEST}: "
            "copy or download it again"
        )


def kind_of(path: Path) -> str:
    """``CHECKPOINT`` or ``SAFETENSORS``.

    Raises:
        WeightsError: it is neither, or already a weights file of this package.
    """
    check_file(path)
    with path.open("rb") as file:
        start = file.read(START)
    if start[:4] == b"PK\x03\x04":
        _check_zip(path)
        return CHECKPOINT
    if start[:1] == b"\x80":
        return CHECKPOINT
    if _is_safetensors(start, path.stat().st_size):
        _check_foreign_safetensors(path)
        return SAFETENSORS
    if path.suffix.lower() == ".onnx" or _is_onnx(start):
        raise WeightsError(
            f"{path} is an ONNX model, whose tensors have lost their names; {EXPECTED}: "
            "convert the checkpoint it was exported from"
        )
    if start[257:262] == b"ustar":
        raise WeightsError(f"{path} is a tar archive; {EXPECTED}: unpack it first")
    for magic, what, remedy in FOREIGN:
        if start.lstrip()[: len(magic)] == magic:
            raise WeightsError(f"{path} is {what}; {EXPECTED}: {remedy}")
    raise WeightsError(
        f"{path} begins with {start[:4].hex(' ')}, which is no format known here; {EXPECTED}: "
        "copy or download it again"
    )


def _check_zip(path: Path) -> None:
    """A checkpoint is a zip with data.pkl and tensors; TorchScript adds its code to it."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise WeightsError(
            f"{path} is not a whole zip file ({path.stat().st_size} bytes; {error}); "
            "it may be truncated: copy or download it again"
        ) from error
    inner = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        raise WeightsError(
            f"{path} is a TorchScript archive, which is code and not read; {EXPECTED}: convert the "
            "checkpoint it was traced from, or save the state_dict of what torch.jit.load returns"
        )
    if "data.pkl" not in inner:
        raise WeightsError(
            f"{path} is a zip archive without data.pkl ({len(names)} files); {EXPECTED}: "
            "unpack it first, if a checkpoint is inside"
        )


def _is_safetensors(start: bytes, size: int) -> bool:
    """Eight bytes with the header's length, then the header, which is JSON."""
    return len(start) > 8 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") < size


def _check_foreign_safetensors(path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} is not a whole safetensors file ({path.stat().st_size} bytes; {error}); "
            "it may be truncated: copy or download it again"
        ) from error
    if metadata.get("format") == f'"{FORMAT}"':
        raise WeightsError(
            f"{path} already is a weights file of this package; expected somebody else's "
            "checkpoint: pass it as weights:= or --weights as it is"
        )


def _is_onnx(start: bytes) -> bool:
    """Protobuf: field 1, the IR version, below 32; then the producer, the domain or the graph."""
    return start[:1] == b"\x08" and start[1:2] < b"\x20" and start[2:3] in b"\x12\x1a\x22\x3a\x42"
