"""Check that the parts of LabelImages, PredictTestImages and PredictImages have a line for every image."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Literal

from distillation import keys
from distillation.errors import ObjectDamaged, ObjectMissing
from distillation.records import Run, SplitLine
from distillation.storage import Bucket


@dataclass(frozen=True)
class AnswerParts:
    """Parts of a Map of questions, and the list of images that the Map read."""

    step: Literal["label", "baseline", "predict"]
    """Step in the keys of the parts."""
    list_key: str
    """Key of the list."""


def require_lines(
    run: Run, answerer: str, images: Iterable[str], answered: Container[str], parts: AnswerParts, data: Bucket
) -> None:
    """Raise ``ObjectMissing`` that names the missing part if one of ``images`` has no line.

    ``answered`` are the images with a line of ``answerer``.
    """
    images = list(images)
    if missing := [image for image in images if image not in answered]:
        raise ObjectMissing(
            f"{len(missing)} of {len(images)} images have no line of {answerer}. {_cause(run, parts, missing, data)} "
            f"A redrive of the execution does not repeat it"
        )


def _cause(run: Run, parts: AnswerParts, missing: list[str], data: Bucket) -> str:
    """Return which object has no line of a missing image: a part, or the list that the Map read."""
    try:
        listed = [line.image for line in data.read_records(parts.list_key, SplitLine)]
    except (ObjectDamaged, ObjectMissing) as error:
        return f"First {missing[0]}. {str(error).removesuffix('.')}."
    lost = set(missing)
    position = next((position for position, image in enumerate(listed) if image in lost), None)
    if position is None:
        return f"First {missing[0]}: s3://{data.name}/{parts.list_key} does not list it: it was changed or cut off."
    # A Map divides its list into batches in order.
    start = position - position % run.images_per_batch
    batch = keys.batch_id(listed[start : start + run.images_per_batch])
    part = keys.part_key(run.name, parts.step, batch)
    return f"First {listed[position]}: s3://{data.name}/{part} was deleted or cut off after it was written."
