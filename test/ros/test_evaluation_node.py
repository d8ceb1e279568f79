"""The evaluation node in its own process, over DDS."""

from __future__ import annotations

import json
import signal
from array import array
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bag_formats import write_rosbag2
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from drives import PERIOD, START, drive, scene
from harness import Peer, Process, python_module
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from bisenet_ros.labels import LabelSet
from bisenet_ros.metrics.confusion import confusion_matrix, scores
from bisenet_ros.recordings.bag_frames import BagFrames, BagOptions
from bisenet_ros.recordings.frame_stream import Selection
from bisenet_ros.recordings.label_decoding import LabelCoding
from bisenet_ros.recordings.node_outputs import Recording
from bisenet_ros.replay.predictor import FunctionPredictor
from bisenet_ros.replay.score import ScoreOptions, score
from bisenet_ros.ros.evaluation.label_topics import LabelWatch, label_topics
from bisenet_ros.ros.evaluation.scorer import ScoredFrame, Scorer

LABELS = LabelSet(("road", "tree", "car"), ((128, 64, 128), (107, 142, 35), (0, 0, 142)))
SIZE = (24, 32)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def ids(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice([0, 1, 2, 255], SIZE).astype(np.uint8)


def image(stamp: int, pixels: np.ndarray, encoding: str = "mono8", padding: int = 0) -> Image:
    """An Image whose rows are ``padding`` bytes longer than they need to be."""
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    rows = pixels.reshape(pixels.shape[0], -1)
    message.step = rows.shape[1] + padding
    message.data = array("B", np.pad(rows, ((0, 0), (0, padding))).tobytes())
    return stamped(message, stamp)


def png(stamp: int, label: np.ndarray) -> CompressedImage:
    content = cv2.imencode(".png", label)[1].tobytes()
    message = CompressedImage(format="mono8; png compressed mono8", data=array("B", content))
    return stamped(message, stamp)


def stamped(message: Any, stamp: int) -> Any:
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
    message.header.frame_id = "camera_optical_frame"
    return message


def evaluation_node(**parameters: Any) -> list[str]:
    pairs = [f"{name}:={json.dumps(value)}" for name, value in parameters.items()]
    arguments = [a for pair in pairs for a in ("-p", pair)]
    return python_module("bisenet_ros.ros.evaluation_node", "--ros-args", *arguments)


class Sender:
    """Publishes what a node under test and a player would."""

    def __init__(self, peer: Peer, labels: type = CompressedImage, qos: Any = 10) -> None:
        self.peer = peer
        node = peer.node
        suffix = "/compressed" if labels is CompressedImage else ""
        self.masks = node.create_publisher(Image, "/bisenet/mask", qos)
        self.overlays = node.create_publisher(Image, "/bisenet/overlay", qos)
        self.confidence = node.create_publisher(Image, "/bisenet/confidence", qos)
        self.labels = node.create_publisher(labels, f"/camera/labels{suffix}", qos)
        self.names = node.create_publisher(String, "/bisenet/labels", LATCHED)
        self.diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", qos)
        self.names.publish(String(data=LABELS.to_json()))

    def wait_for(self, process: Process) -> None:
        """Until the node says it is ready and all its subscriptions are there."""
        self.peer.spin_until(lambda: "ready: " in process.output, "the node to be ready")
        for publisher in (self.masks, self.labels):
            self.peer.spin_until(publisher.get_subscription_count, publisher.topic_name)


def stop(process: Process, out: Path, sign: int = signal.SIGINT) -> dict[str, Any]:
    """End the node as a user would, check that it leaves cleanly, and read what it wrote."""
    assert process.stop(sign) == 0, process.output
    assert "Traceback" not in process.output
    return json.loads((out / "metrics.json").read_text())


def test_masks_and_labels_are_paired_by_stamp_in_either_order(peer, start, tmp_path):
    sender = Sender(peer)
    out, record = tmp_path / "deep" / "out", tmp_path / "record"
    process = start(
        evaluation_node(
            out=str(out),
            record=str(record),
            overlay_topic="/bisenet/overlay",
            confidence_topic="/bisenet/confidence",
        )
    )
    sender.wait_for(process)
    now = peer.node.get_clock().now().nanoseconds
    stamps = [now + i * 66_666_667 for i in range(6)]
    overlay = np.full((*SIZE, 3), (128, 64, 128), np.uint8)
    for i, stamp in enumerate(stamps):
        if i % 2:
            sender.masks.publish(image(stamp, ids(i), padding=i))
            sender.labels.publish(png(stamp, ids(100 + i)))
        else:
            sender.labels.publish(png(stamp, ids(100 + i)))
            sender.masks.publish(image(stamp, ids(i)))
        sender.overlays.publish(image(stamp, overlay, "rgb8"))
        sender.confidence.publish(image(stamp, ids(50 + i), padding=3))
    sender.labels.publish(png(now - 1, ids(0)))  # a frame the node never answered
    recording = Recording(record)
    peer.spin_until(lambda: recording.overlay_stamps() == stamps, "the overlays")
    peer.spin_until(lambda: recording.mask_stamps() == stamps, "the masks")
    peer.spin_until(lambda: recording.confidence_stamps() == stamps, "the confidence")
    status = DiagnosticStatus(name="bisenet: camera camera", level=DiagnosticStatus.WARN)
    status.values = [KeyValue(key="received", value="7")]
    sender.diagnostics.publish(DiagnosticArray(status=[status]))
    peer.spin_until(recording.diagnostics, "the diagnostics")
    metrics = stop(process, out)

    expected = scores(sum(confusion_matrix(ids(100 + i), ids(i), 3) for i in range(6)))
    assert metrics["masks"] == metrics["scored"] == 6
    assert metrics["labels"] == 7 and metrics["unmatched_labels"] == 1
    assert metrics["unmatched_masks"] == 0 and metrics["refused"] == {}
    assert metrics["confusion"] == expected.confusion.tolist()
    assert metrics["miou"] == pytest.approx(expected.miou)
    assert list(metrics["per_class"]) == list(LABELS.names)
    for i, frame in enumerate(metrics["frames"]):
        assert frame["stamp"] == stamps[i]
        assert (frame["width"], frame["height"]) == (SIZE[1], SIZE[0])
        assert frame["frame_id"] == "camera_optical_frame"
        assert (recording.mask(stamps[i]) == ids(i)).all()
        assert (recording.confidence(stamps[i]) == ids(50 + i)).all()
    assert recording.confidence(1) is None
    assert np.abs(recording.overlay(stamps[0]).astype(int) - overlay).max() <= 3
    assert recording.label_set() == LABELS
    camera = recording.diagnostics()["bisenet: camera camera"]
    assert camera["level"] == 1 and camera["values"] == {"received": "7"}
    assert camera["masks_before"] == 6
    assert "mIoU" in process.output


def test_raw_labels_are_taken_where_the_topic_is_raw(peer, start, tmp_path):
    sender = Sender(peer, Image)
    process = start(evaluation_node(out=str(tmp_path / "out"), labels_topic="/camera/labels"))
    sender.wait_for(process)
    sender.labels.publish(image(5, ids(1)))
    sender.masks.publish(image(5, ids(1)))
    peer.spin_for(0.5)
    metrics = stop(process, tmp_path / "out", signal.SIGTERM)
    assert metrics["scored"] == 1 and metrics["miou"] == 1.0
    assert metrics["age_ms_p50"] is None  # a stamp of 1970 says nothing about lateness


def test_what_cannot_be_used_is_refused_with_its_reason(peer, start, tmp_path):
    sender = Sender(peer)
    process = start(evaluation_node(out=str(tmp_path / "out"), record=str(tmp_path / "out")))
    sender.wait_for(process)
    wrong = image(1, ids(0))
    wrong.encoding = "8UC1"
    short = image(2, ids(0))
    short.data = short.data[:-1]
    flat = image(3, ids(0))
    flat.step = 3
    for message in (wrong, short, flat, Image()):
        sender.masks.publish(message)
    sender.labels.publish(stamped(CompressedImage(), 4))
    sender.labels.publish(stamped(CompressedImage(data=array("B", b"rubbish")), 4))
    sender.names.publish(String(data="no json"))
    sender.masks.publish(image(4, ids(0)))
    peer.spin_until(Recording(tmp_path / "out").mask_stamps, "the good mask")
    peer.spin_for(0.5)  # labels come on a topic of their own
    metrics = stop(process, tmp_path / "out")
    assert metrics["masks"] == 1 and metrics["scored"] == 0
    reasons = " | ".join(metrics["refused"])
    assert "mask: encoding is '8UC1'; expected mono8" in reasons
    assert (
        "mask: data has 767 bytes; expected at least 768 for 24 rows with a step of 32" in reasons
    )
    assert "mask: step 3 is too small for 32 pixels of mono8; expected at least 32" in reasons
    assert "label names: " in reasons
    assert "cannot be decoded" in reasons
    assert list(metrics["per_class"]) == list(LABELS.names)


def test_it_leaves_by_itself_when_nothing_comes_any_more(peer, start, tmp_path):
    sender = Sender(peer)
    process = start(evaluation_node(out=str(tmp_path), stop_after_idle=0.5))
    sender.wait_for(process)
    peer.spin_for(1.0)  # idle from the start is no reason to leave
    assert process.child.poll() is None
    sender.masks.publish(image(1, ids(0)))
    assert process.wait() == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["masks"] == 1


def test_a_best_effort_camera_is_heard_with_a_qos_override(peer, start, tmp_path):
    qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
    sender = Sender(peer, qos=qos)
    override = "qos_overrides./bisenet/mask.subscription.reliability"
    process = start(evaluation_node(out=str(tmp_path), **{override: "best_effort"}))
    sender.peer.spin_until(lambda: "ready: " in process.output, "the node to be ready")
    peer.spin_until(sender.masks.get_subscription_count, "the mask subscription")
    for i in range(20):
        sender.masks.publish(image(i, ids(0)))
        peer.spin_for(0.05)
    assert stop(process, tmp_path)["masks"] > 0


def test_why_masks_found_no_label_is_said(peer, start, tmp_path):
    """Labels 40 ms off, an older metrics.json, a second node with the same topic: in one run."""
    sender = Sender(peer)
    (tmp_path / "metrics.json").write_text("{}")
    rival = peer.node.create_publisher(Image, "/bisenet/mask", 10)
    parameters = {"require_score": True, "expected_frames": 9, "use_sim_time": True}
    process = start(evaluation_node(out=str(tmp_path), **parameters))
    sender.wait_for(process)
    for i in range(3):
        sender.masks.publish(image(i * 10**9, ids(0)))
        sender.labels.publish(png(i * 10**9 + 40_000_000, ids(0)))
    status = DiagnosticStatus(name="bisenet: camera camera", values=[KeyValue(key="received")])
    status.values[0].value = "7"
    sender.diagnostics.publish(DiagnosticArray(status=[status]))
    peer.spin_for(0.5)
    assert process.stop() == 1, process.output
    assert (tmp_path / "metrics.json").read_text() == "{}"
    for said in (
        "nothing was scored, so the older",
        "the nearest label of a mask without one is 40.0 ms away",
        "the node never received 2 of 9 recorded images",
        "all publish /bisenet/mask",
        "evaluation_node: no mask was scored: the nearest label",
    ):
        assert said in process.output
    assert rival.topic_name == "/bisenet/mask"


@pytest.mark.parametrize(
    ("publishes", "said"),
    [
        (None, "nothing published labels on /camera/labels or /camera/labels/compressed"),
        ((String, "/camera/labels"), "/camera/labels carries std_msgs/msg/String"),
        ((Image, "/camera/labels"), "/camera/labels had a publisher, but no label arrived"),
    ],
)
def test_labels_that_never_come_are_explained(peer, publishes, said):
    topics = label_topics("/camera/labels")
    watch = LabelWatch(peer.node, topics)
    if publishes:
        peer.node.create_publisher(*publishes, 1)
    watch.look()
    scorer = Scorer()
    assert watch.why_unmatched(scorer) == ""  # no masks, nothing to explain
    frame = ScoredFrame(1, None, 0.0, SIZE[1], SIZE[0], "mono8", "camera")
    scorer.add_mask(ids(0), frame)
    assert said in watch.why_unmatched(scorer)


def test_nothing_came_is_no_error(start, peer, tmp_path):
    process = start(evaluation_node(out=str(tmp_path)))
    peer.spin_until(lambda: "waiting for /bisenet/labels" in process.output, "its first words")
    metrics = stop(process, tmp_path)
    assert metrics["masks"] == 0 and metrics["miou"] is None and metrics["frames"] == []


@pytest.mark.parametrize("name", ["out", "record"])
def test_a_folder_that_cannot_be_written_is_refused_at_once(start, tmp_path, name):
    (tmp_path / "file").write_text("")
    process = start(evaluation_node(**{name: str(tmp_path / "file" / "below")}))
    assert process.wait() == 2
    assert f"evaluation_node: {name} " in process.output
    assert "cannot be written" in process.output and "Traceback" not in process.output


def test_a_parameter_of_the_wrong_type_is_refused_in_one_line(start):
    process = start(evaluation_node(stop_after_idle=2))
    assert process.wait() == 2
    assert "stop_after_idle" in process.output and "expected a float" in process.output
    assert "Traceback" not in process.output


def test_the_masks_of_a_bag_are_scored_as_evaluate_scores_a_model(
    start: Callable[..., Process], peer: Peer, tmp_path: Path
):
    bag = write_rosbag2(tmp_path / "drive", drive(4))
    stamps = [START + index * PERIOD for index in range(4)]
    masks = [(scene(i)[0][..., 2] // 86).astype(np.uint8) for i in range(4)]
    out = tmp_path / "out"
    labels = "/cam/labels"
    process = start(evaluation_node(out=str(out), bag=str(bag), labels_topic=labels))
    sender = Sender(peer)
    peer.spin_until(lambda: "ready: " in process.output, "the node to be ready")
    peer.spin_until(sender.masks.get_subscription_count, "the subscription")
    for stamp, mask in list(zip(stamps, masks, strict=True))[:3]:  # the last one is lost
        sender.masks.publish(image(stamp, mask))
    sender.masks.publish(image(7, masks[0]))  # of no image in the bag
    peer.spin_until(
        lambda: len(list(out.glob(".unfinished-*/masks/*.png"))) == 4, "four recorded masks"
    )
    assert process.stop() == 0, process.output
    found = json.loads((out / "metrics.json").read_text())
    assert (found["frames"], found["masks"], found["live"]["masks"]) == (3, 4, 4)
    options = BagOptions(coding=LabelCoding(len(LABELS)))
    model = FunctionPredictor(LABELS, lambda bgr, _: ((bgr[..., 2] // 86).astype(np.uint8), None))
    with closing(BagFrames(bag, options)) as source:
        offline = score(source, model, ScoreOptions(Selection(limit=3))).figures()
    for key in ("miou", "confusion", "stability", "boundary_f", "labelled_frames"):
        assert found[key] == offline[key]  # to the last digit
    files = ["frames.csv", "metrics.json", "overlay.mp4", "report.html"]
    assert sorted(path.name for path in out.iterdir()) == files
