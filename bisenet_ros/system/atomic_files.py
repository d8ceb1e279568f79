"""Writes files atomically: complete or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bisenet_ros.errors import ArgumentError


def write_bytes(path: Path, content: bytes) -> None:
    """Replace the content of ``path`` atomically; readers never see a partial file."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(part, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` to ``path`` as JSON, atomically; NaN and infinity are not valid JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def make_folder(path: Path, what: str) -> Path:
    """Create a folder and its parents if needed, and check that it is writable.

    Raises:
        ArgumentError: it is not; ``what`` names the argument that gave the folder.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise ArgumentError(_cannot_write(path, what, error)) from error


def check_writable(path: Path, what: str) -> None:
    """Check early that a file can be written; ArgumentError, naming ``what``, if not."""
    if path.is_dir():
        raise ArgumentError(f"{what} {path} is a folder; pass the path of a file")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            return
    except OSError as error:
        raise ArgumentError(_cannot_write(path, what, error)) from error


@contextlib.contextmanager
def staged(out: Path, what: str) -> Iterator[Path]:
    """A scratch folder; the files in its ``results`` move to ``out`` if the block succeeds.

    Files of the same name are replaced; other files in ``out`` are kept. After an error ``out`` is
    unchanged, and is not created if it did not exist.

    Raises:
        ArgumentError: ``out`` is not writable; ``what`` names the argument it came from.
    """
    try:
        # On the file system of ``out``, so that files can be renamed into place.
        scratch = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=_nearest_folder(out)))
    except OSError as error:
        raise ArgumentError(_cannot_write(out, what, error)) from error
    try:
        (scratch / "results").mkdir()
        yield scratch
        out.mkdir(parents=True, exist_ok=True)
        for file in sorted((scratch / "results").iterdir()):
            os.replace(file, out / file.name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def check_new_file(path: Path, suffix: str, what: str) -> None:
    """Raise :class:`ArgumentError` unless ``path`` ends in ``suffix``, is new and can be written.

    Args:
        path: of a file to be written later.
        suffix: in lower case, with the dot.
        what: the option that named it.
    """
    if path.suffix.lower() != suffix:
        raise ArgumentError(f"{what} {path} has the wrong suffix; expected {suffix}")
    if path.exists():
        raise ArgumentError(f"{what} {path} exists; pass the path of a new file")
    check_writable(path, what)


def _nearest_folder(path: Path) -> Path:
    """The path itself if it exists, else its closest existing parent."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _cannot_write(path: Path, what: str, error: OSError) -> str:
    return f"{what} {path} cannot be written ({error.strerror}); pass a writable folder"


def _umask() -> int:
    value = os.umask(0o022)
    os.umask(value)
    return value
