"""The label of each image of a run: the owner's own, the teacher's answer, or what several of its answers agree on."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence

from distillation import keys
from distillation.answers.formats import FORMATS
from distillation.records import AnswerLine, OwnLabel, Run
from distillation.storage import Bucket


def read_labels(run: Run, data: Bucket) -> dict[str, AnswerLine]:
    """Return a line for each image with a label, or refused one; answerer ``owner`` where the label is the owner's."""
    return {line.image: line for line in iter_labels(run, data)}


def iter_labels(run: Run, data: Bucket) -> Iterator[AnswerLine]:
    """Yield what ``read_labels`` returns; one part of LabelImages is held, which has all samples of its images."""
    own = {} if run.request.own_labels == "gold" else read_own_labels(run, data)
    for key in data.keys(keys.parts_prefix(run.name, "label")):
        samples: dict[str, list[AnswerLine]] = defaultdict(list)
        for record in data.read_lines(key):
            line = AnswerLine.model_validate(record)
            samples[line.image].append(line)
        for image, lines in samples.items():
            yield own.pop(image, None) or combine_samples(run, lines)
    yield from own.values()


def read_own_labels(run: Run, data: Bucket) -> dict[str, AnswerLine]:
    """Return the owner's labels by image; none where the collection has none."""
    body = data.get_or_none(keys.own_labels_key(run.name)) or b""
    labels = [OwnLabel.model_validate_json(line) for line in body.splitlines()]
    return {
        one.image: AnswerLine(image=one.image, answerer="owner", status="ok", format=run.answer_format, text=one.text)
        for one in labels
    }


def combine_samples(run: Run, samples: Sequence[AnswerLine]) -> AnswerLine:
    """Return one line of the samples of an image: what at least half of those asked for say.

    It is refused where fewer than half of them count, or agree on nothing.
    """
    if len(samples) == 1:
        return samples[0]
    votes = math.ceil(len(samples) / 2)
    counted = [line for line in samples if line.status == "ok"]
    if len(counted) < votes:
        refused = next(line for line in samples if line.status == "refused")
        reason = f"only {len(counted)} of {len(samples)} answers count: {refused.reason}"
        return refused.model_copy(update={"reason": reason, "text": None})
    texts = [line.text or "" for line in counted]
    form = FORMATS[run.answer_format]
    text = form.consensus(texts, votes, run.limits)
    update = {"text": text, "disagreement": _disagreement([frozenset(form.items(text)) for text in texts])}
    if not text:
        update |= {"status": "refused", "reason": f"the {len(samples)} answers agree on nothing"}
    return counted[0].model_copy(update=update)


def _disagreement(answers: Sequence[frozenset[str]]) -> float:
    """Return one minus the mean Jaccard index of each two answers; 0 for one alone."""
    pairs = itertools.combinations(answers, 2)
    return round(statistics.fmean([1 - len(a & b) / len(a | b) for a, b in pairs] or [0.0]), 4)
