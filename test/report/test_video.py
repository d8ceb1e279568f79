"""Films, decoded again."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

from bisenet_ros.report.video import write_video


def frames(numbers: list[int], size: tuple[int, int]) -> list[tuple[int, np.ndarray]]:
    pairs = []
    for number in numbers:
        picture_rgb = np.zeros((*size, 3), np.uint8)
        picture_rgb[: size[0] // 2], picture_rgb[size[0] // 2 :] = (128, 64, 128), (0, 0, 142)
        picture_rgb[:, : 8 + number] = (244, 35, 232)
        pairs.append((number, picture_rgb))
    return pairs


def test_the_film_is_what_browsers_play_and_keeps_time_and_colours(tmp_path):
    sent = frames([2, 3, 5], (61, 81))
    assert write_video(tmp_path / "film.mp4", sent, 15.0) == 3
    with av.open(str(tmp_path / "film.mp4")) as film:
        stream = film.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        decoded = list(film.decode(stream))
    times = [Fraction(f.pts) * f.time_base for f in decoded]
    assert [t - times[0] for t in times] == [0, Fraction(1, 15), Fraction(3, 15)]
    for picture_back, (_, rgb) in zip(decoded, sent, strict=True):
        assert (picture_back.height, picture_back.width) == (60, 80)
        back = picture_back.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
        difference = np.abs(back.astype(int) - rgb[:60, :80].astype(int))
        assert np.percentile(difference, 90) <= 6


def test_the_film_begins_with_its_index(tmp_path):
    write_video(tmp_path / "film.mp4", frames([0, 1], (32, 32)), 15.0)
    content = (tmp_path / "film.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_no_frames_make_no_film(tmp_path):
    assert write_video(tmp_path / "film.mp4", [], 15.0) == 0
