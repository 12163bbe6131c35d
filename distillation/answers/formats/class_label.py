"""The format ``class``: one label of a list that the prompt file gives."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Annotated, ClassVar

from pydantic import Field, JsonValue, ValidationInfo, field_validator

from distillation.answers.formats.base import Compared, Format, FormInput, NotInFormat, Part
from distillation.answers.keyword_reader import read_keywords
from distillation.answers.plurals import singular
from distillation.answers.refusals import find_refusal
from distillation.documents import Table
from distillation.errors import excerpt
from distillation.plain_text import clean_line

INSTRUCTION = "Answer with exactly one of these labels, as written, and nothing else:"
"""First line of the instruction. A label follows on each line, with its description after a colon if it has one."""
MINIMUM_TEST_IMAGES = 5
"""Test images of a class below which the report warns that its figures are not reliable."""
_LARGEST_MATRIX = 20
"""Classes of a confusion matrix. With more classes the report lists the most frequent confusions instead."""
_CONFUSIONS = 20
"""Rows of the table of confusions."""
_LABELS_SHOWN = 10
"""Labels that a message names."""
_NOT_VALID = "no valid answer"
_HYPHEN = re.compile(r"(?<=\w)[-‐‑‒–—―−⁃](?=\w)")
_SENTENCE_END = re.compile(r"\.\s+|\n+")
_STATEMENT = re.compile(
    r"\b(?:answer|label|class|category|classification)\b[^.:\n]{0,60}?\b(?:is|would be):?\s+([^\n]{1,80})$",
    re.IGNORECASE,
)
"""A sentence such as ``The best label is animals.``"""


class ClassLabel(Format):
    """Settings of the format ``class``."""

    format: str = "class"
    """``class``."""
    labels: list[Annotated[str, Field(min_length=1, max_length=60)]] = Field(min_length=2, max_length=100)
    """Labels, 2-100 of 1-60 characters, without a colon before a space, distinct without case, hyphens and spaces."""
    descriptions: dict[str, Annotated[str, Field(min_length=1, max_length=300)]] = Field(default_factory=dict)
    """Descriptions, keyed by label, for the instruction to the models. A label needs none."""

    similarity_name: ClassVar = "share of equal labels"
    similarity_explanation: ClassVar = "1 if the answer is the teacher's label, else 0."
    noun: ClassVar = "one of the labels"
    control_name: ClassVar = "the most common label"
    layout: ClassVar = "words"
    similarity_limits: ClassVar = (
        "A wrong label counts the same whichever it is. In a set with one large class a high share of equal labels "
        "can hide that the small classes fail: macro F1, Cohen's kappa and the table of classes show it."
    )

    @field_validator("labels")
    @classmethod
    def _check_labels(cls, labels: list[str]) -> list[str]:
        by_key: dict[str, str] = {}
        for label in labels:
            if label != clean_line(label).strip() or ": " in label or label.endswith(":"):
                raise ValueError(
                    f"{label!r} must be one line without a space at its ends, an invisible character or a colon "
                    "before a space or at its end"
                )
            if refusal := find_refusal(label):
                raise ValueError(f"{label!r} contains {refusal!r}, which would count as a refusal. Choose other words")
            if (other := by_key.setdefault(_normalised(label), label)) is not label:
                raise ValueError(f"{other!r} and {label!r} are the same label without case, hyphens and spaces")
        return labels

    @field_validator("descriptions")
    @classmethod
    def _check_descriptions(cls, descriptions: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        labels = info.data.get("labels")
        for label, description in descriptions.items():
            if labels is not None and label not in labels:
                raise ValueError(f"{label!r} is not one of the labels")
            if description != clean_line(description).strip():
                raise ValueError(f"that of {label!r} must be one line without an invisible character")
        return descriptions

    def instruction(self) -> str:
        """Return the list of the labels with their descriptions."""
        return "\n".join([INSTRUCTION, *(f"- {line}" for line in self._lines.values())])

    def parse(self, text: str) -> str:
        """Return the label that a text gives, as the settings spell it.

        The text may have markup, JSON, a header such as ``Label:``, a sentence around the label or below it, and the
        singular for the plural. It must not name two labels as the answer.
        """
        if label := self._label(text):
            return label
        items = read_keywords(text)
        # A label may have a comma, at which the reader divides.
        if label := self._label(", ".join(items)):
            return label
        found = list(dict.fromkeys(self._named(text, items)))
        if len(found) > 1:
            raise NotInFormat(f"names several labels ({_listed(found)}): {excerpt(text)!r}")
        if not found:
            raise NotInFormat(f"is none of the labels ({_listed(self.labels)}): {excerpt(text)!r}")
        return found[0]

    def write(self, value: str) -> str:
        """Return the label."""
        return value

    def consensus(self, values: Sequence[str], votes: int) -> str | None:
        """Return the most frequent label if it has at least ``votes`` and no other label has as many."""
        (label, most), *others = Counter(values).most_common()
        return None if most < votes or (others and others[0][1] == most) else label

    def similarity(self, left: str, right: str) -> float:
        """Return 1 for equal labels, else 0."""
        return float(left == right)

    def control(self, training: Sequence[str]) -> str:
        """Return the most common label; of several, the first in the settings."""
        counts = Counter(training)
        return max(self.labels, key=lambda label: counts[label])

    def stratum(self, value: str) -> str:
        """Return the label: each set gets the same share of every class."""
        return value

    def tables(self, images: Sequence[Compared], best: str) -> list[Table]:
        """Return agreement by answerer, the figures of each class, and what the best model confuses."""
        pairs = [(image.label, image.answers.get(best)) for image in images]
        return [self._by_answerer(images), self._by_class(pairs, best), self._confusions(pairs, best)]

    def parts(self, answer: str | None, label: str) -> list[Part]:
        """Return one shared label, or the teacher's label and the answer."""
        if answer == label:
            return [Part(label, "shared")]
        return [Part(label, "missed"), *([Part(answer, "extra")] if answer is not None else [])]

    def json_value(self, value: str) -> JsonValue:
        """Return the label."""
        return value

    def form_inputs(self) -> list[FormInput]:
        """Return the labels to choose from."""
        return [FormInput(self.format, "choice", self.labels)]

    def subjects(self, value: str) -> list[str]:
        """Return the label."""
        return [value]

    def description(self, value: str) -> str:
        """Return an empty text: a label describes nothing."""
        return ""

    def answer_tokens(self) -> tuple[int, int, int]:
        """Return tokens of the shortest, the average and the longest label, and of the end of the answer."""
        tokens = [1 + len(label) / 4 for label in self.labels]
        return round(min(tokens)), round(sum(tokens) / len(tokens)) + 2, round(max(tokens)) + 5

    @cached_property
    def _lines(self) -> dict[str, str]:
        """Labels as the instruction shows them, keyed by label."""
        return {
            label: f"{label}: {self.descriptions[label]}" if label in self.descriptions else label
            for label in self.labels
        }

    @cached_property
    def _by_key(self) -> dict[str, str]:
        """Labels, keyed by the texts that mean them: the label, its line in the instruction, and its singular."""
        singulars = Counter(singular(_normalised(label)) for label in self.labels)
        unique = {key: label for label in self.labels if singulars[key := singular(_normalised(label))] == 1}
        lines = {_normalised(line): label for label, line in self._lines.items()}
        return {**unique, **lines, **{_normalised(label): label for label in self.labels}}

    def _label(self, text: str) -> str | None:
        """Return the label that a text without markup is, or None."""
        key = _normalised(text)
        return self._by_key.get(key) or self._by_key.get(singular(key))

    def _named(self, text: str, items: Sequence[str]) -> Iterator[str]:
        """Yield the labels that a text gives as answers: in sentences of their own, or as all items of a list."""
        listed = [self._label(item) for item in items]
        if all(listed):
            yield from filter(None, listed)
        for sentence in map(str.strip, _SENTENCE_END.split(text)):
            statement = _STATEMENT.search(sentence)
            pieces = read_keywords(statement[1] if statement else sentence) if sentence else []
            if label := self._label(", ".join(pieces)):
                yield label

    def _by_answerer(self, images: Sequence[Compared]) -> Table:
        answerers = dict.fromkeys(name for image in images for name in image.answers)
        rows: list[list[str | int | float | None]] = []
        for name in answerers:
            pairs = [(image.label, image.answers[name]) for image in images if name in image.answers]
            equal = sum(label == answer for label, answer in pairs) / len(pairs)
            rows.append([name, len(pairs), round(equal, 3), _rounded(macro_f1(pairs)), _rounded(cohens_kappa(pairs))])
        return Table(
            title="Agreement by answerer",
            columns=["answerer", "test images", "equal labels", "macro F1", "Cohen's kappa"],
            rows=rows,
            note="Macro F1 is the mean F1 of the classes of the teacher's labels, each with the same weight. Cohen's "
            "kappa is 1 for perfect agreement and 0 for agreement by chance; it is empty if there is only one class. "
            "An answer that is not valid is wrong.",
        )

    def _by_class(self, pairs: Sequence[tuple[str, str | None]], best: str) -> Table:
        labels, answers = Counter(label for label, _ in pairs), Counter(answer for _, answer in pairs)
        correct = Counter(label for label, answer in pairs if label == answer)
        rows: list[list[str | int | float | None]] = [
            [
                label,
                labels[label],
                answers[label],
                correct[label],
                _rounded(_share(correct[label], labels[label])),
                _rounded(_share(correct[label], answers[label])),
                _rounded(_share(2 * correct[label], labels[label] + answers[label])),
            ]
            for label in self.labels
        ]
        few = [f"{label} ({labels[label]})" for label in self.labels if labels[label] < MINIMUM_TEST_IMAGES]
        warning = (
            f"Fewer than {MINIMUM_TEST_IMAGES} test images: {_listed(few)}. The figures of these classes are not "
            "reliable. Add photos of them."
            if few
            else None
        )
        columns = ["class", "test images", "answers", "correct", "recall", "precision", "F1"]
        return Table(title=f"Scores of {best} by class", columns=columns, rows=rows, note=warning)

    def _confusions(self, pairs: Sequence[tuple[str, str | None]], best: str) -> Table:
        """Return the confusion matrix of the classes that occur; of many classes the most frequent confusions."""
        counts = Counter((label, _NOT_VALID if answer is None else answer) for label, answer in pairs)
        occurring = {label for pair in counts for label in pair}
        classes = [label for label in self.labels if label in occurring]
        if len(classes) > _LARGEST_MATRIX:
            confused = sorted(
                ((label, answer, count) for (label, answer), count in counts.items() if label != answer),
                key=lambda row: (-row[2], row[0], row[1]),
            )
            return Table(
                title=f"Most frequent confusions of {best}",
                columns=["teacher's label", "answer", "test images"],
                rows=[list(row) for row in confused[:_CONFUSIONS]],
            )
        columns = [*classes, *([_NOT_VALID] if any(answer == _NOT_VALID for _, answer in counts) else [])]
        return Table(
            title=f"Confusion matrix of {best}",
            columns=["teacher's label", *columns],
            rows=[[label, *(counts[label, answer] for answer in columns)] for label in classes],
            note="Rows are the teacher's labels and columns the answers. The diagonal has the equal labels.",
        )


def macro_f1(pairs: Sequence[tuple[str, str | None]]) -> float:
    """Return the mean F1 (0-1) of the classes that occur as labels; each pair is a label and an answer."""
    labels, answers = Counter(label for label, _ in pairs), Counter(answer for _, answer in pairs)
    correct = Counter(label for label, answer in pairs if label == answer)
    return sum(2 * correct[label] / (labels[label] + answers[label]) for label in labels) / len(labels)


def cohens_kappa(pairs: Sequence[tuple[str, str | None]]) -> float | None:
    """Return Cohen's kappa of labels and answers, at most 1; None if chance alone would give perfect agreement."""
    count = len(pairs)
    labels, answers = Counter(label for label, _ in pairs), Counter(answer for _, answer in pairs)
    observed = sum(label == answer for label, answer in pairs) / count
    by_chance = sum(labels[label] * answers[label] for label in labels) / count**2
    return None if by_chance == 1 else (observed - by_chance) / (1 - by_chance)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _LABELS_SHOWN
    return ", ".join(names[:_LABELS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _normalised(text: str) -> str:
    """Return a text after NFKC and case folding, with one space for hyphens, underscores and runs of spaces."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("_", " ")
    return " ".join(_HYPHEN.sub(" ", text).split())
