"""Work on the next items of a stream while the caller is busy with one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class _Ended:
    """The source is over, with the error that ended it if there was one."""

    error: BaseException | None


def prefetch(
    source: Iterable[A], work: Callable[[A], B], workers: int = 2, ahead: int = 8
) -> Generator[B, None, None]:
    """Results of ``work`` on each item, in order, computed ahead by threads.

    One thread reads the source, others work; what they hold, finished or not, is never more than
    ``ahead`` items. An error of the source or of the work is raised where its item would have
    come. Closing the iterator ends the threads, after what they are at.

    Args:
        source: iterated in a thread of its own; closed there, if it is a generator.
        work: called by several threads at once.
        workers: how many of them.
        ahead: most items in hand, at least 1.
    """
    room = threading.Semaphore(max(1, ahead))
    done: queue.SimpleQueue[Future[B] | _Ended] = queue.SimpleQueue()
    stopped = threading.Event()
    pool = ThreadPoolExecutor(max(1, workers), thread_name_prefix="prefetch")
    reader = threading.Thread(
        target=_read, args=(source, work, pool, room, done, stopped), name="prefetch-reader"
    )
    reader.daemon = True  # a source that hangs must not keep the process alive
    reader.start()
    try:
        while True:
            entry = done.get()
            if isinstance(entry, _Ended):
                if entry.error is not None:
                    raise entry.error
                return
            result = entry.result()
            # Given up before the next one is asked for: the caller may hold this one for long.
            del entry
            room.release()
            yield result
            del result
    finally:
        stopped.set()
        room.release()
        pool.shutdown(wait=False, cancel_futures=True)
        reader.join()
        pool.shutdown(wait=True)


def _read(
    source: Iterable[A],
    work: Callable[[A], B],
    pool: ThreadPoolExecutor,
    room: threading.Semaphore,
    done: queue.SimpleQueue[Future[B] | _Ended],
    stopped: threading.Event,
) -> None:
    error: BaseException | None = None
    items = iter(source)
    try:
        while True:
            room.acquire()
            if stopped.is_set():
                break
            try:
                item = next(items)
            except StopIteration:
                break
            done.put(pool.submit(work, item))
            del item
    except BaseException as raised:  # carried to the caller, who raises it
        error = raised
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
        done.put(_Ended(error))
