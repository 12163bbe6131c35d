"""Checks of the image files of a dataset: existence, format and size."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image

from distillation.aws_errors import service_errors
from distillation.dataset.rules import File, Problem
from distillation.errors import AccessDenied, InvalidRequest, ObjectMissing, excerpt
from distillation.models.model import Family

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BEDROCK_FORMATS = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png", "GIF": "gif", "WEBP": "webp"}
"""Image formats that Bedrock accepts, keyed by Pillow's name."""
PILLOW_FORMATS = tuple(name for name in BEDROCK_FORMATS if name != "MPO")
"""Formats for ``Image.open``. The JPEG decoder detects MPO by itself."""
_CONCURRENT_DOWNLOADS = 8
_BATCH_SIZE = 256
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


class ImageReference(NamedTuple):
    """An image and the first record that uses it."""

    uri: str
    format: str
    line: int
    field: str


def image_problems(lines: Iterable[bytes], file: File, family: Family, client: S3Client) -> Iterator[Problem]:
    """Yield the problems of the image files. Each file is downloaded once; its pixels are not decoded."""
    references = _image_references(lines)
    with ThreadPoolExecutor(_CONCURRENT_DOWNLOADS) as pool:
        while batch := list(islice(references, _BATCH_SIZE)):
            problems = pool.map(lambda reference: _image_problem(reference, family, client), batch)
            for reference, problem in zip(batch, problems, strict=True):
                if problem:
                    rule, description = problem
                    yield Problem(rule, reference.line, reference.field, description, file)


def _image_references(lines: Iterable[bytes]) -> Iterator[ImageReference]:
    known: set[int] = set()
    for number, line in enumerate(lines, start=1):
        try:
            blocks = [
                (f"messages.{position}.content.{index}.image", block["image"])
                for position, message in enumerate(json.loads(line)["messages"])
                for index, block in enumerate(message["content"])
                if isinstance(block.get("image"), dict)
            ]
            for field, image in blocks:
                uri = image["source"]["s3Location"]["uri"]
                if hash(uri) not in known:
                    known.add(hash(uri))
                    yield ImageReference(uri, image["format"].lower(), number, field)
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            continue  # The checks of the record report this line.


def _image_problem(reference: ImageReference, family: Family, client: S3Client) -> tuple[str, str] | None:
    """Return the rule that an image file breaks and a description, or None. Raises ``ServiceUnavailable``."""
    bucket, _, key = reference.uri.removeprefix("s3://").partition("/")
    try:
        with service_errors(reference.uri):
            response = client.get_object(Bucket=bucket, Key=key)
            size = response["ContentLength"]
            body = response["Body"].read() if size <= family.maximum_image_bytes else b""
    except (AccessDenied, InvalidRequest, ObjectMissing) as error:
        return "image_missing", f"{excerpt(key)} cannot be read. {error}"
    if size > family.maximum_image_bytes:
        return "image_bytes", f"{excerpt(reference.uri)} has {size:,} bytes, more than {family.maximum_image_bytes:,}"
    return _content_problem(reference, body, family)


def _content_problem(reference: ImageReference, body: bytes, family: Family) -> tuple[str, str] | None:
    uri = excerpt(reference.uri)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about large images; the size is checked below.
            with Image.open(io.BytesIO(body), formats=PILLOW_FORMATS) as image:
                format, (width, height) = BEDROCK_FORMATS[image.format or ""], image.size
    except _DECODE_ERRORS as error:
        return "image_unreadable", f"{uri} cannot be opened as an image: {_cause(error)}"
    if format != reference.format:
        return "image_format", f"{uri} is {format}, declared as {reference.format}"
    minimum, maximum = family.minimum_image_side, family.maximum_image_side
    if min(width, height) < minimum:
        return "image_small", f"{uri} is {width}x{height} pixels, but each side must be at least {minimum:,}"
    if max(width, height) > maximum:
        return "image_pixels", f"{uri} is {width}x{height} pixels, but each side may be at most {maximum:,}"
    return None


def _cause(error: Exception) -> Any:
    is_unidentified = isinstance(error, Image.UnidentifiedImageError)
    return "the file is empty or has another format" if is_unidentified else error
