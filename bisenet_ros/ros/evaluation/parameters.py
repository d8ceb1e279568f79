"""The parameters of the evaluation node."""

from __future__ import annotations

from typing import Any

# Name to default and description.
PARAMETERS: dict[str, tuple[Any, str]] = {
    "mask_topic": ("/bisenet/mask", "masks to score: sensor_msgs/Image, mono8"),
    "labels_topic": (
        "/camera/labels",
        "true ids, mono8: Image on this topic, or PNG on its /compressed topic; empty: none",
    ),
    "label_names_topic": ("/bisenet/labels", "names and colours of the classes: std_msgs/String"),
    "overlay_topic": ("", "overlays to record: sensor_msgs/Image, rgb8; empty: none"),
    "confidence_topic": (
        "",
        "confidence to record, which the node then builds: sensor_msgs/Image, mono8; empty: none",
    ),
    "diagnostics": (True, "keep the latest diagnostics"),
    "out": ("", "output folder for metrics.json, written at the end; empty: log only"),
    "record": ("", "output folder for masks, overlays, confidence and diagnostics; empty: none"),
    "expected_frames": (
        0,
        "images sent to the node under test, to report how many it did not receive; 0: unknown",
    ),
    "bag": (
        "",
        "the bag that is played: at the end its masks are scored as `evaluate --bag` scores a "
        "model, into `out`; empty: live scores only",
    ),
    "bag_image_topic": ("", "camera of the masks, in the bag; empty: the only one"),
    "bag_label_topic": ("", "its labels, in the bag; empty: the only ones"),
    "require_score": (False, "end with exit code 1 if no mask could be scored"),
    "stop_after_idle": (
        0.0,
        "exit after this many seconds without a mask or label, once one arrived; 0: never",
    ),
}
