"""The format ``keywords``: a list of keywords in any form that ``keyword_reader`` reads."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar

from pydantic import Field, JsonValue

from distillation.answers.formats.base import Compared, Format, Metric, NotInFormat, Part
from distillation.answers.keyword_reader import read_keywords, write_keywords
from distillation.answers.plurals import singular
from distillation.documents import Table
from distillation.errors import excerpt
from distillation.records import MAXIMUM_KEYWORDS

MAXIMUM_WORDS = 6
"""Words that one keyword may have. A longer one is a sentence; the default prompt asks for one to three words."""
FUZZY_CUTOFF = 85
"""Token sort ratio, 0-100, from which two keywords count as spellings of the same thing."""
_HYPHENS_AND_UNDERSCORES = str.maketrans(dict.fromkeys("-_‐‑‒–—―−⁃", " "))
_WORD = re.compile(r"[^\W\d_]+")
_CHANGES = 12
"""Rows of the table of keywords learned and lost."""


@dataclass(frozen=True)
class KeywordList:
    """Keywords of one answer."""

    written: tuple[str, ...]
    """Distinct keywords in the spelling and the order of the text, without bullets and other marks of the list."""

    @cached_property
    def distinct(self) -> tuple[str, ...]:
        """Distinct keywords after NFKC, case folding, and one space for hyphens, underscores and runs of spaces."""
        return tuple(dict.fromkeys(map(normalised_keyword, self.written)))

    @cached_property
    def keywords(self) -> frozenset[str]:
        """Distinct keywords, with the last word in the singular: what is compared."""
        return frozenset(map(singular, self.distinct))


class Keywords(Format):
    """Settings of the format ``keywords``."""

    format: str = "keywords"
    """``keywords``."""
    keywords_min: int = Field(default=1, ge=1, le=MAXIMUM_KEYWORDS)
    """Smallest number of distinct keywords in a label, 1-100. A prediction may have any number."""
    keywords_max: int = Field(default=MAXIMUM_KEYWORDS, ge=1, le=MAXIMUM_KEYWORDS)
    """Largest number of distinct keywords in a label, 1-100."""

    similarity_name: ClassVar = "Jaccard index"
    noun: ClassVar = "a list of keywords"
    control_name: ClassVar = "the most common keywords"
    layout: ClassVar = "items"
    metrics: ClassVar = {
        "unnormalised": Metric("Jaccard index without normalisation", "%.3f", 1),
        "soft_jaccard": Metric("Jaccard index with similar spellings counted", "%.3f", 1),
        "f1": Metric("F1", "%.3f", 1),
        "precision": Metric("precision", "%.3f", 1),
        "recall": Metric("recall", "%.3f", 1),
        "count_drift": Metric("keywords more than the teacher", "%+.1f", 1),
        "within_limits": Metric("answers with the requested number of keywords", "%.1f %%", 100),
    }

    def parse(self, text: str) -> KeywordList:
        """Return the keywords of a text. No keyword may exceed ``MAXIMUM_WORDS``."""
        spellings: dict[str, str] = {}
        for keyword in read_keywords(text):
            spellings.setdefault(normalised_keyword(keyword), keyword)
        keywords = KeywordList(tuple(spellings.values()))
        if not keywords.written or any(len(keyword.split()) > MAXIMUM_WORDS for keyword in keywords.distinct):
            raise NotInFormat(f"is not a list of keywords: {excerpt(text)!r}")
        return keywords

    def write(self, value: KeywordList) -> str:
        """Return the keywords as a list on one line."""
        return write_keywords(value.written)

    def training_text(self, text: str) -> str:
        """Return ``text`` in its own layout, or the list alone if it has words beside it, such as an introduction."""
        keywords = self.parse(text)
        words = sum(len(_WORD.findall(keyword)) for keyword in keywords.written)
        return text if len(_WORD.findall(text)) == words else self.write(keywords)

    def label_problem(self, value: KeywordList) -> str | None:
        """Return why the number of distinct keywords is not within the limits, or None if it is."""
        count = len(value.distinct)
        if self.keywords_min <= count <= self.keywords_max:
            return None
        return f"has {count} distinct keywords, not {self.keywords_min} to {self.keywords_max}"

    def label_remedy(self, values: Iterable[KeywordList]) -> str:
        """Return the values of ``keywords_min`` and ``keywords_max`` that accept all labels."""
        counts = [len(value.distinct) for value in values]
        smallest, largest = min(counts, default=self.keywords_min), max(counts, default=self.keywords_max)
        to_set = [f"keywords_min to {smallest}"] if smallest < self.keywords_min else []
        to_set += [f"keywords_max to {min(largest, MAXIMUM_KEYWORDS)}"] if largest > self.keywords_max else []
        if not to_set:
            return ""
        is_long = largest > MAXIMUM_KEYWORDS
        shorten = f" and shorten those with more than {MAXIMUM_KEYWORDS} keywords" if is_long else ""
        return f"set {' and '.join(to_set)} in distill.json{shorten}"

    def consensus(self, values: Sequence[KeywordList], votes: int) -> KeywordList | None:
        """Return the keywords that at least ``votes`` of the lists contain, at most ``keywords_max`` of them.

        They are sorted by votes, highest first, and then by the order of the lists. Each is spelled as in the first
        list that contains it.
        """
        spellings: dict[str, str] = {}
        votes_of: Counter[str] = Counter()
        for value in values:
            for keyword in value.written:
                spellings.setdefault(normalised_keyword(keyword), keyword)
            votes_of.update(value.distinct)
        agreed = [keyword for keyword, count in votes_of.items() if count >= votes]
        agreed.sort(key=lambda keyword: -votes_of[keyword])
        return KeywordList(tuple(spellings[keyword] for keyword in agreed[: self.keywords_max])) if agreed else None

    def similarity(self, left: KeywordList, right: KeywordList) -> float:
        """Return the Jaccard index: shared keywords over all keywords."""
        return jaccard(left.keywords, right.keywords)

    def control(self, training: Sequence[KeywordList]) -> KeywordList:
        """Return the most common keywords of the training labels; as many as the median label has."""
        counts = Counter(keyword for label in training for keyword in sorted(label.keywords))
        length = round(statistics.median(len(label.keywords) for label in training))
        ranked = sorted(counts, key=lambda keyword: (-counts[keyword], keyword))
        return KeywordList(tuple(ranked[:length]))

    def measures(self, answer: KeywordList | None, label: KeywordList) -> dict[str, float]:
        """Return the measures of ``metrics``; ``within_limits`` only if a number of keywords was asked for."""
        answer = answer or KeywordList(())
        shared = len(answer.keywords & label.keywords)
        precision = shared / len(answer.keywords) if answer.keywords else 0.0
        recall = shared / len(label.keywords) if label.keywords else 0.0
        measures = {
            "unnormalised": jaccard(frozenset(answer.written), frozenset(label.written)),
            "soft_jaccard": soft_jaccard(answer.keywords, label.keywords),
            "f1": 2 * precision * recall / (precision + recall) if shared else 0.0,
            "precision": precision,
            "recall": recall,
            "count_drift": float(len(answer.keywords) - len(label.keywords)),
        }
        if (self.keywords_min, self.keywords_max) != (1, MAXIMUM_KEYWORDS):
            measures["within_limits"] = float(bool(answer.written) and self.label_problem(answer) is None)
        return measures

    def tables(self, images: Sequence[Compared], best: str) -> list[Table]:
        """Return the teacher's keywords that the best model gained and lost against base, with their images."""
        if not any("base" in image.answers for image in images):
            return []
        gained: Counter[str] = Counter()
        lost: Counter[str] = Counter()
        for image in images:
            before, after = (_shared_keywords(image.answers.get(name), image.label) for name in ("base", best))
            gained.update(after - before)
            lost.update(before - after)
        columns = ["keyword", "images"]
        return [
            Table(title=title, columns=columns, rows=[list(row) for row in _most_frequent(counts)])
            for title, counts in (("Keywords learned", gained), ("Keywords lost", lost))
        ]

    def parts(self, answer: KeywordList | None, label: KeywordList) -> list[Part]:
        """Return the keywords that are shared, missed and extra."""
        theirs = {singular(keyword): keyword for keyword in label.distinct}
        if answer is None:
            return [Part(keyword, "missed") for keyword in theirs.values()]
        ours = {singular(keyword): keyword for keyword in answer.distinct}
        shared = [Part(theirs[keyword], "shared") for keyword in sorted(theirs.keys() & ours.keys())]
        missed = [Part(theirs[keyword], "missed") for keyword in sorted(theirs.keys() - ours.keys())]
        return shared + missed + [Part(ours[keyword], "extra") for keyword in sorted(ours.keys() - theirs.keys())]

    def json_value(self, value: KeywordList) -> JsonValue:
        """Return the keywords as a list."""
        return list(value.written)

    def answer_tokens(self) -> tuple[int, int, int]:
        """Return tokens of 15 keywords of one word, of 25 of two words, and of 25 of three long words."""
        return 45, 120, 200


def jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    """Return the Jaccard index, 0-1: shared items over all items; 0 for two empty sets."""
    shared = len(left & right)
    union = len(left) + len(right) - shared
    return shared / union if union else 0.0


def soft_jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    """Return the Jaccard index, 0-1, with similar spellings counted by their similarity.

    Equal keywords are matched first, then the rest one to one so that the sum of similarities is largest.
    """
    shared = float(len(left & right))
    left_only, right_only = sorted(left - right), sorted(right - left)
    if left_only and right_only:
        shared += _best_matching(left_only, right_only)
    union = len(left) + len(right) - shared
    return shared / union if union else 0.0


def _best_matching(left: list[str], right: list[str]) -> float:
    """Return the largest sum of similarities of a one-to-one matching of keywords."""
    # Only Evaluate's layer has these packages, and only Evaluate measures.
    from lap import lapjv
    from rapidfuzz import fuzz, process

    similarity = process.cdist(left, right, scorer=fuzz.token_sort_ratio, score_cutoff=FUZZY_CUTOFF) / 100
    return -float(lapjv(-similarity.astype(float), extend_cost=True)[0])


def _shared_keywords(answer: KeywordList | None, label: KeywordList) -> frozenset[str]:
    return answer.keywords & label.keywords if answer else frozenset()


def _most_frequent(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_CHANGES]


# Answers about one collection repeat the same keywords.
@lru_cache(maxsize=50_000)
def normalised_keyword(keyword: str) -> str:
    """Return the normalised form of one keyword as written."""
    words = keyword.casefold().translate(_HYPHENS_AND_UNDERSCORES).split()
    return " ".join(words) or keyword
