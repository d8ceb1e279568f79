"""report.html of many recordings: one row each, worst first, linking each report."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from bisenet_ros.report.formatting import percent
from bisenet_ros.report.html import fill


def render(summary: dict[str, Any], page: str = "report.html") -> str:
    """The page as HTML.

    Args:
        summary: the content of its metrics.json.
        page: the name of each recording's report in its folder.
    """
    rows = [{**row, "link": f"{quote(row['folder'])}/{page}"} for row in summary["recordings"]]
    return fill(
        "summary.html.j2",
        m=summary,
        rows=rows,
        headline=headline(summary),
        facts=[],
        credit="",
    )


def headline(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Figures at the top: (value, what it is)."""
    rows = [row for row in summary["recordings"] if row["error"] is None]
    worst = min((row["miou"] for row in rows if row["miou"] is not None), default=None)
    steady = [r["temporal_consistency"] for r in rows if r["temporal_consistency"] is not None]
    least = min(steady, default=None)
    return [
        (percent(summary["miou"]), "mIoU over all labelled pixels"),
        (percent(worst), "mIoU of the worst recording"),
        (percent(least), "lowest temporal consistency"),
        (str(summary["scored"]), "recordings scored"),
        (str(summary["failed"]), "could not be scored"),
        (f"{summary['frames']:,}", "frames"),
    ]
