"""Read SQLite files of ROS 2 (.db3) and ROS 1 bags (.bag) with the rosbags library."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from bisenet_ros.errors import DataError
from bisenet_ros.recordings.storage import CDR, ROS1, Channel, Loss, StoredMessage, normal_type
from bisenet_ros.system.optional import needed


class RosbagStorage:
    """A .db3 or .bag file; see :class:`~bisenet_ros.recordings.storage.Storage`.

    Damage ends the reading of a .db3 or .bag where it lies; what came before is read.

    Args:
        path: the file.
        name: what to call it in errors; another than the path where that is an unpacked copy.
        loss: of the bag it belongs to; what cannot be read is added.

    Raises:
        DataError: it cannot be opened, or is not a bag of its kind.
    """

    def __init__(self, path: Path, name: Path, loss: Loss) -> None:
        self.path = path
        self.name = name
        self.is_ros1 = path.suffix == ".bag"
        self.loss = loss
        reader = self._opened()
        try:
            encoding = ROS1 if self.is_ros1 else CDR
            self._channels = {
                connection.id: Channel(
                    connection.topic,
                    normal_type(connection.msgtype),
                    ROS1 if self.is_ros1 else getattr(connection.ext, "serialization_format", CDR),
                    connection.msgcount,
                )
                for connection in reader.connections
            }
            self.channels = _merged(self._channels.values(), encoding)
            loss.total_bytes += path.stat().st_size
            empty = not any(channel.messages for channel in self.channels)
            self.start_ns = 0 if empty else int(reader.start_time)
            self.end_ns = 0 if empty else int(reader.end_time) - 1
        finally:
            reader.close()

    def messages(self, topics: Collection[str]) -> Iterator[StoredMessage]:
        """Messages in the order of their log times."""
        reader = self._opened()  # one each, since its readers share a place in the file
        try:
            chosen = [c for c in reader.connections if c.topic in topics]
            if not chosen:
                return
            read = 0
            try:
                for connection, log_ns, data in reader.messages(chosen):
                    yield StoredMessage(self._channels[connection.id], log_ns, bytes(data))
                    read += 1
            except GeneratorExit:
                raise
            except Exception as error:  # sqlite, bz2, lz4, struct, assert: whatever damage leads to
                missing = sum(connection.msgcount for connection in chosen) - read
                reason = f"{_reason(error)}, so that {missing} messages are missing"
                if reason not in self.loss.reasons:
                    self.loss.add(reason)
        finally:
            reader.close()

    def close(self) -> None:
        """Nothing is kept open."""

    def _opened(self) -> Any:
        what = "reading ROS 1 bags" if self.is_ros1 else "reading .db3 bags"
        module = "rosbags.rosbag1" if self.is_ros1 else "rosbags.rosbag2"
        try:
            reader = needed(module, "tools", what).Reader(self.path)
            reader.open()
        except DataError:
            raise
        except Exception as error:  # of whatever kind the library lets through
            kind = "a ROS 1 bag" if self.is_ros1 else "a rosbag2 .db3"
            hint = "; rosbag reindex may help" if self.is_ros1 else ""
            raise DataError(
                f"{self.name} cannot be opened as {kind} ({_reason(error)}){hint}"
            ) from error
        return reader


def _merged(channels: Collection[Channel], encoding: str) -> tuple[Channel, ...]:
    """One channel per topic and type: a ROS 1 bag has one for each publisher."""
    counts: dict[tuple[str, str, str], int] = {}
    for channel in channels:
        key = (channel.topic, channel.type, channel.encoding or encoding)
        counts[key] = counts.get(key, 0) + channel.messages
    return tuple(Channel(*key, count) for key, count in counts.items())


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
