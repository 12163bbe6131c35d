"""Training of a student on a dataset. It learns the format of the answers from their text alone.

An answer is a set of items: keywords, a label, the values of the fields of a JSON object, or the steps from one word
of a caption to the next. A head learns the probability of each item, and a layout writes the most probable answer.
"""

from __future__ import annotations

import itertools
import json
import statistics
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distillation.answers.formats.base import NotInFormat
from distillation.answers.formats.keywords import Keywords
from local.models.student import MAXIMUM_KEYWORDS, MINIMUM_KEYWORDS, Head, fit, likeliest_set

LABEL_WORDS = 6
"""Mean number of words of a text from which it is a caption and not a label."""
BEAMS = 24
"""Captions that are continued at the same time."""


class Layout(ABC):
    """The form of the answers of a dataset."""

    minimum_count: int = 1
    """Answers that an item must be in, to be learnt."""

    @abstractmethod
    def items(self, text: str) -> list[str]:
        """Return the items of an answer."""

    @abstractmethod
    def write(self, probabilities: Mapping[str, float]) -> str:
        """Return the most probable answer from the probability of each item."""


class KeywordsLayout(Layout):
    """Keywords on one line."""

    minimum_count = 2

    def items(self, text: str) -> list[str]:
        """Return the keywords."""
        return list(Keywords().parse(text).distinct)

    def write(self, probabilities: Mapping[str, float]) -> str:
        """Return the keywords with the highest expected Jaccard index."""
        return ", ".join(_likeliest(probabilities, MINIMUM_KEYWORDS, MAXIMUM_KEYWORDS))


class LabelLayout(Layout):
    """One of several labels."""

    def items(self, text: str) -> list[str]:
        """Return the label."""
        return [text.strip()]

    def write(self, probabilities: Mapping[str, float]) -> str:
        """Return the most probable label."""
        return _likeliest(probabilities, 1, 1)[0]


class ObjectLayout(Layout):
    """A JSON object, whose values are learnt field by field."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Learn the order of the fields, and the lengths of the lists."""
        objects = [json.loads(text) for text in texts]
        counts = Counter(name for fields in objects for name in fields)
        self._fields = [name for name in counts if 2 * counts[name] >= len(objects)]
        self._lengths: dict[str, list[int]] = defaultdict(list)
        for fields in objects:
            for name, value in fields.items():
                if isinstance(value, list):
                    self._lengths[name].append(len(value))

    def items(self, text: str) -> list[str]:
        """Return one item a value, and one for each item of a list."""
        return [
            json.dumps([name, part])
            for name, value in json.loads(text).items()
            for part in (value if value and isinstance(value, list) else [value])
        ]

    def write(self, probabilities: Mapping[str, float]) -> str:
        """Return the most probable value of each field, and the items of a list with the highest expected Jaccard."""
        of_field: dict[str, dict[str, float]] = defaultdict(dict)
        for item, probability in probabilities.items():
            of_field[json.loads(item)[0]][item] = probability
        return json.dumps({name: self._value(name, of_field[name]) for name in self._fields}, ensure_ascii=False)

    def _value(self, name: str, probabilities: Mapping[str, float]) -> Any:
        if lengths := self._lengths.get(name):
            # An empty list is an item of its own.
            chosen = _likeliest(probabilities, max(1, min(lengths)), max(1, *lengths))
            values = [json.loads(item)[1] for item in chosen]
            return [] if values[0] == [] else [value for value in values if value != []]
        return json.loads(_likeliest(probabilities, 1, 1)[0])[1]


class CaptionLayout(Layout):
    """A caption, which is written word by word along pairs of words that follow each other in the dataset."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Learn the steps, and the lengths of the captions."""
        lengths = [len(self.items(text)) for text in texts]
        self._longest, self._mean = max(lengths), statistics.fmean(lengths)
        self._following: dict[str, set[str]] = defaultdict(set)
        for text in texts:
            words = ["", *text.split(), ""]
            for first, second, third in zip([" ", *words], words, words[1:], strict=False):
                self._following[f"{first} {second}"].add(third)

    def items(self, text: str) -> list[str]:
        """Return the pairs of words that follow each other, with the empty word at both ends."""
        words = ["", *text.split(), ""]
        return [f"{first} {second}" for first, second in itertools.pairwise(words)]

    def write(self, probabilities: Mapping[str, float]) -> str:
        """Return the caption with the highest expected share of steps in common with the teacher's."""
        best, text = -1.0, ""
        beams = [(0.0, [" ", ""])]
        for length in range(1, self._longest + 1):
            continued = []
            for hits, words in beams:
                for word in self._following[f"{words[-2]} {words[-1]}"]:
                    step = f"{words[-1]} {word}"
                    if word in words[2:] and step in self.items(" ".join(words[2:])):
                        continue
                    continued.append((hits + probabilities.get(step, 0.0), [*words, word]))
            continued.sort(key=lambda beam: (-beam[0], beam[1]))
            for hits, words in continued:
                expected = 2 * hits / (length + self._mean)
                if words[-1] == "" and expected > best:
                    best, text = expected, " ".join(words[2:-1])
            beams = [beam for beam in continued if beam[1][-1] != ""][:BEAMS]
        return text


def _likeliest(probabilities: Mapping[str, float], minimum: int, maximum: int) -> list[str]:
    items = list(probabilities)
    chosen = likeliest_set(np.array([probabilities[item] for item in items]), minimum, maximum)
    return [items[index] for index in chosen[:maximum]]


@dataclass(frozen=True)
class TunedStudent:
    """A student that was trained on a dataset."""

    head: Head
    layout: Layout

    @property
    def losses(self) -> list[tuple[int, int, float]]:
        """Step, epoch and mean squared error on the training images."""
        return self.head.losses

    def answer(self, features: np.ndarray) -> str:
        """Return the answer about an image from its features of shape (2548,)."""
        probabilities = self.head.probabilities(features[None])[0].tolist()
        return self.layout.write(dict(zip(self.head.vocabulary, probabilities, strict=True)))

    def loss(self, features: np.ndarray, texts: Sequence[str]) -> float:
        """Return the mean squared error of the items on other images, for features of shape (images, 2548)."""
        return self.head.loss(features, [self.layout.items(text) for text in texts])


def learn(features: np.ndarray, texts: Sequence[str], epochs: int) -> TunedStudent:
    """Train a student on features of shape (images, 2548) and the texts of their answers; deterministic."""
    layout = layout_of(texts)
    head = fit(features, [layout.items(text) for text in texts], epochs, layout.minimum_count)
    return TunedStudent(head, layout)


def layout_of(texts: Sequence[str]) -> Layout:
    """Return the layout of the answers of a dataset."""
    if all(map(_is_object, texts)):
        return ObjectLayout(texts)
    if all("," not in text and "\n" not in text for text in texts) and _mean_words(texts) < LABEL_WORDS:
        return LabelLayout()
    return KeywordsLayout() if all(map(_is_list, texts)) else CaptionLayout(texts)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _is_list(text: str) -> bool:
    try:
        return bool(Keywords().parse(text)) and not text.rstrip().endswith(".")
    except NotInFormat:
        return False


def _mean_words(texts: Sequence[str]) -> float:
    return statistics.fmean(len(text.split()) for text in texts)
