"""Rules that decide whether an answer is valid: as a label, which is trained on, or as a prediction."""

from __future__ import annotations

from distillation.answers.formats import FORMATS
from distillation.answers.refusals import find_refusal
from distillation.answers.reserved_words import find_reserved_words
from distillation.plain_text import clean
from distillation.records import Answer, Limits, Run


def label_rejection(run: Run, answer: Answer) -> str | None:
    """Return why a model's answer is not a label of a run, or None if it is one."""
    return _incomplete(answer) or _with_subject(text_rejection(run.answer_format, answer.text, run.limits))


def prediction_rejection(run: Run, answer: Answer) -> str | None:
    """Return why a model's answer is not a valid prediction of a run, or None if it is one.

    A prediction is valid if it is usable: complete, no refusal, and in the answer format. It may have any number of
    items and any words, because nothing is trained on it.
    """
    return _incomplete(answer) or _with_subject(content_rejection(run.answer_format, answer.text))


def text_rejection(answer_format: str, text: str, limits: Limits | None) -> str | None:
    """Return why ``text`` cannot be trained on, or None if it can. Without ``limits`` it may have any number of items.

    The text may come from a model or from the owner. The reason is a predicate without a subject, such as
    ``is a refusal: 'I cannot help'``.
    """
    # A text may contain a reserved word only in the form that it is trained on: without invisible characters, or with
    # the items of its consensus, which have no markup and no full-width letters.
    trained_texts = (clean(text), FORMATS[answer_format].consensus([text], 1, None))
    if reserved_words := next(filter(None, map(find_reserved_words, trained_texts)), None):
        return f"contains {', '.join(reserved_words)}, which Bedrock reserves"
    if reason := content_rejection(answer_format, text):
        return reason
    return FORMATS[answer_format].limit_rejection(text, limits) if limits else None


def content_rejection(answer_format: str, text: str) -> str | None:
    """Return why ``text`` is not usable, or None if it is: a refusal, or not in the answer format.

    The reason is a predicate without a subject.
    """
    if refusal := find_refusal(clean(text)):
        return f"is a refusal: {refusal!r}"
    return FORMATS[answer_format].rejection(text)


def _incomplete(answer: Answer) -> str | None:
    """Return why the answer is incomplete, such as ``max_tokens`` for one that was cut off; None if it is complete."""
    if answer.stop_reason == "end_turn":
        return None
    return f"the answer ended with {answer.stop_reason}, not end_turn"


def _with_subject(reason: str | None) -> str | None:
    return f"the answer {reason}" if reason else None
