"""What the parts of every report make of figures."""

from __future__ import annotations

from bisenet_ros.labels import LabelSet
from bisenet_ros.report.html import heat_rows

LABELS = LabelSet(("a", "b"), ((1, 2, 3), (4, 5, 6)))


def test_confusion_rows_are_shares_and_the_extra_column_comes_when_needed():
    heat = heat_rows([[3, 1, 0], [0, 0, 0]], LABELS)
    assert heat["columns"] == ["a", "b"]
    assert heat["rows"] == [("a", [0.75, 0.25]), ("b", None)]
    assert heat_rows([[3, 0, 1], [0, 1, 0]], LABELS)["columns"] == ["a", "b", "none"]
