"""Answers that tests of this package compare."""

from __future__ import annotations

from distillation.answers.formats.keywords import KeywordList, Keywords
from distillation.evaluation.evaluation import Evidence
from distillation.records import AnswerLine


def answer(text: str | None, status: str = "ok", image: str = "i") -> AnswerLine:
    """Return the answer of some model about ``image``."""
    return AnswerLine.model_validate({"image": image, "answerer": "x", "status": status, "text": text})


def parsed(*keywords: str) -> KeywordList:
    """Return a valid answer whose keywords need no normalisation."""
    return KeywordList(keywords)


def any_evidence(tuned: str = "cat, sofa, thing {}", images: int = 24) -> Evidence:
    """Return answers about ``images`` images; ``{}`` in the tuned model's text is the number of the image.

    A label is ``cat, sofa, thing <number>, colour <number>``. Base shares no keyword with it, the ceiling shares all.
    """
    names = [f"i{number}" for number in range(images)]
    labels = {
        name: answer(f"cat, sofa, thing {number}, colour {number}", image=name) for number, name in enumerate(names)
    }
    return Evidence(
        answer_format=Keywords(),
        labels=labels,
        tuned={"n8": {name: answer(tuned.format(number), image=name) for number, name in enumerate(names)}},
        base={name: answer("dog, sea, sky", image=name) for name in names},
        ceiling=labels,
    )
