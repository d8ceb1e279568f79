"""From a bag's path to the files it consists of, compressed or split, complete or not."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bisenet_ros.errors import DataError
from bisenet_ros.recordings.mcap_storage import McapStorage
from bisenet_ros.recordings.rosbag_storage import RosbagStorage
from bisenet_ros.recordings.storage import Channel, Loss, Storage, StoredMessage
from bisenet_ros.system.optional import needed
from bisenet_ros.system.paths import check_regular

SUFFIXES = (".mcap", ".db3", ".bag")
ZSTD = ".zstd"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
EXPECTED = (
    "expected a rosbag2 folder, a .mcap or .db3 file (also with .zstd at its end), or a ROS 1 .bag"
)


def is_bag(path: Path) -> bool:
    """Whether a path looks like a bag, by its name or, of a folder, by what lies in it."""
    if path.is_dir():
        return (path / "metadata.yaml").is_file() or _is_interrupted(path)
    return _kind(path) in SUFFIXES


def open_bag(path: Path) -> Storage:
    """Open a bag of any kind; close it afterwards.

    Raises:
        DataError: it is missing, is no bag, or holds nothing that can be read.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; {EXPECTED}")
    check_regular(path)
    if path.is_dir():
        return _open_folder(path)
    if _kind(path) not in SUFFIXES:
        raise DataError(f"{path} is not a bag; {EXPECTED}")
    return _Files(path, [path], Loss())


def _kind(path: Path) -> str:
    """The suffix that says how a file is stored, compressed or not."""
    return path.with_suffix("").suffix if path.suffix == ZSTD else path.suffix


def _files_in(folder: Path) -> list[Path]:
    """Bag files of a folder in the order they were recorded, as their numbers say."""
    found = [path for path in folder.iterdir() if path.is_file() and _kind(path) in SUFFIXES]
    return sorted(found, key=natural)


def natural(path: Path) -> list[tuple[int, str]]:
    """A sorting key that puts frame2 before frame10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part.lower()) for part in parts]


@dataclass(frozen=True)
class _Metadata:
    """What metadata.yaml says, as far as it helps: the files, and how many messages they hold."""

    files: list[str]
    messages: int


def _read_metadata(path: Path) -> _Metadata | None:
    """What the file says; None where it is missing or is not what rosbag2 writes."""
    try:
        found: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = found["rosbag2_bagfile_information"]
        files = [Path(name).name for name in found["relative_file_paths"]]
        return _Metadata(files, int(found["message_count"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return None


class _Files:
    """Bag files read one after another; compressed ones are unpacked while they are read."""

    def __init__(self, name: Path, paths: list[Path], loss: Loss) -> None:
        self.loss = loss
        self._scratch = tempfile.TemporaryDirectory(prefix="bisenet_ros-bag-")
        self._unpacked: dict[Path, tuple[Path, int]] = {}
        self._storages: dict[Path, Storage] = {}
        try:
            failure = self._look_through(paths)
        except BaseException:
            self.close()
            raise
        if not self._storages:
            self.close()
            raise failure or DataError(f"{name} is empty; {EXPECTED}")
        counts: dict[tuple[str, str, str], int] = {}
        for channel in (c for storage in self._storages.values() for c in storage.channels):
            key = (channel.topic, channel.type, channel.encoding)
            counts[key] = counts.get(key, 0) + channel.messages
        self.channels = tuple(Channel(*key, count) for key, count in sorted(counts.items()))
        loss.stored_messages = sum(counts.values())
        used = [s for s in self._storages.values() if any(c.messages for c in s.channels)]
        self.start_ns = min((storage.start_ns for storage in used), default=0)
        self.end_ns = max((storage.end_ns for storage in used), default=0)

    def messages(self, topics: Collection[str]) -> Iterator[StoredMessage]:
        """Messages of one file after another, each in the order of its log times."""
        for path, storage in self._storages.items():
            with self._plain(path):
                for message in storage.messages(topics):
                    yield _whole(message)

    def close(self) -> None:
        """Remove what was unpacked."""
        self._scratch.cleanup()

    def _look_through(self, paths: list[Path]) -> DataError | None:
        """Open every file once; the first error of those that cannot be read, if any."""
        first: DataError | None = None
        for path in paths:
            try:
                with self._plain(path) as plain:
                    kind = McapStorage if plain.suffix == ".mcap" else RosbagStorage
                    self._storages[path] = kind(plain, path, self.loss)
            except DataError as error:
                first = first or error
                self.loss.add(str(error), path.stat().st_size)
        return first

    @contextlib.contextmanager
    def _plain(self, path: Path) -> Iterator[Path]:
        """The file itself, or an unpacked copy that is there as long as anyone reads it."""
        if path.suffix != ZSTD:
            yield path
            return
        copy, readers = self._unpacked.get(path, (None, 0))
        if copy is None:
            copy = self._unpack(path)
        self._unpacked[path] = (copy, readers + 1)
        try:
            yield copy
        finally:
            copy, readers = self._unpacked.pop(path)
            if readers > 1:
                self._unpacked[path] = (copy, readers - 1)
            else:
                copy.unlink(missing_ok=True)

    def _unpack(self, path: Path) -> Path:
        """Unpack as much of a file as can be."""
        zstd = needed("zstandard", "tools", "reading compressed bags")
        copy = Path(self._scratch.name) / path.with_suffix("").name
        reason = "it is cut short"
        try:
            with path.open("rb") as packed, copy.open("wb") as unpacked:
                reader = zstd.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
                shutil.copyfileobj(reader, unpacked)
        except zstd.ZstdError as error:
            reason = str(error)
            told = f"{path.name} cannot be unpacked to its end ({reason})"
            if told not in self.loss.reasons:  # the file may be unpacked once more
                self.loss.add(told)
        except OSError as error:
            raise DataError(
                f"{path} cannot be unpacked into {copy.parent}: {error.strerror}; make room there, "
                "or set TMPDIR to a folder with more"
            ) from error
        if not copy.stat().st_size:
            raise DataError(f"{path} cannot be unpacked ({reason}); copy it again")
        return copy


def _whole(message: StoredMessage) -> StoredMessage:
    """A message as it was published, if rosbag2 compressed it on its own."""
    # No serialised message begins like this: CDR has 00 00 or 00 01, ROS 1 a small number.
    if message.data[:4] != _ZSTD_MAGIC:
        return message
    zstd = needed("zstandard", "tools", "reading compressed messages")
    try:
        data = zstd.ZstdDecompressor().decompressobj().decompress(message.data)
    except zstd.ZstdError:
        return message  # broken: whoever reads the message finds out, and counts it
    return message._replace(data=data)


def _open_folder(folder: Path) -> Storage:
    """A rosbag2 folder, with metadata.yaml or, if the recording was interrupted, without."""
    metadata = _read_metadata(folder / "metadata.yaml")
    loss = Loss()
    if metadata is not None:
        listed = [folder / name for name in metadata.files]
        loss.expected_messages = metadata.messages
    elif (folder / "metadata.yaml").exists() or _is_interrupted(folder):
        listed = _files_in(folder)
        state = "cannot be read" if (folder / "metadata.yaml").exists() else "is missing"
        loss.add(f"metadata.yaml {state}")
    else:
        inside = ", ".join(path.name for path in _files_in(folder)[:5])
        hint = f"pass one of its bags: {inside}" if inside else EXPECTED
        raise DataError(f"{folder} is not a bag; {hint}")
    paths = [path for path in listed if path.is_file()]
    for path in listed:
        if path not in paths:
            loss.add(f"{path.name} is missing")
    if not paths:
        raise DataError(f"{folder} holds no bag file; {EXPECTED}")
    return _Files(folder, paths, loss)


def _is_interrupted(folder: Path) -> bool:
    """Whether a folder without metadata.yaml is one recording: rosbag2 names files after it."""
    files = _files_in(folder)
    return len(files) == 1 or (
        bool(files) and all(path.name.startswith(f"{folder.name}_") for path in files)
    )
