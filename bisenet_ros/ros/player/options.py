"""The command line of the camera player."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

DESCRIPTION = "Play a bag, a video, a folder of images or a webcam as a camera node."
EPILOG = """\
Images are published on the --as topic (raw) or on its /compressed topic (compressed), along with
the bag's camera_info. Frames follow an absolute schedule: none are skipped or sent in a burst.
With --loop, original stamps restart every round, as with ros2 bag play --loop; fresh stamps keep
increasing. A frame that cannot be decoded is dropped, logged and counted as skipped.
Exit codes: 0 success (also after SIGINT and SIGTERM), 1 not enough subscribers, 2 wrong argument,
3 bad input.
"""


@dataclass(frozen=True)
class Options:
    """The command-line options, see :func:`parse`."""

    source: str
    topic: str | None = None
    as_topic: str | None = None
    also: tuple[str, ...] = ()
    rate: float | None = None
    rate_factor: float = 1.0
    lockstep: str | None = None
    lockstep_timeout: float = 10.0
    loop: bool = False
    start: float = 0.0
    duration: float | None = None
    transport: str = "stored"
    stamps: str | None = None
    clock: float | None = None
    reliability: str = "reliable"
    wait_for_subscribers: int = 0
    wait_timeout: float = 30.0
    frame_id: str | None = None
    json: Path | None = None


def parse(arguments: list[str]) -> Options:
    """Parse the command line without its ROS arguments; exits with 2 if an argument is wrong."""
    given = vars(_parser().parse_args(arguments))
    return Options(**{**given, "also": tuple(given["also"])})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="camera_player",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source",
        help="bag (folder, .mcap, .db3), video file, folder of images, /dev/videoN or webcam:N",
    )
    _add_topics(parser)
    _add_time(parser)
    _add_running(parser)
    return parser


def _add_topics(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("topics").add_argument
    add(
        "--topic",
        help="image topic in the bag (default: the only one that is not a label or mask topic)",
    )
    add(
        "--as",
        dest="as_topic",
        metavar="TOPIC",
        help="base topic to publish on (default: as in the bag; other sources: /camera/image_raw)",
    )
    add(
        "--also",
        action="append",
        default=[],
        metavar="TOPIC",
        help="also publish this topic of the bag; can be repeated",
    )
    add(
        "--transport",
        choices=("stored", "raw", "compressed"),
        default="stored",
        help="stored: as in the bag, raw for other sources (default)",
    )
    add(
        "--frame-id",
        metavar="ID",
        help="frame_id of image and camera_info (default: as in the bag)",
    )
    add("--reliability", choices=("reliable", "best_effort"), default="reliable")


def _add_time(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("time").add_argument
    add(
        "--rate", type=_positive, metavar="HZ", help="frame rate (default: as recorded; images: 15)"
    )
    add(
        "--rate-factor",
        type=_positive,
        default=1.0,
        metavar="F",
        help="play F times as fast as recorded (default: %(default)s)",
    )
    add(
        "--lockstep",
        metavar="TOPIC",
        help="as fast as every frame is served: publish the next frame once an image with the "
        "stamp of the last one arrives on TOPIC, such as a node's mask",
    )
    add(
        "--lockstep-timeout",
        type=_positive,
        default=10.0,
        metavar="S",
        help="how long to wait for a frame to be served, in seconds (default: %(default)s)",
    )
    add("--loop", action="store_true", help="repeat until interrupted")
    add("--start", type=_not_negative, default=0.0, metavar="S", help="skip the first S seconds")
    add("--duration", type=_positive, metavar="S", help="play S seconds of the source")
    add(
        "--stamps",
        choices=("original", "fresh"),
        help="original: as recorded (default for bags); fresh: the wall time at which a frame is "
        "due, with accompanying messages shifted equally (default for other sources)",
    )
    add("--clock", type=_positive, metavar="HZ", help="publish the playback time on /clock")


def _add_running(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("running").add_argument
    add(
        "--wait-for-subscribers",
        type=_count,
        default=0,
        metavar="N",
        help="start once the image topic has N subscribers and each --also topic has one",
    )
    add(
        "--wait-timeout",
        type=_positive,
        default=30.0,
        metavar="S",
        help="how long to wait for subscribers, in seconds (default: %(default)s)",
    )
    add("--json", type=Path, metavar="FILE", help="write a summary of what was played")


def _number(accept: Callable[[float], bool], expected: str) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and accept(value)):
            raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")
        return value

    return convert


_positive = _number(lambda value: value > 0, "a number above 0")
_not_negative = _number(lambda value: value >= 0, "a number of 0 or more")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of 0 or more")
    return int(text)
