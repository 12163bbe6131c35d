"""Time that passes only when every thread waits: hours of asking in seconds, with the real code."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from itertools import count
from typing import Any

from distillation.inference.rate_limit import Clock


class VirtualTime:
    """A clock for threads that wait with ``sleep`` or for work in a ``pool``, and for nothing else."""

    def __init__(self) -> None:
        self._time, self._order = 1_000_000.0, count()
        self._awake = 1  # who made it
        self._sleepers: list[tuple[float, int, threading.Event]] = []
        self._lock = threading.Lock()

    @property
    def clock(self) -> Clock:
        """What the code under test gets."""
        return Clock(now=self.now, sleep=self.sleep, pool=lambda threads: _Pool(self, threads))

    def now(self) -> float:
        """Return the time in seconds."""
        return self._time

    def sleep(self, seconds: float) -> None:
        """Wait; once all wait, the time is that of the next to wake."""
        woken = threading.Event()
        with self._lock:
            heapq.heappush(self._sleepers, (self._time + max(0.0, seconds), next(self._order), woken))
            self._awake -= 1
            self._wake_next()
        woken.wait()

    def run(self, threads: int, work: Callable[[], None]) -> None:
        """Do work in several threads, and wait for all."""
        left, done = threads, threading.Event()

        def worker() -> None:
            nonlocal left
            try:
                work()
            finally:
                with self._lock:
                    left -= 1
                    if left:
                        self._awake -= 1
                        self._wake_next()
                    else:  # The caller goes on instead of the last of them.
                        done.set()

        with self._lock:
            self._awake += threads - 1
        for _ in range(threads):
            threading.Thread(target=worker, daemon=True).start()
        done.wait()

    def _wake_next(self) -> None:
        if not self._awake and self._sleepers:
            self._time, _, woken = heapq.heappop(self._sleepers)
            self._awake += 1
            woken.set()


class _Pool(Executor):
    def __init__(self, time: VirtualTime, threads: int) -> None:
        self._time, self._threads = time, threads

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], **_: Any) -> Iterator[Any]:
        """Call a function of each item; the first failure ends it, after what is under way."""
        items = list(zip(*iterables, strict=True))
        results: list[Any] = [None] * len(items)
        failures: list[Exception] = []
        places = iter(range(len(items)))

        def work() -> None:
            while not failures and (place := next(places, None)) is not None:
                try:
                    results[place] = fn(*items[place])
                except Exception as error:  # noqa: BLE001 - raised again where the results are read
                    failures.append(error)

        if items:
            self._time.run(min(self._threads, len(items)), work)
        if failures:
            raise failures[0]
        return iter(results)
