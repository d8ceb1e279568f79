"""The command line of the camera player."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

DESCRIPTION = "Play a bag, a video, a folder of images or a webcam as a camera node."
EPILOG = """\
The image goes out on the --as topic (raw) or its /compressed (compressed), with the bag's
camera_info beside it. Frames keep an absolute schedule: none is skipped and none comes in a burst.
With --loop, original stamps start again each round, as those of ros2 bag play --loop do; fresh
ones keep rising. A frame that cannot be decoded is left out, reported and counted as skipped.
Exit codes: 0 good (also after SIGINT and SIGTERM), 1 no subscriber came, 2 wrong argument,
3 bad input.
"""


@dataclass(frozen=True)
class Options:
    """What to play and how; the fields are the options of :func:`parse`."""

    source: str
    topic: str | None = None
    as_topic: str | None = None
    also: tuple[str, ...] = ()
    rate: float | None = None
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
    """Options from the command line, without the ROS arguments; leaves with 2 if one is wrong."""
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
    add("--topic", help="image topic of the bag (the only one, labels and masks aside)")
    add(
        "--as",
        dest="as_topic",
        metavar="TOPIC",
        help="base topic to publish on (the bag's own; /camera/image_raw otherwise)",
    )
    add(
        "--also",
        action="append",
        default=[],
        metavar="TOPIC",
        help="publish this topic of the bag too; may be given again",
    )
    add(
        "--transport",
        choices=("stored", "raw", "compressed"),
        default="stored",
        help="stored: as the bag holds it; raw for all else (default)",
    )
    add("--frame-id", metavar="ID", help="frame_id of image and camera_info (the bag's own)")
    add("--reliability", choices=("reliable", "best_effort"), default="reliable")


def _add_time(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("time").add_argument
    add("--rate", type=_positive, metavar="HZ", help="frames a second (as recorded; images: 15)")
    add("--loop", action="store_true", help="play again and again")
    add("--start", type=_not_negative, default=0.0, metavar="S", help="leave out the first seconds")
    add("--duration", type=_positive, metavar="S", help="play so many seconds of the source")
    add(
        "--stamps",
        choices=("original", "fresh"),
        help="original: as recorded (default for bags); fresh: the wall time a frame is due, "
        "and messages beside it moved alike (default for all else)",
    )
    add("--clock", type=_positive, metavar="HZ", help="publish /clock, the time played")


def _add_running(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("running").add_argument
    add(
        "--wait-for-subscribers",
        type=_count,
        default=0,
        metavar="N",
        help="start when the image has N subscribers, and each --also topic one",
    )
    add(
        "--wait-timeout",
        type=_positive,
        default=30.0,
        metavar="S",
        help="give that up after so many seconds (%(default)s)",
    )
    add("--json", type=Path, metavar="FILE", help="write what was played, at the end")


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
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)
