"""What the evaluation of 20,000 pairs costs: time by part, peak memory, beside scipy's bootstrap.

    python -m benchmarks.evaluate [--pairs 1000,5000,20000]

Each size runs in its own process, so that its peak memory is its own. Answers are invented: 20 keywords of a
vocabulary of 2,000, the tuned student sharing more of the teacher's than base. scipy resamples images, as it has no
groups; ours resamples groups of one image here. Both draw 10,000 resamples of the same means, in
turns; one series, and eight at once.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

ROUNDS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", default="1000,5000,20000")
    sizes = [int(size) for size in parser.parse_args().pairs.split(",")]
    found = [_in_own_process(_measure, size) for size in sizes]
    for row in found:
        _say(json.dumps(row))
    first, last = found[0], found[-1]
    ratio = (last["evaluate_s"] / first["evaluate_s"]) / (last["pairs"] / first["pairs"])
    _say(f"growth: {last['pairs'] // first['pairs']} times the pairs cost {ratio:.2f} times their linear share")
    beside = _in_own_process(_beside_scipy, sizes[-1])
    _say(json.dumps(beside))


def _measure(pairs: int) -> dict[str, Any]:
    from distillation.evaluation import intervals, scores
    from distillation.evaluation.evaluation import Evidence, evaluate
    from distillation.evaluation.parsed_answers import parse_answers

    labels, tuned, base = _answers(pairs)
    evidence = Evidence(labels=labels, tuned={"n100": tuned}, base=base, ceiling=tuned)
    _, evaluate_s = _timed(lambda: evaluate(evidence))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read, reading_s = _timed(lambda: parse_answers(labels))
    metrics, metrics_s = _timed(lambda: scores.agreement(tuned, read))
    groups = list(labels)
    _, floor_s = _timed(lambda: scores.floor(tuned, read, {image: image for image in groups}))
    _, bootstrap_s = _timed(lambda: intervals.resample(metrics, groups))
    _, permutation_s = _timed(lambda: intervals.permutation_p(metrics["jaccard"], groups))
    return {
        "pairs": pairs,
        "reading_labels_s": reading_s,
        "reading_and_metrics_s": metrics_s,
        "floor_s": floor_s,
        "bootstrap_8_metrics_s": bootstrap_s,
        "permutation_s": permutation_s,
        "evaluate_s": evaluate_s,
        "peak_mb": round(peak / 1024),
    }


def _beside_scipy(pairs: int) -> dict[str, Any]:

    from distillation.evaluation import intervals

    found: dict[str, Any] = {"pairs": pairs}
    values = np.random.default_rng(1).normal(0.1, 0.1, (8, pairs))
    groups = [str(place) for place in range(pairs)]
    for count in (1, 8):
        series = {f"s{row}": list(values[row]) for row in range(count)}
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(_timed(lambda series=series: intervals.resample(series, groups).mean("s0")))
            theirs.append(_timed(lambda count=count: _scipy(values[:count])))
        found[f"{count} series"] = {
            "ours": [round(ours[0][0].low, 4), round(ours[0][0].high, 4)],
            "scipy": [round(float(theirs[0][0].low[0]), 4), round(float(theirs[0][0].high[0]), 4)],
            "ours_s": statistics.median(own[1] for own in ours),
            "scipy_s": statistics.median(other[1] for other in theirs),
            "scipy_over_ours": round(
                statistics.median(other[1] / own[1] for own, other in zip(ours, theirs, strict=True)), 2
            ),
        }
    return found


def _scipy(values: np.ndarray) -> Any:
    from scipy import stats

    # A batch keeps its memory near ours; without one it would hold all resamples at once.
    return stats.bootstrap(
        (values,), np.mean, axis=1, n_resamples=10_000, method="percentile", batch=20, rng=1
    ).confidence_interval


def _answers(pairs: int) -> list[dict[str, Any]]:
    from distillation.records import AnswerLine

    generator = random.Random(1)
    words = [f"{first} {second}s" for first in _syllables(generator, 40) for second in _syllables(generator, 50)]
    found: list[dict[str, Any]] = [{}, {}, {}]
    for number in range(pairs):
        drawn = generator.sample(words, 46)
        label = drawn[:20]
        for place, kept in enumerate((20, 13, 4)):
            text = ", ".join(label[:kept] + drawn[20 : 40 - kept])
            image = f"{number:064d}"
            found[place][image] = AnswerLine(image=image, answerer="x", status="ok", text=text)
    return found


def _syllables(generator: random.Random, count: int) -> list[str]:
    return ["".join(generator.choices("abdegiklmnoprtu", k=6)) for _ in range(count)]


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    value = work()
    return value, round(time.perf_counter() - start, 3)


def _in_own_process(work: Callable[[int], dict[str, Any]], size: int) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_send, args=(work, size, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.join()


def _send(work: Callable[[int], dict[str, Any]], size: int, to: Connection) -> None:
    to.send(work(size))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
