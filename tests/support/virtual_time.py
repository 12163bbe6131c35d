"""Virtual time, which passes only while every thread waits, so that tests simulate hours in seconds."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from itertools import count
from typing import Any

from distillation.inference.rate_limit import Clock


class VirtualTime:
    """A clock for threads that wait only in ``sleep`` or for a ``pool``."""

    def __init__(self) -> None:
        self._time, self._order = 1_000_000.0, count()
        self._awake = 1  # the thread that created the clock
        self._sleepers: list[tuple[float, int, threading.Event]] = []
        self._lock = threading.Lock()

    @property
    def clock(self) -> Clock:
        """The clock for the code under test."""
        return Clock(now=self.now, sleep=self.sleep, pool=lambda threads: _Pool(self, threads))

    def now(self) -> float:
        """Return the virtual time in seconds."""
        return self._time

    def sleep(self, seconds: float) -> None:
        """Wait; once all threads wait, the time advances to the next wake-up."""
        woken = threading.Event()
        with self._lock:
            heapq.heappush(self._sleepers, (self._time + max(0.0, seconds), next(self._order), woken))
            self._awake -= 1
            self._wake_next()
        woken.wait()

    def run(self, threads: int, work: Callable[[], None]) -> None:
        """Run ``work`` in several threads and wait for all of them."""
        running, done = threads, threading.Event()

        def worker() -> None:
            nonlocal running
            try:
                work()
            finally:
                with self._lock:
                    running -= 1
                    if running:
                        self._awake -= 1
                        self._wake_next()
                    else:  # The caller continues in place of the last thread.
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
        """Call ``fn`` with each item; after a failure, finish the running calls and raise it."""
        items = list(zip(*iterables, strict=True))
        results: list[Any] = [None] * len(items)
        failures: list[Exception] = []
        indices = iter(range(len(items)))

        def work() -> None:
            while not failures and (index := next(indices, None)) is not None:
                try:
                    results[index] = fn(*items[index])
                except Exception as error:  # noqa: BLE001 - raised again below
                    failures.append(error)

        if items:
            self._time.run(min(self._threads, len(items)), work)
        if failures:
            raise failures[0]
        return iter(results)
