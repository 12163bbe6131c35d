"""Read lines that are like one read before: the same to the letter but for the media's URI and the answer.

Most datasets consist of nothing else, and what is the same need not be parsed and checked again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from lambdas.validate_dataset.record import check_length, check_record, check_text, check_uri
from lambdas.validate_dataset.seen import Seen

_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Likeness:
    """What lines have in common: the text before the URI, between it and the answer, and after that."""

    head: str
    middle: str
    tail: str
    first: Seen
    """What was seen in the first of them, which breaks no rule."""

    def read(self, text: str) -> Seen | None:
        """Return what ``check_record`` would see in a line; None if the line is not like the first one."""
        if not (text.startswith(self.head) and text.endswith(self.tail)):
            return None
        uri, _, answer = text[len(self.head) : len(text) - len(self.tail)].partition(self.middle)
        new_uri, new_answer = _string(uri), _string(answer)
        if new_uri is None or not new_answer:
            return None  # An empty answer is one more thing to judge.
        return self._seen(new_uri, new_answer)

    def _seen(self, uri: str, answer: str) -> Seen:
        first = self.first
        source = first.sources[0]
        seen = Seen(
            first.family, source.place, "assistant", missing=first.missing, media=first.media, turns=first.turns
        )
        seen.content = first.content[: source.at]
        check_uri(uri, source.format, seen)
        seen.content += first.content[source.at + 1 : -1]
        seen.question_length = first.question_length
        seen.place = ("messages", first.turns - 1, "content", 0)
        check_text(answer, seen)
        check_length(seen)
        seen.place = first.place
        return seen


def likeness(text: str, seen: Seen) -> Likeness | None:
    """Return what later lines may have in common with one; None for a line of another form, or with problems."""
    if seen.findings or len(seen.sources) != 1 or seen.question_length != len(seen.content) - 1:
        return None
    uri, answer = seen.content[seen.sources[0].at], seen.content[-1]
    head, *rest = text.split(json.dumps(uri))
    for literal in (json.dumps(answer), json.dumps(answer, ensure_ascii=False)):
        if len(rest) == 1 and rest[0].count(literal) == 1:
            middle, tail = rest[0].split(literal)
            like = Likeness(head, middle, tail, seen)
            return like if _is_sound(like) else None
    return None


def _is_sound(like: Likeness) -> bool:
    """Tell whether what is to vary really is the URI and the answer, and not a text that equals one of them."""
    uri, answer = "s3://bucket/varied", "varied"
    varied = json.loads(f'{like.head}"{uri}"{like.middle}"{answer}"{like.tail}')
    expected = [*like.first.content[:-1], answer]
    expected[like.first.sources[0].at] = uri
    return check_record(varied, like.first.family).content == expected


def _string(literal: str) -> str | None:
    """Return the text of a JSON string that is nothing but that; None otherwise."""
    try:
        text, end = _DECODER.raw_decode(literal) if literal[:1] == '"' else ("", -1)
    except ValueError:
        return None
    return text if end == len(literal) else None
