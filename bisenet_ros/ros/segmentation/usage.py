"""The help text of segmentation_node."""

from __future__ import annotations

import json
from typing import Any

from bisenet_ros.ros.parameters.definition import FIELDS, Parameters, expected
from bisenet_ros.ros.usage import Entry, usage

SUMMARY = (
    "Segments camera images: each pixel gets the id of its class. ~ is the node's name, /bisenet "
    "unless it is remapped; with several cameras, outputs are ~/CAMERA/mask and so on."
)
SUBSCRIPTIONS = (
    Entry(
        "image_topic or image_topics",
        "sensor_msgs/Image, or CompressedImage on TOPIC/compressed",
        "camera images; remapping `image` selects a single camera, too",
    ),
    Entry("camera_info beside the image topic", "sensor_msgs/CameraInfo", "the calibration"),
    Entry(
        "depth_topic",
        "sensor_msgs/Image, or CompressedImage where it ends in /compressedDepth",
        "depth registered to the camera, while somebody subscribes to ~/points",
    ),
    Entry("/tf, /tf_static", "tf2_msgs/TFMessage", "the camera's pose, for ~/ground"),
)
PUBLICATIONS = (
    Entry("~/mask", "sensor_msgs/Image mono8", "class ids; 255: unlabelled"),
    Entry("~/mask_color", "sensor_msgs/Image rgb8", "the mask in the classes' colours"),
    Entry("~/mask_runs", "sensor_msgs/Image mono8", "the mask as Autoware's run-length bytes"),
    Entry("~/confidence", "sensor_msgs/Image mono8", "probability of the class, 0 to 255"),
    Entry("~/overlay", "sensor_msgs/Image rgb8", "the image blended with the classes' colours"),
    Entry("~/overlay/compressed", "sensor_msgs/CompressedImage jpeg", "the same, for Wi-Fi"),
    Entry("~/points", "sensor_msgs/PointCloud2", "the mask's pixels in space, by the depth image"),
    Entry("~/ground", "nav_msgs/OccupancyGrid", "the mask laid onto the ground, as costs"),
    Entry("~/ground_points", "sensor_msgs/PointCloud2", "where obstacles stand on the ground"),
    Entry("~/camera_info", "sensor_msgs/CameraInfo", "the calibration with each mask's header"),
    Entry("~/label_info", "vision_msgs/LabelInfo, latched", "ids and names of the classes"),
    Entry("~/labels", "std_msgs/String, latched", "JSON: ids, names and colours of the classes"),
    Entry("/diagnostics", "diagnostic_msgs/DiagnosticArray", "rates, counts and times, at 1 Hz"),
)
SERVICES = (
    Entry("~/enable", "std_srvs/SetBool", "process frames, or drop them"),
    Entry("~/reload", "std_srvs/Trigger", "load the weights file as it is now"),
    Entry(
        "~/change_state and others", "lifecycle_msgs", "configure, activate, deactivate, cleanup"
    ),
)


def text() -> str:
    """What ``--help`` prints."""
    sections = {
        "subscribes": SUBSCRIPTIONS,
        "publishes, what is subscribed to": PUBLICATIONS,
        "services": SERVICES,
        "parameters": [_parameter(name, field.metadata) for name, field in FIELDS.items()],
    }
    return usage("segmentation_node", SUMMARY, sections)


def _parameter(name: str, metadata: Any) -> Entry:
    values = expected(name) if metadata["choices"] or metadata["low"] is not None else ""
    said = metadata["description"] + (f" ({values})" if values else "")
    live = "; can be set while it runs" if metadata["live"] else ""
    return Entry(name, json.dumps(getattr(Parameters(), name)), said + live)
