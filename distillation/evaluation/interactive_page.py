"""Pages on which a person works: one self-contained HTML file each, without a server and without the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from distillation import keys
from distillation.answers.formats.base import Format, NotInFormat
from distillation.errors import AccessDenied, InvalidRequest, ObjectMissing
from distillation.evaluation.gallery import thumbnail
from distillation.plain_text import clean
from distillation.records import Run
from distillation.storage import Bucket

_PARALLEL_READS = 8
"""Images that are read at the same time; a boto3 client has ten connections by default."""


@cache
def _environment() -> Environment:
    """Return the environment of the templates, which keeps those that it has compiled."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "pages"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def render(template: str, data: Mapping[str, Any], **values: Any) -> str:
    """Return a page. Its script reads ``data`` as JSON, in which all that is not ASCII and all markup is escaped."""
    return _environment().get_template(template).render(data=data, **values)


def read_pictures(run: Run, images: Iterable[str], data: Bucket) -> dict[str, str | None]:
    """Return each image as a ``data:`` URI, keyed by image; None for one that is missing or damaged."""
    images = list(images)

    def picture(image: str) -> str | None:
        try:
            jpeg = data.read(keys.image_key(run.image_side, image))
        except (AccessDenied, InvalidRequest, ObjectMissing):
            return None
        return thumbnail(jpeg, len(images))

    with ThreadPoolExecutor(_PARALLEL_READS) as pool:
        return dict(zip(images, pool.map(picture, images), strict=True))


def answer_cells(answer_format: Format, text: str) -> list[str] | None:
    """Return the cells of an answer, one for each column of its format; None for a text that is not in the format."""
    try:
        value = answer_format.parse(text)
    except NotInFormat:
        return None
    return [clean(str(cell)) for cell in answer_format.cells(value)]
