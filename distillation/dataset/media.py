"""Open the images that a dataset names: there, as declared, and of a size that Bedrock takes."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError
from PIL import Image

from distillation.bedrock_errors import code_and_message
from distillation.dataset.rules import File, Problem
from distillation.models.catalog import Family

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FORMAT_OF = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png", "GIF": "gif", "WEBP": "webp"}
"""By Pillow's name: Bedrock's name of each format that it takes."""
OPENED_AS = tuple(name for name in FORMAT_OF if name != "MPO")  # an MPO is found out by the JPEG decoder
_AT_ONCE = 8
_BATCH = 256
_DAMAGE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


class Named(NamedTuple):
    """An image where a record names it first."""

    uri: str
    format: str
    line: int
    field: str


def image_problems(lines: Iterable[bytes], file: File, family: Family, client: S3Client) -> Iterator[Problem]:
    """Yield what is wrong with the images themselves; each image is fetched once, and its pixels are not decoded."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for batch in _batches(_named(lines)):
            for one, problem in zip(batch, pool.map(lambda one: _fault(one, family, client), batch), strict=True):
                if problem:
                    yield Problem(problem[0], one.line, one.field, problem[1], file)


def _named(lines: Iterable[bytes]) -> Iterator[Named]:
    known: set[int] = set()
    for number, line in enumerate(lines, start=1):
        try:
            blocks = [
                (f"messages.{place}.content.{index}.image", block["image"])
                for place, message in enumerate(json.loads(line)["messages"])
                for index, block in enumerate(message["content"])
                if isinstance(block.get("image"), dict)
            ]
            for field, image in blocks:
                uri = image["source"]["s3Location"]["uri"]
                if hash(uri) not in known:
                    known.add(hash(uri))
                    yield Named(uri, image["format"].lower(), number, field)
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            continue  # Told by the rules of records.


def _batches(named: Iterator[Named]) -> Iterator[list[Named]]:
    batch: list[Named] = []
    for one in named:
        batch.append(one)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    yield batch


def _fault(named: Named, family: Family, client: S3Client) -> tuple[str, str] | None:
    bucket, _, key = named.uri.removeprefix("s3://").partition("/")
    try:
        found = client.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        return "image_missing", f"{named.uri} cannot be read: {code_and_message(error)[0]}"
    if found["ContentLength"] > family.maximum_image_bytes:
        fact = f"{named.uri} has {found['ContentLength']:,} bytes, more than {family.maximum_image_bytes:,}"
        return "image_bytes", fact
    return _content_fault(named, found["Body"].read(), family)


def _content_fault(named: Named, body: bytes, family: Family) -> tuple[str, str] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of sizes, which are judged below.
            with Image.open(io.BytesIO(body), formats=OPENED_AS) as image:
                format, size = FORMAT_OF[image.format or ""], image.size
    except _DAMAGE as error:
        return "image_unreadable", f"{named.uri} cannot be opened as an image: {_cause(error)}"
    if format != named.format:
        return "image_format", f"{named.uri} is {format}, declared as {named.format}"
    if min(size) < family.minimum_image_side:
        return "image_small", f"{named.uri} has {size[0]}x{size[1]} pixels, less than {family.minimum_image_side}"
    if max(size) > family.maximum_image_side:
        return "image_pixels", f"{named.uri} has {size[0]}x{size[1]} pixels, more than {family.maximum_image_side:,}"
    return None


def _cause(error: Exception) -> Any:
    return "it is empty or of another format" if isinstance(error, Image.UnidentifiedImageError) else error
