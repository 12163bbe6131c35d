"""A run in memory after LabelImages: what a person reviews."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from PIL import Image

from distillation import keys
from distillation.photos.splits import split
from distillation.records import AnswerLine, Run
from distillation.storage import Bucket
from tests.support.builders import image_names
from tests.support.fakes import bucket

JPEGS: dict[int, bytes] = {}


def labelled_run(
    run: Run,
    texts: Sequence[str | None],
    names: Mapping[int, str] = MappingProxyType({}),
    fields: Mapping[int, dict[str, Any]] = MappingProxyType({}),
) -> Bucket:
    """Return the Data bucket of a run that labelled one image for each text; None is a refused label.

    ``names`` are names of photos below the collection, by number; ``fields`` are further fields of the labels.
    """
    data = bucket()
    images = image_names(len(texts))
    lines = [
        {"photo": f"{run.collection}{photo_name(number, names)}", "status": "ok", "image": image}
        | {"width": 60, "height": 40, "bytes": 1}
        for number, image in enumerate(images)
    ]
    data.write_lines(keys.part_key(run.name, "resize", "b"), lines)
    data.write_lines(keys.listing_key(run.name), [{"photo": line["photo"]} for line in lines])
    split(run, data, bucket())
    labels = [
        AnswerLine.model_validate(
            {"image": image, "answerer": "teacher", "status": "ok" if text else "refused", "text": text}
            | {"reason": None if text else "the answer is a refusal: 'Sorry'"}
            | fields.get(number, {})
        )
        for number, (image, text) in enumerate(zip(images, texts, strict=True))
    ]
    data.write_lines(keys.part_key(run.name, "label", "1"), [line.model_dump(exclude_none=True) for line in labels])
    for number, image in enumerate(images):
        data.write(keys.image_key(run.image_side, image), jpeg(number))
    return data


def photo_name(number: int, names: Mapping[int, str] = MappingProxyType({})) -> str:
    """Return the name of a photo below the collection."""
    return names.get(number, f"{number:04}.jpg")


def jpeg(number: int) -> bytes:
    """Return a small picture in one of seven colours."""
    colour = number % 7
    if colour not in JPEGS:
        file = io.BytesIO()
        Image.new("RGB", (60, 40), (30 * colour, 200 - 20 * colour, 90)).save(file, "JPEG")
        JPEGS[colour] = file.getvalue()
    return JPEGS[colour]


def next_run(run: Run, data: Bucket, labels_csv: bytes, name: str = "holiday-2") -> tuple[Run, Bucket]:
    """Split the same photos in a second run with a file of labels; return the run and its Data bucket."""
    second = run.model_copy(update={"name": name})
    for kind in ("resize", "label"):
        for key in list(data.keys(keys.parts_prefix(run.name, kind))):
            data.write(key.replace(run.name, name), data.read(key))
    data.write(keys.listing_key(name), data.read(keys.listing_key(run.name)))
    split(second, data, bucket(**{f"{run.collection}labels.csv": labels_csv}))
    return second, data
