"""Make the sample bag: CamVid's val drive and its labels as an mcap for ros2 bag play.

    python scripts/make_sample_bag.py --data ../shared/data/camvid

writes test/data/camvid_drive/. The same images and library versions give the same bytes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from bisenet_ros.datasets import LabelledSet, open_set
from bisenet_ros.errors import ArgumentError, BisenetError
from bisenet_ros.recordings.bag_qos import METADATA_VERSION, reliable_qos

IMAGE_TOPIC = "/camera/image_raw/compressed"
LABEL_TOPIC = "/camera/labels/compressed"
FRAME_ID = "camera_optical_frame"
TYPE = "sensor_msgs/msg/CompressedImage"
START_NS = 1_700_000_000 * 10**9  # arbitrary: the set has no recording times
RATE = 15  # Hz: every second frame of a 30 Hz video
QUALITY = 97  # the highest that keeps the bag below 10 MB
CUSTOM = {
    "source": "CamVid val (drive 0016E5), Brostow, Fauqueur, Cipolla 2008; SegNet labels",
    "licence": "CC BY-NC 4.0",
}


def stamp_ns(index: int) -> int:
    """Stamp of frame ``index`` in ns since 1970, exact, so that rounding does not accumulate."""
    return START_NS + index * 10**9 // RATE


def encode_image(rgb: np.ndarray, quality: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB to the bytes of a JPEG, as (n,) uint8."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    return cv2.imencode(".jpg", bgr, options)[1].reshape(-1)


def encode_labels(ids: np.ndarray) -> np.ndarray:
    """(H, W) uint8 ids to the bytes of a PNG, as (n,) uint8."""
    return cv2.imencode(".png", ids, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].reshape(-1)


def encoded(data: LabelledSet, quality: int) -> Iterator[tuple[int, str, str, np.ndarray]]:
    """Each message as (stamp in ns, topic, format, bytes), in the order of the drive."""
    for index in range(len(data)):
        image, ids = data.read(index)
        # The format strings of image_transport for colour and for mono8 images.
        jpeg = encode_image(image, quality)
        yield stamp_ns(index), IMAGE_TOPIC, "rgb8; jpeg compressed bgr8", jpeg
        png = encode_labels(ids)
        yield stamp_ns(index), LABEL_TOPIC, "mono8; png compressed mono8", png


def write_bag(folder: Path, data: LabelledSet, quality: int) -> None:
    """Write the bag into ``folder``, which must not exist yet."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    message = store.types[TYPE]
    header, time = store.types["std_msgs/msg/Header"], store.types["builtin_interfaces/msg/Time"]
    with Writer(folder, version=METADATA_VERSION, storage_plugin=StoragePlugin.MCAP) as writer:
        for key, value in CUSTOM.items():
            writer.set_custom_data(key, value)
        topics = {
            topic: writer.add_connection(
                topic, TYPE, typestore=store, offered_qos_profiles=[reliable_qos(5)]
            )
            for topic in (IMAGE_TOPIC, LABEL_TOPIC)
        }
        for stamp, topic, form, content in encoded(data, quality):
            when = time(sec=stamp // 10**9, nanosec=stamp % 10**9)
            filled = message(header=header(when, FRAME_ID), format=form, data=content)
            writer.write(topics[topic], stamp, store.serialize_cdr(filled, TYPE))


def replace_folder(bag: Path, out: Path) -> None:
    """Move the finished bag to ``out``, replacing an older bag but nothing else."""
    if out.exists():
        if not (out / "metadata.yaml").is_file():
            raise ArgumentError(
                f"{out} exists and is not a bag; move it away or choose another --out"
            )
        shutil.rmtree(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(str(bag), str(out))


def main(arguments: list[str] | None = None) -> int:
    """Make the bag; return 0, or the exit code of the error that is printed."""
    parser = argparse.ArgumentParser(description="Make the sample bag from CamVid's val drive.")
    parser.add_argument("--data", type=Path, required=True, help="CamVid, SegNet layout")
    parser.add_argument("--out", type=Path, default=Path("test/data/camvid_drive"))
    parser.add_argument("--quality", type=int, default=QUALITY, help="JPEG quality (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        if not 1 <= options.quality <= 100:
            raise ArgumentError(f"--quality is {options.quality}; expected 1 to 100")
        data = open_set("camvid", options.data, "val")
        with tempfile.TemporaryDirectory() as scratch:
            bag = Path(scratch) / options.out.name  # the mcap inside is named after its folder
            write_bag(bag, data, options.quality)
            replace_folder(bag, options.out)
    except BisenetError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    size = sum(path.stat().st_size for path in options.out.iterdir())
    print(f"{options.out}: {len(data)} frames, {size / 1e6:.2f} MB, JPEG quality {options.quality}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
