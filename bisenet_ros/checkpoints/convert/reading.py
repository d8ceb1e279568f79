"""From a file to named tensors: nothing in it is executed, wrappers are taken off."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from bisenet_ros.checkpoints.convert.keys import some
from bisenet_ros.checkpoints.convert.sniff import EXPECTED, SAFETENSORS, kind_of
from bisenet_ros.checkpoints.refusals import refused_name
from bisenet_ros.errors import WeightsError

# Entries that hold the state dict, the likeliest first.
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "network", "net")
# Put before every key by what wrapped the network: DistributedDataParallel, torch.compile, a
# trainer's attribute.
PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "net.")
OPTIMISER = re.compile(r"state|param_groups|.*optim.*|.*sched.*|.*scaler", re.IGNORECASE)
DEPTH = 8  # wrappers inside each other


class Inert:
    """Stands in for classes that training scripts save beside the tensors; it does nothing.

    Values such as a score of NumPy or the parsed arguments are not needed here, so neither NumPy
    nor the project they come from is called to rebuild them.
    """

    def __new__(cls, *_args: object, **_named: object) -> Inert:
        return super().__new__(cls)

    def __setstate__(self, _state: object) -> None:
        return None


INERT = (
    "argparse.Namespace",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "numpy.core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "numpy.dtype",
    "numpy.ndarray",
    *(f"numpy.dtypes.{kind}DType" for kind in ("Float32", "Float64", "Int32", "Int64", "Bool")),
)


def _stand_in(name: str) -> type[Inert]:
    """A class that calls itself ``name``, since torch finds what it may build by that alone."""
    module, _, qualified = name.rpartition(".")
    return type(qualified, (Inert,), {"__module__": module, "__qualname__": qualified})


STAND_INS: list[Any] = [_stand_in(name) for name in INERT]


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Let ``weights_only=True`` build the stand-ins of ``INERT``, and nothing else more.

    torch 2.3 cannot be told; it reads files that hold tensors and plain values only.
    """
    serialization: Any = torch.serialization
    if hasattr(serialization, "safe_globals"):
        with serialization.safe_globals(STAND_INS):
            yield
    elif hasattr(serialization, "add_safe_globals"):  # torch 2.4
        before = serialization.get_safe_globals()
        serialization.add_safe_globals(STAND_INS)
        try:
            yield
        finally:
            serialization.clear_safe_globals()
            serialization.add_safe_globals(before)
    else:
        yield


@dataclass(frozen=True)
class Checkpoint:
    """A file's tensors.

    Attributes:
        tensors: by the network's own names.
        unwrapped: what was taken off, outermost first, such as ``state_dict`` and ``module.``.
    """

    tensors: dict[str, Tensor]
    unwrapped: tuple[str, ...]


def read(path: str | Path, device: str = "cpu") -> Checkpoint:
    """Read a checkpoint without executing anything in it.

    Args:
        path: file of ``torch.save``, or safetensors.
        device: ``cpu``, or ``meta`` for names and shapes alone.

    Raises:
        WeightsError: one line that says what was found, what was expected, and what to do.
    """
    path = Path(path)
    if kind_of(path) == SAFETENSORS:
        content: Any = load_file(path, device="cpu")
    else:
        content = _load(path, device)
    state, unwrapped = _unwrap(path, content)
    tensors, prefixes = _without_prefixes(state)
    return Checkpoint(tensors, (*unwrapped, *prefixes))


def _load(path: Path, device: str) -> Any:
    try:
        with warnings.catch_warnings(), _stand_ins():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a broken pickle can raise anything
        raise WeightsError(_why_not(path, error)) from error


def _why_not(path: Path, error: Exception) -> str:
    code = refused_name(error)
    if code in INERT and not hasattr(torch.serialization, "add_safe_globals"):
        return (
            f"{path} names {code}, which is Python code and was not run; torch {torch.__version__} "
            "cannot pass over it: convert the file where torch is 2.4 or newer"
        )
    if code:
        return (
            f"{path} names {code}, which is Python code and was not run; {EXPECTED}: where you "
            "trust the file, load it with weights_only=False and torch.save its state_dict alone"
        )
    said = " ".join(str(error).split())[:120]
    return (
        f"{path} ({path.stat().st_size} bytes) cannot be read as a PyTorch checkpoint "
        f"({type(error).__name__}: {said}); it may be truncated: copy or download it again"
    )


def _unwrap(path: Path, content: Any) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors inside, and the names of the wrappers around them."""
    found: list[str] = []
    for _ in range(DEPTH):
        if not isinstance(content, Mapping):
            inside = f" in {'.'.join(found)}" if found else ""
            raise WeightsError(f"{path} holds a {type(content).__name__}{inside}; {EXPECTED}")
        if any(not isinstance(key, str) for key in content):
            raise WeightsError(f"{path} has keys that are not names; {EXPECTED}")
        if "pytorch-lightning_version" in content and any(
            key.startswith("network.") for key in content.get("state_dict") or ()
        ):
            raise WeightsError(
                f"{path} is a training checkpoint of this package; expected somebody else's: "
                "use the weights.safetensors that training wrote beside it"
            )
        wrapper = next((key for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if wrapper is not None:
            found.append(wrapper)
            content = content[wrapper]
            continue
        tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors, tuple(found)
        parts = _parts(content)
        if parts:
            return parts, (*found, "one state dict per part")
        raise WeightsError(_no_tensors(path, content))
    raise WeightsError(f"{path} has more than {DEPTH} wrappers inside each other; {EXPECTED}")


def _parts(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a dict of state dicts, one for each part of the network."""
    parts: dict[str, Tensor] = {}
    for name, part in content.items():
        if not isinstance(part, Mapping) or OPTIMISER.fullmatch(name):
            continue
        for key, value in part.items():
            if isinstance(key, str) and isinstance(value, Tensor):
                parts[f"{name}.{key}"] = value
    return parts


def _no_tensors(path: Path, content: Mapping[str, Any]) -> str:
    keys = list(content)
    listed = some(keys)
    if any(OPTIMISER.fullmatch(key) for key in keys):
        return (
            f"{path} holds the state of an optimiser ({listed}) and no network; {EXPECTED}: "
            "pass the file that the model was saved to"
        )
    return f"{path} holds no tensors ({listed or 'it is empty'}); {EXPECTED}"


def _without_prefixes(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Take prefixes off that every key has; one that only some have is part of their names."""
    found: list[str] = []
    for _ in range(DEPTH):
        prefix = next((p for p in PREFIXES if all(key.startswith(p) for key in state)), None)
        if prefix is None:
            break
        state = {key.removeprefix(prefix): value for key, value in state.items()}
        found.append(prefix)
    return state, tuple(found)
