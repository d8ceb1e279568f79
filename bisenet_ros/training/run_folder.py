"""The folder of a training run: one process at a time, and never the files of two runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from bisenet_ros.datasets import LabelledSet
from bisenet_ros.errors import ArgumentError
from bisenet_ros.system.atomic_files import make_folder

RECIPE, LAST, BEST, WEIGHTS = "recipe.yaml", "last.ckpt", "best.ckpt", "weights.safetensors"
METRICS, LOCK, EVENTS = "metrics.csv", ".train.lock", "tensorboard"
COSTLY = (LAST, BEST, WEIGHTS)  # what took training to make
LEFT = (*COSTLY, METRICS, RECIPE, "train.txt", "val.txt", "curves.png", "samples.png")


def check_unused(out: Path, resume: bool, overwrite: bool) -> None:
    """Raise :class:`ArgumentError` if ``out`` holds a run that was not said to go on or to go."""
    if resume and overwrite:
        raise ArgumentError("--resume continues the run that --overwrite removes; pass one of them")
    found = [name for name in COSTLY if (out / name).exists()]
    if found and not resume and not overwrite:
        raise ArgumentError(
            f"--out {out} holds a run already ({', '.join(found)}); continue it with --resume, "
            "replace it with --overwrite, or pass another folder"
        )


@contextlib.contextmanager
def claimed(out: Path, resume: bool, overwrite: bool) -> Iterator[Path]:
    """Create ``out`` and keep other trainings out of it for the duration of the block.

    With several processes the first one does, for all of them.

    Raises:
        ArgumentError: another training uses it, it holds a run (see :func:`check_unused`), or it
            is not writable.
    """
    if not first_process():
        out.mkdir(parents=True, exist_ok=True)  # it may come before the first process does
        yield out
        return
    make_folder(out, "--out")
    with (out / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ArgumentError(
                f"--out {out} is in use by another training; wait for it, or pass another folder"
            ) from error
        except OSError:
            pass  # a file system without locks
        check_unused(out, resume, overwrite)
        if overwrite:
            _clear(out)
        yield out


def first_process() -> bool:
    """Whether this is the first process of the run, told by what launchers set."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))


def _clear(out: Path) -> None:
    """Remove what a run leaves, and nothing else."""
    for name in LEFT:
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / EVENTS, ignore_errors=True)


def write_split_lists(splits: Iterable[LabelledSet], out: Path) -> None:
    """Write the names of each split's images, as ``train.txt`` and ``val.txt``."""
    for labelled in splits:
        names = "".join(f"{sample.name}\n" for sample in labelled.samples)
        (out / f"{labelled.split}.txt").write_text(names, encoding="utf-8")
