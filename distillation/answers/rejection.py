"""Rules that decide whether an answer is usable as a label."""

from __future__ import annotations

from distillation.answers.formats import FORMATS
from distillation.answers.refusals import find_refusal
from distillation.answers.reserved_words import find_reserved_words
from distillation.records import Answer, Run


def answer_rejection(run: Run, answer: Answer) -> str | None:
    """Return why a model's answer is not usable in a run, or None if it is usable."""
    if answer.stop_reason != "end_turn":
        return f"the answer ended with {answer.stop_reason}, not end_turn"
    reason = text_rejection(run, answer.text)
    return f"the answer {reason}" if reason else None


def text_rejection(run: Run, text: str) -> str | None:
    """Return why ``text`` is not usable as a label in a run, or None if it is usable.

    The text may come from a model or from the owner. The reason is a predicate without a subject, such as
    ``is a refusal: 'I cannot help'``.
    """
    if reserved_words := find_reserved_words(text):
        return f"contains {', '.join(reserved_words)}, which Bedrock reserves"
    if refusal := find_refusal(text):
        return f"is a refusal: {refusal!r}"
    return FORMATS[run.answer_format].rejection(text, run.limits)
