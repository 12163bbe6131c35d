"""Vocabulary of keywords: preferred terms with their synonyms, from ``vocabulary.csv`` or the prompt file.

A keyword is looked up without case, hyphens and, where that names one term only, without the plural of its last word.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from distillation.answers.keyword_reader import read_keywords, write_keywords
from distillation.answers.owner_files import decode_text, file_sizes
from distillation.answers.plurals import normalised_keyword, singular
from distillation.answers.reserved_words import find_reserved_words
from distillation.errors import InvalidRequest, excerpt
from distillation.plain_text import clean_line, unmark_formula
from distillation.storage import Bucket

VOCABULARY_FILE = "vocabulary.csv"
"""Name of the file. It is in the collection's folder, beside ``distill.json``."""
MAXIMUM_BYTES = 128 * 1024
"""Size limit of the file, in bytes: a request that repeats a run has the terms in it, and may have 256 KiB."""
MAXIMUM_TERMS = 5_000
"""Largest number of preferred terms and synonyms together."""
MAXIMUM_WORDS = 6
"""Words that one keyword may have. A longer one is a sentence; the default prompt asks for one to three words."""
_COLUMNS = ("preferred", "synonyms")
_SEPARATORS = re.compile(r"[,;|\n]")
_SHOWN_PROBLEMS = 10

Terms = Mapping[str, list[str]]
"""Synonyms keyed by preferred term."""


class _Entry(NamedTuple):
    """A preferred term with synonyms, and where it was given, such as ``line 3``."""

    place: str
    preferred: str
    synonyms: list[str]


@dataclass(frozen=True)
class Vocabulary:
    """Index of the terms of a vocabulary."""

    exact: Mapping[str, str]
    """Preferred terms keyed by the normalised forms of terms and synonyms."""
    folded: Mapping[str, str]
    """Preferred terms keyed by normalised forms in the singular, without those that several preferred terms share."""
    unfolded: frozenset[str]
    """Normalised preferred terms that share their singular with another one, such as ``glasses`` beside ``glass``."""

    def preferred(self, keyword: str) -> str | None:
        """Return the preferred term for a keyword as written; None if the keyword is not in the vocabulary."""
        form = normalised_keyword(keyword)
        return self.exact.get(form) or self.folded.get(singular(form))


def make_vocabulary(terms: Terms) -> Vocabulary:
    """Return the index of terms that ``check_terms`` accepts."""
    exact = {
        normalised_keyword(form): preferred for preferred, synonyms in terms.items() for form in (preferred, *synonyms)
    }
    sharing: dict[str, set[str]] = {}
    for form, preferred in exact.items():
        sharing.setdefault(singular(form), set()).add(preferred)
    folded = {form: next(iter(names)) for form, names in sharing.items() if len(names) == 1}
    return Vocabulary(
        exact, folded, frozenset(form for form in map(normalised_keyword, terms) if singular(form) not in folded)
    )


def check_terms(terms: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the terms of a vocabulary that a prompt gives, or none, without marks that cannot be seen.

    Raises ``ValueError`` that names each wrong or ambiguous term.
    """
    entries = (
        _Entry(f"term {excerpt(preferred)!r}", _cleaned(preferred), list(filter(None, map(_cleaned, synonyms))))
        for preferred, synonyms in terms.items()
    )
    return _merged(entries) if terms else {}


def read_vocabulary(collection: str, photos: Bucket) -> dict[str, list[str]] | None:
    """Return the terms of ``vocabulary.csv`` in a collection, or None if there is no such file.

    Raises ``InvalidRequest`` for a file that is too large or cannot be read, and names each wrong line.
    """
    sizes = file_sizes(collection, [VOCABULARY_FILE], photos)
    names = list(sizes)
    if not names:
        return None
    if names != [VOCABULARY_FILE]:
        raise InvalidRequest(
            f"{excerpt(' and '.join(names))} in {excerpt(collection)!r}: only {VOCABULARY_FILE} is read. Upload one "
            "file with that name, as distill upload does, and remove the others."
        )
    if sizes[VOCABULARY_FILE] > MAXIMUM_BYTES:
        raise _too_large(VOCABULARY_FILE, sizes[VOCABULARY_FILE])
    # The file may have become larger since it was listed.
    return parse_vocabulary(photos.read(f"{collection}{VOCABULARY_FILE}", MAXIMUM_BYTES + 1))


def parse_vocabulary(body: bytes, name: str = VOCABULARY_FILE) -> dict[str, list[str]]:
    """Return the terms of a CSV file with the columns preferred and synonyms; several lines of a term are merged.

    Raises ``InvalidRequest`` that names each wrong line and its remedy.
    """
    if len(body) > MAXIMUM_BYTES:
        raise _too_large(name, len(body))
    text = decode_text(name, body)
    try:
        return _merged(_entries(name, text))
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}") from None


def _too_large(name: str, size: int) -> InvalidRequest:
    return InvalidRequest(
        f"{name} has at least {size:,} bytes, more than {MAXIMUM_BYTES:,}. Keep the terms that the photos can show."
    )


def _entries(name: str, text: str) -> Iterator[_Entry]:
    header = text.partition("\n")[0]
    delimiter = next((delimiter for delimiter in ",;\t" if delimiter in header), ",")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [column.strip().lower() for column in next(rows, [])]
        if _COLUMNS[0] not in columns or any(columns.count(column) > 1 for column in _COLUMNS):
            raise ValueError(
                "line 1 must name the columns preferred and synonyms, separated by a comma, a semicolon or a tab "
                f"(got {excerpt(columns)})."
            )
        for row in rows:
            place = f"line {rows.line_num}"
            if len(row) > len(columns):
                raise ValueError(
                    f"{place} has {len(row)} fields, more than the {len(columns)} of line 1. Put all synonyms in one "
                    "field, in double quotes."
                )
            fields = dict(zip(columns, map(unmark_formula, row), strict=False))
            preferred = _cleaned(fields[_COLUMNS[0]]) if row else ""
            synonyms = [_cleaned(synonym) for synonym in _SEPARATORS.split(fields.get(_COLUMNS[1], ""))]
            synonyms = [synonym for synonym in synonyms if synonym]
            if preferred or synonyms:
                yield _Entry(place, preferred, synonyms)
    except csv.Error as error:
        raise InvalidRequest(f"{name} line {rows.line_num}: {error}. Check its quotes and commas.") from None


def _cleaned(cell: str) -> str:
    return unicodedata.normalize("NFC", " ".join(clean_line(cell).split()))


def _merged(entries: Iterable[_Entry]) -> dict[str, list[str]]:
    """Return the synonyms by preferred term. Raises ``ValueError`` that names the wrong and the ambiguous ones."""
    merged: dict[str, list[str]] = {}
    claimed: dict[str, _Entry] = {}
    problems: list[str] = []
    for entry in entries:
        problem = _problem(entry, claimed)
        if problem:
            problems.append(f"{entry.place}: {problem}")
            continue
        synonyms = merged.setdefault(entry.preferred, [])
        synonyms += [synonym for synonym in dict.fromkeys(entry.synonyms) if synonym not in synonyms]
        for form in (entry.preferred, *entry.synonyms):
            claimed.setdefault(normalised_keyword(form), entry)
    if problems:
        hidden = len(problems) - _SHOWN_PROBLEMS
        raise ValueError(" ".join(problems[:_SHOWN_PROBLEMS]) + (f" And {hidden} more." if hidden > 0 else ""))
    if not merged:
        raise ValueError("contains no term. Write one preferred term a line, or leave the vocabulary out.")
    if len(claimed) > MAXIMUM_TERMS:
        raise ValueError(
            f"has {len(claimed):,} terms and synonyms, more than {MAXIMUM_TERMS:,}. Keep the terms that the photos can "
            "show."
        )
    return merged


def _problem(entry: _Entry, claimed: Mapping[str, _Entry]) -> str | None:
    if not entry.preferred:
        return "names synonyms without a preferred term. Write the term in the column preferred."
    for term in (entry.preferred, *entry.synonyms):
        if problem := _term_problem(term):
            return problem
        other = claimed.get(normalised_keyword(term))
        if other and other.preferred != entry.preferred:
            return (
                f"{excerpt(term)!r} stands for {excerpt(entry.preferred)!r} here and for {excerpt(other.preferred)!r} "
                f"in {other.place}, if case and hyphens are ignored. Keep one of them."
            )
    if words := find_reserved_words(entry.preferred):
        return f"{excerpt(entry.preferred)!r} contains {', '.join(words)}, which Bedrock reserves. Use another term."
    return None


def _term_problem(term: str) -> str | None:
    """Return why a term cannot be a keyword: an answer with it would not be read as that keyword."""
    for text in (write_keywords([term]), write_keywords([term, "sofa"])):
        read = read_keywords(text)[:1]
        if read != [term]:
            as_what = f"as {excerpt(read[0])!r}" if read else "as no keyword"
            return f"{excerpt(term)!r} would be read in an answer {as_what}. Write it without marks, as a keyword."
    if len(normalised_keyword(term).split()) > MAXIMUM_WORDS:
        return f"{excerpt(term)!r} has more than {MAXIMUM_WORDS} words. Shorten it."
    return None
