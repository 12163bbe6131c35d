"""Measure time and peak memory of the evaluation, and compare the bootstrap with scipy's.

    python -m benchmarks.evaluate [--pairs 1000,5000,20000]

A pair is an answer and a label. Each number of pairs is measured in a process of its own, so that peak memory is not
shared. Answers are generated: 20 keywords from a vocabulary of 2,000. The tuned model shares 13 of them with the
teacher, base 4.

scipy resamples images and has no groups, so every group has one image here. Both draw 10,000 resamples of the same
values, for one series and for eight. They run alternately.
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
"""Measurements of each bootstrap; the median counts."""
SHARED_KEYWORDS = (20, 13, 4)
"""Keywords of teacher, tuned model and base that the label has, of 20."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", default="1000,5000,20000")
    sizes = [int(size) for size in parser.parse_args().pairs.split(",")]
    rows = [_in_own_process(_measure, size) for size in sizes]
    for row in rows:
        _print(json.dumps(row))
    first, last = rows[0], rows[-1]
    growth, pairs = last["evaluate_s"] / first["evaluate_s"], last["pairs"] / first["pairs"]
    _print(f"growth: {pairs:g} times the pairs take {growth:.1f} times the time ({growth / pairs:.2f} of linear)")
    _print(json.dumps(_in_own_process(_compare_with_scipy, sizes[-1])))


def _measure(pairs: int) -> dict[str, Any]:
    from distillation.answers.formats.keywords import Keywords
    from distillation.evaluation import intervals, scores
    from distillation.evaluation.evaluation import Evidence, evaluate

    labels, tuned, base = _answers(pairs)
    answer_format = Keywords()
    evidence = Evidence(answer_format=answer_format, labels=labels, tuned={"n100": tuned}, base=base, ceiling=tuned)
    _, evaluate_s = _timed(lambda: evaluate(evidence))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    parsed, parse_s = _timed(lambda: scores.label_values(answer_format, labels))
    metrics, metrics_s = _timed(lambda: scores.measure(answer_format, tuned, parsed))
    groups = list(labels)
    _, floor_s = _timed(lambda: scores.floor(answer_format, tuned, parsed, {image: image for image in groups}))
    _, bootstrap_s = _timed(lambda: intervals.resample(metrics, groups))
    _, permutation_s = _timed(lambda: intervals.permutation_p(metrics[scores.AGREEMENT], groups))
    return {
        "pairs": pairs,
        "parse_labels_s": parse_s,
        "parse_answers_and_metrics_s": metrics_s,
        "floor_s": floor_s,
        "bootstrap_8_metrics_s": bootstrap_s,
        "permutation_s": permutation_s,
        "evaluate_s": evaluate_s,
        "peak_mb": round(peak / 1024),
    }


def _compare_with_scipy(pairs: int) -> dict[str, Any]:
    from distillation.evaluation import intervals

    result: dict[str, Any] = {"pairs": pairs}
    values = np.random.default_rng(1).normal(0.1, 0.1, (8, pairs))
    groups = [str(number) for number in range(pairs)]
    for count in (1, 8):
        series = {f"s{row}": list(values[row]) for row in range(count)}
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(_timed(lambda series=series: intervals.resample(series, groups).mean("s0")))
            theirs.append(_timed(lambda count=count: _scipy(values[:count])))
        result[f"{count} series"] = {
            "ours": [round(ours[0][0].low, 4), round(ours[0][0].high, 4)],
            "scipy": [round(float(theirs[0][0].low[0]), 4), round(float(theirs[0][0].high[0]), 4)],
            "ours_s": statistics.median(seconds for _, seconds in ours),
            "scipy_s": statistics.median(seconds for _, seconds in theirs),
            "scipy_over_ours": round(
                statistics.median(scipy_s / our_s for (_, our_s), (_, scipy_s) in zip(ours, theirs, strict=True)), 2
            ),
        }
    return result


def _scipy(values: np.ndarray) -> Any:
    from scipy import stats

    # Without ``batch`` scipy keeps all resamples in memory at the same time; with 20 it needs about as much as ours.
    return stats.bootstrap(
        (values,), np.mean, axis=1, n_resamples=10_000, method="percentile", batch=20, rng=1
    ).confidence_interval


def _answers(pairs: int) -> list[dict[str, Any]]:
    """Return the answers of teacher, tuned model and base by image."""
    from distillation.records import AnswerLine

    generator = random.Random(1)
    words = [f"{first} {second}s" for first in _syllables(generator, 40) for second in _syllables(generator, 50)]
    answers: list[dict[str, Any]] = [{} for _ in SHARED_KEYWORDS]
    for number in range(pairs):
        image = f"{number:064d}"
        drawn = generator.sample(words, 46)
        for lines, shared in zip(answers, SHARED_KEYWORDS, strict=True):
            text = ", ".join(drawn[:shared] + drawn[20 : 40 - shared])
            lines[image] = AnswerLine(image=image, answerer="x", status="ok", text=text)
    return answers


def _syllables(generator: random.Random, count: int) -> list[str]:
    return ["".join(generator.choices("abdegiklmnoprtu", k=6)) for _ in range(count)]


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    value = work()
    return value, round(time.perf_counter() - start, 3)


def _in_own_process(work: Callable[[int], dict[str, Any]], size: int) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(work, size, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    finally:
        process.join()


def _send(work: Callable[[int], dict[str, Any]], size: int, to: Connection) -> None:
    to.send(work(size))


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
