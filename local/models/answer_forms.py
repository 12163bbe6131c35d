"""Forms of the local models' answers. The models read only the instruction of the answer format in a prompt.

A model recognises the contents of a photo once and returns a ``Recognition``. A form turns it into an answer: one of
the labels that the instruction lists, a JSON object with its fields, a caption of its length, or keywords without an
instruction.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from distillation.answers.formats.caption import PARAGRAPH_INSTRUCTION, SENTENCE_INSTRUCTION
from distillation.answers.formats.class_label import INSTRUCTION as CLASS_INSTRUCTION
from distillation.answers.formats.fields import INSTRUCTION as FIELDS_INSTRUCTION
from distillation.answers.plurals import singular
from local.models.vocabulary import RELATED, STOP_WORDS, TOPICS, UNCOUNTABLE

Kind = Literal["one of", "number", "boolean", "list", "string"]
LIST_SIZE = 4
"""Largest number of items in a list."""
TRUE_CONFIDENCE = 0.4
"""A boolean field is true if the confidence (0-1) in a word of its name or description is above this."""
DESCRIPTION_WEIGHT = 0.7
"""Weight (0-1) of a word in the description of a label; a word of the label itself has weight 1."""
RELATED_WEIGHT = 0.7
"""Weight (0-1) of a related word; the word itself has weight 1."""
_KINDS: dict[str, Kind] = {
    "one of": "one of",
    "a list": "list",
    "a number": "number",
    "true or false": "boolean",
}
"""Types of fields, keyed by the start of their description in the instruction."""
_WORD = re.compile(r"[^\W\d_]+")
_STRING = r'"(?:[^"\\]|\\.)*"'
_OPTION = re.compile(_STRING)
_FIELD = re.compile(rf'(?P<name>{_STRING}): (?P<type>(?:{_STRING}|[^;"])*)(?:; (?P<description>.*))?')
_CAPTION = re.compile(
    rf"({re.escape(SENTENCE_INSTRUCTION)}|{re.escape(PARAGRAPH_INSTRUCTION)}) (\d+) to (\d+) words and nothing else"
)


@dataclass(frozen=True)
class Recognition:
    """Contents of a photo as a model recognises them."""

    keywords: list[str]
    """Keywords, from the most to the least important."""
    confidences: Mapping[str, float]
    """Confidence (0-1) that a word describes the photo, keyed by the word without its plural ending."""
    subject: str
    """Main thing, in one to three words."""
    counts: Mapping[str, int]
    """Number of things, keyed by their name in the singular."""
    threshold: float
    """The option with the highest score is chosen if that is above this; else the last option is."""
    sentence: tuple[str, ...]
    """Parts of a sentence about the photo, from the most to the least important."""
    paragraph: tuple[str, ...]
    """Sentences about the photo, from the most to the least important."""


class Form(ABC):
    """Form of an answer."""

    @abstractmethod
    def answer(self, recognition: Recognition) -> str:
        """Return the answer about a photo."""


class KeywordsForm(Form):
    """Keywords, for a prompt without an instruction that the models know."""

    def answer(self, recognition: Recognition) -> str:
        """Return the keywords on one line."""
        return ", ".join(recognition.keywords)


@dataclass(frozen=True)
class ClassForm(Form):
    """One of several labels."""

    labels: Mapping[str, str]
    """Descriptions keyed by label."""

    def answer(self, recognition: Recognition) -> str:
        """Return the label that fits best."""
        return choose(self.labels, recognition)


@dataclass(frozen=True)
class Field:
    """A field of a JSON object."""

    name: str
    kind: Kind
    description: str
    options: tuple[str, ...] = ()

    def value(self, recognition: Recognition) -> str | float | bool | list[str]:
        """Return the value for a photo."""
        words = _words(f"{self.name.replace('_', ' ')} {self.description}")
        if self.kind == "one of":
            return choose(dict.fromkeys(self.options, ""), recognition)
        if self.kind == "number":
            return next((recognition.counts[word] for word in words if word in recognition.counts), 0)
        if self.kind == "boolean":
            return max((recognition.confidences.get(word, 0) for word in words), default=0) > TRUE_CONFIDENCE
        topic = next((TOPICS[word] for word in words if word in TOPICS), None)
        found = [word for word in recognition.keywords if topic is None or word in topic]
        if self.kind == "list":
            return found[:LIST_SIZE]
        return found[0] if topic and found else recognition.subject


@dataclass(frozen=True)
class FieldsForm(Form):
    """A JSON object."""

    fields: tuple[Field, ...]

    def answer(self, recognition: Recognition) -> str:
        """Return the object on one line."""
        return json.dumps({field.name: field.value(recognition) for field in self.fields}, ensure_ascii=False)


@dataclass(frozen=True)
class CaptionForm(Form):
    """A sentence or a paragraph."""

    is_paragraph: bool
    words_min: int
    words_max: int

    def answer(self, recognition: Recognition) -> str:
        """Return as many of the parts as fit in the middle of the limits, and at least the shortest length."""
        parts = recognition.paragraph if self.is_paragraph else recognition.sentence
        aim, text = (self.words_min + self.words_max) // 2, parts[0]
        for part in parts[1:]:
            length = len(text.split())
            if length >= self.words_min and length + len(part.split()) > min(aim, self.words_max):
                continue
            text = f"{text} {part}"
        text = " ".join(text.split()[: self.words_max]).rstrip(",.")
        return f"{text}."


def read_form(prompt: str) -> Form:
    """Return the form that a prompt's instruction describes; keywords if it has none."""
    if match := _CAPTION.search(prompt):
        return CaptionForm(match[1] == PARAGRAPH_INSTRUCTION, int(match[2]), int(match[3]))
    if lines := _lines_after(CLASS_INSTRUCTION, prompt):
        return ClassForm({label: description for label, _, description in (line.partition(": ") for line in lines)})
    fields = [match for line in _lines_after(FIELDS_INSTRUCTION, prompt) if (match := _FIELD.fullmatch(line))]
    return FieldsForm(tuple(map(_field, fields))) if fields else KeywordsForm()


def _lines_after(heading: str, prompt: str) -> list[str]:
    """Return the items of the list below a line of a prompt, without their dashes."""
    _, found, rest = prompt.partition(heading)
    items = []
    for line in rest.lstrip().splitlines() if found else ():
        if not line.startswith("- "):
            break
        items.append(line.removeprefix("- ").strip())
    return items


def _field(match: re.Match[str]) -> Field:
    options = tuple(map(json.loads, _OPTION.findall(match["type"])))
    return Field(json.loads(match["name"]), _kind(match["type"]), match["description"] or "", options)


def _kind(described: str) -> Kind:
    for start, kind in _KINDS.items():
        if described.startswith(start):
            return kind
    return "string"


def choose(options: Mapping[str, str], recognition: Recognition) -> str:
    """Return the option whose words the photo shows most clearly; the last one if it shows none clearly.

    ``options`` has descriptions keyed by option.
    """
    scores = {option: _score(option, description, recognition.confidences) for option, description in options.items()}
    best = max(scores, key=lambda option: scores[option])
    return best if scores[best] > recognition.threshold else list(options)[-1]


def _score(option: str, description: str, confidences: Mapping[str, float]) -> float:
    """Return the highest confidence in a word of an option, plus 0.2 of the confidence in each other word."""
    own = [confidences.get(word, 0.0) for word in _words(option)]
    described = [DESCRIPTION_WEIGHT * confidences.get(word, 0.0) for word in _words(description)]
    found = sorted([*own, *described], reverse=True)
    return found[0] + 0.2 * sum(found[1:]) if found else 0.0


def _words(text: str) -> list[str]:
    """Return the distinct words of a text without plural endings, and without words that say nothing about a photo."""
    return list(dict.fromkeys(_stem(word) for word in _WORD.findall(text.casefold()) if word not in STOP_WORDS))


def _stem(word: str) -> str:
    """Return a word without its plural ending, also where it has no singular: ``outdoor`` for ``outdoors``."""
    return singular(word).removesuffix("s")


def with_article(noun: str) -> str:
    """Return a noun with its indefinite article, if it has one."""
    if noun in UNCOUNTABLE:
        return noun
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def confidences_of(words: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the confidence (0-1) in each word and its related words, keyed by stem. Of several the highest counts."""
    confidences: dict[str, float] = {}
    for word, confidence in words:
        for each, weight in [(word, 1.0), *((related, RELATED_WEIGHT) for related in RELATED.get(word, ()))]:
            stem = _stem(each)
            confidences[stem] = max(weight * confidence, confidences.get(stem, 0.0))
    return confidences
