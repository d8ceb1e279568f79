import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bag_maker import FRAME_ID, BagMaker, picture
from harness import Peer, Process, python_module
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from bisenet_ros.recordings.rosbag import Bag

DRIVE = str(Path(__file__).parents[1] / "data" / "camvid_drive")
IMAGES = "/camera/image_raw/compressed"
LABELS = "/camera/labels/compressed"
S = 10**9
ALL = QoSProfile(depth=1000)  # a test must not lose what it counts

Start = Callable[..., Process]


def player(*arguments: str) -> list[str]:
    return python_module("bisenet_ros.ros.camera_player", *arguments)


def stamp_of(message: Any) -> int:
    return message.header.stamp.sec * S + message.header.stamp.nanosec


def stamps_of(messages: list[Any]) -> list[int]:
    return [stamp_of(message) for message in messages]


def recorded(topic: str, source: str = DRIVE) -> list[Any]:
    """The bag's messages of a topic."""
    with Bag(source) as bag:
        return [message.content for message in bag.messages([bag.find(topic)])]


def write_drive(folder: Path, frames: int = 8, rate: int = 20) -> str:
    """A bag of raw images with camera_info, a frame every ``1 / rate`` s from 50 s on."""
    with BagMaker(folder) as maker:
        for index in range(frames):
            stamp = 50 * S + index * S // rate
            maker.camera_info("/cam/camera_info", stamp, log=stamp)
            maker.raw("/cam/image_raw", stamp, picture(index), "rgb8", log=stamp + 1000)
    return str(folder)


def finished(process: Process, peer: Peer, code: int = 0) -> str:
    """The player's output once it has exited by itself with ``code``."""
    peer.spin_until(lambda: process.child.poll() is not None, "the end of the player")
    assert process.wait() == code, process.output
    assert "Traceback" not in process.output
    return process.output


def test_the_drive_arrives_whole_byte_for_byte_with_its_labels(
    start: Start, peer: Peer, tmp_path: Path
):
    images = peer.collect(CompressedImage, IMAGES, ALL)
    labels = peer.collect(CompressedImage, LABELS, ALL)
    process = start(
        player(DRIVE, "--also", LABELS, "--rate", "60", "--wait-for-subscribers", "1")
        + ["--json", str(tmp_path / "new" / "played.json")]
    )
    finished(process, peer)
    peer.spin_until(lambda: len(images) == len(labels) == 101, "101 frames and labels")
    for got, topic in ((images, IMAGES), (labels, LABELS)):
        for message, stored in zip(got, recorded(topic), strict=True):
            assert stamp_of(message) == stamp_of(stored)
            assert message.header.frame_id == "camera_optical_frame"
            assert message.format == stored.format
            assert bytes(message.data) == stored.data.tobytes()
    report = json.loads((tmp_path / "new" / "played.json").read_text())
    assert report["source"] == DRIVE
    assert report["topic"] == IMAGES
    assert report["frames_played"] == 101
    assert report["stamps"] == stamps_of(images)
    assert (report["width"], report["height"]) == (480, 360)
    assert report["encoding"] == "rgb8; jpeg compressed bgr8"
    assert report["skipped"] == 0
    assert report["duration_s"] > 0 and report["achieved_hz"] > 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["played.json"]


def test_fresh_stamps_follow_the_schedule_and_labels_still_pair(start: Start, peer: Peer):
    images = peer.collect(CompressedImage, IMAGES, ALL)
    labels = peer.collect(CompressedImage, LABELS, ALL)
    begun = peer.node.get_clock().now().nanoseconds
    process = start(
        player(DRIVE, "--also", LABELS, "--stamps", "fresh", "--duration", "1")
        + ["--wait-for-subscribers", "1"]
    )
    finished(process, peer)
    peer.spin_until(lambda: len(images) == len(labels) == 15, "15 frames and labels")
    stamps = stamps_of(images)
    assert stamps_of(labels) == stamps
    assert begun < stamps[0] < peer.node.get_clock().now().nanoseconds
    assert np.all(np.diff(stamps) > 0)
    if "late" not in process.output:  # on a busy machine the schedule may have been moved
        assert [stamp - stamps[0] for stamp in stamps] == [i * S // 15 for i in range(15)]


def test_raw_pixels_are_those_opencv_decodes(start: Start, peer: Peer):
    images = peer.collect(Image, "/front/image", ALL)
    process = start(
        player(DRIVE, "--transport", "raw", "--as", "/front/image", "--duration", "0.5")
        + ["--wait-for-subscribers", "1", "--frame-id", "front"]
    )
    finished(process, peer)
    peer.spin_until(lambda: len(images) == 8, "8 frames")
    for message, stored in zip(images, recorded(IMAGES), strict=False):
        assert (message.encoding, message.step) == ("bgr8", 480 * 3)
        assert stamp_of(message) == stamp_of(stored)
        assert message.header.frame_id == "front"
        pixels = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        assert np.array_equal(pixels, cv2.imdecode(stored.data, cv2.IMREAD_COLOR))


def test_camera_info_goes_along_under_the_new_name_with_the_same_stamp(
    start: Start, peer: Peer, tmp_path: Path
):
    images = peer.collect(Image, "/front/image", ALL)
    infos = peer.collect(CameraInfo, "/front/camera_info", ALL)
    source = write_drive(tmp_path / "bag")
    process = start(
        player(source, "--as", "/front/image", "--stamps", "fresh", "--frame-id", "front")
        + ["--wait-for-subscribers", "1"]
    )
    finished(process, peer)
    peer.spin_until(lambda: len(images) == len(infos) == 8, "8 frames and infos")
    assert stamps_of(infos) == stamps_of(images)
    assert stamp_of(images[0]) > 10**18  # today, not the 50 s recorded
    assert {m.header.frame_id for m in images + infos} == {"front"}
    assert list(infos[0].k) == list(range(9))
    for index, message in enumerate(images):
        assert message.encoding == "rgb8"
        assert bytes(message.data) == picture(index).tobytes()


def test_raw_images_can_go_out_compressed(start: Start, peer: Peer, tmp_path: Path):
    images = peer.collect(CompressedImage, "/cam/image_raw/compressed", ALL)
    smooth = np.full((40, 60, 3), (200, 30, 90), np.uint8)  # red, green, blue
    with BagMaker(tmp_path / "bag") as maker:
        maker.raw("/cam/image_raw", 5 * S, smooth, "rgb8")
    source = str(tmp_path / "bag")
    process = start(player(source, "--transport", "compressed", "--wait-for-subscribers", "1"))
    finished(process, peer)
    peer.spin_until(lambda: images, "a frame")
    assert images[0].format == "bgr8; jpeg compressed bgr8"
    assert (stamp_of(images[0]), images[0].header.frame_id) == (5 * S, FRAME_ID)
    pixels = cv2.imdecode(np.frombuffer(images[0].data, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(pixels.astype(int) - smooth[..., ::-1]).max() < 8


def test_start_and_duration_choose_a_section(start: Start, peer: Peer):
    images = peer.collect(CompressedImage, IMAGES, ALL)
    process = start(
        player(DRIVE, "--start", "2", "--duration", "0.5", "--wait-for-subscribers", "1")
    )
    finished(process, peer)
    peer.spin_until(lambda: len(images) >= 7, "7 frames")
    stamps = stamps_of(recorded(IMAGES))
    wanted = [stamp for stamp in stamps if 2 * S <= stamp - stamps[0] < 2.5 * S]
    assert stamps_of(images) == wanted


@pytest.mark.parametrize("stamps", ["original", "fresh"])
def test_loop_plays_again_until_sigint(start: Start, peer: Peer, tmp_path: Path, stamps: str):
    images = peer.collect(Image, "/cam/image_raw", ALL)
    source = write_drive(tmp_path / "bag", frames=4, rate=50)
    process = start(
        player(source, "--loop", "--stamps", stamps, "--wait-for-subscribers", "1")
        + ["--json", str(tmp_path / "played.json")]
    )
    peer.spin_until(lambda: len(images) >= 13, "three rounds")
    assert process.stop(signal.SIGINT) == 0
    assert "Traceback" not in process.output
    got = stamps_of(images)
    if stamps == "original":
        round_ = [50 * S + i * S // 50 for i in range(4)]
        assert got == (round_ * len(got))[: len(got)]
    else:
        assert np.all(np.diff(got) > 0)
    for index, message in enumerate(images):
        assert bytes(message.data) == picture(index % 4).tobytes()
    report = json.loads((tmp_path / "played.json").read_text())
    assert report["frames_played"] >= len(images)
    assert report["stamps"][: len(got)] == got


def test_clock_follows_the_played_time(start: Start, peer: Peer, tmp_path: Path):
    events: list[tuple[str, int]] = []
    peer.node.create_subscription(
        Clock, "/clock", lambda m: events.append(("clock", m.clock.sec * S + m.clock.nanosec)), ALL
    )
    peer.node.create_subscription(
        Image, "/cam/image_raw", lambda m: events.append(("image", stamp_of(m))), ALL
    )
    source = write_drive(tmp_path / "bag", frames=6, rate=10)
    process = start(player(source, "--clock", "100", "--wait-for-subscribers", "1"))
    finished(process, peer)
    peer.spin_for(0.2)
    clock = [time for kind, time in events if kind == "clock"]
    images = [time for kind, time in events if kind == "image"]
    assert images == [50 * S + i * S // 10 for i in range(6)]
    assert clock == sorted(clock)
    assert set(images) <= set(clock)  # each frame's stamp is announced
    assert clock[0] == images[0] and clock[-1] == images[-1]
    assert set(clock) - set(images)  # and it ticks in between


def test_a_folder_plays_on_and_names_what_it_cannot_read(start: Start, peer: Peer, tmp_path: Path):
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(12):
        cv2.imwrite(str(folder / f"{index}.png"), picture(index))
    (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:40])
    images = peer.collect(Image, "/camera/image_raw", ALL)
    report = tmp_path / "played.json"
    process = start(
        player(str(folder), "--rate", "50", "--wait-for-subscribers", "1", "--json", str(report))
    )
    output = finished(process, peer)
    peer.spin_until(lambda: len(images) >= 11, "11 frames")
    for index, message in zip([0, 1, 2, *range(4, 12)], images, strict=True):
        assert message.encoding == "bgr8"
        assert message.header.frame_id == "camera_optical_frame"
        assert bytes(message.data) == picture(index).tobytes()
    assert f"{folder / '3.png'} cannot be read" in output
    played = json.loads(report.read_text())
    assert (played["frames_played"], played["skipped"]) == (11, 1)
    assert (played["width"], played["height"], played["encoding"]) == (32, 24, "bgr8")


def test_a_video_plays_as_a_camera(start: Start, peer: Peer, tmp_path: Path):
    film = str(tmp_path / "film.avi")
    writer = cv2.VideoWriter(film, cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (64, 48))
    for index in range(10):
        writer.write(np.full((48, 64, 3), 10 + 8 * index, np.uint8))
    writer.release()
    images = peer.collect(CompressedImage, "/camera/image_raw/compressed", ALL)
    process = start(player(film, "--transport", "compressed", "--wait-for-subscribers", "1"))
    finished(process, peer)
    peer.spin_until(lambda: len(images) >= 10, "10 frames")
    stamps = stamps_of(images)
    if "late" not in process.output:
        assert [stamp - stamps[0] for stamp in stamps] == [i * S // 25 for i in range(10)]
    for index, message in enumerate(images):
        pixels = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
        assert float(pixels.mean()) == pytest.approx(10 + 8 * index, abs=3)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("busy", ["playing", "waiting"])
def test_signals_stop_it_quietly_during_a_long_wait(start: Start, peer: Peer, sign: int, busy: str):
    arguments = ["--rate", "0.01"] if busy == "playing" else ["--wait-for-subscribers", "5"]
    images = peer.collect(CompressedImage, IMAGES, ALL)
    process = start(player(DRIVE, *arguments))
    if busy == "playing":
        peer.spin_until(lambda: images or "playing" in process.output, "the player")
    else:
        peer.spin_until(lambda: peer.node.count_publishers(IMAGES), "the player")
    assert process.stop(sign, patience=10.0) == 0  # the waits themselves are 30 and 100 s
    assert "Traceback" not in process.output
    assert "error" not in process.output.lower()


def test_best_effort_is_offered_when_asked_for(start: Start, peer: Peer):
    process = start(player(DRIVE, "--reliability", "best_effort", "--loop"))
    infos: list[Any] = []

    def known() -> bool:
        infos[:] = peer.node.get_publishers_info_by_topic(IMAGES)
        return bool(infos) and infos[0].node_name == "camera_player"

    peer.spin_until(known, "the player")
    assert infos[0].qos_profile.reliability.name == "BEST_EFFORT"
    assert process.stop() == 0


def test_ros_arguments_remap_and_rename(start: Start, peer: Peer):
    images = peer.collect(CompressedImage, "/rover/image/compressed", ALL)
    process = start(
        player(DRIVE, "--duration", "0.2", "--wait-for-subscribers", "1", "--ros-args")
        + ["-r", f"{IMAGES}:=/rover/image/compressed", "-r", "__node:=eye"]
    )
    finished(process, peer)
    peer.spin_until(lambda: len(images) == 3, "3 frames")
    assert "[eye]" in process.output


def test_missing_subscribers_exit_with_1(start: Start, peer: Peer):
    peer.collect(CompressedImage, IMAGES, ALL)  # but nobody wants the labels
    process = start(
        player(DRIVE, "--also", LABELS, "--wait-for-subscribers", "1", "--wait-timeout", "2")
    )
    output = finished(process, peer, code=1)
    assert "waited 2 s for subscribers, but found" in output
    assert f"0 of 1 on {LABELS}" in output


LIVE = """
import sys, time
import numpy as np
from bisenet_ros.recordings.sources import SourceFrame
from bisenet_ros.ros.player import node as player


class Camera:
    name, period_ns, stamped, live = "camera", 10**7, False, True

    def frames(self):
        for index in range(200):
            time.sleep(0.005)
            yield SourceFrame(time.time_ns(), lambda: np.full((4, 6, 3), index, np.uint8))

    def close(self):
        print("closed")


player.open_source = lambda *_: Camera()
sys.exit(player.main(sys.argv[1:]))
"""


def test_a_live_camera_is_limited_to_the_rate_and_keeps_its_stamps(
    start: Start, peer: Peer, tmp_path: Path
):
    images = peer.collect(Image, "/camera/image_raw", ALL)
    begun = peer.node.get_clock().now().nanoseconds
    arguments = ["camera", "--rate", "20", "--wait-for-subscribers", "1"]
    report = tmp_path / "played.json"
    process = start([sys.executable, "-c", LIVE, *arguments, "--json", str(report)])
    assert "closed" in finished(process, peer)
    count = json.loads(report.read_text())["frames_played"]
    peer.spin_until(lambda: len(images) == count, "all frames played")
    assert 2 <= count <= 100  # of 200; how many exactly is the machine's to say
    stamps = stamps_of(images)
    assert stamps == sorted(set(stamps)) and stamps[0] > begun
    shown = [message.data[0] for message in images]
    assert shown == sorted(set(shown))


def refused(*arguments: str, code: int) -> str:
    """The last line before the player exits with ``code``."""
    ended = subprocess.run(
        [sys.executable, "-m", "bisenet_ros.ros.camera_player", *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert "error: " in last
    return last


def test_bad_input_is_one_line_and_exit_code_3(tmp_path: Path):
    assert "does not exist" in refused(str(tmp_path / "none.mcap"), code=3)
    cut = tmp_path / "cut.mcap"
    cut.write_bytes((Path(DRIVE) / "camvid_drive.mcap").read_bytes()[:100_000])
    assert "cut.mcap cannot be opened" in refused(str(cut), code=3)
    (tmp_path / "empty").mkdir()
    assert "has neither images" in refused(str(tmp_path / "empty"), code=3)
    (tmp_path / "empty" / "only.png").touch()
    assert "none of its 1 frames" in refused(str(tmp_path / "empty"), code=3)
    missing = refused(DRIVE, "--topic", "/front", code=3)
    assert IMAGES in missing and LABELS in missing
    assert "no frame 100 s" in refused(DRIVE, "--start", "100", code=3)
    assert "/dev/video63" in refused("webcam:63", code=3)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--rate", "0"], "--rate: '0'"),
        (["--rate", "-3"], "--rate: '-3'"),
        (["--rate", "nan"], "--rate: 'nan'"),
        (["--clock", "fast"], "--clock: 'fast'"),
        (["--duration", "0"], "--duration: '0'"),
        (["--start", "-1"], "--start: '-1'"),
        (["--wait-for-subscribers", "1.5"], "'1.5'"),
        (["--transport", "zip"], "invalid choice: 'zip'"),
        (["--as", "/no spaces"], "is not a valid topic name"),
        (["--also", IMAGES], f"--also {IMAGES} is already the image topic"),
        (["--json", "/proc/nowhere/played.json"], "--json"),
        (["--ros-args", "--no-such-thing"], "--no-such-thing"),
        (["--no-such-thing"], "--no-such-thing"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(arguments: list[str], reason: str):
    assert reason in refused(DRIVE, *arguments, code=2)


def test_original_stamps_need_a_bag(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "a.png"), picture(0))
    line = refused(str(tmp_path), "--stamps", "original", code=2)
    assert "has no recorded stamps; use --stamps fresh" in line


def test_in_lockstep_a_frame_waits_for_the_answer_to_the_one_before(
    start: Start, peer: Peer, tmp_path: Path
):
    bag = write_drive(tmp_path / "bag", frames=4)
    answers = peer.node.create_publisher(Image, "/mask", ALL)
    images = peer.collect(Image, "/cam/image_raw", ALL)
    result = tmp_path / "played.json"
    process = start(
        player(bag, "--lockstep", "/mask", "--lockstep-timeout", "1.5", "--clock", "50")
        + ["--wait-for-subscribers", "1", "--json", str(result)]
    )
    for count in (1, 2, 3):
        peer.spin_until(lambda: len(images) == count, f"frame {count}")  # noqa: B023
        if count < 3:  # the third is not answered: the player goes on after a while
            peer.spin_for(0.2)  # its next frame would be due after 50 ms
            assert len(images) == count
            answers.publish(Image(height=1, width=1, step=1, header=images[-1].header))
    peer.spin_until(lambda: len(images) == 4, "the frame after the one without an answer")
    answers.publish(Image(height=1, width=1, step=1, header=images[-1].header))
    finished(process, peer)
    played = json.loads(result.read_text())
    assert stamps_of(images) == [50 * S + i * S // 20 for i in range(4)]
    assert (played["frames_played"], played["unserved"]) == (4, 1)


def test_lockstep_and_a_rate_contradict_each_other(start: Start, peer: Peer):
    process = start(player(DRIVE, "--lockstep", "/mask", "--rate", "5"))
    assert "--lockstep" in finished(process, peer, code=2)
