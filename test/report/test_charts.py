"""Charts, read back as XML."""

from __future__ import annotations

from xml.etree import ElementTree

from bisenet_ros.report.charts import COLOURS, Series, line_chart


def test_a_chart_is_svg_in_the_pages_colours():
    text = line_chart("T & t", "x", "ms", [Series("age", "first", [(0, 1.0), (1, 2.0)])])
    svg = ElementTree.fromstring(text)
    assert svg.tag.endswith("svg") and svg.get("class") == "chart"
    assert "var(--first)" in text and "var(--faint)" in text
    assert not any(stand_in in text for stand_in in COLOURS.values())
    words = {"".join(e.itertext()).strip() for e in svg.iter() if e.tag.endswith("}text")}
    assert {"x", "ms", "age"} <= words


def line_paths(points) -> list[str]:
    svg = ElementTree.fromstring(line_chart("t", "x", "y", [Series("s", "first", points)]))
    paths = [e for e in svg.iter() if e.tag.endswith("}path")]
    return [p.get("d", "") for p in paths if "var(--first)" in p.get("style", "")]


def test_a_missing_value_breaks_the_line():
    whole = line_paths([(i, float(i)) for i in range(5)])
    broken = line_paths([(i, None if i == 2 else float(i)) for i in range(5)])
    assert whole[0].count("M") == 1
    assert broken[0].count("M") == 2


def test_nothing_to_draw_is_no_error():
    assert "<svg" in line_chart("t", "x", "y", [])
    assert "<svg" in line_chart("t", "x", "y", [Series("s", "first", [(1, None)])])
