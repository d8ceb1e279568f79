"""What other projects' pipelines took beside ours, as kept in benchmarks/peers.yaml."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bisenet_ros.errors import DataError
from bisenet_ros.system.share import share_folders
from bisenet_ros.system.yaml_file import read_yaml

KEPT = "benchmarks/peers.yaml"  # in a checkout only


@dataclass(frozen=True)
class Peer:
    """One pipeline, camera frame to mask.

    Attributes:
        name: project and model.
        engine: what ran it.
        version: of the project; None where it was not written down.
        ms: milliseconds, on the machine of :class:`Peers`.
        ratio: to the reference, in the same run.
        miou: on the data that our files are scored on, 0–1; None where it has other classes.
        ours: whether it is a file of this package.
    """

    name: str
    engine: str
    version: str | None
    ms: float
    ratio: float
    miou: float | None
    ours: bool


@dataclass(frozen=True)
class Peers:
    """One run of them.

    Attributes:
        machine, date, camera, size: how they were measured.
        data: name and split of the data set of the scores.
        reference: our file that they were compared with: weights, engine, precision, ms.
        rows: the fastest first.
    """

    machine: str
    date: str
    camera: str
    size: str
    data: tuple[str, str]
    reference: dict[str, Any]
    rows: tuple[Peer, ...]

    def beside(self, measured: dict[str, Any]) -> Peers | None:
        """What of them can stand beside a run of ours.

        Scores are left out where the run's are of other data; None where the sizes or the
        reference differ.

        Args:
            measured: of ``frontier.time_rows``.
        """
        reference = measured["reference"]
        same = (measured["camera"], reference["size"]) == (self.camera, self.size)
        if not same or reference["weights"] != self.reference["weights"]:
            return None
        data = measured.get("data", {})
        if (data.get("dataset"), data.get("split")) == self.data:
            return self
        return replace(self, rows=tuple(replace(row, miou=None) for row in self.rows))


def kept_file() -> Path | None:
    """The file of a checkout; None for an installed package."""
    return next((f / KEPT for f in share_folders() if (f / KEPT).is_file()), None)


def read_peers(path: Path) -> Peers:
    """Read a file such as benchmarks/peers.yaml.

    Raises:
        DataError: it is missing, is not YAML, or lacks something.
    """
    content = read_yaml(path)
    try:
        reference = {**content["reference"], "ms": float(content["reference"]["ms"])}
        rows = [_peer(row, reference["ms"]) for row in content["rows"]]
        data = str(content["data"]["dataset"]), str(content["data"]["split"])
        facts = {name: str(content[name]) for name in ("machine", "date", "camera", "size")}
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise DataError(
            f"{path} is not a list of peers ({type(error).__name__}: {error}); expected machine, "
            "date, camera, size, data, reference with ms, and rows with name, engine and ms as in "
            f"{KEPT}"
        ) from error
    return Peers(
        **facts,
        data=data,
        reference=reference,
        rows=tuple(sorted(rows, key=lambda row: row.ratio)),
    )


def _peer(row: dict[str, Any], reference_ms: float) -> Peer:
    ms, miou, version = float(row["ms"]), row.get("miou"), row.get("version")
    return Peer(
        name=str(row["name"]),
        engine=str(row["engine"]),
        version=None if version is None else str(version),
        ms=ms,
        ratio=ms / reference_ms,
        miou=None if miou is None else float(miou),
        ours=bool(row.get("ours", False)),
    )
