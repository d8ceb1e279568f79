"""Recordings at URLs (s3://, gs://, file://, …), copied to a local cache through fsspec."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from bisenet_ros.errors import DataError
from bisenet_ros.recordings.several import is_url
from bisenet_ros.system.optional import cache_folder, needed


def local_copy(name: str, cache: Path | None = None) -> Path:
    """A path at which the recording can be read; a URL is copied into the cache first.

    A copy is used again as long as the file system reports the same size and version of the
    original. Half copies are never left under their final name.

    Args:
        name: a path, which is returned as it is, or a URL that fsspec knows.
        cache: the folder of copies; None for the user's own.

    Raises:
        DataError: it does not exist or cannot be copied.
        ArgumentError: fsspec, or what it needs for this kind of URL, is not installed.
    """
    if not is_url(name):
        return Path(name)
    fsspec = needed("fsspec", "fleet", f"reading {name}")
    try:
        system, path = fsspec.core.url_to_fs(name)
        path = path.rstrip("/")
        files = _files(system, path)
        folder = (cache or cache_folder("recordings")) / _key(name, files)
        target = folder / path.rsplit("/", 1)[-1]
        if not target.exists():
            _copy(system, path, files, folder, target.name)
        return target
    except (ImportError, ValueError) as error:  # a protocol without its package, or unknown
        raise DataError(f"{name} cannot be opened ({error}); install what fsspec names") from error
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}") from error


def _files(system: Any, path: str) -> list[dict[str, Any]]:
    """What the file system says of the file, or of each file of the folder."""
    about = system.info(path)
    if about["type"] != "directory":
        return [about]
    found = sorted(system.find(path, detail=True).values(), key=lambda one: one["name"])
    return [one for one in found if one["type"] == "file"]


def _key(name: str, files: list[dict[str, Any]]) -> str:
    versions = [
        [str(one.get(key)) for key in ("name", "size", "ETag", "etag", "mtime", "LastModified")]
        for one in files
    ]
    return hashlib.sha256(repr((name, versions)).encode()).hexdigest()[:24]


def _copy(system: Any, path: str, files: list[dict[str, Any]], folder: Path, name: str) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
    try:
        for one in files:
            inside = one["name"][len(path) :].lstrip("/") if one["name"] != path else ""
            target = scratch / name / inside if inside else scratch / name
            target.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(one["name"], str(target))
        try:
            os.replace(scratch, folder)
        except OSError:
            if not (folder / name).exists():  # else another process was faster
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
