"""Simulate runs in accounts with few concurrent Lambda functions, with the retries before and now.

    python -m benchmarks.concurrency [--limits 10,1000] [--photos 1000,3000,10000,20000] [--repeats 10]

One run, or two runs that start at the same time, are simulated in virtual time. Lambda refuses an invocation beyond the
account's limit with TooManyRequestsException. Each state invokes its function with the retries of its policy:

* ``before``: 8 attempts in about 2 minutes, 30 attempts in about 26 minutes for a batch of questions, and 20 to 30
  concurrent batches whatever the limit is.
* ``now``: the Retry of the rendered state machine, and the concurrency that Prepare chooses for the limit.

Durations of functions are assumptions. 20 photos are resized in 10-20 s. A batch of questions takes the time that the
documented quota of Nova Pro needs for it. Other functions take 1-60 s, and a training job takes two hours. A Map starts
its next batch 0.1-1 s after the end of one. Each run trains one size.

* ``failed``: share of runs that fail because the retries of a state are used up;
* ``minutes``: median duration of the runs that succeed;
* ``throttled``: share of refused invocations;
* ``retries``: largest number of retries of one state.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distillation.inference.rate_limit import concurrent_batches
from distillation.records import Concurrency, Run
from distillation.runs.account_limits import cap_concurrency
from distillation.telemetry import logger
from infra.state_machine_definition import render
from local.aws.retry_delay import retry_delay
from tests.support.labelling import PRO_QUOTA, run_with_quota
from tests.support.virtual_time import VirtualTime

THROTTLING = "Lambda.TooManyRequestsException"
CONCURRENCY = Concurrency(resize=20, label=30, predict=30)
"""Concurrency of stage ``dev`` in cdk.json."""
PHOTOS_PER_RESIZE = 20
JOB_POLLS, DEPLOYMENT_POLLS = 24, 8
"""Calls of Customize every 5 minutes and of Deploy every minute."""
_SHORT = {"IntervalSeconds": 2, "BackoffRate": 2, "MaxAttempts": 8, "MaxDelaySeconds": 60, "JitterStrategy": "FULL"}
_BATCH = {"IntervalSeconds": 5, "BackoffRate": 2, "MaxAttempts": 30, "MaxDelaySeconds": 120, "JitterStrategy": "FULL"}
_PAYING = {"IntervalSeconds": 2, "BackoffRate": 2, "MaxAttempts": 30, "MaxDelaySeconds": 300, "JitterStrategy": "FULL"}
BEFORE = {"Label": _BATCH, "Predict": _BATCH, "Customize": _PAYING, "Deploy": _PAYING}
"""Retries of throttled invocations before, by state; the other states had ``_SHORT``."""


class RunFailed(Exception):
    """The retries of a state are used up; the message is the state's name."""


@dataclass(frozen=True)
class Policy:
    """Retries of throttled invocations, and the concurrency of a run."""

    name: str
    retrier: Callable[[str], Mapping[str, Any]]
    """Function that returns the Retry of a state for throttled invocations."""
    prepared: Callable[[Run, int], Run]
    """Function that returns a run with the concurrency that it has in an account with a limit."""


class LambdaService:
    """Concurrent functions of an account in virtual time."""

    def __init__(self, time: VirtualTime, limit: int) -> None:
        self.invocations = self.throttled = self.most_retries = 0
        self._time, self._free, self._lock = time, limit, threading.Lock()

    def invoke(self, seconds: float) -> bool:
        """Run a function; return False immediately if the limit is reached."""
        with self._lock:
            self.invocations += 1
            if not self._free:
                self.throttled += 1
                return False
            self._free -= 1
        self._time.sleep(seconds)
        with self._lock:
            self._free += 1
        return True


class SimulatedRun:
    """One execution of the state machine."""

    def __init__(self, time: VirtualTime, service: LambdaService, policy: Policy, run: Run, photos: int) -> None:
        self._time, self._service, self._policy, self._run, self._photos = time, service, policy, run, photos

    def execute(self) -> float:
        """Pass through the states; return the duration in seconds. Raises ``RunFailed``."""
        started, run, model = self._time.now(), self._run, self._run.teacher.model
        label = concurrent_batches(run, model, self._photos, run.concurrency.label)
        test = self._photos // 4
        predict = concurrent_batches(run, model, test, run.concurrency.predict)
        self._task("Prepare", 5)
        self._task("AwaitUpload", 5)
        self._time.sleep(30)
        self._task("AwaitUpload", 5)
        self._map("Resize", self._photos, PHOTOS_PER_RESIZE, run.concurrency.resize, lambda: random.uniform(10, 20))
        for state, seconds in (("Split", 30), ("Estimate", 10)):
            self._task(state, seconds)
        self._map("Label", self._photos, run.images_per_batch, label, lambda: self._question_seconds(label, 1))
        for state, seconds in (("WriteDataset", 20), ("ValidateDataset", 60)):
            self._task(state, seconds)
        for state, polls, pause in (("Customize", JOB_POLLS, 300), ("Deploy", DEPLOYMENT_POLLS, 60)):
            for _ in range(polls):
                self._task(state, 2)
                self._time.sleep(pause)
        self._map("Predict", test, run.images_per_batch, predict, lambda: self._question_seconds(predict, 2))
        for state, seconds in (("Evaluate", 60), ("Promote", 2), ("CleanUp", 10), ("Notify", 2)):
            self._task(state, seconds)
        return self._time.now() - started

    def _question_seconds(self, batches: int, rounds: int) -> float:
        """Return the duration of a batch whose model is asked at its share of the quota."""
        share = self._run.images_per_batch * batches / (PRO_QUOTA.requests_per_minute or 1) * 60
        return rounds * max(share, 20) * random.uniform(0.9, 1.1)

    def _map(self, state: str, items: int, size: int, concurrency: int, seconds: Callable[[], float]) -> None:
        def batch(_: int) -> None:
            self._time.sleep(random.uniform(0.1, 1))
            self._task(state, seconds())

        list(self._time.clock.pool(concurrency).map(batch, range(-(-items // size))))

    def _task(self, state: str, seconds: float) -> None:
        retrier, retries = self._policy.retrier(state), 0
        while not self._service.invoke(seconds):
            if retries == retrier["MaxAttempts"]:
                raise RunFailed(state)
            self._time.sleep(retry_delay(retrier, retries))
            retries += 1
            self._service.most_retries = max(self._service.most_retries, retries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limits", default="10,1000", help="Concurrent functions of the account.")
    parser.add_argument("--photos", default="1000,3000,10000,20000")
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args()
    logger.setLevel("WARNING")
    for limit in map(int, arguments.limits.split(",")):
        for runs in (1, 2):
            for photos in map(int, arguments.photos.split(",")):
                for policy in (policy_before(), policy_now()):
                    row = figures(policy, limit, runs, photos, arguments.repeats)
                    sys.stdout.write(json.dumps(row) + "\n")
                    sys.stdout.flush()


def policy_before() -> Policy:
    """Return the policy before: few retries, and the concurrency of the stage."""
    return Policy("before", lambda state: BEFORE.get(state, _SHORT), lambda run, _: run)


def policy_now() -> Policy:
    """Return the policy of the rendered state machine and of Prepare."""
    retriers = {
        name: next(retry for retry in state["Retry"] if THROTTLING in retry["ErrorEquals"])
        for name, state in _states(json.loads(render())["States"])
        if state["Type"] == "Task"
    }
    return Policy("now", retriers.__getitem__, lambda run, limit: cap_concurrency(run, _AccountSettings(limit)))  # type: ignore[arg-type]


def figures(policy: Policy, limit: int, runs: int, photos: int, repeats: int) -> dict[str, Any]:
    """Simulate ``runs`` runs at the same time, ``repeats`` times, and return a row of figures."""
    durations: list[float] = []
    failed_states: list[str] = []
    invocations = throttled = most_retries = 0
    for repeat in range(repeats):
        random.seed(f"{limit} {runs} {photos} {repeat}")
        time = VirtualTime()
        service = LambdaService(time, limit)

        def execute(_: int, time: VirtualTime = time, service: LambdaService = service) -> None:
            run = run_with_quota(PRO_QUOTA).model_copy(update={"concurrency": CONCURRENCY})
            try:
                simulated = SimulatedRun(time, service, policy, policy.prepared(run, limit), photos)
                durations.append(simulated.execute())
            except RunFailed as error:
                failed_states.append(str(error))

        list(time.clock.pool(runs).map(execute, range(runs)))
        invocations, throttled = invocations + service.invocations, throttled + service.throttled
        most_retries = max(most_retries, service.most_retries)
    return {
        "policy": policy.name,
        "limit": limit,
        "runs": runs,
        "photos": photos,
        "failed": round(len(failed_states) / (runs * repeats), 2),
        "minutes": round(statistics.median(durations) / 60) if durations else None,
        "throttled": round(throttled / invocations, 3),
        "retries": most_retries,
        "failed_in": sorted(set(failed_states)),
    }


class _AccountSettings:
    """Lambda client of an account with a limit of concurrent functions."""

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def get_account_settings(self) -> dict[str, Any]:
        return {"AccountLimit": {"UnreservedConcurrentExecutions": self._limit}}


def _states(states: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in states.items():
        yield name, state
        if "ItemProcessor" in state:
            yield from _states(state["ItemProcessor"]["States"])


if __name__ == "__main__":
    main()
