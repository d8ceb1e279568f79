"""Reads rosbag2 recordings without ROS: their topics, and their messages in order."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bisenet_ros.errors import ArgumentError, DataError
from bisenet_ros.system.paths import check_regular

if TYPE_CHECKING:
    from types import TracebackType

    from rosbags.interfaces import Connection
    from rosbags.typesys.store import Typestore

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
BAG_SUFFIXES = (".mcap", ".db3")
# Last part of the names of image topics that are not cameras: ground truth and node outputs.
NOT_CAMERAS = frozenset({"label", "labels", "mask", "confidence", "overlay"})
_TRANSPORT = "/compressed"  # image_transport's suffix of a compressed topic


@dataclass(frozen=True)
class Topic:
    """A topic of a bag: its name, its type (``package/msg/Name``) and how many messages it has."""

    name: str
    type: str
    count: int

    @property
    def is_image(self) -> bool:
        """Whether it carries images, raw or compressed."""
        return self.type in (IMAGE, COMPRESSED)

    @property
    def base(self) -> str:
        """The name without image_transport's suffix: ``/camera/image_raw``."""
        compressed = self.type == COMPRESSED and self.name.endswith(_TRANSPORT)
        return self.name[: -len(_TRANSPORT)] if compressed else self.name

    @property
    def camera_info(self) -> str:
        """Name of the CameraInfo topic that camera drivers publish alongside."""
        return self.base.rpartition("/")[0] + "/camera_info"


@dataclass(frozen=True, eq=False)
class Message:
    """A message as recorded.

    Attributes:
        topic: where it was published.
        stamp_ns: header stamp in ns; the log time if it has no header or a zero stamp.
        log_ns: when it was recorded, in ns.
        cdr: the serialised message, encapsulation header included.
    """

    topic: Topic
    stamp_ns: int
    log_ns: int
    cdr: bytes
    bag: Bag

    @cached_property
    def content(self) -> Any:
        """The message itself, its fields as attributes, arrays as NumPy arrays.

        Raises:
            DataError: the bytes are not a message of the topic's type.
        """
        return self.bag.deserialise(self)


class Bag:
    """An open rosbag2: a folder with metadata.yaml, or a single ``.mcap`` or ``.db3``.

    Close it, or use it in a ``with`` block.

    Raises:
        ArgumentError: the library that reads bags is not installed.
        DataError: the bag is missing, truncated or otherwise unreadable.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        _check_exists(self.path)
        reader = _reader_class()
        with self._reading("cannot be opened as a rosbag2"):
            self._reader = reader(self.path)
            self._reader.open()
        self._stores: dict[str, Typestore] = {}
        counts: dict[tuple[str, str], int] = {}
        for connection in self._reader.connections:
            key = (connection.topic, connection.msgtype)
            counts[key] = counts.get(key, 0) + connection.msgcount
        self.topics = tuple(Topic(*key, count) for key, count in sorted(counts.items()))

    def close(self) -> None:
        """Close the files; messages already read stay valid."""
        if self._reader.is_open:
            self._reader.close()

    def __enter__(self) -> Bag:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def find(self, name: str) -> Topic:
        """The topic of that name; if there is none, a DataError that lists all topics."""
        for topic in self.topics:
            if topic.name == name:
                return topic
        raise DataError(f"{self.path} has no topic {name}; it has {_listed(self.topics)}")

    def image_topic(self, name: str | None = None) -> Topic:
        """The image topic of that name, or the only one that looks like a camera's.

        Raises:
            DataError: the topic is missing or does not carry images, or the choice is not
                unique; the message lists the candidates.
        """
        images = [topic for topic in self.topics if topic.is_image]
        if name is not None:
            found = self.find(name)
            if not found.is_image:
                raise DataError(
                    f"topic {name} of {self.path} is {found.type}; expected images: "
                    f"{_listed(images)}"
                )
            return found
        cameras = [topic for topic in images if topic.base.split("/")[-1] not in NOT_CAMERAS]
        if len(cameras) == 1:
            return cameras[0]
        if not cameras:
            raise DataError(f"{self.path} has no camera image topic; it has {_listed(self.topics)}")
        raise DataError(f"{self.path} has several image topics; choose one: {_listed(cameras)}")

    def messages(self, topics: Sequence[Topic]) -> Iterator[Message]:
        """Messages of the topics in the order they were recorded.

        Raises:
            DataError: the file is truncated or damaged; raised on reaching that point.
        """
        chosen = {(topic.name, topic.type): topic for topic in topics}
        connections = [c for c in self._reader.connections if (c.topic, c.msgtype) in chosen]
        if not connections:
            return
        with self._reading("is damaged"):
            for connection, log_ns, cdr in self._reader.messages(connections):
                topic = chosen[connection.topic, connection.msgtype]
                stamp_ns = _header_stamp(cdr) if self._has_header(topic) else 0
                yield Message(topic, stamp_ns or log_ns, log_ns, bytes(cdr), self)

    def deserialise(self, message: Message) -> Any:
        """What :attr:`Message.content` returns."""
        with self._reading(f"has a broken message on {message.topic.name}"):
            return self._types(message.topic.type).deserialize_cdr(message.cdr, message.topic.type)

    def _has_header(self, topic: Topic) -> bool:
        definition = self._types(topic.type).fielddefs.get(topic.type)
        fields = definition[1] if definition else []
        return bool(fields) and fields[0][0] == "header"

    def _types(self, kind: str) -> Typestore:
        """The type store of one type, from the bag's own definition if it embeds one.

        One store per type, so that a bad definition of a topic that is not read does no harm.
        """
        if kind not in self._stores:
            connection = next(c for c in self._reader.connections if c.msgtype == kind)
            with self._reading(f"has an unreadable definition of {kind}"):
                self._stores[kind] = _store(connection)
        return self._stores[kind]

    @contextlib.contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        # The library passes on errors of its decoders (struct, zstd, YAML, assert), depending on
        # where the damage is; to the user they all mean the same.
        try:
            yield
        except DataError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{self.path} {what} ({reason}); expected {_EXPECTED}") from error


_EXPECTED = "a folder with metadata.yaml, a .mcap or a .db3, complete and no longer being recorded"


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise DataError(f"{path} does not exist; expected {_EXPECTED}")
    if path.is_dir() and not (path / "metadata.yaml").is_file():
        inside = sorted(p.name for p in path.iterdir() if p.suffix in BAG_SUFFIXES)
        hint = f"; pass {path / inside[0]} instead" if inside else f"; expected {_EXPECTED}"
        raise DataError(f"{path} has no metadata.yaml{hint}")
    for file in [path, *(path.iterdir() if path.is_dir() else [])]:
        check_regular(file)
    if path.is_file() and path.suffix not in BAG_SUFFIXES:
        raise DataError(f"{path} is not a rosbag2; expected {_EXPECTED}")


def _reader_class() -> Any:
    try:
        from rosbags.rosbag2 import Reader
    except ModuleNotFoundError as error:
        raise ArgumentError(
            f"reading bags needs {error.name}, which is not installed; "
            "pip install 'bisenet_ros[tools]'"
        ) from error
    return Reader


def _store(connection: Connection) -> Typestore:
    from rosbags.interfaces import MessageDefinitionFormat
    from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

    definition = connection.msgdef
    if definition.format == MessageDefinitionFormat.NONE:  # a .db3 of Humble embeds none
        return get_typestore(Stores.ROS2_HUMBLE)
    store = get_typestore(Stores.EMPTY)
    if definition.format == MessageDefinitionFormat.MSG:
        store.register(get_types_from_msg(definition.data, connection.msgtype))
        return store
    separator = "=" * 80 + "\n"
    for part in definition.data.split(separator):
        # Each of several definitions starts with a line "IDL: package/msg/Name".
        body = part.split("\n", 1)[1] if part.startswith("IDL: ") else part
        if body.strip():
            store.register(get_types_from_idl(body))
    return store


def _header_stamp(cdr: bytes) -> int:
    """Stamp in ns of a message that begins with a std_msgs/Header, without decoding the rest."""
    order = "<" if cdr[1] & 1 else ">"
    seconds, nanoseconds = struct.unpack_from(f"{order}iI", cdr, 4)
    return seconds * 10**9 + nanoseconds


def _listed(topics: Sequence[Topic]) -> str:
    return ", ".join(f"{t.name} ({t.type}, {t.count})" for t in topics) or "no topics"
