"""Which frames are shown."""

from __future__ import annotations

from bisenet_ros.demo import outputs


def frame(number: int, miou: float | None) -> dict:
    return {"stamp": 1000 + number, "miou": miou, "classes": 2}


def test_the_best_and_the_worst_are_no_frame_twice():
    scored = [frame(i, i / 10) for i in range(5)] + [frame(5, None)]
    hero, best, worst = outputs.choose(scored, {1000 + i for i in range(6)})
    assert hero["miou"] == 0.4
    assert [f["miou"] for f in best] == [0.4, 0.3]
    assert [f["miou"] for f in worst] == [0.0, 0.1]
    assert outputs.choose(scored, set()) == (None, [], [])
