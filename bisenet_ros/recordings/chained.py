"""Several recordings as one, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from bisenet_ros.recordings.frame_stream import EncodedFrame, FrameSource, ReadingNotes


class ChainedFrames:
    """Recordings as one :class:`~bisenet_ros.recordings.frame_stream.FrameSource`.

    Frames are numbered through; their stamps stay, so that a gap or a step back between two
    recordings is seen as such.

    Args:
        sources: at least one; closed together.
    """

    live = False

    def __init__(self, sources: Sequence[FrameSource]) -> None:
        self.sources = tuple(sources)
        self.name = ", ".join(source.name for source in sources)
        self.kind = "recordings"
        self.timed = all(source.timed for source in sources)
        counts = [source.expected for source in sources]
        self.expected = None if None in counts else sum(count or 0 for count in counts)
        lengths = [source.seconds for source in sources]
        self.seconds = None if None in lengths else sum(length or 0.0 for length in lengths)
        self.notes = ReadingNotes()
        for source in sources:
            for text in source.notes.warnings:
                self.notes.warn(text)
            source.notes = self.notes

    def encoded(self) -> Iterator[EncodedFrame]:
        """All frames of the first recording, then those of the next."""
        offset = 0
        for source in self.sources:
            last = -1
            frames = source.encoded()
            try:
                for frame in frames:
                    last = frame.index
                    yield replace(frame, index=offset + frame.index)
            finally:
                close = getattr(frames, "close", None)
                if close is not None:
                    close()
            offset += last + 1

    def facts(self) -> dict[str, Any]:
        """What they are, as JSON values."""
        return {
            "kind": self.kind,
            "path": self.name,
            "messages": self.expected,
            "seconds": self.seconds,
            "recordings": [source.facts() for source in self.sources],
        }

    def close(self) -> None:
        """Close them all."""
        for source in self.sources:
            source.close()
