"""Bags of every kind, whole and damaged: the same messages come back, or their loss is told."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard
from bag_formats import (
    IMAGE,
    STRING,
    Note,
    raw,
    text,
    write_mcap,
    write_ros1,
    write_rosbag2,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.writer import CompressionType, IndexType
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from bisenet_ros.errors import DataError
from bisenet_ros.recordings.bag_files import is_bag, open_bag
from bisenet_ros.recordings.storage import Channel

DRIVE = Path(__file__).parents[1] / "data" / "camvid_drive"
TOPICS = ("/cam", "/note")


def notes(count: int = 60) -> list[Note]:
    """Images and texts, a little out of order, each with bytes of its own."""
    random = np.random.default_rng(0)
    found = []
    for index in range(count):
        log = 10**9 + index * 10**7 + int(random.integers(0, 10**7))
        pixels = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        found.append(raw("/cam", log, pixels, "rgb8"))
        if index % 3 == 0:
            found.append(text("/note", log + 5, f"{index}"))
    return found


Write = Callable[[Path], Path]
NONE = CompressionType.NONE
FORMATS: dict[str, Write] = {
    "mcap folder": lambda f: write_rosbag2(f / "bag", notes()),
    "mcap file": lambda f: write_rosbag2(f / "bag", notes()) / "bag.mcap",
    "sqlite folder": lambda f: write_rosbag2(f / "bag", notes(), StoragePlugin.SQLITE3),
    "sqlite file": lambda f: write_rosbag2(f / "bag", notes(), StoragePlugin.SQLITE3) / "bag.db3",
    "mcap chunks of zstd": lambda f: write_rosbag2(
        f / "bag", notes(), compression=CompressionMode.STORAGE
    ),
    "mcap file.zstd in folder": lambda f: write_rosbag2(
        f / "bag", notes(), compression=CompressionMode.FILE
    ),
    "mcap file.zstd alone": lambda f: (
        write_rosbag2(f / "bag", notes(), compression=CompressionMode.FILE) / "bag.mcap.zstd"
    ),
    "mcap messages of zstd": lambda f: write_rosbag2(
        f / "bag", notes(), compression=CompressionMode.MESSAGE
    ),
    "sqlite file.zstd in folder": lambda f: write_rosbag2(
        f / "bag", notes(), StoragePlugin.SQLITE3, CompressionMode.FILE
    ),
    "sqlite messages of zstd": lambda f: write_rosbag2(
        f / "bag", notes(), StoragePlugin.SQLITE3, CompressionMode.MESSAGE
    ),
    "mcap zstd": lambda f: write_mcap(f / "a.mcap", notes()),
    "mcap lz4": lambda f: write_mcap(f / "a.mcap", notes(), compression=CompressionType.LZ4),
    "mcap without chunks": lambda f: write_mcap(f / "a.mcap", notes(), use_chunking=False),
    "mcap without any index": lambda f: write_mcap(
        f / "a.mcap",
        notes(),
        index_types=IndexType.NONE,
        use_statistics=False,
        repeat_channels=False,
        repeat_schemas=False,
        use_summary_offsets=False,
    ),
    "mcap without message index": lambda f: write_mcap(
        f / "a.mcap", notes(), index_types=IndexType.CHUNK
    ),
    "mcap without channels in its summary": lambda f: write_mcap(
        f / "a.mcap", notes(), repeat_channels=False
    ),
    "mcap without schemas in its summary": lambda f: write_mcap(
        f / "a.mcap", notes(), repeat_schemas=False
    ),
    "ROS 1": lambda f: write_ros1(f / "a.bag", notes()),
    "ROS 1 bz2": lambda f: write_ros1(f / "a.bag", notes(), bz2=True),
}


@pytest.mark.parametrize("write", FORMATS.values(), ids=FORMATS.keys())
def test_every_format_gives_the_same_messages_in_order(tmp_path: Path, write: Write):
    path = write(tmp_path)
    assert is_bag(path)
    expected = sorted(notes(), key=lambda note: note.log_ns)
    storage = open_bag(path)
    try:
        assert [c[:2] + c[3:] for c in sorted(storage.channels)] == [
            ("/cam", IMAGE, 60),
            ("/note", STRING, 20),
        ]
        encoding = storage.channels[0].encoding
        for topics in (TOPICS, ("/note",), ("/cam", "/missing"), ()):
            chosen = [note for note in expected if note.topic in topics]
            found = list(storage.messages(topics))
            assert [(m.channel.topic, m.log_ns) for m in found] == [n[:1] + n[2:3] for n in chosen]
            wanted = [n.ros1() if encoding == "ros1" else n.ros2() for n in chosen]
            assert [m.data for m in found] == wanted
        assert storage.start_ns == expected[0].log_ns
        assert storage.end_ns == expected[-1].log_ns
        assert storage.loss.sentence() == ""
        assert (storage.loss.lost_bytes, storage.loss.stored_messages) == (0, 80)
    finally:
        storage.close()


@pytest.mark.parametrize("write", FORMATS.values(), ids=FORMATS.keys())
def test_a_bag_can_be_read_twice_at_once(tmp_path: Path, write: Write):
    storage = open_bag(write(tmp_path))
    expected = [message.log_ns for message in storage.messages(("/cam",))]
    pairs = list(zip(storage.messages(("/cam",)), storage.messages(("/cam",)), strict=True))
    assert [a.log_ns for a, _ in pairs] == [b.log_ns for _, b in pairs] == expected
    half = storage.messages(("/cam",))
    next(half)
    half.close()
    assert len(list(storage.messages(("/note",)))) == 20
    storage.close()


def test_the_files_of_a_split_bag_are_read_in_the_order_of_their_numbers(tmp_path: Path):
    folder = tmp_path / "drive"
    folder.mkdir()
    for part in range(12):
        some = [text("/note", 1000 + 10 * part + i, str(i)) for i in range(3)]
        write_mcap(folder / f"drive_{part}.mcap", some)
    storage = open_bag(folder)
    logs = [message.log_ns for message in storage.messages(("/note",))]
    assert logs == sorted(logs)
    assert len(logs) == 36
    assert storage.channels == (Channel("/note", STRING, "cdr", 36),)
    assert "metadata.yaml is missing" in storage.loss.sentence()
    storage.close()


def test_a_file_of_a_split_bag_may_be_missing_or_broken(tmp_path: Path):
    folder = write_rosbag2(tmp_path / "drive", notes())
    metadata = (folder / "metadata.yaml").read_text()
    names = "relative_file_paths:\n  - drive.mcap\n  - drive_1.mcap\n  - drive_2.mcap\n"
    metadata = metadata.replace("relative_file_paths:\n  - drive.mcap\n", names)
    assert names in metadata
    (folder / "metadata.yaml").write_text(metadata)
    (folder / "drive_2.mcap").write_bytes(b"\x89MCAP0\r\n")
    storage = open_bag(folder)
    assert len(list(storage.messages(TOPICS))) == 80
    assert "drive_1.mcap is missing" in storage.loss.sentence()
    assert "drive_2.mcap holds nothing" in storage.loss.sentence()
    storage.close()


def test_a_recording_that_was_interrupted_has_no_metadata_and_no_index(tmp_path: Path):
    folder = tmp_path / "drive"
    folder.mkdir()
    whole = write_mcap(tmp_path / "whole.mcap", notes()).read_bytes()
    (folder / "drive_0.mcap").write_bytes(whole[: len(whole) // 2])
    assert is_bag(folder)
    storage = open_bag(folder)
    assert 20 < len(list(storage.messages(TOPICS))) < 50
    assert "metadata.yaml is missing; the file ends early" in storage.loss.sentence()
    storage.close()
    (folder / "drive_0.mcap").write_bytes(whole[:2000])  # within the first chunk
    assert "holds nothing that can be read (metadata.yaml is missing; the" in refusal(folder)


def cut(tmp_path: Path, share: float, **options) -> tuple[list[int], str, int]:
    """Log times read of a cut mcap, what is said of it, and how many bytes are lost."""
    whole = write_mcap(tmp_path / "whole.mcap", notes(), **options).read_bytes()
    path = tmp_path / "cut.mcap"
    path.write_bytes(whole[: int(len(whole) * share)])
    storage = open_bag(path)
    logs = [message.log_ns for message in storage.messages(TOPICS)]
    assert storage.loss.stored_messages == len(logs)
    assert storage.loss.total_bytes == path.stat().st_size
    storage.close()
    return logs, storage.loss.sentence(), storage.loss.lost_bytes


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("chunks", [True, False], ids=["chunks", "no chunks"])
def test_of_a_cut_mcap_everything_before_the_cut_is_read(
    tmp_path: Path, share: float, chunks: bool
):
    logs, said, lost = cut(tmp_path, share, use_chunking=chunks, compression=NONE)
    expected = sorted(note.log_ns for note in notes())
    # Sizes are much the same, so that the share of messages is about that of bytes.
    assert len(logs) >= 80 * share * 0.7 - 6
    missing = set(expected) - set(logs)
    assert len(missing) == 80 - len(logs)
    assert min(missing) > expected[int(len(logs) * 0.9)]  # from the end, but for disorder
    assert "ends early" in said
    assert f"{lost / 1e6:.2f} MB" in said
    assert 0 < lost < 6000


def test_only_the_index_of_an_mcap_may_be_cut_off(tmp_path: Path):
    logs, said, _ = cut(tmp_path, 0.999, use_chunking=True)
    assert len(logs) == 80
    assert said == "" or "end" in said


@pytest.mark.parametrize("compression", list(CompressionType))
def test_a_damaged_chunk_costs_its_own_messages(tmp_path: Path, compression: CompressionType):
    path = write_mcap(tmp_path / "a.mcap", notes(), compression=compression)
    whole = {note.log_ns: note.ros2() for note in notes()}
    content = bytearray(path.read_bytes())
    middle = len(content) * 2 // 5
    content[middle : middle + 40] = bytes(range(40))
    path.write_bytes(content)
    storage = open_bag(path)
    for _ in range(2):  # read twice, told once
        found = list(storage.messages(TOPICS))
        assert 60 < len(found) < 80
        assert all(message.data == whole[message.log_ns] for message in found)
        assert "damaged chunk" in storage.loss.sentence()
        assert 0 < storage.loss.lost_bytes < 9000
        assert sum(storage.loss.reasons.values()) == 1
    storage.close()


def test_what_metadata_promises_and_the_file_lacks_is_counted(tmp_path: Path):
    folder = tmp_path / "drive"
    write_rosbag2(folder, notes())
    whole = write_mcap(tmp_path / "b.mcap", notes(), compression=NONE).read_bytes()
    (folder / "drive.mcap").write_bytes(whole[: len(whole) // 2])
    storage = open_bag(folder)
    read = len(list(storage.messages(TOPICS)))
    assert f"{80 - read} of 80 messages are missing" in storage.loss.sentence()
    assert storage.loss.figures()["expected_messages"] == 80
    storage.close()


def test_a_cut_zstd_file_is_unpacked_as_far_as_it_goes(tmp_path: Path):
    plain = write_mcap(tmp_path / "a.mcap", notes(), compression=NONE).read_bytes()
    packed = zstandard.ZstdCompressor().compress(plain)
    path = tmp_path / "b.mcap.zstd"
    path.write_bytes(packed[: len(packed) * 3 // 5])
    try:
        storage = open_bag(path)
    except DataError as error:  # where the codec gives nothing of an unfinished block
        assert "b.mcap.zstd cannot be unpacked" in str(error)
        return
    assert 0 < len(list(storage.messages(TOPICS))) < 80
    assert storage.loss.sentence()
    storage.close()


def test_overlapping_chunks_are_merged(tmp_path: Path):
    """Two topics recorded one after the other in the file, but at the same times."""
    some = [text("/a", 1000 + 10 * i, "x" * 500) for i in range(40)]
    some += [text("/b", 1005 + 10 * i, "x" * 500) for i in range(40)]
    for name, options in (("chunks", {}), ("runs", {"use_chunking": False})):
        storage = open_bag(write_mcap(tmp_path / f"{name}.mcap", some, **options))
        found = [(m.log_ns, m.channel.topic) for m in storage.messages(("/a", "/b"))]
        assert found == sorted(found)
        assert len(found) == 80


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as error:
        open_bag(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    return str(error.value)


def test_what_is_no_bag_is_refused_in_one_line(tmp_path: Path):
    assert "does not exist" in refusal(tmp_path / "missing.mcap")
    (tmp_path / "notes.txt").write_text("hello")
    assert "is not a bag" in refusal(tmp_path / "notes.txt")
    for name in ("empty.mcap", "empty.db3", "empty.bag"):
        (tmp_path / name).touch()
        refusal(tmp_path / name)
    (tmp_path / "text.mcap").write_text("hello " * 1000)
    assert "is not an mcap" in refusal(tmp_path / "text.mcap")
    (tmp_path / "text.db3").write_text("hello " * 1000)
    assert "cannot be opened as a rosbag2 .db3" in refusal(tmp_path / "text.db3")
    (tmp_path / "text.bag").write_text("hello " * 1000)
    assert "cannot be opened as a ROS 1 bag" in refusal(tmp_path / "text.bag")
    (tmp_path / "folder").mkdir()
    assert "is not a bag" in refusal(tmp_path / "folder")
    (tmp_path / "text.mcap.zstd").write_text("hello " * 1000)
    refusal(tmp_path / "text.mcap.zstd")


def test_a_folder_of_several_recordings_is_not_one_bag(tmp_path: Path):
    folder = tmp_path / "monday"
    folder.mkdir()
    for name in ("a.mcap", "b.mcap"):
        write_mcap(folder / name, notes(3))
    assert not is_bag(folder)
    assert "a.mcap, b.mcap" in refusal(folder)


def test_broken_metadata_is_told_and_done_without(tmp_path: Path):
    for index, content in enumerate(["", "a: [", "- 1", "rosbag2_bagfile_information: {}"]):
        folder = shutil.copytree(DRIVE, tmp_path / str(index) / "camvid_drive")
        (folder / "metadata.yaml").write_text(content)
        storage = open_bag(folder)
        assert sum(channel.messages for channel in storage.channels) == 202
        assert "metadata.yaml cannot be read" in storage.loss.sentence()
        storage.close()


def test_damage_in_a_db3_ends_the_reading_and_is_told(tmp_path: Path):
    folder = write_rosbag2(tmp_path / "bag", notes(300), StoragePlugin.SQLITE3)
    path = folder / "bag.db3"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    try:
        storage = open_bag(path)
    except DataError as error:
        assert "malformed" in str(error)
        return
    found = list(storage.messages(TOPICS))
    assert len(found) < 400
    assert "messages are missing" in storage.loss.sentence()


@pytest.fixture(scope="module")
def whole_mcaps(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("whole")
    return [
        write_mcap(folder / "a.mcap", notes(20)).read_bytes(),
        write_mcap(folder / "b.mcap", notes(20), use_chunking=False).read_bytes(),
    ]


@settings(max_examples=150, deadline=None)
@given(
    which=st.integers(0, 1),
    damage=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=12)), max_size=4),
    length=st.floats(0, 1),
)
def test_no_damage_whatever_is_a_crash_or_a_made_up_order(
    whole_mcaps: list[bytes],
    tmp_path_factory: pytest.TempPathFactory,
    which: int,
    damage: list[tuple[float, bytes]],
    length: float,
):
    content = bytearray(whole_mcaps[which])
    for place, change in damage:
        start = int(place * len(content))
        content[start : start + len(change)] = change
    path = tmp_path_factory.mktemp("damaged") / "a.mcap"
    path.write_bytes(content[: 8 + int(length * len(content))])
    try:
        storage = open_bag(path)
    except DataError as error:
        assert "\n" not in str(error)
        return
    for message in storage.messages([channel.topic for channel in storage.channels]):
        assert isinstance(message.data, bytes)
    assert storage.loss.lost_bytes <= storage.loss.total_bytes


def test_a_record_of_impossible_length_ends_the_reading(tmp_path: Path):
    options = {"index_types": IndexType.NONE, "use_statistics": False, "repeat_channels": False}
    options |= {"repeat_schemas": False, "use_summary_offsets": False, "use_chunking": False}
    whole = write_mcap(tmp_path / "a.mcap", notes(5), **options).read_bytes()
    path = tmp_path / "b.mcap"
    end = 13 + 29 + 8  # the records that end the data and the file
    path.write_bytes(whole[:-end] + struct.pack("<BQ", 5, 1 << 60) + bytes(100))
    storage = open_bag(path)
    assert len(list(storage.messages(TOPICS))) == 7
    assert "ends early" in storage.loss.sentence()
    assert storage.loss.lost_bytes == 109
