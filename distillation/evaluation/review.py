"""Pages on which a person accepts, edits or rejects the labels of a run, the least certain ones first.

Their file ``labels.csv`` goes beside the photos. The next run uses it; see ``distillation.answers.own_labels``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distillation import keys
from distillation.answers.formats import format_of
from distillation.answers.formats.base import Format, Value
from distillation.dataset.labels import read_kept_labels, read_stored_own_labels
from distillation.errors import ObjectMissing
from distillation.evaluation.interactive_page import answer_cells, read_pictures, render
from distillation.evaluation.scores import value_of
from distillation.photos.inventory import read_inventory
from distillation.photos.splits import REJECTED
from distillation.plain_text import clean, clean_line
from distillation.records import AnswerLine, InventoryLine, Run
from distillation.storage import Bucket

DEFAULT_LIMIT = 500
"""Images on a page."""
_CERTAIN = 0.005
"""Difference of two answers, 0-1, below which a page does not mention it."""


@dataclass(frozen=True)
class ReviewItem:
    """One image to review."""

    image: str
    """SHA-256 of the image's bytes, in hexadecimal."""
    photo: str
    """Name of the photo below the collection's prefix."""
    label: AnswerLine
    """Label of the image; the owner's where there is one."""
    order: tuple[Any, ...]
    """Sort key: refused labels, then the least certain ones; the owner's last."""
    notes: list[str]
    """Why the label may be wrong, each a phrase."""


@dataclass(frozen=True)
class Review:
    """Labels of a run that a person can review."""

    run: Run
    items: list[ReviewItem]
    """Images with a label, the least certain first."""
    rejected: list[str]
    """Names of the photos that the owner has rejected already."""
    file_rows: list[tuple[str, str, bool]] | None = None
    """Photo, label and use of each line of the owner's file as it is now, which a page takes over; None if unknown."""

    def pages(self, limit: int) -> int:
        """Return the number of pages with at most ``limit`` images."""
        return max(1, -(-len(self.items) // limit))


def read_review(run: Run, data: Bucket) -> Review:
    """Read what can be reviewed in a run that has labels.

    Raises ``ObjectMissing`` or ``ObjectDamaged`` if an object of the run cannot be read.
    """
    inventory = read_inventory(run, data)
    second = data.read_records(keys.predictions_key(run.name, "ceiling"), AnswerLine)
    try:
        ceiling = {line.image: line for line in second}
    except ObjectMissing:
        ceiling = {}
    return find_review(run, inventory, read_kept_labels(run, data), read_stored_own_labels(run, data), ceiling)


def write_first_page(
    run: Run, inventory: Iterable[InventoryLine], answers: Mapping[str, Mapping[str, AnswerLine]], data: Bucket
) -> str | None:
    """Write the first page beside the report and return its key; None if no image has a label.

    ``answers`` are keyed by answerer and image. ``distill review`` writes all pages.
    """
    labels, second = answers.get("teacher", {}), answers.get("ceiling", {})
    review = find_review(run, inventory, labels, read_stored_own_labels(run, data), second)
    if not review.items:
        return None
    key = keys.review_key(run.name, 1)
    data.write(key, next(review_pages(review, data)).encode(), "text/html; charset=utf-8")
    return key


def find_review(
    run: Run,
    inventory: Iterable[InventoryLine],
    labels: Mapping[str, AnswerLine],
    own_labels: Mapping[str, AnswerLine],
    second: Mapping[str, AnswerLine],
) -> Review:
    """Return what can be reviewed. Labels are keyed by image; ``second`` are the teacher's second answers."""
    inventory = list(inventory)
    labels = {**labels, **own_labels}
    answer_format = format_of(run)
    lines = {line.image: line for line in inventory if line.image and line.status == "ok" and line.image in labels}
    values = {image: value_of(answer_format, labels[image]) for image in lines}
    twins = _differences_in_groups(answer_format, lines, values)
    items = []
    for image, line in lines.items():
        label = labels[image]
        found = {
            "the teacher's answers about it differ by {}": label.disagreement or 0,
            "a second answer of the teacher differs by {}": _difference(
                answer_format, values[image], value_of(answer_format, second.get(image))
            ),
            "the label of a near-duplicate differs by {}": twins.get(image, 0),
        }
        notes = [phrase.format(f"{100 * size:.0f} %") for phrase, size in found.items() if size >= _CERTAIN]
        is_own = image in own_labels
        order = (is_own, label.status == "ok", -max(found.values()), -len(line.flags), image)
        photo = line.photo.removeprefix(run.collection)
        items.append(ReviewItem(image, photo, label, order, [] if is_own else [*notes, *line.flags]))
    rejected = [line.photo.removeprefix(run.collection) for line in inventory if line.reason == REJECTED]
    return Review(run, sorted(items, key=lambda item: item.order), rejected)


def _differences_in_groups(
    answer_format: Format, lines: Mapping[str, InventoryLine], values: Mapping[str, Value | None]
) -> dict[str, float]:
    """Return how much the label of each image differs from that of the first near-duplicate, 0-1."""
    groups: dict[str, list[str]] = {}
    for image, line in lines.items():
        groups.setdefault(line.group or image, []).append(image)
    differences: dict[str, float] = {}
    for first, *others in groups.values():
        for image in others:
            difference = _difference(answer_format, values[first], values[image])
            differences[image] = difference
            differences[first] = max(difference, differences.get(first, 0))
    return differences


def _difference(answer_format: Format, left: Value | None, right: Value | None) -> float:
    """Return one minus the similarity of two answers, 0-1; 0 if one of them is missing."""
    return 0.0 if left is None or right is None else 1 - answer_format.similarity(left, right)


def review_pages(review: Review, data: Bucket, limit: int = DEFAULT_LIMIT) -> Iterator[str]:
    """Yield the pages as HTML, each with at most ``limit`` images. Pictures are read from the Data bucket."""
    run, answer_format = review.run, format_of(review.run)
    columns, count = _columns(answer_format), review.pages(limit)
    others = _other_rows(review, answer_format)
    for number, items in enumerate(_batches(review.items, limit), 1):
        pictures = read_pictures(run, [item.image for item in items], data)
        content = {
            "run": run.name,
            "columns": columns,
            "choices": _choices(answer_format),
            "items": [_item(answer_format, item, pictures[item.image]) for item in items],
            "others": others,
        }
        yield render(
            "review.html.j2", content, run=run.name, collection=run.collection, page=number, pages=count, items=items
        )


def _choices(answer_format: Format) -> dict[str, list[str]]:
    """Return the values that a column of labels.csv may have, keyed by column; a column of free text has none."""
    inputs = zip(_columns(answer_format), answer_format.form_inputs(), strict=True)
    return {column: list(each.options) for column, each in inputs if each.kind == "choice"}


def _other_rows(review: Review, answer_format: Format) -> list[list[str]]:
    """Return the rows of labels.csv that a person does not decide anew on a page.

    The file replaces the one beside the photos, so it has that one's lines, else the labels and rejections of the run.
    """
    if review.file_rows is not None:
        return [
            [photo, *_cells_of_text(answer_format, label), "yes" if use else "no"]
            for photo, label, use in review.file_rows
        ]
    blank = [""] * len(_columns(answer_format))
    own = [item for item in review.items if item.label.answerer == "owner"]
    labelled = [[item.photo, *_cells(answer_format, item.label), "yes"] for item in own]
    return [*labelled, *([photo, *blank, "no"] for photo in review.rejected)]


def _batches(items: Sequence[ReviewItem], limit: int) -> Iterator[Sequence[ReviewItem]]:
    """Yield at most ``limit`` items at a time; one empty batch if there are none."""
    for start in range(0, max(1, len(items)), limit):
        yield items[start : start + limit]


def _columns(answer_format: Format) -> list[str]:
    """Return the columns of labels.csv that have the label."""
    columns = answer_format.columns()
    return columns if len(columns) > 1 else ["label"]


def _cells(answer_format: Format, label: AnswerLine) -> list[str]:
    """Return the cells of a label; of a refused one its text, if that fits one column."""
    return _cells_of_text(answer_format, clean(label.text or "").strip())


def _cells_of_text(answer_format: Format, text: str) -> list[str]:
    cells = answer_cells(answer_format, text)
    if cells is not None:
        return cells
    columns = _columns(answer_format)
    return [text] if len(columns) == 1 else [""] * len(columns)


def _item(answer_format: Format, item: ReviewItem, picture: str | None) -> dict[str, Any]:
    label = item.label
    return {
        "image": item.image,
        "photo": item.photo,
        "name": clean_line(item.photo),
        "picture": picture,
        "cells": _cells(answer_format, label),
        "refused": None if label.status == "ok" else clean_line(label.reason or "it was refused"),
        "own": label.answerer == "owner",
        "notes": item.notes,
    }
