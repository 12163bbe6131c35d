"""Agreement of two answers about one image, and what agreement can be compared with.

ceiling: the teacher against itself. floor: answers against the labels of other images. control: the
commonest keywords of the training labels, for every image.
"""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from rapidfuzz import fuzz, process

from distillation.evaluation.parsed_answers import ParsedAnswer, parse_answer
from distillation.records import AnswerLine

SEED = 20_250_701
FUZZY_CUTOFF = 85
"""Percent of likeness (token sort ratio) from which two keywords count as the same thing spelt twice."""
SHUFFLES = 20
METRICS = ("jaccard", "jaccard_as_written", "f1", "precision", "recall", "soft_jaccard", "count_drift", "valid")

Keywords = frozenset[str]


def jaccard(one: Keywords, other: Keywords) -> float:
    """Return shared over all keywords, from 0 to 1; two empty answers agree in nothing."""
    shared = len(one & other)
    union = len(one) + len(other) - shared
    return shared / union if union else 0.0


def soft_jaccard(one: Keywords, other: Keywords) -> float:
    """Return the Jaccard index with near spellings counted by their likeness, 0 to 1.

    Equal keywords are matched first; then the rest one to one, so that the sum of likenesses is greatest.
    """
    shared = float(len(one & other))
    left, right = sorted(one - other), sorted(other - one)
    if left and right:
        likeness = process.cdist(left, right, scorer=fuzz.token_sort_ratio, score_cutoff=FUZZY_CUTOFF) / 100
        shared += best_matching(likeness)
    union = len(one) + len(other) - shared
    return shared / union if union else 0.0


def compare(answer: ParsedAnswer, label: ParsedAnswer) -> tuple[float, ...]:
    """Return the metrics of one answer against a label, in the order of ``METRICS``.

    ``count_drift`` is keywords more (or fewer) than the label has; ``valid`` is 0 or 1; all others 0 to 1.
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
    """Return each metric per labelled image, in the labels' order; no answer scores 0.

    Answers are read one at a time: the sets of 20,000 of them would not fit beside the labels' in a small Lambda.
    """
    columns: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for image, label in labels.items():
        for column, value in zip(columns.values(), compare(parse_answer(answers.get(image)), label), strict=True):
            column.append(value)
    return columns


def floor(
    answers: Mapping[str, AnswerLine], labels: Mapping[str, ParsedAnswer], groups: Mapping[str, str]
) -> list[float]:
    """Return each image's mean Jaccard index against labels of other images, at most ``SHUFFLES`` of them.

    The others come from cyclic shifts of one seeded order, never from the image's own near-duplicates.
    """
    images = sorted(labels)
    random.Random(SEED).shuffle(images)
    shifts = range(1, min(len(images) - 1, SHUFFLES) + 1)
    found: dict[str, float] = {}
    for place, image in enumerate(images):
        answer = parse_answer(answers.get(image)).keywords
        others = (images[(place + shift) % len(images)] for shift in shifts)
        values = [jaccard(answer, labels[other].keywords) for other in others if groups[other] != groups[image]]
        found[image] = statistics.fmean(values) if values else 0.0
    return [found[image] for image in labels]


def control(training: Sequence[Keywords]) -> Keywords:
    """Return the commonest keywords of the training labels, as many as a label has in the median."""
    counts = Counter(keyword for label in training for keyword in sorted(label))
    length = round(statistics.median(len(label) for label in training))
    ranked = sorted(counts, key=lambda keyword: (-counts[keyword], keyword))
    return frozenset(ranked[:length])


def keyword_changes(
    base: Mapping[str, AnswerLine], tuned: Mapping[str, AnswerLine], labels: Mapping[str, ParsedAnswer]
) -> dict[str, list[tuple[str, int]]]:
    """Return the teacher's keywords that tuning won and lost, with their number of images, most first."""
    won: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for image, label in labels.items():
        before = parse_answer(base.get(image)).keywords & label.keywords
        after = parse_answer(tuned.get(image)).keywords & label.keywords
        won.update(after - before)
        lost.update(before - after)
    return {"learned": _ranked(won.items()), "lost": _ranked(lost.items())}


def best_matching(weights: np.ndarray) -> float:
    """Return the greatest sum of a one-to-one matching of rows and columns of weights of at least 0.

    The Hungarian method by shortest augmenting paths (Kuhn 1955; Jonker and Volgenant 1987).
    """
    weights = weights[weights.any(axis=1)][:, weights.any(axis=0)]
    if not weights.size:
        return 0.0
    if 1 in weights.shape:
        return float(weights.max())
    cost = -(weights if weights.shape[0] <= weights.shape[1] else weights.T).astype(float)
    rows, columns = cost.shape
    row_price, column_price = np.zeros(rows), np.zeros(columns + 1)
    row_of = np.full(columns + 1, -1)
    for row in range(rows):
        row_of[columns], column = row, columns
        slack, came_from = np.full(columns, np.inf), np.full(columns, columns)
        seen = np.zeros(columns + 1, dtype=bool)
        while row_of[column] >= 0:
            seen[column] = True
            here = row_of[column]
            reduced = cost[here] - row_price[here] - column_price[:columns]
            better = ~seen[:columns] & (reduced < slack)
            slack[better], came_from[better] = reduced[better], column
            step = np.where(seen[:columns], np.inf, slack)
            nearest = int(step.argmin())
            delta = step[nearest]
            row_price[row_of[seen]] += delta
            column_price[seen] -= delta
            slack[~seen[:columns]] -= delta
            column = nearest
        while column != columns:
            row_of[column] = row_of[came_from[column]]
            column = came_from[column]
    taken = np.flatnonzero(row_of[:columns] >= 0)
    return float(-cost[row_of[taken], taken].sum())


def _ranked(counts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(counts, key=lambda item: (-item[1], item[0]))[:12]
