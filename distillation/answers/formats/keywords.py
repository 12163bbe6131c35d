"""The format ``keywords``: a list of keywords in any form that ``keyword_reader`` reads."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, JsonValue

from distillation.answers.formats.base import Compared, Format, FormInput, Metric, NotInFormat, Part
from distillation.answers.keyword_reader import read_keywords, write_keywords
from distillation.answers.plurals import normalised_keyword, singular
from distillation.answers.vocabulary import MAXIMUM_WORDS, Vocabulary, check_terms, make_vocabulary
from distillation.documents import Table
from distillation.errors import excerpt
from distillation.records import MAXIMUM_KEYWORDS

FUZZY_CUTOFF = 85
"""Token sort ratio, 0-100, from which two keywords count as spellings of the same thing."""
ONLY_TERMS = "Use only these keywords, as written:"
"""First line of the instruction of a closed vocabulary."""
PREFERRED_TERMS = "Where one of these keywords fits, use it, as written:"
"""First line of the instruction of an open vocabulary."""
_WORD = re.compile(r"[^\W\d_]+")
_CHANGES = 12
"""Rows of the tables of keywords learned and lost."""
_TERMS_SHOWN = 25
"""Rows of the tables of keywords that a vocabulary replaced, and of those outside it."""


@dataclass(frozen=True)
class KeywordList:
    """Keywords of one answer."""

    written: tuple[str, ...]
    """Distinct keywords in the spelling and the order of the text, without bullets and other marks of the list.

    With a vocabulary they are its preferred terms, and, if it is open, keywords outside it.
    """
    answered: tuple[str, ...] | None = field(default=None, compare=False)
    """Distinct keywords of the text before a vocabulary was applied; None without one."""
    unfolded: frozenset[str] = field(default=frozenset(), compare=False)
    """Normalised keywords that are compared without folding plurals, because the vocabulary has both forms."""

    @cached_property
    def distinct(self) -> tuple[str, ...]:
        """Distinct keywords after NFKC, case folding, and one space for hyphens, underscores and runs of spaces."""
        return tuple(dict.fromkeys(map(normalised_keyword, self.written)))

    @cached_property
    def folded(self) -> dict[str, str]:
        """Normalised keywords keyed by the form that is compared, with the last word in the singular."""
        return {word if word in self.unfolded else singular(word): word for word in self.distinct}

    @cached_property
    def keywords(self) -> frozenset[str]:
        """Distinct keywords in the form that is compared."""
        return frozenset(self.folded)

    @property
    def count(self) -> int:
        """Number of distinct keywords of the text; synonyms of one term count separately."""
        return len(self.distinct if self.answered is None else self.answered)


class Keywords(Format):
    """Settings of the format ``keywords``."""

    format: str = "keywords"
    """``keywords``."""
    keywords_min: int = Field(default=1, ge=1, le=MAXIMUM_KEYWORDS)
    """Smallest number of distinct keywords in a label, 1-100. A prediction may have any number."""
    keywords_max: int = Field(default=MAXIMUM_KEYWORDS, ge=1, le=MAXIMUM_KEYWORDS)
    """Largest number of distinct keywords in a label, 1-100."""
    vocabulary: Annotated[dict[str, list[str]], AfterValidator(check_terms)] = Field(default_factory=dict)
    """Synonyms keyed by preferred term; empty without a vocabulary.

    A prompt file may also give the name of a CSV file in samples/prompts. Prepare fills in the terms.
    """
    vocabulary_file: str | None = None
    """File that the terms were read from, such as ``vocabulary.csv``; set by Prepare, null for terms in the prompt."""
    closed_vocabulary: bool = False
    """Whether keywords outside the vocabulary are left out of answers. If false, they stay as they are."""

    similarity_name: ClassVar = "Jaccard index"
    similarity_explanation: ClassVar = "Shared keywords over all keywords, without case, punctuation and plurals."
    noun: ClassVar = "a list of keywords"
    control_name: ClassVar = "the most common keywords"
    layout: ClassVar = "items"
    instruction_is_optional: ClassVar = True
    metrics: ClassVar = {
        "unnormalised": Metric("Jaccard index without normalisation", "%.3f", 1),
        "soft_jaccard": Metric("Jaccard index with similar spellings counted", "%.3f", 1),
        "f1": Metric("F1", "%.3f", 1),
        "precision": Metric("precision", "%.3f", 1),
        "recall": Metric("recall", "%.3f", 1),
        "count_drift": Metric("keywords more than the teacher", "%+.1f", 1),
        "outside": Metric("keywords outside the vocabulary", "%.1f", 1),
        "within_limits": Metric("answers with the requested number of keywords", "%.1f %%", 100),
    }

    @cached_property
    def _index(self) -> Vocabulary:
        return make_vocabulary(self.vocabulary)

    def instruction(self) -> str:
        """Return the preferred terms and how to use them; empty without a vocabulary."""
        if not self.vocabulary:
            return ""
        return f"{ONLY_TERMS if self.closed_vocabulary else PREFERRED_TERMS}\n{write_keywords(self.vocabulary)}"

    def parse(self, text: str) -> KeywordList:
        """Return the keywords of a text, in the terms of the vocabulary. No keyword may exceed ``MAXIMUM_WORDS``."""
        written = list(_by_form(read_keywords(text)).items())
        if not written or any(len(form.split()) > MAXIMUM_WORDS for form, _ in written):
            raise NotInFormat(f"is not a list of keywords: {excerpt(text)!r}")
        keywords = self._value(keyword for _, keyword in written)
        if not keywords.written:
            raise NotInFormat(f"has no keyword of the vocabulary: {excerpt(text)!r}")
        return keywords

    def _value(self, keywords: Iterable[str]) -> KeywordList:
        """Return keywords in the terms of the vocabulary."""
        answered = tuple(_by_form(keywords).values())
        if not self.vocabulary:
            return KeywordList(answered)
        terms = [(keyword, self._index.preferred(keyword)) for keyword in answered]
        kept = [preferred or keyword for keyword, preferred in terms if preferred or not self.closed_vocabulary]
        return KeywordList(tuple(_by_form(kept).values()), answered, self._index.unfolded)

    def _outside(self, value: KeywordList) -> list[str]:
        """Return the keywords of an answer that are not in the vocabulary, as answered."""
        return [keyword for keyword in value.answered or () if self._index.preferred(keyword) is None]

    def write(self, value: KeywordList) -> str:
        """Return the keywords as a list on one line."""
        return write_keywords(value.written)

    def training_text(self, text: str) -> str:
        """Return ``text`` in its own layout, or the list alone.

        The list is written if the text has words beside it, such as an introduction, or other words than the
        vocabulary.
        """
        keywords = self.parse(text)
        words = sum(len(_WORD.findall(keyword)) for keyword in keywords.written)
        is_list = len(_WORD.findall(text)) == words and keywords.answered in (None, keywords.written)
        return text if is_list else self.write(keywords)

    def label_problem(self, value: KeywordList) -> str | None:
        """Return why the number of distinct keywords is not within the limits, or None if it is."""
        if self.keywords_min <= value.count <= self.keywords_max:
            return None
        return f"has {value.count} distinct keywords, not {self.keywords_min} to {self.keywords_max}"

    def gold_problem(self, value: KeywordList) -> str | None:
        """Return which keywords a closed vocabulary would leave out of your own label, or None."""
        if not self.closed_vocabulary or not (outside := self._outside(value)):
            return None
        return f"has keywords outside the closed vocabulary: {excerpt(', '.join(outside))}"

    def label_remedy(self, values: Iterable[KeywordList]) -> str:
        """Return the values of ``keywords_min`` and ``keywords_max`` that accept all labels."""
        counts = [value.count for value in values]
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
        return self._value(spellings[keyword] for keyword in agreed[: self.keywords_max]) if agreed else None

    def similarity(self, left: KeywordList, right: KeywordList) -> float:
        """Return the Jaccard index: shared keywords over all keywords."""
        return jaccard(left.keywords, right.keywords)

    def control(self, training: Sequence[KeywordList]) -> KeywordList:
        """Return the most common keywords of the training labels; as many as the median label has."""
        counts = Counter(keyword for label in training for keyword in sorted(label.keywords))
        length = round(statistics.median(len(label.keywords) for label in training))
        ranked = sorted(counts, key=lambda keyword: (-counts[keyword], keyword))
        return self._value(ranked[:length])

    def measures(self, answer: KeywordList | None, label: KeywordList) -> dict[str, float]:
        """Return the measures of ``metrics``; some only with a vocabulary or a requested number."""
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
        if self.vocabulary:
            measures["outside"] = float(len(self._outside(answer)))
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

    def tables_of_texts(self, texts: Mapping[str, Sequence[str]]) -> list[Table]:
        """Return the keywords that the vocabulary replaced, and those outside it, with the answers that have them."""
        if not self.vocabulary:
            return []
        replaced: dict[str, Counter[tuple[str, ...]]] = {name: Counter() for name in texts}
        outside: dict[str, Counter[tuple[str, ...]]] = {name: Counter() for name in texts}
        for name, answers in texts.items():
            for keyword in (keyword for text in answers for keyword in _by_form(read_keywords(text)).values()):
                form, preferred = normalised_keyword(keyword), self._index.preferred(keyword)
                if preferred is None:
                    outside[name][form,] += 1
                elif form != normalised_keyword(preferred):
                    replaced[name][form, preferred] += 1
        left_out = "left out" if self.closed_vocabulary else "unchanged"
        return [
            _counts_table("Keywords replaced by the vocabulary", ["keyword", "preferred term"], replaced, texts),
            _counts_table(f"Keywords outside the vocabulary ({left_out})", ["keyword"], outside, texts),
        ]

    def parts(self, answer: KeywordList | None, label: KeywordList) -> list[Part]:
        """Return the keywords that are shared, missed and extra."""
        theirs = label.folded
        if answer is None:
            return [Part(keyword, "missed") for keyword in theirs.values()]
        ours = answer.folded
        shared = [Part(theirs[keyword], "shared") for keyword in sorted(theirs.keys() & ours.keys())]
        missed = [Part(theirs[keyword], "missed") for keyword in sorted(theirs.keys() - ours.keys())]
        return shared + missed + [Part(ours[keyword], "extra") for keyword in sorted(ours.keys() - theirs.keys())]

    def json_value(self, value: KeywordList) -> JsonValue:
        """Return the keywords as a list."""
        return list(value.written)

    def form_inputs(self) -> list[FormInput]:
        """Return a list of keywords, or the terms of a closed vocabulary to choose from."""
        if self.closed_vocabulary:
            return [FormInput(self.format, "choices", list(self.vocabulary))]
        return [FormInput(self.format, "items")]

    def form_contents(self, value: KeywordList) -> dict[str, list[str | int | float]]:
        """Return the keywords."""
        return {self.format: list(value.written)}

    def subjects(self, value: KeywordList) -> list[str]:
        """Return the keywords."""
        return list(value.written)

    def description(self, value: KeywordList) -> str:
        """Return an empty text: keywords describe nothing."""
        return ""

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


def _by_form(keywords: Iterable[str]) -> dict[str, str]:
    """Return keywords keyed by normalised form, each in its first spelling."""
    spellings: dict[str, str] = {}
    for keyword in keywords:
        spellings.setdefault(normalised_keyword(keyword), keyword)
    return spellings


def _counts_table(
    title: str, columns: list[str], counts: Mapping[str, Counter[tuple[str, ...]]], texts: Mapping[str, Sequence[str]]
) -> Table:
    """Return a table with the number of answers of each answerer, the most frequent rows first."""
    totals: Counter[tuple[str, ...]] = Counter()
    for counter in counts.values():
        totals.update(counter)
    ranked = sorted(totals, key=lambda row: (-totals[row], row))
    rows: list[list[str | int | float | None]] = [
        [*row, *(counter[row] for counter in counts.values())] for row in ranked[:_TERMS_SHOWN]
    ]
    answers = ", ".join(f"{name} {len(of_name):,}" for name, of_name in texts.items())
    note = f"Number of answers that have the keyword. Answers: {answers}. Rows: {len(rows)} of {len(ranked):,}."
    return Table(title=title, columns=[*columns, *counts], rows=rows, note=note)


def _most_frequent(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_CHANGES]
