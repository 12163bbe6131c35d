"""Measure where runs with ``grow`` stop: how close they come to training on all images, and what they cost.

    python -m benchmarks.growth [PHOTOS] [--orders 20] [--grow-from 30]

``PHOTOS`` is a folder of photos, by default samples/photos, which the small local models of ``make demo`` answer about.
It can also be an .npz file with features of photos (``logits``, ``feat``) beside a .json file with their keywords
(``kw``). In each order the photos are shuffled and a quarter of them is the test set. The student is trained on each
size of a growing run until Evaluate's decision stops it, and once on all training images.

``planted`` does the same for a collection of 18,000 training images and 500 test images, with several gains from 300 to
900 images and several exponents. The scores follow ``a - b n^-c`` with noise.

Costs are those that the estimate expects: Nova Pro labels, Nova Lite is trained. The bar is 16 of 20 orders within 0.01
of training on all images, at less cost than a single round with all. ``meets_bar`` is whether the photos meet it.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gate import KEYWORDS, Photo, answered_photos, parsed, split, tuned
from cli.requests import resolve_request
from distillation.costs.lines import exactly
from distillation.costs.rounds import planned_round
from distillation.costs.tokens import RunTokens
from distillation.costs.workload import workload_of
from distillation.documents import GrownRound
from distillation.evaluation import intervals
from distillation.evaluation.growth import NextRound, decide_growth, expectation
from distillation.photos.rounds import growth_sizes
from distillation.records import Request, SetName, SplitLine, answerer_of

_ROOT = Path(__file__).parents[1]
_WITHIN, _MINIMUM_WITHIN = 0.01, 16 / 20
_PLANTED_TRAIN, _PLANTED_TEST, _PLANTED_FROM = 18_000, 500, 300
_GAINS, _EXPONENTS = (0.01, 0.03, 0.06), (0.15, 0.3, 0.6)
"""Gains from 300 to 900 images and exponents of planted curves."""
_IMAGE_SD, _MODEL_SD = 0.15, 0.07
"""Standard deviations of an image's score, and of one model's score about it; together a difference varies by 0.1."""

Scores = Callable[[int], Sequence[float]]
"""Jaccard index of each test image by training size."""


@dataclass(frozen=True)
class Stopped:
    """A run that stopped growing, compared with training on all images."""

    size: int
    """Largest training size."""
    reason: str
    """Why it stopped."""
    missing: float
    """Agreement with all images minus agreement at ``size``."""
    usd: float
    """Cost of the rounds up to ``size`` in US dollars."""
    usd_to_the_end: float
    """Cost of all rounds."""
    usd_at_once: float
    """Cost of labelling and training on all images in a single round."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="?", type=Path, default=_ROOT / "samples" / "photos")
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--grow-from", type=int, default=30)
    arguments = parser.parse_args()
    photos = _read(arguments.photos) if arguments.photos.suffix == ".npz" else answered_photos(arguments.photos)
    runs = [
        photo_run(random.Random(f"growth {order}"), photos, arguments.grow_from) for order in range(arguments.orders)
    ]
    is_cheaper = statistics.fmean(run.usd for run in runs) < statistics.fmean(run.usd_at_once for run in runs)
    meets_bar = is_cheaper and _within(runs) >= _MINIMUM_WITHIN * arguments.orders
    planted = {
        f"gain {gain:g}, exponent {exponent:g}": _summary(
            [
                planted_run(random.Random(f"{gain} {exponent} {order}"), gain, exponent)
                for order in range(arguments.orders)
            ]
        )
        for gain in _GAINS
        for exponent in _EXPONENTS
    }
    facts = {"photos": len(photos), "orders": arguments.orders}
    result = {**facts, **_summary(runs), "meets_bar": meets_bar, "planted": planted}
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    return 0 if meets_bar else 1


def _read(file: Path) -> list[Photo]:
    """Return the photos of a file of features; their base and ceiling are not needed."""
    arrays = np.load(file)
    features = np.concatenate([arrays["logits"], arrays["feat"]], axis=1).astype(np.float32)
    labels = [row["kw"] for row in json.loads(file.with_suffix(".json").read_text("utf-8"))]
    return [Photo(str(number), label, label, [], features[number]) for number, label in enumerate(labels)]


def photo_run(generator: random.Random, photos: Sequence[Photo], grow_from: int) -> Stopped:
    """Train on growing parts of shuffled photos until the decision stops it."""
    test, train = split(generator, photos)
    labels = [parsed(photo.label) for photo in test]

    def measure(size: int) -> list[float]:
        answer = tuned(train[:size], train[:size])
        return [KEYWORDS.similarity(parsed(answer(photo)), label) for photo, label in zip(test, labels, strict=True)]

    return stopped_run(measure, grow_from, len(train), len(test))


def planted_run(generator: random.Random, gain: float, exponent: float) -> Stopped:
    """Follow a planted curve, which rises by ``gain`` from 300 to 900 training images."""
    noise = np.random.default_rng(generator.getrandbits(32))
    images = noise.normal(0.5, _IMAGE_SD, _PLANTED_TEST)
    scale = gain / (_PLANTED_FROM**-exponent - (3 * _PLANTED_FROM) ** -exponent)

    def measure(size: int) -> list[float]:
        rise = scale * (_PLANTED_FROM**-exponent - size**-exponent)
        return list(images + rise + noise.normal(0, _MODEL_SD, _PLANTED_TEST))

    def true_gap(size: int) -> float:
        return scale * (size**-exponent - _PLANTED_TRAIN**-exponent)

    return stopped_run(measure, _PLANTED_FROM, _PLANTED_TRAIN, _PLANTED_TEST, true_gap)


def stopped_run(
    measure: Scores, grow_from: int, train: int, test: int, true_gap: Callable[[int], float] | None = None
) -> Stopped:
    """Return where a run stops; ``true_gap`` replaces the measured difference from training on all images."""
    sizes = growth_sizes(grow_from, train)
    usd = _round_usd(train, test, grow=True, grow_from=grow_from)
    measured: dict[int, Sequence[float]] = {}
    reason: str | None = None
    for position, size in enumerate(sizes):
        measured[size] = measure(size)
        reason = _decision(measured, sizes[position + 1 :])
        if reason:
            break
    newest = max(measured)
    gap = true_gap(newest) if true_gap else statistics.fmean(measure(train)) - statistics.fmean(measured[newest])
    return Stopped(
        size=newest,
        reason=reason or "",
        missing=gap,
        usd=sum(usd[: len(measured)]),
        usd_to_the_end=sum(usd),
        usd_at_once=sum(_round_usd(train, test, train_sizes=[train])),
    )


def _decision(measured: Mapping[int, Sequence[float]], later: Sequence[int]) -> str | None:
    """Return why growth stops after the measured sizes; None if it continues."""
    resampled = intervals.resample(
        {answerer_of(size): values for size, values in measured.items()},
        [str(number) for number in range(len(measured[max(measured)]))],
    )
    rounds = [
        GrownRound(size=size, labels=0, usd=0.0, agreement=resampled.mean(answerer_of(size))) for size in measured
    ]
    if not later:
        return decide_growth(Request(), rounds, None, None).stopped
    expected = expectation(list(measured), later[0], resampled, resampled)
    within_budget = NextRound(later[0], exactly(0), 0.0)
    return decide_growth(Request(), rounds, expected, within_budget).stopped


def _round_usd(train: int, test: int, **request: Any) -> list[float]:
    """Return the expected cost of each round in US dollars."""
    run = resolve_request("photos/", {"baseline": False, "max_usd": 200, **request}, "dev", "us-east-1")
    sets: dict[SetName, list[SplitLine]] = {
        "train": _lines("train", train),
        "validation": [],
        "test": _lines("test", test),
    }
    tokens = RunTokens(run, {})
    return [planned_round(run, work, tokens).usd.expected for work in workload_of(run, sets, train + test).rounds]


def _lines(name: SetName, count: int) -> list[SplitLine]:
    images = [f"{name}-{number}" for number in range(count)]
    return [SplitLine(image=image, group=image, photo=image, width=900, height=600, set=name) for image in images]


def _within(runs: Sequence[Stopped]) -> int:
    return sum(run.missing <= _WITHIN for run in runs)


def _summary(runs: Sequence[Stopped]) -> dict[str, Any]:
    """Return how many runs come close to training on all images, where they stop, and their mean costs."""
    return {
        "within_0.01": _within(runs),
        "mean_missing": round(statistics.fmean(run.missing for run in runs), 4),
        "largest_missing": round(max(run.missing for run in runs), 4),
        "stopped_at": dict(sorted(Counter(f"{run.size} ({run.reason})" for run in runs).items())),
        "usd": round(statistics.fmean(run.usd for run in runs), 2),
        "usd_to_the_end": round(statistics.fmean(run.usd_to_the_end for run in runs), 2),
        "usd_at_once": round(statistics.fmean(run.usd_at_once for run in runs), 2),
    }


if __name__ == "__main__":
    sys.exit(main())
