import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from bag_maker import BagMaker, picture
from rosbags.rosbag2 import StoragePlugin

from bisenet_ros.errors import DataError
from bisenet_ros.recordings.rosbag import Bag, Topic

DRIVE = Path(__file__).parents[1] / "data" / "camvid_drive"
IMAGES = "/camera/image_raw/compressed"
LABELS = "/camera/labels/compressed"


@pytest.mark.parametrize("storage", list(StoragePlugin))
@pytest.mark.parametrize("whole", [True, False], ids=["folder", "file"])
def test_messages_come_back_as_written(tmp_path: Path, storage: StoragePlugin, whole: bool):
    pixels = [picture(seed) for seed in range(3)]
    with BagMaker(tmp_path / "bag", storage) as maker:
        for index, image in enumerate(pixels):
            maker.raw("/cam/image", 1000 + index, image, "rgb8", log=2000 + index)
        maker.string("/note", 3000, "hello")
    path = tmp_path / "bag"
    with Bag(path if whole else next(p for p in path.iterdir() if p.suffix != ".yaml")) as bag:
        assert bag.topics == (
            Topic("/cam/image", "sensor_msgs/msg/Image", 3),
            Topic("/note", "std_msgs/msg/String", 1),
        )
        messages = list(bag.messages(bag.topics))
        assert [m.topic.name for m in messages] == ["/cam/image"] * 3 + ["/note"]
        assert [m.stamp_ns for m in messages] == [1000, 1001, 1002, 3000]  # no header: log time
        assert [m.log_ns for m in messages] == [2000, 2001, 2002, 3000]
        for message, image in zip(messages, pixels, strict=False):
            assert message.content.encoding == "rgb8"
            assert np.array_equal(message.content.data, image.reshape(-1))
            assert message.content is message.content  # deserialised once
        assert messages[3].content.data == "hello"


def test_messages_are_in_the_order_recorded_and_only_of_the_topics_asked_for(tmp_path: Path):
    with BagMaker(tmp_path / "bag") as maker:
        for log in (5, 1, 3, 2, 4):
            maker.string("/a" if log % 2 else "/b", log, str(log))
    with Bag(tmp_path / "bag") as bag:
        assert [m.log_ns for m in bag.messages(bag.topics)] == [1, 2, 3, 4, 5]
        assert [m.log_ns for m in bag.messages([bag.find("/a")])] == [1, 3, 5]
        assert list(bag.messages([])) == []


def test_big_endian_stamps_are_read(tmp_path: Path):
    with BagMaker(tmp_path / "bag") as maker:
        maker.raw("/cam", 7_000_000_009, picture(0), "rgb8")
        connection = maker.topics["/cam"]
        with Bag(DRIVE) as drive:
            message = next(drive.messages(drive.topics)).content
        store = maker.store
        kind = "sensor_msgs/msg/CompressedImage"
        swapped = store.types[kind](message.header, message.format, message.data)
        connection = maker.writer.add_connection("/be", kind, typestore=store)
        cdr = store.serialize_cdr(swapped, kind, little_endian=False)
        maker.writer.write(connection, 8_000_000_000, cdr)
    with Bag(tmp_path / "bag") as bag:
        found = next(bag.messages([bag.find("/be")]))
        assert found.stamp_ns == 1_700_000_000_000_000_000
        assert found.content.format == message.format


def test_zero_stamp_falls_back_to_the_log_time(tmp_path: Path):
    with BagMaker(tmp_path / "bag") as maker:
        maker.raw("/cam", 0, picture(0), "rgb8", log=77)
    with Bag(tmp_path / "bag") as bag:
        assert next(bag.messages(bag.topics)).stamp_ns == 77


def test_the_camera_is_found_among_labels_and_masks(tmp_path: Path):
    with BagMaker(tmp_path / "bag") as maker:
        for topic in ("/camera/image_raw", "/camera/labels", "/bisenet/mask", "/bisenet/overlay"):
            maker.raw(topic, 1, picture(0), "rgb8")
    with Bag(tmp_path / "bag") as bag:
        topic = bag.image_topic()
        assert (topic.name, topic.base) == ("/camera/image_raw", "/camera/image_raw")
        assert topic.camera_info == "/camera/camera_info"
        assert bag.image_topic("/camera/labels").name == "/camera/labels"
    with Bag(DRIVE) as bag:
        assert (bag.image_topic().name, bag.image_topic().base) == (IMAGES, "/camera/image_raw")


def test_no_or_several_cameras_are_listed(tmp_path: Path):
    with BagMaker(tmp_path / "two") as maker:
        maker.raw("/left/image_raw", 1, picture(0), "rgb8")
        maker.jpeg("/right/image_raw/compressed", 1, picture(0))
    with (
        Bag(tmp_path / "two") as bag,
        pytest.raises(DataError, match=r"several.*/left/image_raw \(.*Image, 1\), /right/"),
    ):
        bag.image_topic()
    with BagMaker(tmp_path / "none") as maker:
        maker.string("/note", 1, "hello")
    with (
        Bag(tmp_path / "none") as bag,
        pytest.raises(DataError, match=r"no camera image topic.*/note \("),
    ):
        bag.image_topic()


def test_a_topic_that_is_missing_or_no_image_is_refused_with_those_there_are(tmp_path: Path):
    with Bag(DRIVE) as bag, pytest.raises(DataError) as missing:
        bag.image_topic("/camera/front")
    assert "/camera/front" in str(missing.value)
    assert f"{IMAGES} (sensor_msgs/msg/CompressedImage, 101)" in str(missing.value)
    assert LABELS in str(missing.value)
    with BagMaker(tmp_path / "bag") as maker:
        maker.string("/note", 1, "hello")
        maker.raw("/cam", 1, picture(0), "rgb8")
    with Bag(tmp_path / "bag") as bag, pytest.raises(DataError, match="std_msgs/msg/String.*/cam"):
        bag.image_topic("/note")


def refused(path: Path) -> str:
    """The one-line message that reading the bag to its end fails with."""
    with pytest.raises(DataError) as error, Bag(path) as bag:
        for message in bag.messages(bag.topics):
            assert message.content is not None
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    return str(error.value)


def test_what_is_no_bag_is_refused(tmp_path: Path):
    assert "does not exist" in refused(tmp_path / "missing.mcap")
    (tmp_path / "notes.txt").write_text("hello")
    assert "is not a rosbag2" in refused(tmp_path / "notes.txt")
    (tmp_path / "empty.mcap").touch()
    assert "empty" in refused(tmp_path / "empty.mcap")
    (tmp_path / "text.db3").write_text("hello " * 1000)
    assert "cannot be opened" in refused(tmp_path / "text.db3")
    (tmp_path / "folder").mkdir()
    assert "metadata.yaml" in refused(tmp_path / "folder")
    shutil.copy(DRIVE / "camvid_drive.mcap", tmp_path / "folder")
    assert "camvid_drive.mcap instead" in refused(tmp_path / "folder")


@pytest.mark.parametrize("text", ["", "a: [", "rosbag2_bagfile_information: {version: 99}", "- 1"])
def test_broken_metadata_is_refused(tmp_path: Path, text: str):
    shutil.copytree(DRIVE, tmp_path / "bag")
    (tmp_path / "bag" / "metadata.yaml").write_text(text)
    refused(tmp_path / "bag")


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999])
def test_a_truncated_mcap_is_refused(tmp_path: Path, share: float):
    content = (DRIVE / "camvid_drive.mcap").read_bytes()
    path = tmp_path / "cut.mcap"
    path.write_bytes(content[: int(len(content) * share)])
    refused(path)
    shutil.copytree(DRIVE, tmp_path / "bag")
    shutil.copy(path, tmp_path / "bag" / "camvid_drive.mcap")
    refused(tmp_path / "bag")


def test_a_truncated_db3_is_refused(tmp_path: Path):
    with BagMaker(tmp_path / "bag", StoragePlugin.SQLITE3) as maker:
        for index in range(50):
            maker.raw("/cam", index, picture(index, 64, 64), "rgb8")
    path = tmp_path / "bag" / "bag.db3"
    path.write_bytes(path.read_bytes()[:300_000])
    refused(path)


def test_damage_inside_is_an_error_or_other_bytes_but_never_a_crash(tmp_path: Path):
    content = np.frombuffer((DRIVE / "camvid_drive.mcap").read_bytes(), np.uint8)
    path = tmp_path / "damaged.mcap"
    refusals = 0
    for seed in range(12):
        generator = np.random.default_rng(seed)
        damaged = content.copy()
        places = generator.integers(len(content) - 4000, len(content), 20)
        damaged[places] = generator.integers(0, 256, 20)
        path.write_bytes(damaged.tobytes())
        try:
            with Bag(path) as bag:
                for message in bag.messages(bag.topics):
                    assert message.content is not None
        except DataError as error:
            refusals += 1
            assert "\n" not in str(error)
    assert refusals


def test_a_broken_message_is_named(tmp_path: Path):
    with BagMaker(tmp_path / "bag") as maker:
        maker.raw("/cam", 5, picture(0), "rgb8")
        maker.writer.write(maker.topics["/cam"], 6, b"\x00\x01\x00\x00" + bytes(12))
    with Bag(tmp_path / "bag") as bag:
        good, broken = bag.messages(bag.topics)
        assert good.content.width == 32
        with pytest.raises(DataError, match="broken message on /cam"):
            assert broken.content


def test_the_sample_drive_is_what_its_readme_says():
    assert sum(path.stat().st_size for path in DRIVE.iterdir()) < 10e6
    metadata = (DRIVE / "metadata.yaml").read_text()
    assert "version: 8" in metadata  # the last that ros2 bag of Humble reads
    assert "CC BY-NC 4.0" in metadata
    with Bag(DRIVE) as bag:
        images = list(bag.messages([bag.find(IMAGES)]))
        labels = list(bag.messages([bag.find(LABELS)]))
    start = 1_700_000_000 * 10**9
    stamps = [start + i * 10**9 // 15 for i in range(101)]
    for messages in (images, labels):
        assert [m.stamp_ns for m in messages] == stamps
        assert [m.log_ns for m in messages] == stamps
        assert {m.content.header.frame_id for m in messages} == {"camera_optical_frame"}
    assert {m.content.format for m in images} == {"rgb8; jpeg compressed bgr8"}
    assert {m.content.format for m in labels} == {"mono8; png compressed mono8"}
    ids = set()
    for image, label in zip(images, labels, strict=True):
        pixels = cv2.imdecode(image.content.data, cv2.IMREAD_UNCHANGED)
        classes = cv2.imdecode(label.content.data, cv2.IMREAD_UNCHANGED)
        assert (pixels.shape, classes.shape) == ((360, 480, 3), (360, 480))
        assert pixels.dtype == classes.dtype == np.uint8
        ids |= set(np.unique(classes).tolist())
    assert ids == {*range(11), 255}
