"""Unpacks the zips that labelling tools export, into a folder that goes when the program ends."""

from __future__ import annotations

import atexit
import os
import posixpath
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path

from bisenet_ros.datasets.names import fold
from bisenet_ros.errors import DataError

GIB = 2**30
LARGEST_FILE = 2 * GIB
LARGEST_SET = 64 * GIB
SPARE = GIB  # bytes of disk that are left to others
# Pictures hardly shrink in a zip and JSON about tenfold; small archives may do what they like.
LARGEST_RATIO, SMALL = 100, GIB // 4
MOST_FILES = 2_000_000
PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
LISTS = (".json", ".jsonl", ".txt", ".csv", ".xml", ".yaml", ".yml", ".parquet")
NEEDED = PICTURES + LISTS
_BLOCK = 1 << 20
_ENCRYPTED = 0x1  # bit of a member's flags

_unpacked: dict[tuple[str, int, int], Path] = {}


def is_archive(path: Path) -> bool:
    """Whether the path is a file that calls itself a zip."""
    return path.is_file() and path.suffix.lower() == ".zip"


def unpacked(path: Path) -> Path:
    """The folder with what the zip holds of pictures and label files.

    It lies in the system's folder for temporary files (TMPDIR) and is removed when this process
    ends. The same zip is unpacked once.

    Raises:
        DataError: it is no zip, is encrypted or broken, a member leads out of it or is a link, two
            members have one name, or it would take too much disk.
    """
    found = path.stat()
    key = (str(path.resolve()), found.st_size, found.st_mtime_ns)
    if key not in _unpacked:
        place = temporary_folder()
        try:
            _unpack(path, place / path.name)
        except BaseException:
            _remove(place, os.getpid())
            raise
        _unpacked[key] = place / path.name
    return _unpacked[key]


def temporary_folder() -> Path:
    """A new folder in the system's place for temporary files, removed when this process ends."""
    place = Path(tempfile.mkdtemp(prefix="bisenet_ros-"))
    atexit.register(_remove, place, os.getpid())
    return place


def _remove(place: Path, owner: int) -> None:
    """Remove a folder, unless this is a process that was forked from the one that made it."""
    if os.getpid() == owner:
        shutil.rmtree(place, ignore_errors=True)


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            _check_names(path, members)
            wanted = [m for m in members if m.filename.lower().endswith(NEEDED)]
            _check_sizes(path, wanted, folder.parent)
            folder.mkdir()
            for member in wanted:
                _extract(archive, member, folder / member.filename, path)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path} is not a whole zip ({error}); export or copy it again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be unpacked to {folder}: {error.strerror}") from error


def _check_names(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MOST_FILES:
        raise DataError(f"{path} holds {len(members)} files; expected {MOST_FILES} at most")
    seen: dict[str, str] = {}
    for member in members:
        name = member.filename
        parts = name.split("/")
        if name.startswith("/") or ".." in parts or "\\" in name or ":" in parts[0]:
            raise DataError(
                f"{path} holds {name!r}, which leads out of it; refused, since it would be written "
                "elsewhere: pack the set again"
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise DataError(f"{path} holds the link {name!r}; pack the file it points to instead")
        if member.flag_bits & _ENCRYPTED:
            raise DataError(f"{path} is encrypted; unpack it yourself, and give the folder")
        same = seen.setdefault(posixpath.normpath(name), name)
        if same is not name:
            raise DataError(f"{path} holds {fold(name)!r} twice; pack the set again")


def _check_sizes(path: Path, members: list[zipfile.ZipInfo], place: Path) -> None:
    total = sum(member.file_size for member in members)
    limit = min(LARGEST_SET, shutil.disk_usage(place).free - SPARE)
    packed = path.stat().st_size
    if total > limit:
        raise DataError(
            f"{path} would take {total / GIB:.1f} GiB in {place.parent}, where {limit / GIB:.1f} "
            "are to be had; unpack it yourself and give the folder, or set TMPDIR"
        )
    if total > SMALL and total > LARGEST_RATIO * packed:
        raise DataError(
            f"{path} of {packed / 2**20:.1f} MiB claims to hold {total / GIB:.1f} GiB; refused as "
            "a zip bomb: if it is none, unpack it yourself and give the folder"
        )
    for member in members:
        if member.file_size > LARGEST_FILE:
            raise DataError(
                f"{path} holds {member.filename!r} of {member.file_size / GIB:.1f} GiB; expected "
                f"{LARGEST_FILE // GIB} at most: unpack it yourself and give the folder"
            )


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, path: Path) -> None:
    """Write one member; not ``extract``, which changes names and believes the sizes it is told."""
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with archive.open(member) as source, target.open("xb") as file:
        while block := source.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise DataError(f"{path} holds more of {member.filename!r} than it says; refused")
            file.write(block)
