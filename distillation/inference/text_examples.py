"""Text examples: labels of other images that are added to a prompt, as an alternative to training."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from distillation import keys
from distillation.answers.formats import format_of
from distillation.answers.rejection import label_rejection
from distillation.errors import ObjectMissing
from distillation.inference.label_lock import find_answer
from distillation.plain_text import clean
from distillation.records import OwnLabel, Prompt, Run, SplitLine
from distillation.storage import Bucket

EXAMPLE_CANDIDATES = 8
"""Training images, the first of their set, that the baseline round labels to choose the examples from."""
MAXIMUM_EXAMPLES = 5
"""Largest number of examples in a prompt."""
_INTRODUCTION = "Examples of good answers, about other images:"


def read_examples(run: Run, data: Bucket) -> list[str]:
    """Return the labels of the first training images that have a valid one, at most ``MAXIMUM_EXAMPLES``.

    Your own labels come before the teacher's, unless they are for comparison only (``own_labels: gold``). The result is
    the same for every batch, so the prompt that it becomes part of is too.
    """
    own_labels = {} if run.request.own_labels == "gold" else _own_labels(run, data)
    candidates = islice(data.read_records(keys.split_key(run.name, "train"), SplitLine), EXAMPLE_CANDIDATES)
    labels = (own_labels.get(line.image) or _teacher_label(run, line.image, data) for line in candidates)
    return [label for label in labels if label][:MAXIMUM_EXAMPLES]


def with_examples(prompt: Prompt, examples: list[str]) -> Prompt:
    """Return a prompt whose system prompt ends with ``examples``."""
    system = "\n\n".join([prompt.system, _INTRODUCTION, *examples])
    # A copy is not validated: the examples may exceed the length that a request's prompt may have.
    return prompt.model_copy(update={"system": system})


def _teacher_label(run: Run, image: str, data: Bucket) -> str | None:
    """Return the first valid stored answer of the teacher about an image, None without one."""
    for key in _answer_keys(run, image):
        answer = find_answer(key, image, data)
        if answer and label_rejection(run, answer) is None:
            return format_of(run).training_text(clean(answer.text))
    return None


def _answer_keys(run: Run, image: str) -> Iterator[str]:
    for sample in range(run.request.samples_per_image):
        yield keys.label_key(run.teacher.id, image, sample)
        yield keys.label_retry_key(run.teacher.id, image, sample)


def _own_labels(run: Run, data: Bucket) -> dict[str, str]:
    try:
        return {label.image: label.text for label in data.read_records(keys.own_labels_key(run.name), OwnLabel)}
    except ObjectMissing:
        return {}
