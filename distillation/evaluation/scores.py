"""Agreement of two answers about one image, and the reference values that scores are compared with.

Ceiling: the teacher's agreement with itself. Floor: agreement of answers with labels of other images. Control:
agreement of the most common keywords of the training labels.
"""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from lap import lapjv
from rapidfuzz import fuzz, process

from distillation.answers.formats import FORMATS
from distillation.documents import KeywordChanges
from distillation.evaluation.parsed_answers import ParsedAnswer, parse_answer
from distillation.records import AnswerLine, Limits

SEED = 20_250_701
FUZZY_CUTOFF = 85
"""Token sort ratio, 0-100, from which two keywords count as spellings of the same thing."""
SHUFFLES = 20
"""Labels of other images that the floor compares each answer with, at most."""
METRICS = ("jaccard", "jaccard_unnormalised", "f1", "precision", "recall", "soft_jaccard", "count_drift", "valid")

Keywords = frozenset[str]


def jaccard(left: Keywords, right: Keywords) -> float:
    """Return the Jaccard index, 0-1: shared keywords over all keywords; 0 for two empty answers."""
    shared = len(left & right)
    union = len(left) + len(right) - shared
    return shared / union if union else 0.0


def soft_jaccard(left: Keywords, right: Keywords) -> float:
    """Return the Jaccard index, 0-1, with similar spellings counted by their similarity.

    Equal keywords are matched first, then the rest one to one so that the sum of similarities is largest.
    """
    shared = float(len(left & right))
    left_only, right_only = sorted(left - right), sorted(right - left)
    if left_only and right_only:
        similarity = process.cdist(left_only, right_only, scorer=fuzz.token_sort_ratio, score_cutoff=FUZZY_CUTOFF)
        shared += best_matching(similarity / 100)
    union = len(left) + len(right) - shared
    return shared / union if union else 0.0


def compare(answer: ParsedAnswer, label: ParsedAnswer) -> tuple[float, ...]:
    """Return the metrics of one answer against a label, in the order of ``METRICS``.

    ``count_drift`` is the number of keywords minus the label's; ``valid`` is 0 or 1; the others are 0-1.
    """
    shared = len(answer.keywords & label.keywords)
    precision = shared / len(answer.keywords) if answer.keywords else 0.0
    recall = shared / len(label.keywords) if label.keywords else 0.0
    return (
        jaccard(answer.keywords, label.keywords),
        jaccard(answer.unnormalised, label.unnormalised),
        2 * precision * recall / (precision + recall) if shared else 0.0,
        precision,
        recall,
        soft_jaccard(answer.keywords, label.keywords),
        float(len(answer.keywords) - len(label.keywords)),
        float(answer.valid),
    )


def agreement(answers: Mapping[str, AnswerLine], labels: Mapping[str, ParsedAnswer]) -> dict[str, list[float]]:
    """Return the values of each metric, one for each labelled image; a missing or invalid answer scores 0.

    Answers are parsed one at a time to save memory: a run may have 20,000.
    """
    columns: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for image, label in labels.items():
        for column, value in zip(columns.values(), compare(parse_answer(answers.get(image)), label), strict=True):
            column.append(value)
    return columns


def within_limits(answers: Mapping[str, AnswerLine], labels: Mapping[str, ParsedAnswer], limits: Limits) -> list[float]:
    """Return 1 for each labelled image with a valid answer whose number of keywords is within ``limits``, else 0."""

    def is_within(line: AnswerLine | None) -> bool:
        if line is None or not parse_answer(line).valid:
            return False
        return FORMATS[line.format].limit_rejection(line.text or "", limits) is None

    return [float(is_within(answers.get(image))) for image in labels]


def floor(
    answers: Mapping[str, AnswerLine], labels: Mapping[str, ParsedAnswer], groups: Mapping[str, str]
) -> list[float]:
    """Return each image's mean Jaccard index with at most ``SHUFFLES`` labels of other images.

    The other images come from cyclic shifts of one order with a fixed seed; near-duplicates are left out.
    """
    images = sorted(labels)
    random.Random(SEED).shuffle(images)
    shifts = range(1, min(len(images) - 1, SHUFFLES) + 1)
    floors: dict[str, float] = {}
    for position, image in enumerate(images):
        answer = parse_answer(answers.get(image)).keywords
        others = (images[(position + shift) % len(images)] for shift in shifts)
        values = [jaccard(answer, labels[other].keywords) for other in others if groups[other] != groups[image]]
        floors[image] = statistics.fmean(values) if values else 0.0
    return [floors[image] for image in labels]


def control(training: Sequence[Keywords]) -> Keywords:
    """Return the most common keywords of the training labels; as many as the median label has."""
    counts = Counter(keyword for label in training for keyword in sorted(label))
    length = round(statistics.median(len(label) for label in training))
    ranked = sorted(counts, key=lambda keyword: (-counts[keyword], keyword))
    return frozenset(ranked[:length])


def keyword_changes(
    base: Mapping[str, AnswerLine], tuned: Mapping[str, AnswerLine], labels: Mapping[str, ParsedAnswer]
) -> KeywordChanges:
    """Return the teacher's keywords that tuning gained and lost, with their number of images."""
    gained: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for image, label in labels.items():
        before = parse_answer(base.get(image)).keywords & label.keywords
        after = parse_answer(tuned.get(image)).keywords & label.keywords
        gained.update(after - before)
        lost.update(before - after)
    return KeywordChanges(learned=_most_frequent(gained), lost=_most_frequent(lost))


def best_matching(weights: np.ndarray) -> float:
    """Return the largest sum of a one-to-one matching of rows and columns; weights are at least 0."""
    return -float(lapjv(-weights.astype(float), extend_cost=True)[0])


def _most_frequent(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:12]
