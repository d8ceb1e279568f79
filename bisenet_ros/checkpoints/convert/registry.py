"""Every source of checkpoints there is, by name. A new one takes one file and an entry here."""

from __future__ import annotations

from bisenet_ros.checkpoints.convert import coincheung, mmsegmentation_bisenet
from bisenet_ros.checkpoints.convert.base import Source

SOURCES = {
    source.name: source for source in (coincheung.SOURCE, mmsegmentation_bisenet.SOURCE)
}
