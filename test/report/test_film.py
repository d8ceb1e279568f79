"""Films of overlays: times, sizes, errors."""

from __future__ import annotations

import resource
from pathlib import Path

import av
import numpy as np
import pytest

from bisenet_ros.errors import DataError
from bisenet_ros.report.film import Film
from bisenet_ros.report.filmstrip import Filmstrip

S = 10**9


def picture(value: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def read(path: Path) -> list[tuple[float, tuple[int, int], float]]:
    """Time, size and mean brightness of each frame."""
    with av.open(str(path)) as film:
        return [
            (f.time, (f.height, f.width), float(f.to_ndarray(format="rgb24").mean()))
            for f in film.decode(video=0)
        ]


def test_frames_are_shown_at_the_times_of_their_stamps(tmp_path: Path):
    stamps = [50 * S, 50 * S + S // 10, 51 * S, 51 * S, 20 * S, 90 * S]
    with Film(tmp_path / "a.mp4", 10) as film:
        for index, stamp in enumerate(stamps):
            film.add(stamp, picture(40 * index))
    # Repeated and back: one period on; a long pause is cut.
    assert film.times == pytest.approx([0, 0.1, 1.0, 1.1, 1.2, 3.2])
    frames = read(tmp_path / "a.mp4")
    assert [time for time, _, _ in frames] == pytest.approx(film.times)
    assert [mean for _, _, mean in frames] == pytest.approx([40 * i for i in range(6)], abs=3)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_all_frames_get_the_size_of_the_first(tmp_path: Path):
    with Film(tmp_path / "a.mp4", 15, widest=32) as film:
        film.add(0, picture(10, (49, 65)))
        film.add(S, picture(90, (200, 100)))
    assert [size for _, size, _ in read(tmp_path / "a.mp4")] == [(24, 32)] * 2
    with Film(tmp_path / "odd.mp4", 15) as film:
        film.add(0, picture(10, (49, 65)))
    assert read(tmp_path / "odd.mp4")[0][1] == (48, 64)
    with Film(tmp_path / "tiny.mp4", 15) as film:
        film.add(0, picture(10, (1, 1)))
    assert read(tmp_path / "tiny.mp4")[0][1] == (16, 16)


def test_nothing_is_left_after_an_error_or_without_frames(tmp_path: Path):
    with Film(tmp_path / "a.mp4", 15):
        pass
    with pytest.raises(ZeroDivisionError), Film(tmp_path / "a.mp4", 15) as film:
        film.add(0, picture(1))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="cannot be written"), Film(tmp_path / "no/a.mp4", 15):
        pass


def test_a_full_disk_is_reported_while_frames_come(tmp_path: Path):
    plain = resource.getrlimit(resource.RLIMIT_FSIZE)
    random = np.random.default_rng(0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, plain[1]))
    try:
        with pytest.raises(DataError, match="make room"), Film(tmp_path / "a.mp4", 15) as film:
            for index in range(300):  # noise, so that the encoder has much to write
                film.add(index * S, random.integers(0, 256, (64, 64, 3), np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, plain)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [1, 5, 24, 49, 500])
def test_a_filmstrip_is_spread_evenly_however_long_it_gets(count: int):
    strip = Filmstrip(24)
    for place in range(count):
        strip.add(place, picture(place % 256))
    places = [place for place, _ in strip.pictures()]
    assert places == sorted(set(places))
    assert len(places) == min(count, 24)
    gaps = np.diff([*places, count]) if count > 1 else [1]
    assert max(gaps) <= 3 * max(1, count // 24)
