"""The format ``caption``: one sentence or one paragraph of running text, compared word by word.

A word is a run of letters and digits. In a script without spaces, such as Chinese or Thai, each character is a word.
"""

from __future__ import annotations

import random
import re
import statistics
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import groupby, pairwise
from types import ModuleType
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field, JsonValue, field_validator, model_validator

from distillation.answers.formats.base import Compared, Format, Metric, NotInFormat, Part
from distillation.answers.markup import without_reasoning
from distillation.documents import Table
from distillation.errors import excerpt
from distillation.plain_text import clean

SENTENCE_INSTRUCTION = "Answer with one sentence of"
"""Start of the instruction for ``length = "sentence"``."""
PARAGRAPH_INSTRUCTION = "Answer with one paragraph of"
"""Start of the instruction for ``length = "paragraph"``."""
MAXIMUM_WORDS = 300
"""Words that a caption may have. The time of a comparison grows with the square of their number."""
_LIMITS: Mapping[str, tuple[int, int]] = {"sentence": (8, 30), "paragraph": (40, 120)}
"""Defaults of ``words_min`` and ``words_max``."""
_CONTROL_CAPTIONS = 1_000
"""Training captions that the control is chosen from, drawn at random: the time grows with the square of them."""
_SEED = 20_250_701
_HEADER = re.compile(
    r"(?:[*_#>\s]*(?:(?:image|photo|picture) )?(?:alt(?:ernative)?[- ]text|caption|description|answer)[*_\s]*:[*_\s]*)",
    re.IGNORECASE,
)
_INTRODUCTION = re.compile(r"[^\n]{0,80}:\s*\n")
"""A line such as ``Here is the caption:`` above the text."""
_FENCE = re.compile(r"```\w*\n(.*?)```", re.DOTALL)
_BULLET = re.compile(r"^[^\S\n]*(?:[-*+•–]|\d+[.)])\s", re.MULTILINE)
_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "‘": "’", "'": "'", "「": "」", "**": "**", "*": "*", "`": "`"}
_APOSTROPHES = "'\u2019\u02bc"
_SCRIPTS_WITHOUT_SPACES = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF)),
    *((0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)),
)
"""Thai and Lao, Burmese, Khmer, Japanese syllables, Chinese characters: first and last code point of each block."""


class _Word(NamedTuple):
    """A word with its place in a text."""

    token: str
    """The word after NFKC and case folding, without apostrophes: what is compared."""
    start: int


@dataclass(frozen=True)
class Text:
    """A caption."""

    written: str
    """Text with single spaces, without quotation marks around it."""

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """Words after NFKC and case folding, without punctuation: what is compared."""
        return tuple(word.token for word in _words(self.written))

    @cached_property
    def pieces(self) -> list[str]:
        """The text cut before each word but the first, with its opening marks; one piece for each of ``tokens``."""
        starts = [word.start for word in _words(self.written)]
        cuts = [self.written.rfind(" ", previous, start) + 1 or start for previous, start in pairwise(starts)]
        return [self.written[start:end] for start, end in pairwise([0, *cuts, len(self.written)])]


class Caption(Format):
    """Settings of the format ``caption``."""

    format: str = "caption"
    """``caption``."""
    length: Literal["sentence", "paragraph"] = "sentence"
    """``sentence`` or ``paragraph``: what the instruction asks for, and which limits are the defaults."""
    words_min: int = Field(default=8, ge=1, le=MAXIMUM_WORDS)
    """Smallest number of words in a label, 1-300; by default 8, or 40 for a paragraph. A prediction may have fewer."""
    words_max: int = Field(default=30, ge=1, le=MAXIMUM_WORDS)
    """Largest number of words in a label, 1-300; by default 30, or 120 for a paragraph."""

    similarity_name: ClassVar = "ROUGE-L F1"
    similarity_explanation: ClassVar = (
        "Twice the number of words that two captions share in the same order over all their words, without case and "
        "punctuation."
    )
    noun: ClassVar = "a caption"
    control_name: ClassVar = "the most typical training caption"
    layout: ClassVar = "words"
    metrics: ClassVar = {
        "unnormalised": Metric("ROUGE-L F1 without normalisation", "%.3f", 1),
        "precision": Metric("ROUGE-L precision", "%.3f", 1),
        "recall": Metric("ROUGE-L recall", "%.3f", 1),
        "length_ratio": Metric("length, teacher = 1", "%.2f", 1),
        "within_limits": Metric("answers with the requested number of words", "%.1f %%", 100),
    }
    similarity_limits: ClassVar = (
        "ROUGE-L F1 cannot tell whether a caption is true of the photo. A right caption in other words scores low, and "
        "one wrong word, such as the name of an animal, costs little. Read the captions of the test images before you "
        "rely on this figure."
    )

    @model_validator(mode="before")
    @classmethod
    def _set_default_limits(cls, settings: Any) -> Any:
        """Set the limits of the length, as far as they are not given."""
        limits = _LIMITS.get(str(settings.get("length", "sentence"))) if isinstance(settings, dict) else None
        if limits is None:
            return settings
        low, high = limits
        # With one limit given, the other one must not contradict it.
        if isinstance(given := settings.get("words_max"), int):
            low = min(low, given)
        if isinstance(given := settings.get("words_min"), int):
            high = max(high, given)
        return {"words_min": low, "words_max": high, **settings}

    @field_validator("words_max")
    @classmethod
    def _check_limits(cls, words_max: int, info: Any) -> int:
        words_min = info.data.get("words_min", 1)
        if words_max < words_min:
            raise ValueError(f"is less than words_min ({words_min})")
        return words_max

    def instruction(self) -> str:
        """Return the requested length of the text in words."""
        start = SENTENCE_INSTRUCTION if self.length == "sentence" else PARAGRAPH_INSTRUCTION
        return f"{start} {self.words_min} to {self.words_max} words and nothing else."

    def parse(self, text: str) -> Text:
        """Return the caption of a text, without reasoning, an introduction, a heading, a code fence or quotation marks.

        Invisible characters are removed too: the caption is trained on.
        """
        text = without_reasoning(clean(text))
        caption = Text(_caption_of(text))
        if not caption.tokens or _is_list(text) or caption.written[:1] in ("{", "["):
            raise NotInFormat(f"is not a {self.length} of running text: {excerpt(text)!r}")
        if len(caption.tokens) > MAXIMUM_WORDS:
            raise NotInFormat(f"has {len(caption.tokens)} words, more than {MAXIMUM_WORDS}: {excerpt(text)!r}")
        return caption

    def write(self, value: Text) -> str:
        """Return the caption on one line."""
        return value.written

    def label_problem(self, value: Text) -> str | None:
        """Return why the number of words is not within the limits, or None if it is."""
        count = len(value.tokens)
        if self.words_min <= count <= self.words_max:
            return None
        return f"has {count} words, not {self.words_min} to {self.words_max}"

    def label_remedy(self, values: Iterable[Text]) -> str:
        """Return the values of ``words_min`` and ``words_max`` that accept all labels."""
        counts = [len(value.tokens) for value in values]
        smallest, largest = min(counts, default=self.words_min), max(counts, default=self.words_max)
        to_set = [f"words_min to {smallest}"] if smallest < self.words_min else []
        to_set += [f"words_max to {largest}"] if largest > self.words_max else []
        return f"set {' and '.join(to_set)} under [answers] in the prompt file" if to_set else ""

    def consensus(self, values: Sequence[Text], votes: int) -> Text | None:
        """Return the caption that is closest to the others; None if it shares no word with any of them."""
        closest, mean = _closest(values)
        return None if votes > 1 and mean == 0 else closest

    def similarity(self, left: Text, right: Text) -> float:
        """Return ROUGE-L F1: twice the length of the longest common subsequence of words over all words (Lin 2004)."""
        return rouge_l(left.tokens, right.tokens)

    def control(self, training: Sequence[Text]) -> Text:
        """Return the training caption that is closest to all others; of 1,000 drawn at random if there are more."""
        if len(training) > _CONTROL_CAPTIONS:
            training = random.Random(_SEED).sample(training, _CONTROL_CAPTIONS)
        return _closest(training)[0]

    def measures(self, answer: Text | None, label: Text) -> dict[str, float]:
        """Return the measures of ``metrics``."""
        answer = answer or Text("")
        common = _common(answer.tokens, label.tokens)
        return {
            "unnormalised": rouge_l(tuple(answer.written.split()), tuple(label.written.split())),
            "precision": common / len(answer.tokens) if answer.tokens else 0.0,
            "recall": common / len(label.tokens) if label.tokens else 0.0,
            "length_ratio": len(answer.tokens) / len(label.tokens) if label.tokens else 0.0,
            "within_limits": float(self.label_problem(answer) is None),
        }

    def tables(self, images: Sequence[Compared], best: str) -> list[Table]:
        """Return length and variety of the captions of each answerer.

        A model that writes the same caption about many images has not learned to look at them.
        """
        captions: dict[str, list[Text]] = {"teacher": [image.label for image in images]}
        for image in images:
            for name, answer in image.answers.items():
                captions.setdefault(name, []).extend([answer] if answer is not None else [])
        rows: list[list[str | int | float | None]] = [
            [
                name,
                len(texts),
                statistics.fmean(len(text.tokens) for text in texts) if texts else None,
                len({text.tokens for text in texts}),
                len({token for text in texts for token in text.tokens}),
            ]
            for name, texts in captions.items()
        ]
        columns = ["answers of", "captions", "mean words", "distinct captions", "distinct words"]
        note = "Few distinct captions mean that a model repeats itself whatever the photo shows."
        return [Table(title="Length and variety of captions", columns=columns, rows=rows, note=note)]

    def parts(self, answer: Text | None, label: Text) -> list[Part]:
        """Return the words in the order of the text; a word of the label alone comes before one of the answer alone."""
        if answer is None:
            return [Part(label.written, "missed")]
        parts: list[Part] = []
        opcodes = _subsequences().opcodes(label.tokens, answer.tokens)
        for is_shared, run in groupby(opcodes, lambda opcode: opcode.tag == "equal"):
            spans = list(run)
            ours = " ".join("".join(answer.pieces[span.dest_start : span.dest_end]).strip() for span in spans).strip()
            theirs = " ".join("".join(label.pieces[span.src_start : span.src_end]).strip() for span in spans).strip()
            if is_shared:
                parts.append(Part(ours, "shared", label_text=None if ours == theirs else theirs))
            else:
                parts += [Part(theirs, "missed")] if theirs else []
                parts += [Part(ours, "extra")] if ours else []
        return parts

    def json_value(self, value: Text) -> JsonValue:
        """Return the caption."""
        return value.written

    def answer_tokens(self) -> tuple[int, int, int]:
        """Return tokens of the shortest, a middle and the longest caption, at 1.2 to 1.6 tokens a word."""
        middle = (self.words_min + self.words_max) / 2
        return round(1.2 * self.words_min) + 2, round(1.35 * middle) + 2, round(1.6 * self.words_max) + 2


def rouge_l(left: Sequence[str], right: Sequence[str]) -> float:
    """Return ROUGE-L F1, 0-1: twice the longest common subsequence over all items; 0 for two empty sequences."""
    total = len(left) + len(right)
    return 2 * _common(left, right) / total if total else 0.0


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    return _subsequences().similarity(left, right)


@cache
def _subsequences() -> ModuleType:
    """Return rapidfuzz's functions of the longest common subsequence.

    Steps that compare no captions start without the library, whose import takes 50 ms.
    """
    from rapidfuzz.distance import LCSseq

    return LCSseq


def _closest(texts: Sequence[Text]) -> tuple[Text, float]:
    """Return the text with the highest mean similarity to the others, and that mean; the first of equals."""
    if len(texts) == 1:
        return texts[0], 1.0
    sums = [0.0] * len(texts)
    for place, text in enumerate(texts):
        for other in range(place):
            similarity = rouge_l(text.tokens, texts[other].tokens)
            sums[place] += similarity
            sums[other] += similarity
    best = max(range(len(texts)), key=sums.__getitem__)
    return texts[best], sums[best] / (len(texts) - 1)


def _is_list(text: str) -> bool:
    """Return whether at least two lines start with a bullet or a number."""
    return len(_BULLET.findall(text)) > 1


def _caption_of(text: str) -> str:
    """Return a text with single spaces and without what models write around a caption."""
    if fenced := _FENCE.search(text):
        text = fenced[1]
    if (introduction := _INTRODUCTION.match(text)) and text[introduction.end() :].strip():
        text = text[introduction.end() :]
    text = " ".join(text.split())
    while (bare := _without_frame(text)) != text:
        text = bare
    return text


def _without_frame(text: str) -> str:
    """Return a text without one heading, or without one pair of quotation marks around all of it."""
    heading = _HEADER.match(text)
    if heading and text[heading.end() :].strip():
        return text[heading.end() :].strip()
    for opening, closing in _QUOTES.items():
        inner = text[len(opening) : len(text) - len(closing)]
        if len(text) > 2 and text.startswith(opening) and text.endswith(closing) and inner.strip():
            return text if opening in inner or closing in inner else inner.strip()
    return text


def _words(text: str) -> list[_Word]:
    """Return the words of a text."""
    spans: list[list[int]] = []
    previous = ""
    for position, character in enumerate(text):
        kind = _kind(character)
        if spans and previous and (kind == "mark" or kind == previous == "letter"):
            spans[-1][1] = position + 1
            continue
        if kind:
            spans.append([position, position + 1])
        previous = kind
    words = [_Word(_token(text[start:end]), start) for start, end in spans]
    return [word for word in words if word.token]


@lru_cache(maxsize=10_000)
def _kind(character: str) -> Literal["letter", "single", "mark", ""]:
    """Return whether a character is part of a word, a word of its own, or a mark on the character before it."""
    if character in _APOSTROPHES:
        return "letter"
    category = unicodedata.category(character)[0]
    if category == "M":
        return "mark"
    if category not in "LN":
        return ""
    code = ord(character)
    return "single" if any(first <= code <= last for first, last in _SCRIPTS_WITHOUT_SPACES) else "letter"


# Captions of one collection repeat the same words.
@lru_cache(maxsize=50_000)
def _token(word: str) -> str:
    bare = word.translate(dict.fromkeys(map(ord, _APOSTROPHES)))
    return unicodedata.normalize("NFKC", bare).casefold()
