"""Measure the gate itself: how often it promotes a model that learned nothing, and one with a gain that was planted.

    python -m benchmarks.gate [FOLDER] [--runs 20]

The small local models of ``make demo`` answer about the folder's photos (by default samples/photos). A run divides the
photos at random into test and training images, and passes its answers to the gate as Evaluate does.

* ``shuffled``: two sizes are trained, each on labels that were shuffled among the training images. At most 1 of 20 runs
  may be promoted.
* ``planted``: the answers are those of base, with as many wrong keywords replaced by the teacher's that their expected
  gain is twice the minimum detectable gain. At least 16 of 20 runs must be promoted.
* ``trained``: two sizes are trained on the teacher's labels, for comparison.

The planted gain is one over the better of base and control, because the gate requires a gain over both.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.formats import recognised_photos, student_epochs
from distillation.answers.formats.keywords import KeywordList, Keywords
from distillation.evaluation.evaluation import Evaluation, Evidence, evaluate
from distillation.records import AnswerLine
from distillation.statistical_power import minimum_detectable_difference
from local.models.student import fit

KEYWORDS = Keywords()
_ROOT = Path(__file__).parents[1]
_TEST_SHARE = 0.25
_SIZES = (12, 30)
"""Training sizes of the demo."""
_MAXIMUM_PROMOTED_SHUFFLED, _MINIMUM_PROMOTED_PLANTED = 1 / 20, 16 / 20


@dataclass(frozen=True)
class Photo:
    """Answers of the models about a photo, and the features that the student sees in it."""

    name: str
    label: list[str]
    """The teacher's keywords."""
    ceiling: list[str]
    """Keywords of the teacher's second answer."""
    base: list[str]
    """Keywords of the student before training."""
    features: np.ndarray
    """Features of shape (2548,)."""


Answer = Callable[[Photo], list[str]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=_ROOT / "samples" / "photos")
    parser.add_argument("--runs", type=int, default=20)
    arguments = parser.parse_args()
    photos = answered_photos(arguments.folder)
    results = {
        name: _summary([run(random.Random(f"{name} {number}"), photos) for number in range(arguments.runs)])
        for name, run in (("shuffled", shuffled_run), ("planted", planted_run), ("trained", trained_run))
    }
    promoted = {name: result["promoted"] / arguments.runs for name, result in results.items()}
    meets_bar = promoted["shuffled"] <= _MAXIMUM_PROMOTED_SHUFFLED and promoted["planted"] >= _MINIMUM_PROMOTED_PLANTED
    sys.stdout.write(
        json.dumps({"photos": len(photos), "runs": arguments.runs, **results, "meets_bar": meets_bar}, indent=1) + "\n"
    )
    return 0 if meets_bar else 1


def answered_photos(folder: Path) -> list[Photo]:
    """Return the photos of a folder with the answers of teacher and base, and a second one of the teacher."""
    return [
        Photo(each.name, each.teacher.keywords, each.second.keywords, each.base.keywords, each.features)
        for each in recognised_photos(folder)
    ]


def trained_run(generator: random.Random, photos: Sequence[Photo]) -> Evaluation:
    """Evaluate models that were trained on the teacher's labels."""
    test, train = split(generator, photos)
    return _evaluate(test, train, {f"n{size}": tuned(train[:size], train[:size]) for size in _SIZES})


def shuffled_run(generator: random.Random, photos: Sequence[Photo]) -> Evaluation:
    """Evaluate models that were trained on labels of other training images."""
    test, train = split(generator, photos)
    shuffled = generator.sample(train, len(train))
    return _evaluate(test, train, {f"n{size}": tuned(train[:size], shuffled[:size]) for size in _SIZES})


def planted_run(generator: random.Random, photos: Sequence[Photo]) -> Evaluation:
    """Evaluate answers with a planted gain of twice the minimum detectable gain."""
    test, train = split(generator, photos)
    share = _planted_share(photos, train, len(test))
    return _evaluate(test, train, {"n30": lambda photo: _planted(photo, share, random.Random(generator.random()))})


def split(generator: random.Random, photos: Sequence[Photo]) -> tuple[list[Photo], list[Photo]]:
    shuffled = generator.sample(photos, len(photos))
    count = round(len(photos) * _TEST_SHARE)
    return shuffled[:count], shuffled[count:]


def tuned(images: Sequence[Photo], labelled: Sequence[Photo]) -> Answer:
    """Return a model that was trained on the images of ``images`` with the labels of ``labelled``."""
    head = fit(np.stack([photo.features for photo in images]), [photo.label for photo in labelled], student_epochs())
    return lambda photo: head.keywords(photo.features)


def _evaluate(test: Sequence[Photo], train: Sequence[Photo], tuned: dict[str, Answer]) -> Evaluation:
    return evaluate(
        Evidence(
            answer_format=KEYWORDS,
            labels=_lines(test, lambda photo: photo.label),
            tuned={name: _lines(test, answer) for name, answer in tuned.items()},
            base=_lines(test, lambda photo: photo.base),
            ceiling=_lines(test, lambda photo: photo.ceiling),
            training=_lines(train, lambda photo: photo.label),
        )
    )


def _lines(photos: Sequence[Photo], answer: Answer) -> dict[str, AnswerLine]:
    return {
        photo.name: AnswerLine(image=photo.name, answerer="any", status="ok", text=", ".join(answer(photo)))
        for photo in photos
    }


def _planted_share(photos: Sequence[Photo], train: Sequence[Photo], test_images: int) -> float:
    """Return the share of wrong keywords to replace, for a gain of twice what ``test_images`` images can detect."""
    control = KEYWORDS.control([parsed(photo.label) for photo in train])
    references = [
        [KEYWORDS.similarity(parsed(photo.base), parsed(photo.label)) for photo in photos],
        [KEYWORDS.similarity(control, parsed(photo.label)) for photo in photos],
    ]
    reference = max(references, key=statistics.fmean)
    for step in range(1, 100):
        share = step / 100
        planted = [_planted(photo, share, random.Random(photo.name)) for photo in photos]
        gains = [
            KEYWORDS.similarity(parsed(answer), parsed(photo.label)) - before
            for answer, photo, before in zip(planted, photos, reference, strict=True)
        ]
        if statistics.fmean(gains) >= 2 * minimum_detectable_difference(test_images, statistics.stdev(gains)):
            return share
    raise SystemExit("The photos are too few to plant twice the minimum detectable gain. Name a folder with more.")


def _planted(photo: Photo, share: float, generator: random.Random) -> list[str]:
    """Return the answer of base with a share of its wrong keywords replaced by keywords of the teacher."""
    label = set(photo.label)
    wrong = [word for word in photo.base if word not in label]
    missing = [word for word in photo.label if word not in photo.base]
    generator.shuffle(missing)
    replaced = {word: missing.pop() for word in wrong if missing and generator.random() < share}
    return [replaced.get(word, word) for word in photo.base]


def parsed(words: Sequence[str]) -> KeywordList:
    return KEYWORDS.parse(", ".join(words))


def _summary(evaluations: Sequence[Evaluation]) -> dict[str, float]:
    """Return how many runs were promoted, and means over the runs."""
    figures = [evaluation.figures for evaluation in evaluations]
    gates = [figure.gate for figure in figures if figure.gate]
    return {
        "promoted": sum(gate.passed for gate in gates),
        "test_images": figures[0].test_images,
        "gain": round(statistics.fmean(gate.gain.mean for gate in gates), 3),
        "gain_over_control": round(
            statistics.fmean(
                figure.agreement.tuned[figure.best].mean - figure.agreement.control.mean
                for figure in figures
                if figure.agreement.control
            ),
            3,
        ),
        "minimum_detectable_gain": round(statistics.fmean(figure.detectable for figure in figures), 3),
    }


if __name__ == "__main__":
    sys.exit(main())
