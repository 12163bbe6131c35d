"""Call a model within its quota: rate limiting, concurrent calls, retries with backoff, and a deadline."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from math import ceil, inf
from threading import Lock

from distillation.errors import DailyQuotaExceeded, DistillationError, Throttled
from distillation.inference.converse import AnswerRejected, NoAnswer
from distillation.inference.tier_choice import FLEX_LATENCY_SECONDS, FlexFailures, TierChoice, is_throttling
from distillation.models import catalog
from distillation.records import Answer, Labeler, Prompt, Quota, Run, ServiceTier

MAX_CONCURRENT_CALLS = 32
"""Maximum number of concurrent calls of one function. The boto3 clients keep as many connections."""
_TARGET_BATCH_SECONDS = 360
"""Duration in seconds that a batch should take."""
_EXPECTED_LATENCY_SECONDS = 15
"""Latency of an answer, in seconds, up to which there are enough threads to use the whole quota."""
_MAX_ATTEMPTS_PER_IMAGE = 6
"""Number of calls without an answer from the model after which an image is set aside."""
_BASE_BACKOFF_SECONDS = 0.5
_MAX_BACKOFF_SECONDS = 30.0
_MAX_SLOWDOWN_FACTOR = 16.0
"""Maximum factor by which a rate limiter lengthens the interval between calls after throttling."""


class DeadlineReached(DistillationError):
    """The next call would start after the batch's deadline."""


@dataclass(frozen=True)
class Clock:
    """The time and the threads of a batch; tests replace them with simulated ones."""

    now: Callable[[], float] = time.time
    """Return the time in seconds since the epoch."""
    sleep: Callable[[float], None] = time.sleep
    """Wait for a number of seconds."""
    pool: Callable[[int], Executor] = ThreadPoolExecutor
    """Return a pool with a number of threads."""


@dataclass(frozen=True)
class BatchLimits:
    """The share of the quota and the time that one batch has."""

    concurrent_batches: int
    """Number of batches that share the quota, including this one."""
    deadline: float
    """Time after which no call starts, in seconds since the epoch."""
    clock: Clock = field(default_factory=Clock)


def tokens_per_call(run: Run, model: str, labeler: Labeler, prompt: Prompt | None = None) -> int:
    """Return the tokens that Bedrock takes from the quota when a call starts: the input and ``max_tokens``.

    ``prompt`` is by default the one that the run asks the model with.
    """
    prompt = prompt or run.prompt_of(model)
    image_tokens = catalog.get_model(model).family.image_tokens(run.image_side, run.image_side)
    return image_tokens + len(prompt.system + prompt.user) // 4 + labeler.max_tokens


def calls_per_minute(run: Run, model: str) -> float:
    """Return the calls per minute that the model's request and token quotas allow; infinity if both are unknown."""
    quota, tokens = run.quota(model), tokens_per_call(run, model, run.teacher)
    return min(quota.requests_per_minute or inf, (quota.tokens_per_minute or inf) / tokens)


def concurrent_batches(run: Run, model: str, images: int, maximum: int) -> int:
    """Return the number of batches to run at the same time for ``images`` images, at most ``maximum``.

    A batch should take about ``_TARGET_BATCH_SECONDS``. Shorter batches waste quota while they start and end; longer
    ones may reach the timeout of their function. Of the numbers within 40 % of the ideal one, this returns the number
    whose last round of batches is the fullest. If the images need more than the tokens of a day, batches run one after
    another: a batch that waits for its quota would lose it to a batch that starts.
    """
    if any(images * tokens_per_image(run, id) > (run.quota(id).tokens_per_day or inf) for id in (model, run.student)):
        return 1
    batches = ceil(images / run.images_per_batch)
    ideal = min(maximum, calls_per_minute(run, model) * _TARGET_BATCH_SECONDS / 60 / run.images_per_batch)
    low, high = (max(1, min(batches, maximum, ceil(ideal * share))) for share in (0.6, 1.4))
    return min(range(low, high + 1), key=lambda count: (ceil(batches / count) * count, abs(count - ideal)))


def tokens_per_image(run: Run, model: str) -> int:
    """Return the largest number of tokens of a run's questions to a model about one image, in one step."""
    samples = run.request.samples_per_image if model == run.teacher.model else 1
    return samples * tokens_per_call(run, model, run.teacher)


def images_per_batch(run: Run) -> int:
    """Return the number of images per batch: that of the run, or fewer if they need more than half the daily quota.

    Such a batch waits for its daily quota at most once, so the wait fits into the retries of the state machine. The
    other half of the quota is for second questions after rejected answers.
    """
    images = [
        (run.quota(model).tokens_per_day or inf) / 2 / tokens_per_image(run, model)
        for model in (run.teacher.model, run.student)
    ]
    return max(1, int(min(run.images_per_batch, *images)))


class RateLimiter:
    """Spaces the calls of one batch so that all concurrent batches together stay within a quota.

    Tokens are counted as Bedrock counts them. A call takes its input tokens and ``max_tokens`` from the quota when it
    starts, and returns what it did not use when it ends. After throttling the interval between calls grows, because
    another run shares the quota or the account's real quota is lower.
    """

    def __init__(self, quota: Quota, limits: BatchLimits) -> None:
        """Create a limiter for the batch's share of ``quota``. An unknown quota imposes no limit."""
        self._seconds_per_request = _interval_seconds(quota.requests_per_minute, limits.concurrent_batches)
        self._seconds_per_token = _interval_seconds(quota.tokens_per_minute, limits.concurrent_batches)
        self._now, self._lock, self._slowdown_factor = limits.clock.now, Lock(), 1.0
        # A random offset keeps batches that start together from calling at the same moment.
        self._next_by_requests = self._next_by_tokens = self._now() + random.random() * self._seconds_per_request

    def calls_within(self, seconds: float) -> float:
        """Return the number of calls that may start within ``seconds``."""
        return seconds / self._seconds_per_request if self._seconds_per_request else inf

    def reserve_start(self, tokens: int) -> float:
        """Reserve the next start for a call of ``tokens`` tokens; return its time in seconds since the epoch."""
        with self._lock:
            start = max(self._now(), self._next_by_requests, self._next_by_tokens)
            self._next_by_requests = start + self._seconds_per_request * self._slowdown_factor
            self._next_by_tokens = start + self._seconds_per_token * self._slowdown_factor * tokens
            return start

    def return_unused(self, tokens: int) -> None:
        """Return reserved tokens that a call did not use, and shorten the interval if throttling lengthened it."""
        with self._lock:
            self._next_by_tokens -= self._seconds_per_token * tokens
            self._slowdown_factor = max(1.0, self._slowdown_factor * 0.95)

    def slow_down(self) -> None:
        """Lengthen the interval between calls, after a call was throttled."""
        with self._lock:
            self._slowdown_factor = min(_MAX_SLOWDOWN_FACTOR, self._slowdown_factor * 1.25)


class RateLimitedClient:
    """Calls one model for one batch, within its quota, and retries calls that may succeed later."""

    def __init__(self, quota: Quota, tokens: int, limits: BatchLimits, tiers: TierChoice | None = None) -> None:
        """Create a client whose calls take ``tokens`` tokens each from ``quota`` when they start."""
        self.answers: list[Answer] = []
        """Answers that were received, all of which are billed."""
        self.throttled: Counter[ServiceTier] = Counter()
        """Number of calls that the quota throttled, keyed by service tier."""
        self.unavailable = 0
        """Number of calls that Bedrock could not serve or did not answer; flex calls without capacity count too."""
        self._limiter, self._tokens, self._limits = RateLimiter(quota, limits), tokens, limits
        self._tiers, self._lock = tiers or TierChoice("default", limits.clock.now), Lock()
        self._daily_quota_error: DailyQuotaExceeded | None = None

    @property
    def threads(self) -> int:
        """Number of concurrent calls that use the whole quota, at most ``MAX_CONCURRENT_CALLS``."""
        latency_seconds = _EXPECTED_LATENCY_SECONDS
        if self._tiers.first_tier() == "flex":
            latency_seconds = 2 * FLEX_LATENCY_SECONDS  # While some threads wait for stalled calls, others continue.
        return ceil(min(MAX_CONCURRENT_CALLS, self._limiter.calls_within(latency_seconds) + 1))

    def call(self, send: Callable[[ServiceTier], Answer]) -> Answer:
        """Return the answer of ``send``, which is called again after a backoff while it raises ``Throttled``.

        Raises ``DeadlineReached`` if the next attempt would start after the deadline, and ``AnswerRejected`` if the
        model fails at this image repeatedly. Other errors are not retried, except on the standard tier if flex raised
        them. After ``DailyQuotaExceeded`` every later call raises it too, without a request.
        """
        failures = FlexFailures()
        try:
            return self._call(send, failures)
        finally:
            self._tiers.end_probe(failures)

    def _call(self, send: Callable[[ServiceTier], Answer], failures: FlexFailures) -> Answer:
        attempt, waits = 0, True
        while True:
            attempt += 1
            self._raise_daily_quota_error()
            start = self._limiter.reserve_start(self._tokens)
            if waits:
                self.wait_until(start)
                self._raise_daily_quota_error()
            tier = self._tiers.tier(failures)
            may_fall_back = self._tiers.may_fall_back(tier)
            try:
                answer = self._tiers.send(tier, send)
            except DailyQuotaExceeded as error:
                self._daily_quota_error = error
                raise
            except DistillationError as error:
                if not isinstance(error, Throttled) and not may_fall_back:
                    raise
                self._count_failure(error, tier, failures)
                if isinstance(error, NoAnswer) and attempt == _MAX_ATTEMPTS_PER_IMAGE:
                    raise AnswerRejected(f"no answer in {attempt} attempts: {error}") from error
                waits = not may_fall_back or isinstance(error, NoAnswer) or self._may_be_quota(error, failures)
                if isinstance(error, Throttled) and not (may_fall_back and isinstance(error, NoAnswer)):
                    backoff = min(_MAX_BACKOFF_SECONDS, _BASE_BACKOFF_SECONDS * 2**attempt)
                    self.wait_until(self._limits.clock.now() + random.uniform(0, backoff))
            else:
                self._count_answer(answer, tier, failures)
                return answer

    def wait_until(self, moment: float) -> None:
        """Wait until ``moment``, in seconds since the epoch. Raises ``DeadlineReached`` if it is after the deadline."""
        if moment > self._limits.deadline:
            raise DeadlineReached("the function would end before the next call gets an answer")
        if (seconds := moment - self._limits.clock.now()) > 0:
            self._limits.clock.sleep(seconds)

    def _raise_daily_quota_error(self) -> None:
        if error := self._daily_quota_error:
            raise DailyQuotaExceeded(str(error))

    def _may_be_quota(self, error: DistillationError, failures: FlexFailures) -> bool:
        """Return whether to wait for the next start after a failed flex call, because the quota may be the cause.

        The probe does not wait, so that the cause is soon known.
        """
        return is_throttling(error) and not failures.is_probe and not self._tiers.is_flex_exhausted

    def _count_answer(self, answer: Answer, tier: ServiceTier, failures: FlexFailures) -> None:
        """Count an answer. If the standard tier answered what flex throttled, flex had no capacity."""
        with self._lock:
            self.answers.append(answer)
            if tier == "default":
                self.throttled["flex"] -= failures.throttled
                self.unavailable += failures.throttled
        self._limiter.return_unused(self._tokens - answer.usage.input_tokens - answer.usage.output_tokens)
        self._tiers.count_answer(tier, failures)

    def _count_failure(self, error: DistillationError, tier: ServiceTier, failures: FlexFailures) -> None:
        """Count a call without an answer, and slow down if the quota is the cause."""
        throttled = is_throttling(error)
        with self._lock:
            if throttled:
                self.throttled[tier] += 1
            elif isinstance(error, Throttled):
                self.unavailable += 1
        if self._tiers.may_fall_back(tier):
            self._tiers.count_flex_failure(error, failures)
            if throttled and self._tiers.is_quota_exhausted:
                self._limiter.slow_down()
        elif throttled:
            self._limiter.slow_down()
            self._tiers.count_throttled(failures)


def _interval_seconds(per_minute: float | None, batches: int) -> float:
    """Return the seconds between two requests or tokens of one of ``batches`` batches; 0 if the quota is unknown."""
    return 60 * batches / per_minute if per_minute else 0.0
