"""Read an mcap file, whole or damaged, indexed or not.

The file format is https://mcap.dev/spec. With a summary at its end, messages are found by the
chunk index, and a damaged chunk costs its own messages only. Without one (the recorder was killed,
the file was cut short, or the writer left it out), the file is walked through once to build that
index, up to the first record that makes no sense.
"""

from __future__ import annotations

import contextlib
import heapq
import io
import struct
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from bisenet_ros.errors import DataError
from bisenet_ros.recordings.storage import Channel, Loss, StoredMessage, normal_type
from bisenet_ros.system.optional import needed

MAGIC = b"\x89MCAP0\r\n"
_HEAD = struct.Struct("<BQ")  # opcode, length
_MESSAGE = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time
_FOOTER = struct.Struct("<QQI")  # summary start, summary offset start, crc
_SCHEMA_CODE, _CHANNEL_CODE, _MESSAGE_CODE, _CHUNK_CODE = 0x03, 0x04, 0x05, 0x06
_CHUNK_INDEX_CODE, _STATISTICS_CODE, _DATA_END_CODE = 0x08, 0x0B, 0x0F
_FOOTER_CODE, _LAST_CODE = 0x02, 0x0F
_OWN_CODES = 0x80  # from here on, records are private to an application
_RUN_BYTES = 4 << 20  # messages outside chunks are read together up to this size


class _Block(NamedTuple):
    """A piece of the file that holds messages: a chunk, or messages in a row outside chunks.

    Attributes:
        start_ns, end_ns: log times of its first and last message.
        offset, length: in bytes, with the record's head.
        chunk: whether it is a chunk.
        channels: ids of the channels it has messages of; None where that is not known.
    """

    start_ns: int
    end_ns: int
    offset: int
    length: int
    chunk: bool
    channels: frozenset[int] | None


@dataclass
class _Contents:
    """What an index says, or a walk through the file found."""

    schemas: dict[int, Any] = field(default_factory=dict)
    channels: dict[int, Any] = field(default_factory=dict)
    counts: Counter[int] = field(default_factory=Counter)
    blocks: list[_Block] = field(default_factory=list)
    statistics: Any = None


class McapStorage:
    """An mcap file; see :class:`~bisenet_ros.recordings.storage.Storage`.

    Args:
        path: the file.
        name: what to call it in errors; another than the path where that is an unpacked copy.
        loss: of the bag it belongs to; what cannot be read is added.

    Raises:
        DataError: it cannot be opened, is not an mcap, or holds nothing that can be read.
    """

    def __init__(self, path: Path, name: Path, loss: Loss) -> None:
        self.path = path
        self.name = name
        self._records = needed("mcap.records", "tools", "reading mcap files")
        self._stream = needed("mcap.data_stream", "tools", "reading mcap files").ReadDataStream
        self._breakup = needed("mcap.stream_reader", "tools", "reading mcap files").breakup_chunk
        self.loss = loss
        self._damages: set[int] = set()
        with self._opened() as file:
            self._size = file.seek(0, io.SEEK_END)
            loss.total_bytes += self._size
            self._check_magic(file)
            found = self._summary(file)
            if found is None:
                found = self._walk(file)
        self._blocks = sorted(found.blocks)
        self._channels = {
            key: Channel(
                channel.topic,
                self._type(found, channel),
                channel.message_encoding,
                found.counts[key],
            )
            for key, channel in found.channels.items()
        }
        self.channels = tuple(self._channels.values())
        self.start_ns = min((block.start_ns for block in self._blocks), default=0)
        self.end_ns = max((block.end_ns for block in self._blocks), default=0)

    def messages(self, topics: Collection[str]) -> Iterator[StoredMessage]:
        """Messages in the order of their log times; those of one time in the file's order.

        Chunks may overlap in time; those that do are held together, others are not.
        """
        wanted = {key: c for key, c in self._channels.items() if c.topic in topics}
        pending: list[tuple[int, int, Channel, bytes]] = []
        order = 0  # decides between messages of one log time, whose bytes need no comparing
        with self._opened() as file:
            for block in self._blocks:
                if block.channels is not None and not block.channels & wanted.keys():
                    continue
                while pending and pending[0][0] < block.start_ns:
                    yield _stored(heapq.heappop(pending))
                for key, log_ns, data in self._read(file, block):
                    if key in wanted:
                        heapq.heappush(pending, (log_ns, order, wanted[key], data))
                        order += 1
            while pending:
                yield _stored(heapq.heappop(pending))

    def close(self) -> None:
        """Nothing is kept open."""

    @contextlib.contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        try:
            with self.path.open("rb") as file:
                yield file
        except OSError as error:
            raise DataError(f"{self.name} cannot be read: {error.strerror}") from error

    def _check_magic(self, file: BinaryIO) -> None:
        file.seek(0)
        start = file.read(len(MAGIC))
        if not start:
            raise DataError(f"{self.name} is empty; copy or record it again")
        if start != MAGIC:
            raise DataError(f"{self.name} is not an mcap file; expected one that begins with MCAP0")

    def _type(self, found: _Contents, channel: Any) -> str:
        schema = found.schemas.get(channel.schema_id)
        return normal_type(schema.name) if schema else "unknown"

    def _summary(self, file: BinaryIO) -> _Contents | None:
        """What the summary says; None if there is none, it is damaged, or it lists no chunks."""
        size = self._size
        tail = _HEAD.size + _FOOTER.size + len(MAGIC)
        if size < len(MAGIC) + tail:
            return None
        file.seek(size - tail)
        footer = file.read(tail)
        if footer[-len(MAGIC) :] != MAGIC or footer[0] != _FOOTER_CODE:
            return None
        start, _, _ = _FOOTER.unpack_from(footer, _HEAD.size)
        if not len(MAGIC) <= start < size - tail:
            return None
        file.seek(start)
        try:
            found = self._parse_summary(file.read(size - tail - start))
        except Exception:  # whatever the parser makes of damaged bytes
            return None
        statistics = found.statistics
        if statistics is None or (statistics.message_count and not found.blocks):
            return None  # messages lie outside chunks, or nobody counted
        found.counts.update(statistics.channel_message_counts)
        # Writers may leave channels and schemas out of the summary; then only the chunks have them.
        used = [found.channels.get(key) for key, count in found.counts.items() if count]
        told = all(c is not None and c.schema_id in (0, *found.schemas) for c in used)
        return found if told else None

    def _parse_summary(self, content: bytes) -> _Contents:
        records, found = self._records, _Contents()
        for code, body in _split(content):
            stream = self._stream(io.BytesIO(body))
            if code == _SCHEMA_CODE:
                schema = records.Schema.read(stream)
                found.schemas[schema.id] = schema
            elif code == _CHANNEL_CODE:
                channel = records.Channel.read(stream)
                found.channels[channel.id] = channel
            elif code == _STATISTICS_CODE:
                found.statistics = records.Statistics.read(stream)
            elif code == _CHUNK_INDEX_CODE:
                index = records.ChunkIndex.read(stream)
                listed = frozenset(index.message_index_offsets) or None
                found.blocks.append(
                    _Block(
                        index.message_start_time,
                        index.message_end_time,
                        index.chunk_start_offset,
                        index.chunk_length,
                        True,
                        listed,
                    )
                )
        return found

    def _walk(self, file: BinaryIO) -> _Contents:
        """Find everything by reading the file from its beginning, as far as it makes sense."""
        found, size = _Contents(), self._size
        position = len(MAGIC)
        run: _Block | None = None
        while True:
            file.seek(position)
            head = file.read(_HEAD.size)
            code, length = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
            end = position + _HEAD.size + length
            known = 0 < code <= _LAST_CODE or code >= _OWN_CODES
            if not known or end > size:
                self._cut_short(position)
                break
            if code in (_DATA_END_CODE, _FOOTER_CODE):
                break
            if code == _MESSAGE_CODE:
                run = self._grow(run, file, position, end, found)
            elif code in (_CHUNK_CODE, _SCHEMA_CODE, _CHANNEL_CODE):
                self._look_into(file, position, end, code, found)
            position = end
        if run is not None:
            found.blocks.append(run)
        if not found.counts:
            why = self.loss.sentence() or "it has no messages"
            raise DataError(f"{self.name} holds nothing that can be read ({why})")
        return found

    def _cut_short(self, position: int) -> None:
        size = self._size
        where = "the file ends early" if position < size else "the file has no end mark"
        self.loss.add(f"{where}, at byte {position} of {size}", size - position)

    def _grow(
        self, run: _Block | None, file: BinaryIO, position: int, end: int, found: _Contents
    ) -> _Block | None:
        """The run of messages outside chunks, one longer; a run that is over is put away."""
        body = file.read(_MESSAGE.size)
        if end - position < _HEAD.size + _MESSAGE.size:
            self.loss.add("a message record is too short", end - position)
            return run
        key, _, log_ns, _ = _MESSAGE.unpack(body)
        found.counts[key] += 1
        new = _Block(log_ns, log_ns, position, end - position, False, frozenset({key}))
        if run is None:
            return new
        if run.offset + run.length != position or run.length > _RUN_BYTES:
            found.blocks.append(run)
            return new
        return _Block(
            min(run.start_ns, log_ns),
            max(run.end_ns, log_ns),
            run.offset,
            end - run.offset,
            False,
            (run.channels or frozenset()) | {key},
        )

    def _look_into(
        self, file: BinaryIO, position: int, end: int, code: int, found: _Contents
    ) -> None:
        """Note the schemas, channels and messages of a record; count it as lost if it is broken."""
        file.seek(position)
        try:
            records = list(self._records_of(file.read(end - position), code))
        except Exception as error:
            self._damaged(error, position, end - position)
            return
        times = []
        keys: Counter[int] = Counter()
        for record in records:
            if isinstance(record, self._records.Schema):
                found.schemas[record.id] = record
            elif isinstance(record, self._records.Channel):
                found.channels[record.id] = record
            else:
                times.append(record.log_time)
                keys[record.channel_id] += 1
        if times:
            found.counts.update(keys)
            found.blocks.append(
                _Block(min(times), max(times), position, end - position, True, frozenset(keys))
            )

    def _records_of(self, content: bytes, code: int) -> Iterator[Any]:
        """The schemas, channels and messages in a record's bytes, head included."""
        stream = self._stream(io.BytesIO(content[_HEAD.size :]))
        if code == _SCHEMA_CODE:
            yield self._records.Schema.read(stream)
        elif code == _CHANNEL_CODE:
            yield self._records.Channel.read(stream)
        else:
            chunk = self._records.Chunk.read(stream)
            yield from self._breakup(chunk, validate_crc=True)

    def _read(self, file: BinaryIO, block: _Block) -> list[tuple[int, int, bytes]]:
        """(channel id, log time, data) of a block's messages; none of a chunk that is damaged."""
        file.seek(block.offset)
        content = file.read(block.length)
        try:
            if len(content) < block.length:
                raise ValueError("the file ends early")
            if not block.chunk:
                return [_message(body) for code, body in _split(content) if code == _MESSAGE_CODE]
            if content[0] != _CHUNK_CODE:
                raise ValueError("there is no chunk where the index says")
            return [
                (record.channel_id, record.log_time, record.data)
                for record in self._records_of(content, _CHUNK_CODE)
                if isinstance(record, self._records.Message)
            ]
        except Exception as error:  # zstd, lz4, struct, check sums: whatever damage leads to
            self._damaged(error, block.offset, block.length)
            return []

    def _damaged(self, error: Exception, offset: int, length: int) -> None:
        if offset in self._damages:  # met before, by another reader of the same bag
            return
        self._damages.add(offset)
        reason = " ".join(str(error).split()) or type(error).__name__
        reason = "wrong check sum" if "crc" in reason else reason
        self.loss.add(f"a damaged chunk ({reason})", length)


def _stored(pending: tuple[int, int, Channel, bytes]) -> StoredMessage:
    log_ns, _, channel, data = pending
    return StoredMessage(channel, log_ns, data)


def _message(body: bytes) -> tuple[int, int, bytes]:
    key, _, log_ns, _ = _MESSAGE.unpack_from(body)
    return key, log_ns, body[_MESSAGE.size :]


def _split(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(opcode, body) of records that lie one after another."""
    position = 0
    while position < len(content):
        code, length = _HEAD.unpack_from(content, position)
        position += _HEAD.size
        if position + length > len(content):
            raise ValueError("a record is longer than what holds it")
        yield code, content[position : position + length]
        position += length
