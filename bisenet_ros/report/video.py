"""MP4 videos that every browser plays: H.264, yuv420p, BT.709, index at the front."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter

BT709 = 1  # ITU-T H.273 code point of primaries, transfer and matrix
QUALITY = "23"  # x264's constant rate factor


def write_video(
    path: Path,
    frames: Iterable[tuple[int, np.ndarray]],
    rate: float,
    preset: str = "medium",
    keyframes: int = 250,
    threads: int = 0,
) -> int:
    """Write frames as an MP4.

    Args:
        path: the file.
        frames: (number, (H, W, 3) uint8 RGB) in ascending order; a frame is shown at
            ``number / rate`` seconds, so that missing frames do not shift the others. All have
            the first one's size; an odd last row or column is cropped, as yuv420p requires.
        rate: frames per second.
        preset: of x264; faster ones make larger files.
        keyframes: at most so many frames from one to the next; fewer make seeking faster.
        threads: of the encoder; 0 for as many as it likes.

    Returns:
        How many frames were written.
    """
    speed = Fraction(rate).limit_denominator(1001)
    written = 0
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as film:
        stream, converter = None, VideoReformatter()  # whose tables each frame would compute anew
        for number, rgb in frames:
            height, width = rgb.shape[0] // 2 * 2, rgb.shape[1] // 2 * 2
            if stream is None:
                first = number
                stream = _stream(
                    film, (width, height), speed, {"preset": preset, "g": str(keyframes)}
                )
                stream.codec_context.thread_count = threads
            colours = av.VideoFrame.from_numpy_buffer(
                np.ascontiguousarray(rgb[:height, :width]), format="rgb24"
            )
            picture = converter.reformat(
                colours, format="yuv420p", dst_colorspace=Colorspace.ITU709
            )
            picture.pts = number - first
            picture.time_base = 1 / speed
            film.mux(stream.encode(picture))
            written += 1
        if stream is not None:
            film.mux(stream.encode(None))
    return written


def _stream(
    film: av.container.OutputContainer,
    size: tuple[int, int],
    speed: Fraction,
    options: dict[str, str],
) -> av.VideoStream:
    stream = film.add_stream("libx264", rate=speed, options={"crf": QUALITY, **options})
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    stream.time_base = stream.codec_context.time_base = 1 / speed
    # Without these, players guess the matrix from the size and class colours shift.
    context = stream.codec_context
    context.color_primaries = context.color_trc = context.colorspace = BT709
    return stream
