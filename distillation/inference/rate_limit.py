"""When to ask: starts kept within a quota, calls that overlap, pauses that grow, and an end before the function's."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from math import ceil, inf
from threading import Lock

from distillation.errors import DistillationError, Throttled
from distillation.inference.converse import AnswerRejected, NoAnswer, Unavailable
from distillation.models import catalog
from distillation.records import Answer, Labeler, Quota, Run
from distillation.telemetry import CallCounts

MOST_OVERLAPPING_CALLS = 32
"""Threads of one function; the clients keep as many connections."""
_BATCH_SECONDS = 360
"""What a batch is to take, more or less."""
_AWAITED_SECONDS = 15
"""So long may answers take without holding up the pace."""
_ATTEMPTS_PER_IMAGE = 6
"""After so many the model itself is taken to fail at an image."""
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_SLOWEST = 16.0
"""How many times slower than its quota a pace may become."""


class DeadlineReached(DistillationError):
    """The next call would not end before the function does."""


@dataclass(frozen=True)
class Clock:
    """How time passes and how work overlaps; a simulation brings its own."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    pool: Callable[[int], Executor] = ThreadPoolExecutor


@dataclass(frozen=True)
class BatchLimits:
    """The circumstances of one batch: how many run beside it, itself included, and until when it may ask."""

    concurrent_batches: int
    deadline: float
    clock: Clock = field(default_factory=Clock)


def tokens_per_call(run: Run, model: str, labeler: Labeler) -> int:
    """Tokens that a call takes from a quota when it starts: the input of a square image, and all that may come out."""
    image = catalog.get_model(model).family.image_tokens(run.side, run.side)
    return image + len(run.prompt.system + run.prompt.user) // 4 + labeler.max_tokens


def calls_per_minute(run: Run, model: str) -> float:
    """Return how often a model may be asked in a minute, by requests and by tokens; infinity where nothing is known."""
    quota, tokens = run.quota(model), tokens_per_call(run, model, run.teacher)
    return min(quota.requests_per_minute or inf, (quota.tokens_per_minute or inf) / tokens)


def concurrent_batches(run: Run, model: str, images: int, most: int) -> int:
    """Return how many batches of so many images share a model's quota, ``most`` at most.

    Enough that a batch takes minutes, since its start and its last answer leave the quota unused; few enough that it
    ends well before its function. Among those, the number whose last round is the fullest.
    """
    batches = ceil(images / run.images_per_batch)
    best = min(most, calls_per_minute(run, model) * _BATCH_SECONDS / 60 / run.images_per_batch)
    low, high = (max(1, min(batches, most, ceil(best * share))) for share in (0.6, 1.4))
    return min(range(low, high + 1), key=lambda count: (ceil(batches / count) * count, abs(count - best)))


class RateLimiter:
    """Spreads the starts of a batch's calls, so that all batches together keep to a quota.

    As Bedrock counts them, a call's input and all that it may put out are taken when it starts, and what it did not
    use is given back when it ends. Throttled all the same, the pace slows down: another run, or a lower real quota.
    """

    def __init__(self, quota: Quota, shift: BatchLimits) -> None:
        self._request_seconds = _seconds_each(quota.requests_per_minute, shift.concurrent_batches)
        self._token_seconds = _seconds_each(quota.tokens_per_minute, shift.concurrent_batches)
        self._now, self._lock, self._slowness = shift.clock.now, Lock(), 1.0
        # Batches that begin together do not ask together.
        self._requests_from = self._tokens_from = self._now() + random.random() * self._request_seconds

    def calls_within(self, seconds: float) -> float:
        """Return how many calls start in so many seconds."""
        return seconds / self._request_seconds if self._request_seconds else inf

    def reserve_start(self, tokens: int) -> float:
        """Reserve the next start for a call of so many tokens; return when that is."""
        with self._lock:
            start = max(self._now(), self._requests_from, self._tokens_from)
            self._requests_from = start + self._request_seconds * self._slowness
            self._tokens_from = start + self._token_seconds * self._slowness * tokens
            return start

    def return_unused(self, tokens: int) -> None:
        """Return reserved tokens that a call did not use, and take up the pace again if it was slowed down."""
        with self._lock:
            self._tokens_from -= self._token_seconds * tokens
            self._slowness = max(1.0, self._slowness * 0.95)

    def slow_down(self) -> None:
        """Ask less often from now on."""
        with self._lock:
            self._slowness = min(_SLOWEST, self._slowness * 1.25)


class RateLimitedClient:
    """Makes the calls of one batch to one model: paced, overlapping, and again where that heals."""

    def __init__(self, quota: Quota, tokens: int, shift: BatchLimits) -> None:
        self.counts = CallCounts()
        self._pace, self._tokens, self._shift = RateLimiter(quota, shift), tokens, shift
        self._lock = Lock()

    @property
    def threads(self) -> int:
        """How many calls overlap, so that slow answers do not hold up the pace."""
        return ceil(min(MOST_OVERLAPPING_CALLS, self._pace.calls_within(_AWAITED_SECONDS) + 1))

    def call(self, question: Callable[[], Answer]) -> Answer:
        """Return the answer to a question.

        Raises ``OutOfTime`` once another attempt would come too late, and ``AnswerRefused`` when the model fails at
        this image again and again; what cannot heal is raised as it is.
        """
        attempt = 0
        while True:
            attempt += 1
            self.wait_until(self._pace.reserve_start(self._tokens))
            try:
                answer = question()
            except Throttled as error:
                self._note(error)
                if isinstance(error, NoAnswer) and attempt == _ATTEMPTS_PER_IMAGE:
                    raise AnswerRejected(f"no answer in {attempt} attempts: {error}") from error
                pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**attempt)
                self.wait_until(self._shift.clock.now() + random.uniform(0, pause))
            else:
                self._note(None)
                self._pace.return_unused(self._tokens - answer.usage.input_tokens - answer.usage.output_tokens)
                return answer

    def wait_until(self, moment: float) -> None:
        """Wait; raises ``OutOfTime`` for a moment after the deadline."""
        if moment > self._shift.deadline:
            raise DeadlineReached("the function ends before the quota has room for the next call")
        if (left := moment - self._shift.clock.now()) > 0:
            self._shift.clock.sleep(left)

    def _note(self, error: Throttled | None) -> None:
        unavailable = isinstance(error, Unavailable)
        with self._lock:
            self.counts.calls += 1
            self.counts.unavailable += unavailable
            self.counts.throttled += error is not None and not unavailable
        if error and not unavailable:
            self._pace.slow_down()


def _seconds_each(per_minute: float | None, batches: int) -> float:
    return 60 * batches / per_minute if per_minute else 0.0
