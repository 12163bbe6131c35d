"""Base class of the answer formats. A format is one module of this folder with one subclass of ``Format``.

All other code (prompts, labels, dataset, bootstrap, gate, report, tables of results) works on these operations and
knows no format. ``Value`` is what a format reads from the text of an answer; other code only passes it on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import JsonValue

from distillation.documents import Table
from distillation.records import Record

Value = Any


class NotInFormat(ValueError):
    """A text is not in an answer format. The message is a predicate, such as ``is not a list of keywords: 'Sorry'``."""


class Metric(NamedTuple):
    """How the report shows the mean of a measure."""

    label: str
    """Name of the row."""
    form: str
    """printf-style format of the value."""
    factor: float
    """Multiplier of the value, such as 100 for per cent."""


class Part(NamedTuple):
    """A piece of an answer in the gallery, compared with the label."""

    text: str
    state: Literal["shared", "missed", "extra"]
    """In both, in the label only, or in the answer only."""
    field: str | None = None
    """Name of the field that the piece belongs to, in a format with fields."""
    label_text: str | None = None
    """The same piece as the label has it, if its spelling or punctuation differs."""


class FormInput(NamedTuple):
    """An input of a form in which a person corrects an answer, such as a text box."""

    name: str
    """Name of the input."""
    kind: Literal["text", "items", "number", "choice", "choices"]
    """Content of the input: a text, any number of texts, a number, one option, or any number of options."""
    options: Sequence[str] = ()
    """Options of a choice."""


@dataclass(frozen=True)
class Compared:
    """One test image: the teacher's label and the answers about it."""

    label: Value
    answers: Mapping[str, Value | None]
    """Answer by answerer, ``control`` included; None for one that is missing or not valid."""


class Format(Record, ABC):
    """Operations on answers in one format. Its fields are the settings that a prompt file gives in ``[answers]``."""

    format: str
    """Name of the format."""

    similarity_name: ClassVar[str]
    """Name of the similarity in reports, such as ``Jaccard index``."""
    noun: ClassVar[str]
    """Name of a valid answer with its article, such as ``a list of keywords``."""
    control_name: ClassVar[str]
    """Constant answer of the control, such as ``the most common keywords``."""
    similarity_explanation: ClassVar[str] = ""
    """Sentence about how the similarity is measured, for the report."""
    layout: ClassVar[Literal["items", "words", "fields"]]
    """How the gallery shows an answer and its label.

    ``items``: lists of shared, missed and extra items; ``words``: both texts with differing words marked; ``fields``: a
    table.
    """
    metrics: ClassVar[Mapping[str, Metric]] = {}
    """Rows of the report's table of metrics, keyed by the names of ``measures``."""
    similarity_limits: ClassVar[str | None] = None
    """Sentence about what the similarity cannot tell, for the report; None if there is nothing to add."""

    instruction_is_optional: ClassVar[bool] = False
    """Whether a prompt without ``{answer_format}`` gets no instruction. If false, the instruction is appended to it."""

    def instruction(self) -> str:
        """Return the text that tells a model the form of its answer; empty if the prompt says it in its own words.

        It replaces ``{answer_format}`` in a prompt.
        """
        return ""

    @abstractmethod
    def parse(self, text: str) -> Value:
        """Return the value of a complete answer that is no refusal. Raises ``NotInFormat``."""

    @abstractmethod
    def write(self, value: Value) -> str:
        """Return a value as text in the layout that the student learns."""

    def training_text(self, text: str) -> str:
        """Return the text of a valid label as it is trained on. Raises ``NotInFormat``."""
        return self.write(self.parse(text))

    def label_problem(self, value: Value) -> str | None:
        """Return why a valid prediction must not be trained on, as a predicate; None if it may be."""
        return None

    def gold_problem(self, value: Value) -> str | None:
        """Return why answers cannot be compared with an own label, as a predicate; None if they can.

        Own labels are compared with, and not trained on, if the request has ``own_labels: gold``.
        """
        return None

    def label_remedy(self, values: Iterable[Value]) -> str:
        """Return settings that would accept all of your own labels, as a sentence; empty without any."""
        return ""

    def stratum(self, value: Value) -> str | None:
        """Return the group of a label, such as its class, for sets with equal shares of each; None without groups."""
        return None

    @abstractmethod
    def consensus(self, values: Sequence[Value], votes: int) -> Value | None:
        """Return what at least ``votes`` of several samples agree on; None if there is no such answer."""

    @abstractmethod
    def similarity(self, left: Value, right: Value) -> float:
        """Return the similarity of two values: symmetric, 0-1, and 1 for equal values."""

    @abstractmethod
    def control(self, training: Sequence[Value]) -> Value:
        """Return the best constant answer, learnt from at least one training label."""

    def measures(self, answer: Value | None, label: Value) -> dict[str, float]:
        """Return further measures of an answer against a label; ``answer`` is None if it is missing or not valid.

        The measure ``unnormalised`` is the similarity of the texts as written, if the format has one.
        """
        return {}

    def tables(self, images: Sequence[Compared], best: str) -> list[Table]:
        """Return the tables of the format's section of the report; ``best`` is the answerer to report on."""
        return []

    def tables_of_texts(self, texts: Mapping[str, Sequence[str]]) -> list[Table]:
        """Return tables on how texts were read, such as words that were replaced; texts are keyed by answerer."""
        return []

    @abstractmethod
    def parts(self, answer: Value | None, label: Value) -> list[Part]:
        """Return the pieces of an answer for the gallery; those of the label alone if ``answer`` is None."""

    def columns(self) -> list[str]:
        """Return the names of the columns of results.csv."""
        return [self.format]

    def cells(self, value: Value) -> Sequence[str | int | float]:
        """Return the cells of results.csv, one for each column."""
        return [self.write(value)]

    def text_of_cells(self, cells: Sequence[str]) -> str:
        """Return the text of the answer that the cells of a table give, one for each column."""
        return cells[0]

    @abstractmethod
    def json_value(self, value: Value) -> JsonValue:
        """Return the value of ``answer`` in results.jsonl."""

    def form_inputs(self) -> list[FormInput]:
        """Return the inputs of a form in which a person corrects an answer."""
        return [FormInput(self.format, "text")]

    def form_contents(self, value: Value) -> dict[str, list[str | int | float]]:
        """Return what the inputs contain for a value, keyed by name of the input; without those that are empty."""
        return {self.format: [self.write(value)]}

    def subjects(self, value: Value) -> list[str]:
        """Return the keywords of a value for the metadata of its photo, in the XMP property ``dc:subject``."""
        return []

    def description(self, value: Value) -> str:
        """Return the text of a value for the metadata of its photo, in ``dc:description``; empty without one."""
        return self.write(value)

    @abstractmethod
    def answer_tokens(self) -> tuple[int, int, int]:
        """Return the low, expected and high number of tokens of an answer."""
