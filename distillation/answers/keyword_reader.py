"""Reader of keyword lists in the forms that models and people write.

* Separators: ``, ; | 、 ، ؛``, tabs, line breaks, and bullets such as ``•``. A comma stays in a number
  (``1,000 islands``), in brackets, and in one of several quoted keywords (``"new york, ny", "sea"``).
* Dots and slashes: ``・``, ``·`` and, with spaces around them, ``/`` and ``-`` separate three or more parts of a text
  without another separator.
* Bullets and check boxes (``- cat``, ``+ cat``, ``- [ ] cat``): the mark at the start of a line or keyword is removed.
  An emoji at the start or end of a keyword with letters is removed too.
* Numbers and letters (``1. cat 2. sofa``, ``a) cat``): they are marks only if they count from 1 or a. In
  ``2. bundesliga, stadium`` and ``1. bundesliga, stadium`` the number stays.
* Scores (``cat: 0.98``, ``cat (70%)``, ``cat, 0.9, sofa, 0.8``): a decimal of 0-1 or a percentage at the end of a
  keyword is removed.
* "and", "or" and "&" at the start of a keyword are removed after a separator. ``black and white`` stays.
* Hashtags (``#cat #sofa``): ``#`` is removed only if every keyword has it. ``#1 fan`` stays.
* Headers (``Keywords: cat``, ``**Mood:** calm``, ``## Tags``, ``Mood`` above bullets) are removed. They name the list,
  or start with a capital letter and have no digits and at most four words. ``iso 100: noise`` stays.
* Sentences: a line of prose, such as ``Here are the keywords:``, is removed if another line is a list.
* JSON and Python (``["cat"]``, ``{"keyword": "cat", "score": 0.9}``): strings in lists are keywords, and so are keys of
  scores. A string outside a list is a list itself. Descriptions and reasons beside keywords are removed.
* HTML entities (``r&amp;b``) and escaped characters (``golden\\_hour``) are replaced.
* Only the text in code fences is read, and none of the reasoning in ``<thinking>``.

Each step reads the text a bounded number of times, so that a hostile answer takes linear time.
"""

from __future__ import annotations

import html
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from distillation.answers.markup import decode_structure, without_reasoning
from distillation.plain_text import clean

_LIST_WORDS = "keywords?|key ?words|hashtags?|tags?|labels?|terms|list|answer|output|result|response"
_OPENERS = "here|sure|okay|ok|certainly|of course|the following|these|this|below|based on|i see"
_CLOSING_MARKS = {
    '"': '"',
    "“": "”",
    "„": "“",
    "«": "»",
    "»": "«",
    "「": "」",
    "『": "』",
    "‚": "'",
    "‹": "›",
    "›": "‹",
    "《": "》",
    "〈": "〉",
    "【": "】",
    "'": "'",
    "`": "`",
}
"""Closing quotation mark of each opening one."""
_DOUBLE_MARKS = frozenset('"“”„«»‹›「」『』《》〈〉【】`')
_BRACKETS = {"(": ")", "[": "]", "{": "}", "<": ">"}
_STRING_FIELDS = ("keyword", "tag", "label", "name", "term", "text", "word", "title", "object", "value")
"""Fields that hold the keyword in a JSON object that describes one, the likeliest first."""
_OTHER_FIELDS = frozenset(
    (
        *("analysis", "caption", "confidence", "description", "explanation", "file", "filename", "id", "image"),
        *("image_id", "language", "model", "notes", "photo", "rationale", "reason", "reasoning", "summary"),
        *("thinking", "thought", "thoughts"),
    )
)
"""Fields whose text is no keyword if the JSON object has keywords in other fields."""
_EMOJI = "\u25a0-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff\ufe0f\u200d"
"""Range of a regular expression: geometric shapes, dingbats and emoji, which decorate a keyword."""

_APOSTROPHES = str.maketrans("’‘ʼ´ʹ", "'''''")
_BACKTICK_APOSTROPHE = re.compile(r"(?<=[^\W\d_])`(?=[^\W\d_])")
_CIRCLED_NUMBER = re.compile("[①-⑳]|([0-9])\ufe0f?\u20e3")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8});")
_ESCAPED = re.compile(r"\\(?:(n)|([\\`*_{}\[\]()#+.!\"'>~-]))")
_WIDE_COLON = re.compile(r"：(?!\d)")
_BLOCK_TAG = re.compile(rf"</?(?:br|p|ul|ol|li|div|final|{_LIST_WORDS})\s?/?>", re.IGNORECASE)
_INLINE_TAG = re.compile(
    r"</?(?:b|i|em|strong|code|span|s)>|<\|\w{1,30}\|>|\*\*|__|~~|\\(?:boxed|text)(?=\{)", re.IGNORECASE
)
_LANGUAGE = re.compile(r"[\w+-]*[ \t]*\n")

_STRUCTURE_START = re.compile(r"^(?:[^\n:=\[{]{0,60}[:=])?[ \t]*(?=[\[{])", re.MULTILINE)
_MAXIMUM_FAILED_STRUCTURES = 3

_ORDINARY = re.compile(r"(?:[^\W_]|[ ',-])+\.?")
_RULE = re.compile(r"[\s|:=*_~-]+")
_HEADING = re.compile(r"#{1,6}\s+")
_NAME_OF_LIST = re.compile(
    r"(?:(?:image|photo) )?(?:keywords|key words|hashtags|tags|labels)"
    r"|(?:keyword|tag|label|name)s?\s?[,;|\t]\s?(?:score|confidence|probability)s?",
    re.IGNORECASE,
)
_FIRST_COLUMN = re.compile(r"\|?\s*(?:#|no\.?|number|rank|id|category|categories|type|group)\s*\|", re.IGNORECASE)
"""Header of a Markdown table whose first column has no keywords."""
_HEADER = re.compile(r"([^\W\d_][^:,;|]{1,60}):(?:[*_]{0,2}\s+|$)")
_INTRODUCTION = re.compile(
    rf"(?:(?:(?:{_OPENERS})[,!.]?\s)?(?:{_OPENERS})\b[^:\n,;|]{{0,80}}"
    rf"|[^:\n]{{0,100}}\b(?:{_LIST_WORDS})\b[^:\n,;|]{{0,60}}):(?:[*_]{{0,2}}\s+|$)"
    r"|(?:keywords|hashtags|tags)\s?:",
    re.IGNORECASE,
)
_MAXIMUM_HEADER_WORDS = 4
_MINIMUM_SENTENCE_WORDS = 5
_REMARK = re.compile(
    r"(?:i hope|hope|let me|would you|do you|please|feel free|is there|if you)\b.*[.!?]"
    rf"|\(?(?:total:? )?\d{{1,3}} (?:{_LIST_WORDS})(?: in total)?\)?\.?",
    re.IGNORECASE,
)
"""A line that a model adds below its list."""

_STARTS = f"[^\\W_]|[{re.escape(''.join(_CLOSING_MARKS))}(#]"
_EMOJI_BEFORE = re.compile(rf"[{_EMOJI}][{_EMOJI}\s]*(?={_STARTS})")
_BULLET = re.compile(rf"(?:[*·・⁃–—→>»※-]+(?!\d)|\+(?=\s))\s*|[–—~-]\s+|{_EMOJI_BEFORE.pattern}")
_EMOJI_AFTER = re.compile(rf"(?<=\w)\s+[{_EMOJI}][{_EMOJI}\s]*$")
_CHECK_BOX = re.compile(r"\[[ xX✓✔]?\]\s+")
_MARK = re.compile(r"[(\[]?(?:(\d{1,3})(?:[.)\]、]|\s?[:–-](?=\s)|\s?[|\t])|([A-Za-z])[.)](?=\s))(?:\s+|(?=[^\d\s]))")
_INLINE_MARK = re.compile(
    r"(?:^|(?<=[\s,;|]))(?:[(\[]?(\d{1,3})[.)\]](?:\s+|(?=[^\W\d_]))|\(?([A-Za-z])\)\s+)", re.MULTILINE
)
_INLINE_BULLETS = ("* ", "- ", "+ ", "· ")

_SEPARATOR = re.compile(
    r"(?<![\d.,])(?:\d{1,3}(?:,\d{3}){1,4}|\d,\d{1,2})(?!\w|,\d)|([,;|、،؛\t]|[•‣▪●○◦∙■□✓✔☑✅🔹🔸]\ufe0f?|(?<=[^\s#])(?=#[^\W\d_])"
    r"|(?<=[\"”»`])\s(?=[\"“«`])|(?<=[」』》〉】])\s?(?=[「『《〈【]))"
)
_SPARSE_SEPARATORS = tuple(map(re.compile, ("[・·]", r"\s/\s", r"\s[–—-]\s")))
_HASHTAG = re.compile(r"#[^\W_]*[^\W\d_]\w*")
_SCORE_WORD = "(?:confidence|score|probability|prob|certainty|relevance)"
_SCORE_NUMBER = r"(?:0?[.,]\d{1,9}|1[.,]0{1,9}|(?:100|\d{1,2})(?:[.,]\d{1,9})?\s?%)"
_SCORE = re.compile(
    rf"(?:(?:^|[\s:=,→–—-])\s?{_SCORE_NUMBER}"
    rf"|\s?[(\[](?:{_SCORE_WORD}\s?[:=]?\s?)?{_SCORE_NUMBER}(?:\s{_SCORE_WORD})?[)\]])$",
    re.IGNORECASE,
)
_SCORE_FIRST = re.compile(rf"\s*(?:{_SCORE_NUMBER}(?!\w)|\d{{1,3}}(?![^\s,;|]|\s\w))")
_MAXIMUM_LAYERS = 5
"""Quotes, brackets and full stops around each other that are removed from one keyword."""
_SCORE_ENDS = tuple("0123456789%)]")
_LEADING_AND = re.compile(r"(?:and|or|&)\s+", re.IGNORECASE)
_ABBREVIATION = re.compile(r"(?:^|\s)(?:[^\W\d_]\.)+[^\W\d_]$")


def read_keywords(text: str) -> list[str]:
    """Return the keywords of ``text`` in its order, with the spelling of the text and without the markup of its form.

    A keyword may occur more than once. Unicode compatibility forms such as full-width letters are unified (NFKC).
    """
    text = _unified(text)
    if (ordinary := _ordinary_keywords(text)) is not None:
        return ordinary
    return _keywords_of_any_form(text)


def _ordinary_keywords(text: str) -> list[str] | None:
    """Return the keywords of a plain comma-separated list; None for a text that needs the rules of this module.

    Most answers are plain lists. Reading one this way takes a tenth of the time.
    """
    if not _ORDINARY.fullmatch(text):
        return None
    pieces = text.rstrip("., ").split(", ")
    if len(pieces) < 2 or not all(piece[:1].isalnum() and piece[-1].isalnum() and "," not in piece for piece in pieces):
        return None
    return [" ".join((_without_and(piece) if number else piece).split()) for number, piece in enumerate(pieces)]


def _keywords_of_any_form(text: str) -> list[str]:
    text = without_reasoning(text)
    text = _INLINE_TAG.sub("", _BLOCK_TAG.sub("\n", _fenced(text)))
    pieces = _structured_items(text)
    if pieces is None:
        pieces = _text_items(text)
    pieces = [piece for piece in map(_without_bullet, pieces) if piece]
    pieces = _without_separate_scores(_without_hashes(_without_marks(pieces)))
    keywords = [_without_decoration(_without_and(piece) if number else piece) for number, piece in enumerate(pieces)]
    return [keyword for keyword in keywords if any(map(_is_content, keyword))]


def write_keywords(keywords: Iterable[str]) -> str:
    """Return keywords as a list on one line. A keyword with a comma is quoted if the reader would divide it."""
    keywords = list(keywords)
    if len(keywords) < 2:
        return ", ".join(keywords)
    return ", ".join(f'"{word}"' if len(_split(word)) > 1 and '"' not in word else word for word in keywords)


def _is_content(character: str) -> bool:
    """Return whether a character is more than punctuation and spaces."""
    return character.isalnum() or unicodedata.category(character)[0] in "LMNS"


def _unified(text: str) -> str:
    """Return ``text`` without invisible characters, in Unicode form NFKC, with one apostrophe and one line break."""
    if "&" in text:
        text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    text = _BACKTICK_APOSTROPHE.sub("'", text.translate(_APOSTROPHES))
    if not text.isascii():
        text = _WIDE_COLON.sub(": ", text.replace("，", ", "))
        text = _CIRCLED_NUMBER.sub(lambda match: f" {match[1] or ord(match[0]) - ord('①') + 1}. ", text)
        text = unicodedata.normalize("NFKC", text)
    return clean(text)


def _fenced(text: str) -> str:
    """Return the text in code fences, or ``text`` if it has none."""
    if "```" not in text:
        return text
    fenced = [_LANGUAGE.sub("", part, count=1) if _LANGUAGE.match(part) else part for part in text.split("```")[1::2]]
    return "\n".join(fenced) if any(part.strip() for part in fenced) else text.replace("```", "\n")


def _structured_items(text: str) -> list[str] | None:
    """Return the keywords of the JSON or Python values in ``text``, or None if there is none."""
    if "[" not in text and "{" not in text:
        return None
    if text.lstrip().startswith('"') and '\\"' in text:
        quoted, _ = decode_structure(text.strip(), 0)
        text = quoted if isinstance(quoted, str) else text  # JSON in a JSON string.
    values: list[Any] = []
    failures = end = 0
    for match in _STRUCTURE_START.finditer(text):
        if match.end() < end:
            continue
        value, end = decode_structure(text, match.end())
        values.append(value)
        failures += value is None
        if failures == _MAXIMUM_FAILED_STRUCTURES:
            break
    try:
        strings = [string for value in values for string in _strings(value)]
    except RecursionError:
        return None  # Nested too deeply to be a list.
    if not strings:
        return None
    # A single string is a list in quotes.
    return _text_items(strings[0]) if len(strings) == 1 else strings


def _strings(value: Any) -> Iterator[str]:
    """Yield the keywords of a JSON value: strings, names in objects that describe a keyword, and keys of scores."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(_described(item) if isinstance(item, dict) else item)
            if isinstance(item, int) and not isinstance(item, bool) and any(isinstance(other, str) for other in value):
                yield str(item)
    elif isinstance(value, dict):
        if value and all(map(_is_score, value.values())):
            yield from (key for key, item in value.items() if item)
            return
        found = {
            name: _text_items(item) if isinstance(item, str) else list(_strings(item)) for name, item in value.items()
        }
        keywords = [strings for name, strings in found.items() if name.lower() not in _OTHER_FIELDS]
        yield from itertools.chain.from_iterable(keywords if any(keywords) else found.values())


def _is_score(value: Any) -> bool:
    """Return whether a JSON value is a score: a number, ``"70%"``, or an object such as ``{"score": 0.9}``."""
    if isinstance(value, dict):
        return all(
            isinstance(score, int | float) and re.fullmatch(_SCORE_WORD, name, re.IGNORECASE)
            for name, score in value.items()
        )
    return isinstance(value, int | float) or (isinstance(value, str) and bool(_SCORE.fullmatch(value)))


def _described(item: dict[str, Any]) -> Any:
    """Return the keyword that a JSON object describes, or the object itself."""
    fields = {name.lower(): value for name, value in item.items()}
    return next((fields[name] for name in _STRING_FIELDS if isinstance(fields.get(name), str)), item)


def _text_items(text: str) -> list[str]:
    """Return the items of a list that is not JSON. Marks and scores of single items are still in them."""
    text = _ESCAPED.sub(lambda match: "\n" if match[1] else match[2], text).strip()
    unquoted = _unquoted(text)
    if unquoted != text and "\n" not in text:
        text = unquoted
    lines = _content_lines(text)
    marked = _without_marks(list(map(_without_bullet, _at_inline_marks(lines))))
    items: list[str] = []
    has_headers = len(marked) > 1 and all(map(_HEADER.match, marked))
    for line in marked:
        items += _line_items(line, has_headers, is_only=len(marked) == 1)
    return items


def _content_lines(text: str) -> list[str]:
    """Return the lines of ``text`` without rules, headings, introductions and sentences around the list."""
    lines: list[str] = []
    first_column = 0
    for line in text.split("\n"):
        line = line.strip().removeprefix(">").lstrip()
        if not _RULE.fullmatch(line):
            cells = line.removeprefix("|").split("|", first_column) if "|" in line else [line]
            lines.append(cells[-1] if first_column else line)
        elif "|" in line and lines:
            # The header of a Markdown table is above such a rule.
            first_column = int(bool(_FIRST_COLUMN.match(lines.pop())))
    lines = _without_titles([line for line in lines if line])
    if any(not _HEADING.match(line) for line in lines):
        lines = [line for line in lines if not _HEADING.match(line)]
    lines = [_HEADING.sub("", line, count=1) if line[0] == "#" else line for line in lines]
    if len(lines) > 1 and _NAME_OF_LIST.fullmatch(lines[0]):
        del lines[0]
    lines = [
        line
        for number, line in enumerate(lines)
        if not (line.endswith(":") and (number < len(lines) - 1 or not _SEPARATOR.search(line)))
    ]
    listed = [line for line in lines if not _is_sentence(line)]
    return listed if any(map(_is_list_like, listed)) else lines


def _without_titles(lines: list[str]) -> list[str]:
    """Return lines without titles such as ``Objects`` above bullets. The first line is one if it has no bullet."""
    bullets = [bool(_BULLET.match(line)) for line in lines]
    if sum(bullets) < 2 or bullets[0]:
        return lines
    return [
        line
        for line, bullet, next_bullet in zip(lines, bullets, [*bullets[1:], False], strict=True)
        if bullet or not next_bullet or not line[0].isupper() or _SEPARATOR.search(line)
    ]


def _is_sentence(line: str) -> bool:
    if line[-1] == "。":
        return not _is_marked(line) and "、" not in line
    if _REMARK.fullmatch(line):
        return True
    words = line.count(" ") + 1
    if line[-1] not in ".!?:" or words < _MINIMUM_SENTENCE_WORDS or _is_marked(line) or _score(line.rstrip(".")):
        return False
    # In a list the parts are short. A sentence with commas has a part of many words.
    parts = _split(line)
    return len(parts) < 2 or max(part.count(" ") for part in parts) >= _MINIMUM_SENTENCE_WORDS


def _is_marked(line: str) -> bool:
    return bool(_SEPARATOR.match(line) or _BULLET.match(line) or _MARK.match(line))


def _is_list_like(line: str) -> bool:
    return line[-1] not in ".!?。" or _is_marked(line) or len(_split(line)) > 1


def _at_inline_marks(lines: list[str]) -> list[str]:
    """Return lines divided at marks that count from 1 or a in a line, or at bullets such as ``- cat - sofa``."""
    text = "\n".join(lines)
    marks = list(_INLINE_MARK.finditer(text))
    before = text[: marks[0].start()].rstrip(" ") if marks else ""
    if len(marks) > 1 and _counts(marks) and before[-1:] in ("", "\n", ":"):
        before = "" if before.endswith(":") else before
        starts = [*(mark.start() for mark in marks), len(text)]
        parts = [text[start:end] for start, end in itertools.pairwise(starts)]
        return [line.strip(" ,;|") for part in [before, *parts] for line in part.split("\n") if line]
    return [part for line in lines for part in _at_inline_bullets(line)]


def _at_inline_bullets(line: str) -> list[str]:
    bullet = line[:2]
    if bullet in _INLINE_BULLETS and len(parts := line[2:].split(f" {bullet}")) > 1 and not _SEPARATOR.search(line):
        return [line] if any(_SCORE.match(part) for part in parts) else parts
    return [line]


def _counts(marks: Sequence[re.Match[str]]) -> bool:
    """Return whether the numbers or letters of marks count from 1 or a; several lists may follow each other."""
    numbers = [int(mark[1]) if mark[1] else ord(mark[2].lower()) - ord("a") + 1 for mark in marks]
    return all(number in (1, before + 1) for before, number in zip([0, *numbers], numbers, strict=False))


def _without_marks(lines: list[str]) -> list[str]:
    """Return lines or items without their numbers or letters, if these count from 1 or a."""
    found = [(number, match) for number, line in enumerate(lines) if (match := _MARK.match(line))]
    marks = [match for _, match in found]
    if not marks or not _counts(marks) or (len(marks) == 1 and not _is_only_item(lines, marks[0])):
        return lines
    lines = list(lines)
    for number, match in found:
        lines[number] = _without_bullet(lines[number][match.end() :])
    return lines


def _is_only_item(lines: list[str], mark: re.Match[str]) -> bool:
    return len(lines) == 1 and bool(mark[1]) and not _SEPARATOR.search(lines[0])


def _without_bullet(line: str) -> str:
    line = line.strip()
    bullet = _BULLET.match(line)
    line = line[bullet.end() :] if bullet else line
    box = _CHECK_BOX.match(line)
    return line[box.end() :] if box else line


def _line_items(line: str, has_headers: bool, is_only: bool) -> list[str]:
    """Return the items of one line without its headers."""
    rest = _without_header(line, has_headers)
    pieces = _split(_unquoted(rest))
    if rest != line:
        pieces = [_without_header(piece, has_headers) for piece in pieces]
    if is_only and len(pieces) == 1:
        pieces = next((parts for mark in _SPARSE_SEPARATORS if len(parts := mark.split(pieces[0])) > 2), pieces)
    return [tag for piece in pieces for tag in (piece.split() if _are_hashtags(piece) else [piece])]


def _are_hashtags(piece: str) -> bool:
    return bool(_HASHTAG.match(piece)) and all(re.fullmatch(r"#\w+", word) for word in piece.split())


def _without_header(line: str, has_headers: bool) -> str:
    """Return ``line`` without a header such as ``Objects:``. A keyword may have a colon: ``iso 100: noise``."""
    if ":" not in line:
        return line
    introduction = _INTRODUCTION.match(line)
    header = introduction or _HEADER.match(line)
    if header is None or _SCORE_FIRST.match(line, header.end()):
        return line
    if introduction:
        return line[introduction.end() :]
    name = header[1]
    is_header = has_headers or not name[0].islower()
    if not is_header or len(name.split()) > _MAXIMUM_HEADER_WORDS or any(map(str.isdigit, name)):
        return line
    return line[header.end() :]


def _split(line: str) -> list[str]:
    """Return the parts of a line between separators; a separator in brackets or in a quoted part does not count."""
    ends = [match.span(1) for match in _SEPARATOR.finditer(line) if match[1] is not None]
    if not ends:
        return [line]
    starts = [0, *(end for _, end in ends)]
    stops = [*(start for start, _ in ends), len(line)]
    pieces = [line[start:stop].strip() for start, stop in zip(starts, stops, strict=True)]
    marks = [piece.rstrip("]} ")[-1:] for piece in pieces]
    last_with = {mark: number for number, mark in enumerate(marks)}
    merged: list[str] = []
    number = 0
    while number < len(pieces):
        stop = _last_of_group(pieces, number, marks, last_with)
        merged.append(line[starts[number] : stops[stop]].strip() if stop > number else pieces[number])
        number = stop + 1
    if len(merged) == 1:
        return pieces  # The quotes or brackets enclose the whole list.
    return [piece for piece in merged if piece]


def _last_of_group(pieces: list[str], number: int, marks: list[str], last_with: dict[str, int]) -> int:
    """Return the index of the piece that closes the quotation mark or bracket that piece ``number`` opens.

    ``marks`` has the last character of each piece, and ``last_with`` the last piece with each of them.
    """
    piece = pieces[number]
    opening = piece[:1]
    if opening in _CLOSING_MARKS and opening != "'":
        closing = _CLOSING_MARKS[opening]
        if len(piece) > 1 and marks[number] == closing:
            return number
    elif piece.count("(") > piece.count(")"):
        closing = ")"
    else:
        return number
    if last_with.get(closing, -1) <= number:
        return number
    return marks.index(closing, number + 1)


def _without_hashes(items: list[str]) -> list[str]:
    """Return items without the ``#`` of hashtags, if every item has one."""
    if any(map(_HASHTAG.match, items)) and all(map(_starts_as_hashtag, items)):
        return [item.lstrip("#").lstrip() for item in items]
    return items


def _starts_as_hashtag(item: str) -> bool:
    return bool(_HASHTAG.match(item) or re.match(r"#\s+\w|#\d+$", item))


def _without_separate_scores(items: list[str]) -> list[str]:
    """Return items without scores that stand alone, as in ``cat, 0.9, sofa, 0.8``."""
    is_score = [bool(_SCORE.fullmatch(item.strip("()[]{} "))) for item in items]
    if is_score and len(items) % 2 == 0 and all(is_score[1::2]) and not any(is_score[::2]):
        return items[::2]
    return items


def _without_and(item: str) -> str:
    match = _LEADING_AND.match(item)
    return item[match.end() :] if match else item


def _without_decoration(item: str) -> str:
    """Return one item without its score, quotes, surrounding brackets and full stop, and with single spaces."""
    item = _trimmed(item)
    if match := _score(item):
        item = _trimmed(item[: match.start()]) or item
    if not item.isascii():
        emoji = _EMOJI_BEFORE.match(item)
        item = _EMOJI_AFTER.sub("", item[emoji.end() :] if emoji else item)
    return " ".join(item.split())


def _score(item: str) -> re.Match[str] | None:
    return _SCORE.search(item, max(0, len(item) - 60)) if item[-1:] in _SCORE_ENDS else None


def _trimmed(item: str) -> str:
    """Return ``item`` without quotes, brackets, emphasis and the full stop around it."""
    for _ in range(_MAXIMUM_LAYERS):
        before = item
        item = _unbracketed(_unquoted(item.strip(" \t\n*_:;,"))).rstrip("。")
        if item.endswith("."):
            item = item.rstrip(". ")
            if _ABBREVIATION.search(item[-40:]):
                return f"{item}."
        if item == before:
            break
    return item


def _unquoted(text: str) -> str:
    """Return ``text`` without surrounding quotation marks. An apostrophe such as in ``'90s`` stays."""
    first, last, inner = text[:1], text[-1:], text[1:-1]
    if len(text) > 1 and (_CLOSING_MARKS.get(first) == last or (first in _DOUBLE_MARKS and last in _DOUBLE_MARKS)):
        # In single quotes there may be apostrophes: 'rock 'n' roll'.
        is_one = first not in inner and last not in inner
        return inner if is_one or (first == "'" and not _SEPARATOR.search(inner)) else text
    if first and first in _DOUBLE_MARKS and not _DOUBLE_MARKS.intersection(text[1:]):
        return text[1:]
    # 24" is a length.
    is_length = last == '"' and text[-2:-1].isdigit()
    if last and last in _DOUBLE_MARKS and not is_length and not _DOUBLE_MARKS.intersection(text[:-1]):
        return text[:-1]
    return text


def _unbracketed(text: str) -> str:
    """Return ``text`` without brackets that enclose it or have no partner."""
    opening, closing = text[:1], _BRACKETS.get(text[:1], "")
    if closing and closing not in text[1:]:
        return text[1:]
    if closing and text.find(closing) == len(text) - 1:
        return text[1:-1]
    last = text[-1:]
    if last in _BRACKETS.values() and not any(start in text for start, end in _BRACKETS.items() if end == last):
        return text[:-1]
    return text if opening else ""
