"""Measure how much of a quota LabelImages uses, for 20,000 images in virtual time.

    python -m benchmarks.label [--images 20000] [--quotas 250,25]

The method ``pipeline`` runs the real code of a batch (``distillation/inference``, with its rate limiter and ledger). It
runs as many concurrent batches as Split would choose, with the retries of the state machine.

The methods ``pipeline, flex throttled N %`` and ``pipeline, flex stalled`` are the same with a flex tier that fails
that often.

The method ``fixed concurrency`` is a common loop for comparison: 10 functions with 4 threads, 20 images per batch,
three attempts by boto3, and 8 retries of a batch that fails.

Bedrock is simulated. It counts requests and tokens of any 60 seconds: a call takes its input tokens and max_tokens
when it starts, and returns the unused tokens when it ends. The median latency is 4 seconds (log-normal, sigma 0.4).
A batch takes 1.5 seconds to start.

``share`` is the time that the quota needs for all images, divided by the time that the method took.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from distillation import ledger
from distillation.errors import BatchUnfinished, Throttled
from distillation.inference.labelling import label_batch
from distillation.inference.rate_limit import BatchLimits, concurrent_batches
from distillation.records import Quota
from distillation.storage import Bucket
from distillation.telemetry import logger, metrics
from local.bedrock.faults import ConverseFaults
from tests.support.builders import any_run, image_names
from tests.support.fakes import bucket
from tests.support.simulated_bedrock import SimulatedBedrock
from tests.support.virtual_time import VirtualTime

TOKENS_PER_MINUTE = 1_000_000
MAX_CONCURRENT_BATCHES = 30
START_SECONDS = 1.5
NO_FAULTS = ConverseFaults()
FUNCTION_SECONDS = 750
"""Seconds for calls to Bedrock, out of the 15 minutes of a function."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--quotas", default="250,25", help="Requests per minute.")
    arguments = parser.parse_args()
    logger.setLevel("ERROR")
    for requests in map(int, arguments.quotas.split(",")):
        for method, label in METHODS.items():
            row = {"requests_per_minute": requests, "method": method, **label(arguments.images, requests)}
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()


def label_with_pipeline(images: int, requests: int, faults: ConverseFaults = NO_FAULTS) -> dict[str, Any]:
    """Label with the code of the pipeline, and return a row of figures."""
    time = VirtualTime()
    quota = Quota(requests_per_minute=requests, tokens_per_minute=TOKENS_PER_MINUTE)
    bedrock, data = SimulatedBedrock(time, quota, faults), bucket()
    run = any_run(max_usd=1e6)
    run = run.model_copy(update={"quotas": {run.teacher.model: quota}})
    batches = concurrent_batches(run, run.teacher.model, images, MAX_CONCURRENT_BATCHES)
    labelled_counts: list[int] = []

    def batch(names: list[str]) -> None:
        def attempt() -> None:
            limits = BatchLimits(batches, time.now() + FUNCTION_SECONDS, time.clock)
            lines = label_batch(run, names, data, bedrock, limits)  # type: ignore[arg-type] - it converses
            labelled_counts.append(sum(line.status == "ok" for line in lines))

        _with_retries(time, attempt, {BatchUnfinished: 1000, Throttled: 30})
        metrics.clear_metrics()

    started = time.now()
    list(time.clock.pool(batches).map(batch, _batches(images, run.images_per_batch)))
    return _row(bedrock, images, requests, sum(labelled_counts), time.now() - started, batches) | {
        "calls_in_ledger": _calls_in_ledger(data),
        "answers_on_flex": bedrock.tiers["flex"],
    }


def label_with_fixed_concurrency(images: int, requests: int) -> dict[str, Any]:
    """Label with a loop that ignores the quota, and return a row of figures."""
    time = VirtualTime()
    bedrock = SimulatedBedrock(time, Quota(requests_per_minute=requests, tokens_per_minute=TOKENS_PER_MINUTE))
    labelled: set[str] = set()

    def ask(name: str) -> None:
        if name not in labelled:
            image = {"image": {"source": {"s3Location": {"uri": f"s3://data/images/900/{name}.jpg"}}}}
            _with_boto3_retries(
                time, lambda: bedrock.converse(messages=[{"content": [image]}], inferenceConfig=MAX_TOKENS)
            )
            labelled.add(name)

    def batch(names: list[str]) -> None:
        _with_retries(time, lambda: list(time.clock.pool(4).map(ask, names)), {ClientError: 8})

    started = time.now()
    list(time.clock.pool(10).map(batch, _batches(images, 20)))
    return _row(bedrock, images, requests, len(labelled), time.now() - started, 10)


def _flex_fails(kind: str, share: float) -> ConverseFaults:
    return ConverseFaults(shares={kind: share}, tier="flex", slow_seconds=120)


METHODS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "pipeline": label_with_pipeline,
    "pipeline, flex throttled 30 %": partial(label_with_pipeline, faults=_flex_fails("ThrottlingException", 0.3)),
    "pipeline, flex throttled 100 %": partial(label_with_pipeline, faults=_flex_fails("ThrottlingException", 1.0)),
    "pipeline, flex stalled": partial(label_with_pipeline, faults=_flex_fails("ModelTimeoutException", 1.0)),
    "fixed concurrency": label_with_fixed_concurrency,
}
MAX_TOKENS = {"maxTokens": any_run().teacher.max_tokens}


def _batches(images: int, size: int) -> list[list[str]]:
    names = image_names(images)
    return [names[first : first + size] for first in range(0, images, size)]


def _with_retries(time: VirtualTime, attempt: Callable[[], Any], retries: dict[type[Exception], int]) -> None:
    """Run a batch with the retries of the state machine. Images without a label after the last attempt are lost."""
    retries_left, pause = dict(retries), 2.0
    while True:
        time.sleep(START_SECONDS)
        try:
            attempt()
        except tuple(retries) as error:
            error_class = next(error_class for error_class in retries_left if isinstance(error, error_class))
            retries_left[error_class] -= 1
            if retries_left[error_class] < 0:
                return
            time.sleep(random.uniform(0, pause))
            pause = min(60.0, pause * 2)
        else:
            return


def _with_boto3_retries(time: VirtualTime, call: Callable[[], Any]) -> None:
    for attempt in range(3):
        try:
            call()
            return
        except ClientError:
            if attempt == 2:
                raise
            time.sleep(random.uniform(0, 1) * 2**attempt)


def _row(
    bedrock: SimulatedBedrock, images: int, requests: int, labelled: int, seconds: float, batches: int
) -> dict[str, Any]:
    return {
        "concurrent_batches": batches,
        "minutes": round(seconds / 60, 1),
        "share": round(labelled / requests * 60 / seconds, 3),
        "throttled": round(bedrock.throttled / bedrock.calls, 3),
        "lost": images - labelled,
        "paid_twice": sum(bedrock.answered.values()) - len(bedrock.answered),
    }


def _calls_in_ledger(data: Bucket) -> int:
    return sum(entry.calls for entry in ledger.summary(any_run().name, data).entries)


if __name__ == "__main__":
    main()
