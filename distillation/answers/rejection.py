"""Rules that decide whether an answer is valid: as a label, which is trained on, or as a prediction."""

from __future__ import annotations

from distillation.answers.formats import format_of
from distillation.answers.formats.base import Format, NotInFormat
from distillation.answers.refusals import find_refusal
from distillation.answers.reserved_words import find_reserved_words
from distillation.plain_text import clean
from distillation.records import Answer, Run


def label_rejection(run: Run, answer: Answer) -> str | None:
    """Return why a model's answer is not a label of a run, or None if it is one."""
    return _incomplete(answer) or _with_subject(text_rejection(format_of(run), answer.text))


def prediction_rejection(run: Run, answer: Answer) -> str | None:
    """Return why a model's answer is not a valid prediction of a run, or None if it is one.

    A prediction is valid if it is usable: complete, no refusal, and in the answer format. Nothing is trained on it, so
    it may have reserved words, and need not meet the further conditions of a label, such as a number of keywords.
    """
    return _incomplete(answer) or _with_subject(content_rejection(format_of(run), answer.text))


def text_rejection(answer_format: Format, text: str, *, is_trained_on: bool = True) -> str | None:
    """Return why ``text`` is not a label, or None if it is one.

    The text may come from a model or from the owner. The reason is a predicate without a subject, such as
    ``is a refusal: 'I cannot help'``. Training labels must have no ``label_problem``. Labels that answers are only
    compared with must have no ``gold_problem`` instead.
    """
    if reserved_words := next(filter(None, map(find_reserved_words, _trained_texts(answer_format, text))), None):
        return f"contains {', '.join(reserved_words)}, which Bedrock reserves"
    if reason := content_rejection(answer_format, text):
        return reason
    value = answer_format.parse(text)
    return answer_format.label_problem(value) if is_trained_on else answer_format.gold_problem(value)


def content_rejection(answer_format: Format, text: str) -> str | None:
    """Return why ``text`` is not usable, or None if it is: a refusal, or not in the answer format.

    The reason is a predicate without a subject.
    """
    if refusal := find_refusal(clean(text)):
        return f"is a refusal: {refusal!r}"
    try:
        answer_format.parse(text)
    except NotInFormat as error:
        return str(error)
    return None


def _trained_texts(answer_format: Format, text: str) -> tuple[str, ...]:
    """Return the two texts that may be trained on, neither of which may contain a reserved word.

    The first is ``text`` without invisible characters. The second is its value as the format writes it, without markup
    and full-width letters.
    """
    try:
        return clean(text), answer_format.write(answer_format.parse(text))
    except NotInFormat:
        return (clean(text),)


def _incomplete(answer: Answer) -> str | None:
    """Return why the answer is incomplete, such as ``max_tokens`` for one that was cut off; None if it is complete."""
    if answer.stop_reason == "end_turn":
        return None
    return f"the answer ended with {answer.stop_reason}, not end_turn"


def _with_subject(reason: str | None) -> str | None:
    return f"the answer {reason}" if reason else None
