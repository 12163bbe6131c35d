"""How much of a quota LabelImages uses: 20,000 images in virtual time, beside a loop of fixed concurrency.

    python -m benchmarks.label [--images 20000] [--quotas 250,25]

Ours is the real code of a batch (distillation/inference, its rate limit and its ledger) in as many batches at the
same time as Split would choose, tried again as the state machine does. Bedrock is simulated: requests and tokens of
any 60 seconds, input and max_tokens taken when a call starts and the rest given back when it ends; answers after 4
seconds in the median
(log-normal, sigma 0.4); 1.5 seconds before each batch for its start. The loop beside it is what is commonly written:
10 functions of 4 threads, 20 images each, boto3's three attempts, and a batch that fails is tried again 8 times.
``share`` is the time in which the quota alone would have allowed all images, over the time it took.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from distillation.errors import BatchUnfinished, Throttled
from distillation.inference.labelling import label_batch
from distillation.inference.rate_limit import BatchLimits, concurrent_batches
from distillation.records import Quota
from distillation.storage import Bucket
from distillation.telemetry import metrics
from tests.support.bedrock import SimulatedBedrock
from tests.support.builders import any_run
from tests.support.fakes import bucket
from tests.support.virtual_time import VirtualTime

TOKENS_PER_MINUTE = 1_000_000
MOST_BATCHES = 30
START_SECONDS = 1.5
FUNCTION_SECONDS = 750
"""What is left of a function's 15 minutes for asking."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--quotas", default="250,25", help="Requests per minute.")
    arguments = parser.parse_args()
    for requests in map(int, arguments.quotas.split(",")):
        for name, way in (("ours", paced), ("fixed concurrency", fixed)):
            row = {"requests_per_minute": requests, "way": name, **way(arguments.images, requests)}
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()


def paced(images: int, requests: int) -> dict[str, Any]:
    """Label with the real code."""
    time = VirtualTime()
    quota = Quota(requests_per_minute=requests, tokens_per_minute=TOKENS_PER_MINUTE)
    bedrock, data = SimulatedBedrock(time, quota), bucket()
    run = any_run(max_usd=1e6)
    run = run.model_copy(update={"quotas": {run.teacher.model: quota}})
    at_once = concurrent_batches(run, run.teacher.model, images, MOST_BATCHES)
    labelled: list[int] = []

    def batch(names: list[str]) -> None:
        def attempt() -> None:
            shift = BatchLimits(at_once, time.now() + FUNCTION_SECONDS, time.clock)
            lines = label_batch(run, names, data, bedrock, shift)  # type: ignore[arg-type] - it converses
            labelled.append(sum(line.status == "ok" for line in lines))

        _tried_again(time, attempt, {BatchUnfinished: 1000, Throttled: 30})
        metrics.clear_metrics()

    began = time.now()
    list(time.clock.pool(at_once).map(batch, _batches(images, run.images_per_batch)))
    return _row(bedrock, images, requests, sum(labelled), time.now() - began, at_once) | {
        "calls_in_ledger": _paid(data)
    }


def fixed(images: int, requests: int) -> dict[str, Any]:
    """Label with a loop that knows of no quota."""
    time = VirtualTime()
    bedrock = SimulatedBedrock(time, Quota(requests_per_minute=requests, tokens_per_minute=TOKENS_PER_MINUTE))
    kept: set[str] = set()

    def ask(name: str) -> None:
        if name not in kept:
            image = {"image": {"source": {"s3Location": {"uri": f"s3://data/images/900/{name}.jpg"}}}}
            _as_boto3_does(time, lambda: bedrock.converse(messages=[{"content": [image]}], inferenceConfig=MAX_TOKENS))
            kept.add(name)

    def batch(names: list[str]) -> None:
        _tried_again(time, lambda: list(time.clock.pool(4).map(ask, names)), {ClientError: 8})

    began = time.now()
    list(time.clock.pool(10).map(batch, _batches(images, 20)))
    return _row(bedrock, images, requests, len(kept), time.now() - began, 10)


MAX_TOKENS = {"maxTokens": any_run().teacher.max_tokens}


def _batches(images: int, size: int) -> list[list[str]]:
    names = [f"{number:064x}" for number in range(images)]
    return [names[first : first + size] for first in range(0, images, size)]


def _tried_again(time: VirtualTime, attempt: Callable[[], Any], attempts: dict[type[Exception], int]) -> None:
    """Start a batch as the state machine does; what is left of it after the last attempt is lost."""
    left, pause = dict(attempts), 2.0
    while True:
        time.sleep(START_SECONDS)
        try:
            attempt()
        except tuple(attempts) as error:
            kind = next(kind for kind in left if isinstance(error, kind))
            left[kind] -= 1
            if left[kind] < 0:
                return
            time.sleep(random.uniform(0, pause))
            pause = min(60.0, pause * 2)
        else:
            return


def _as_boto3_does(time: VirtualTime, call: Callable[[], Any]) -> None:
    for attempt in range(3):
        try:
            call()
            return
        except ClientError:
            if attempt == 2:
                raise
            time.sleep(random.uniform(0, 1) * 2**attempt)


def _row(
    bedrock: SimulatedBedrock, images: int, requests: int, labelled: int, seconds: float, at_once: int
) -> dict[str, Any]:
    return {
        "batches_at_once": at_once,
        "minutes": round(seconds / 60, 1),
        "share": round(labelled / requests * 60 / seconds, 3),
        "throttled": round(bedrock.throttled / bedrock.calls, 3),
        "lost": images - labelled,
        "paid_twice": sum(bedrock.answered.values()) - len(bedrock.answered),
    }


def _paid(data: Bucket) -> int:
    from distillation import ledger

    return int(sum(entry["calls"] for entry in ledger.summary(data, any_run().name)["entries"]))


if __name__ == "__main__":
    main()
