"""Wait for everything that the emulator started, or stop it and prevent new work from starting."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

POLL_SECONDS = 0.02

closing = threading.Event()
"""Set while the emulator shuts down: no execution, task or Lambda worker starts."""
active_work: set[object] = set()
"""One token for each execution and each Lambda invocation that runs, and each Lambda worker that starts."""


@contextlib.contextmanager
def track() -> Iterator[None]:
    """Count the body as active work, which ``stop_all_work`` waits for."""
    token = object()
    active_work.add(token)
    try:
        yield
    finally:
        active_work.discard(token)


def allow_work() -> None:
    """Allow executions and Lambda workers to start, also after ``stop_all_work``."""
    closing.clear()


def wait_until_idle(timeout: float) -> None:
    """Wait until no execution and no Lambda function runs; raise ``TimeoutError`` after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while active_work:
        if time.monotonic() > deadline:
            raise TimeoutError(f"executions or Lambda functions still run after {timeout:g} s")
        time.sleep(POLL_SECONDS)


def stop_all_work(timeout: float = 10) -> None:
    """End all executions and kill all Lambda worker processes; wait at most ``timeout`` seconds."""
    # ministack reads its settings from the environment on import, which the emulator must set first.
    from ministack.core import lambda_runtime

    closing.set()
    deadline = time.monotonic() + timeout
    while True:
        lambda_runtime.reset()
        if not active_work or time.monotonic() > deadline:
            return
        time.sleep(POLL_SECONDS)
