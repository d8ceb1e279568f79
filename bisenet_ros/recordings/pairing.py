"""Bring two streams of one recording together by their stamps, reading each once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

JITTER_NS = 200_000_000  # a stamp may come so much too early; one further back is a jump

_MOST = 64  # companions in a window of JITTER_NS to either side, whatever stamps say


class Recorded(Protocol):
    """What was taken at one time and recorded at another."""

    @property
    def stamp_ns(self) -> int:
        """When it was taken, in ns."""

    @property
    def log_ns(self) -> int:
        """When it was recorded, in ns."""


A = TypeVar("A", bound=Recorded)
B = TypeVar("B", bound=Recorded)


class Pairing(Generic[A, B]):
    """Gives each item of a stream the companion with the nearest stamp, if it is near enough.

    An item and a companion that is not yet given become a pair if each is the nearest to the other
    and they are at most ``max_dt`` apart; of equally near ones the earlier. Where stamps repeat,
    the first item of a stamp gets the first companion of it. Where stamps jump back, as when a
    drive was played twice, companions recorded later are kept for items recorded later.

    Only a window of companions is held, of twice ``JITTER_NS`` or ``max_dt``.

    Args:
        items: in the order of their stamps, but for jitter and jumps.
        companions: in that order as well, from any place in the recording.
        max_dt_ns: largest distance of a pair; 0 for equal stamps.

    Attributes:
        paired: how many pairs there were.
        unpaired: items without a companion.
        left_over: companions that no item got.
        nearest_miss_ns: the smallest distance, beyond ``max_dt``, at which an item had its nearest
            companion; None if none was in sight.
    """

    def __init__(self, items: Iterable[A], companions: Iterable[B], max_dt_ns: int = 0) -> None:
        self.max_dt_ns = max_dt_ns
        self.paired = self.unpaired = self.left_over = 0
        self.nearest_miss_ns: int | None = None
        self._reach = max(max_dt_ns, JITTER_NS)
        self._most = _MOST * self._reach // JITTER_NS
        self._items = _Stream(items)
        self._companions = _Stream(self._plausible(companions))
        self._items_jumps = 0  # up to the item in hand
        self._window: list[B] = []

    def __iter__(self) -> Iterator[tuple[A, B | None]]:
        """Each item with its companion, in the items' order."""
        before: int | None = None  # the stamp of the item before, if no jump lies between
        while (item := self._items.head) is not None:
            self._items_jumps = self._items.jumps
            if self._items.jumped:
                before = None
                self._skip_recorded_before(item)
            self._items.advance()
            following = None if self._items.jumped else self._items.head
            self._slide(item, keep=self._items.jumped)
            companion = self._take(
                item.stamp_ns, before, None if following is None else following.stamp_ns
            )
            before = item.stamp_ns
            self.paired += companion is not None
            self.unpaired += companion is None
            yield item, companion
        self.left_over += len(self._window)
        while self._companions.head is not None:
            self.left_over += 1
            self._companions.advance()

    def _plausible(self, companions: Iterable[B]) -> Iterator[B]:
        """The companions without one whose stamp is far ahead of those before and after it.

        It would be waited for, and keep those after it from being read.
        """
        before: B | None = None
        held: B | None = None
        for companion in companions:
            if held is not None:
                ahead = held.stamp_ns - JITTER_NS > companion.stamp_ns
                goes_on = before is not None and companion.stamp_ns >= before.stamp_ns - JITTER_NS
                if ahead and goes_on:
                    self.left_over += 1
                else:
                    before = held
                    yield held
            held = companion
        if held is not None:
            yield held

    def _slide(self, item: A, keep: bool) -> None:
        """Move the window of companions to an item.

        With ``keep``, as the next item lies further back, nothing behind the window is forgotten:
        it may be this item's stamp that is wrong.
        """
        earliest, latest = item.stamp_ns - self._reach, item.stamp_ns + self._reach
        if len(self._window) >= self._most:
            self._forget(lambda other: other.stamp_ns > latest)
        while (head := self._companions.head) is not None and head.stamp_ns <= latest:
            ahead = self._companions.jumps > self._items_jumps or head.stamp_ns < earliest
            if self._companions.jumped and ahead and head.log_ns > item.log_ns:
                break  # it waits for items that jump back, too
            if len(self._window) >= self._most:
                break  # the item's stamp is far off, and the next one may be right again
            self._window.append(head)
            self._companions.advance()
        if not keep:
            self._forget(lambda other: other.stamp_ns < earliest)

    def _forget(self, useless: Callable[[B], bool]) -> None:
        kept = [other for other in self._window if not useless(other)]
        self.left_over += len(self._window) - len(kept)
        self._window = kept

    def _skip_recorded_before(self, item: A) -> None:
        """Drop companions from before a jump of the items that they would never be near to."""
        latest = item.stamp_ns + self._reach
        while (head := self._companions.head) is not None:
            if head.log_ns >= item.log_ns or head.stamp_ns <= latest:
                return
            self.left_over += 1
            self._companions.advance()

    def _take(self, stamp: int, before: int | None, after: int | None) -> B | None:
        """Take the companion of an item out of the window, if there is one.

        ``before`` and ``after`` are the stamps of the neighbouring items.
        """
        if not self._window:
            return None
        place, companion = min(
            enumerate(self._window),
            key=lambda entry: (abs(entry[1].stamp_ns - stamp), entry[1].stamp_ns, entry[0]),
        )
        distance = abs(companion.stamp_ns - stamp)
        if distance > self.max_dt_ns:
            if self.nearest_miss_ns is None or distance < self.nearest_miss_ns:
                self.nearest_miss_ns = distance
            return None
        # Two items of one stamp do not contend: there may be a companion for each.
        if before is not None and before != stamp and abs(companion.stamp_ns - before) <= distance:
            return None
        if after is not None and after != stamp and abs(companion.stamp_ns - after) < distance:
            return None
        return self._window.pop(place)


T = TypeVar("T", bound=Recorded)


class _Stream(Generic[T]):
    """A stream that shows its next item before it is taken.

    Attributes:
        head: the next item; None at the end.
        jumped: whether its stamp lies back behind those before it, by more than jitter.
        jumps: how many did so far, the head included.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self._latest: int | None = None
        self.head: T | None = None
        self.jumped = False
        self.jumps = 0
        self.advance()

    def advance(self) -> None:
        """Go on to the next item."""
        self.head = next(self._items, None)
        if self.head is None:
            self.jumped = False
            return
        stamp = self.head.stamp_ns
        self.jumped = self._latest is not None and stamp < self._latest - JITTER_NS
        self.jumps += self.jumped
        if self._latest is None or self.jumped or stamp > self._latest:
            self._latest = stamp
