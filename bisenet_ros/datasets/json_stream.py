"""Reads JSON files of any size entry by entry, and tells where in the file each entry lies.

A COCO file of 500 MB takes 5 GB once it is Python's; here one entry is in memory at a time, and
what a reader keeps is a pair of numbers for each, to read the entry again when its image is asked
for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bisenet_ros.errors import DataError

BLOCK = 1 << 20
LARGEST_ENTRY = 1 << 28  # bytes; masks of large pictures are a few MB
LARGEST_FILE = 1 << 26  # bytes of a file that is read at once, one image's labels
_SPACE = " \t\r\n"
_AFTER = frozenset(f",]}}{_SPACE}")  # what follows a value


class Span(NamedTuple):
    """Where an entry lies in its file, in bytes."""

    start: int
    end: int


def load(path: Path, limit: int = LARGEST_FILE) -> Any:
    """A whole JSON file; DataError, with the file, if it is none or larger than ``limit`` bytes."""
    try:
        size = path.stat().st_size
        if size > limit:
            raise DataError(
                f"{path} has {size / 2**20:.0f} MiB; expected {limit / 2**20:.0f} at most for the "
                "labels of one image: export without embedded images"
            )
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from error


def load_entry(path: Path, span: Span) -> Any:
    """The entry at a place that ``entries`` or ``elements`` told; DataError if it has changed."""
    try:
        with path.open("rb") as file:
            file.seek(span.start)
            return json.loads(file.read(span.end - span.start).decode())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path} was changed while it was in use; start again") from error


def elements(path: Path) -> Iterator[tuple[Span, Any]]:
    """The elements of a file that is one list.

    Raises:
        DataError: it is not JSON, is no list, or has an element of more than ``LARGEST_ENTRY``.
    """
    with _Scanner(path) as scanner:
        yield from scanner.list()
        scanner.end()


def entries(path: Path) -> Iterator[tuple[str, Span, Any]]:
    """(key, place, element) of every element of every list in a file that is one object.

    Values that are not lists come whole, in one piece.

    Raises:
        DataError: it is not JSON, is not an object, or an element is too large.
    """
    with _Scanner(path) as scanner:
        scanner.expect("{")
        if scanner.peek() == "}":
            return
        while True:
            _, key = scanner.value()
            if not isinstance(key, str):
                raise scanner.error("a key that is no text")
            scanner.expect(":")
            if scanner.peek() == "[":
                for span, element in scanner.list():
                    yield key, span, element
            else:
                span, value = scanner.value()
                yield key, span, value
            if scanner.peek() != ",":
                break
            scanner.expect(",")
        scanner.expect("}")
        scanner.end()


class _Scanner:
    """A window on a file. Its text is Latin-1, one character a byte, so that places are bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._at = 0  # within the window
        self._before = 0  # bytes of the file in front of the window
        self._ended = False

    def __enter__(self) -> _Scanner:
        try:
            self._file = self._path.open("rb")
        except OSError as error:
            raise DataError(f"{self._path} cannot be read: {error.strerror}") from error
        self._more(max(BLOCK, 3))
        if self._text.startswith("\u00ef\u00bb\u00bf"):  # UTF-8's byte order mark
            self._at = 3
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def error(self, what: str) -> DataError:
        """The error for what is found here."""
        place = self._before + self._at
        return DataError(f"{self._path} is not JSON as expected: {what} at byte {place}")

    def peek(self) -> str:
        """The next character that is not space, "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._more(BLOCK)

    def expect(self, character: str) -> None:
        """Pass over a character."""
        found = self.peek()
        if found != character:
            raise self.error(f"{found!r} where {character!r} was expected")
        self._at += 1

    def end(self) -> None:
        """See that nothing follows."""
        if self.peek():
            raise self.error("more text after the end")

    def list(self) -> Iterator[tuple[Span, Any]]:
        """The elements of the list that begins here."""
        self.expect("[")
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            yield self.value()
            if self.peek() != ",":
                break
            self._at += 1
        self.expect("]")

    def value(self) -> tuple[Span, Any]:
        """The value that begins here, whole, and its place."""
        if not self.peek():
            raise self.error("the end where a value was expected")
        wanted = BLOCK
        while True:
            try:
                found, end = self._decoder.raw_decode(self._text, self._at)
                # A number goes on if its next digits are still in the file.
                whole = not isinstance(found, (int, float)) or self._text[end : end + 1] in _AFTER
                if self._ended or (whole and end < len(self._text)):
                    break
            except json.JSONDecodeError as error:
                if self._ended:
                    raise self.error(error.msg) from error
            except RecursionError as error:
                raise self.error("lists in lists without end") from error
            if len(self._text) - self._at > LARGEST_ENTRY:
                raise self.error(f"an entry of more than {LARGEST_ENTRY >> 20} MiB")
            self._more(wanted)
            wanted *= 2
        text = self._text[self._at : end]
        span = Span(self._before + self._at, self._before + end)
        self._at = end
        if not text.isascii():
            try:
                found = json.loads(text.encode("latin-1").decode())
            except ValueError as error:
                raise self.error(f"text that is not UTF-8 ({error})") from error
        return span, found

    def _more(self, count: int) -> None:
        """Read on, and forget what lies behind."""
        block = self._file.read(count)
        self._ended = not block
        self._before += self._at
        self._text = self._text[self._at :] + block.decode("latin-1")
        self._at = 0
