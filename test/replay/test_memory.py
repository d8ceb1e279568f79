"""Memory stays flat: a long recording costs no more than a short one."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import mcap.writer
import numpy as np
from bag_formats import IMAGE, STORE, raw

FRAMES = 20_000
EARLY = 500
ALLOWED_MB = 100

PROGRAM = """
import sys
import cv2, numpy as np
from pathlib import Path
from bisenet_ros.labels import LabelSet
from bisenet_ros.recordings.bag_frames import BagFrames, BagOptions
from bisenet_ros.recordings.label_decoding import LabelCoding
from bisenet_ros.replay.outputs import write_frames, write_metrics
from bisenet_ros.replay.predictor import FunctionPredictor
from bisenet_ros.metrics.optical_flow import FlowMethod
from bisenet_ros.replay.score import ScoreOptions, score

cv2.setNumThreads(1)
labels = LabelSet(("a", "b", "c"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))
def predict(image, order):
    return (image[..., 0] // 86).astype(np.uint8), image[..., 1].copy()

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

marks = {}
def tell(done):
    if done in (500, 20000):
        marks[done] = resident_mb()

source = BagFrames(Path(sys.argv[1]), BagOptions(coding=LabelCoding(3)))
options = ScoreOptions(flow=FlowMethod("ultrafast"))
found = score(source, FunctionPredictor(labels, predict), options, on_progress=tell)
write_metrics(Path(sys.argv[2]) / "metrics.json", found.figures())
write_frames(Path(sys.argv[2]) / "frames.csv", found.scores.records, labels.names)
assert found.scores.labelled_frames == 20000
print(marks[500], marks[20000], resident_mb())
"""


def write_long_bag(path: Path) -> None:
    """Tiny frames and labels; only their stamps differ, which are written into the bytes."""
    random = np.random.default_rng(0)
    image = raw("/cam", 1, random.integers(0, 256, (16, 24, 3), dtype=np.uint8), "bgr8")
    label = raw("/labels", 1, random.integers(0, 3, (16, 24), dtype=np.uint8), "mono8")
    definition, _ = STORE.generate_msgdef(IMAGE, ros_version=2)
    with path.open("wb") as file:
        writer = mcap.writer.Writer(file)
        writer.start(profile="ros2")
        schema = writer.register_schema(IMAGE, "ros2msg", definition.encode())
        for note in (image, label):
            writer.register_channel(note.topic, "cdr", schema)
        contents = [bytearray(note.ros2()) for note in (image, label)]
        for index in range(FRAMES):
            stamp = 10**9 * 1000 + index * 10**9 // 30
            for channel, content in enumerate(contents, 1):
                struct.pack_into("<iI", content, 4, *divmod(stamp, 10**9))
                writer.add_message(channel, stamp, bytes(content), stamp)
        writer.finish()


def test_20000_frames_need_hardly_more_memory_than_500(tmp_path: Path):
    write_long_bag(tmp_path / "long.mcap")
    program = [sys.executable, "-c", PROGRAM, str(tmp_path / "long.mcap"), str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    early, late, end = (float(part) for part in done.stdout.split())
    assert late - early < ALLOWED_MB, done.stdout
    assert end - early < ALLOWED_MB, done.stdout
    assert (tmp_path / "frames.csv").read_text().count("\n") == FRAMES + 1
