"""The gallery of the report: each image with the label and the answers about it side by side."""

from __future__ import annotations

import base64
import io
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

from distillation.answers.formats.base import Format, Part, Value
from distillation.evaluation import charts
from distillation.evaluation.evaluation import Evaluation
from distillation.evaluation.scores import value_of
from distillation.records import AnswerLine

MAXIMUM_PICTURES = 500
"""Images in the gallery of report.html."""
FIRST_CARDS = 48
"""Images that the gallery shows before a reader asks for more."""
PICTURES_CHARACTERS = 8_000_000
"""Characters of all pictures of the gallery together, as ``data:`` URIs."""
_PICTURE_CHARACTERS = 80_000
"""Characters of one picture; more would not look better at 640 pixels."""
_PICTURE_SIDES = (640, 480, 400, 320, 240, 160, 80)
"""Longest side of a picture in pixels, the largest that fits first."""
_STATES = ("shared", "missed", "extra")
_SAME = 1e-9
"""Difference of two scores below which they count as equal."""


@dataclass(frozen=True)
class Picture:
    """An image of the gallery."""

    image: str
    """SHA-256 of the image's bytes in hexadecimal, or the image's name."""
    name: str
    """Name to show."""
    source: str | None
    """The picture as a ``data:`` URI, by ``thumbnail``; None if only the name is known."""
    label: AnswerLine
    """The teacher's label."""
    flags: tuple[str, ...] = ()
    """Quality flags of the image."""


class MarkedText(NamedTuple):
    """A piece of a text, and how the page marks it."""

    text: str
    mark: str | None
    """``missed`` or ``extra`` for a piece of one side alone; None for a shared one."""


class PieceSet(NamedTuple):
    """Pieces of an answer that are all shared with the label, all missed, or all extra."""

    kind: str
    """``shared``, ``missed`` or ``extra``."""
    texts: list[str]


class Answer(NamedTuple):
    """One answer in a card of the gallery, or the teacher's label."""

    name: str
    """Who answered, for readers."""
    pieces: list[MarkedText] | None
    """Text, with the pieces marked that the label lacks; None if ``sets`` or the table of fields shows the answer."""
    sets: list[PieceSet]
    """Pieces that are shared, missed and extra."""
    comparison: str | None = None
    """``same`` or ``different`` if the whole answer is so; else None."""
    invalid: str | None = None
    """Why the answer is not valid; None if it is."""
    text: str | None = None
    """Text of an answer that is not valid."""


class FieldRow(NamedTuple):
    """A field in a card of the gallery."""

    field: str | None
    values: list[list[MarkedText]]
    """The label's value, then that of each answer."""


class Card(NamedTuple):
    """Content of the gallery for one image."""

    picture: Picture
    kinds: list[str]
    """Filters that the image passes: ``gained``, ``lost``, ``invalid``, ``flagged``, ``refused``."""
    tuned: float | None
    """Score of the best tuned model; None if nothing was trained."""
    base: float | None
    """Score of the student before training; None without one."""
    answers: list[Answer]
    """The label, then the answers of the tuned model and of base."""
    fields: list[FieldRow]
    """Rows of a format with fields."""


def make_filters(cards: list[Card]) -> list[tuple[str, str, int]]:
    """Return the filters of the gallery: key, name and number of images. Filters that do not apply are left out."""
    kinds = Counter(kind for card in cards for kind in card.kinds)
    is_compared = any(card.base is not None for card in cards)
    is_trained = any(card.tuned is not None for card in cards)
    names = {
        **({"gained": "Gained", "lost": "Lost"} if is_compared else {}),
        **({"invalid": "Invalid"} if is_trained else {"refused": "Set aside"}),
        "flagged": "Flagged",
    }
    return [("", "All", len(cards)), *((kind, name, kinds[kind]) for kind, name in names.items())]


def make_card(picture: Picture, answer_format: Format, evaluation: Evaluation | None) -> Card:
    """Return what the gallery shows of an image; ``evaluation`` is None if nothing was trained."""
    best = evaluation.figures.best if evaluation else None
    label = value_of(answer_format, picture.label)
    label_parts = [] if label is None else answer_format.parts(None, label)
    teacher = Answer(
        name="teacher",
        pieces=None if answer_format.layout == "fields" else [MarkedText(part.text, None) for part in label_parts],
        sets=[],
        invalid=None if label is not None else picture.label.reason or "there is no label",
        text=None if label is not None else picture.label.text,
    )
    answers, parts, scores = [teacher], [label_parts], {}
    if evaluation and best:
        position = evaluation.images.index(picture.image)
        for name in (best, *(["base"] if "base" in evaluation.answers else [])):
            line = evaluation.answers[name].get(picture.image)
            scores[name] = evaluation.per_image[name][position]
            answer = value_of(answer_format, line)
            parts.append([] if answer is None else answer_format.parts(answer, label))
            answers.append(_answer(charts.display_name(name), line, answer, parts[-1], answer_format))
    base, tuned = scores.get("base"), scores.get(best or "")
    change = 0.0 if base is None or tuned is None else tuned - base
    kinds = {
        "gained": change > _SAME,
        "lost": change < -_SAME,
        "invalid": best is not None and answers[1].invalid is not None,
        "flagged": bool(picture.flags),
        "refused": teacher.invalid is not None,
    }
    return Card(
        picture=picture,
        kinds=[kind for kind, applies in kinds.items() if applies],
        tuned=tuned,
        base=base,
        answers=answers,
        fields=_field_rows(parts) if answer_format.layout == "fields" else [],
    )


def _answer(
    name: str, line: AnswerLine | None, answer: Value | None, parts: list[Part], answer_format: Format
) -> Answer:
    """Return an answer compared with the label: its text with marks, or sets, and whether it is the same."""
    if answer is None:
        invalid = (line and line.reason) or "there is no answer"
        return Answer(name, None, [], invalid=invalid, text=line.text if line else None)
    if answer_format.layout == "fields":
        return Answer(name, None, [])
    sets = [PieceSet(kind, [part.text for part in parts if part.state == kind]) for kind in _STATES]
    sets = [each for each in sets if each.texts]
    kinds = {each.kind for each in sets}
    comparison = "same" if kinds <= {"shared"} else "different" if "shared" not in kinds else None
    if answer_format.layout == "items":
        return Answer(name, None, [] if comparison == "same" else sets, comparison)
    pieces = [
        MarkedText(part.text, "extra" if part.state == "extra" else None) for part in parts if part.state != "missed"
    ]
    shown = [] if comparison else [each for each in sets if each.kind != "shared"]
    return Answer(name, pieces, shown, comparison)


def _field_rows(columns: list[list[Part]]) -> list[FieldRow]:
    """Return a row for each field: the values of the label and of each answer, with missed and extra ones marked."""
    fields = dict.fromkeys(part.field for parts in columns for part in parts)
    return [
        FieldRow(
            field,
            [
                [
                    MarkedText(part.text, part.state if place and part.state != "shared" else None)
                    for part in parts
                    if part.field == field
                ]
                for place, parts in enumerate(columns)
            ],
        )
        for field in fields
    ]


def thumbnail(jpeg: bytes, pictures: int) -> str | None:
    """Return a JPEG as a ``data:`` URI; None if it is damaged.

    It is so small that ``pictures`` of them stay below ``PICTURES_CHARACTERS``.
    """
    characters = min(_PICTURE_CHARACTERS, PICTURES_CHARACTERS // max(1, pictures))
    try:
        with Image.open(io.BytesIO(jpeg)) as image:
            image.draft("RGB", (_PICTURE_SIDES[0], _PICTURE_SIDES[0]))
            picture = image.convert("RGB")
        uri = ""
        for side in _PICTURE_SIDES:
            picture.thumbnail((side, side))
            uri = _data_uri(picture)
            if len(uri) <= characters:
                break
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return uri


def _data_uri(picture: Image.Image) -> str:
    output = io.BytesIO()
    picture.save(output, "JPEG", quality=62, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(output.getvalue()).decode()}"
