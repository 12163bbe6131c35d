"""Read and write bytes, JSON and JSON Lines in one S3 bucket."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from distillation.bedrock_errors import code_and_message
from distillation.errors import DistillationError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK = 1 << 16
_SPOOLED_BYTES = 1 << 20
_JSON_LINES = "application/jsonl"


class ObjectMissing(DistillationError):
    """An object that an earlier step writes is not there."""


@dataclass(frozen=True)
class Bucket:
    """One bucket."""

    client: S3Client
    name: str

    def read(self, key: str) -> bytes:
        """Return an object's bytes; raises ``ObjectMissing``."""
        return self._body(key).read()

    def read_first(self, key: str, count: int) -> bytes:
        """Return the first bytes of an object that is not empty, at most ``count`` of them."""
        return self.client.get_object(Bucket=self.name, Key=key, Range=f"bytes=0-{count - 1}")["Body"].read()

    def get_or_none(self, key: str) -> bytes | None:
        """Return an object's bytes, or None when there is no such object."""
        try:
            return self.read(key)
        except ObjectMissing:
            return None

    def read_json(self, key: str) -> Any:
        """Return an object parsed as JSON; raises ``ObjectMissing``."""
        return json.loads(self.read(key))

    def iter_lines(self, key: str) -> Iterator[bytes]:
        """Yield an object's lines, each with its line end, holding one at a time; raises ``ObjectMissing``."""
        with closing(self._body(key)) as body:
            tail = b""
            while chunk := body.read(_CHUNK):
                *whole, tail = (tail + chunk).split(b"\n")
                yield from (line + b"\n" for line in whole)
            if tail:
                yield tail

    def read_lines(self, key: str) -> Iterator[dict[str, Any]]:
        """Yield the records of a JSON Lines object; raises ``ObjectMissing``."""
        for line in self.iter_lines(key):
            yield json.loads(line)

    def read_parts(self, prefix: str) -> Iterator[dict[str, Any]]:
        """Yield the records of all JSON Lines objects under a prefix, in the order of their keys."""
        for key in self.keys(prefix):
            yield from self.read_lines(key)

    def write(self, key: str, body: bytes | IO[bytes], content_type: str = "application/json") -> None:
        """Write an object, replacing what was there."""
        self.client.put_object(Bucket=self.name, Key=key, Body=body, ContentType=content_type)

    def write_json(self, key: str, value: Any) -> None:
        """Write a value as JSON."""
        self.write(key, json.dumps(value, ensure_ascii=False, indent=1).encode())

    def write_lines(self, key: str, records: Iterable[Any]) -> None:
        """Write records as JSON Lines, one held at a time, without a blank line at the end of the file."""
        with _spooled(records) as body:
            self.client.put_object(Bucket=self.name, Key=key, Body=body, ContentType=_JSON_LINES)

    def put_lines_if_absent(self, key: str, records: Iterable[Any]) -> bool:
        """Write records as JSON Lines unless the object exists already; return whether it was written."""
        with _spooled(records) as body:
            return self.put_if_absent(key, body, _JSON_LINES)

    def put_if_absent(self, key: str, body: bytes | IO[bytes], content_type: str = "application/json") -> bool:
        """Write an object unless it exists already; return whether it was written."""
        try:
            self.client.put_object(Bucket=self.name, Key=key, Body=body, ContentType=content_type, IfNoneMatch="*")
        except ClientError as error:
            # 409: another writer is at it this moment; either way the object is, or will be, there.
            if code_and_message(error)[0] in (
                "PreconditionFailed",
                "ConditionalRequestConflict",
            ):
                return False
            raise
        return True

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys under a prefix, in order."""
        for item in self.list(prefix):
            yield item["Key"]

    def list(self, prefix: str) -> Iterator[Any]:
        """Yield what ListObjectsV2 tells of each object under a prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        for page in pages:
            yield from page.get("Contents", [])

    def _body(self, key: str) -> Any:
        try:
            return self.client.get_object(Bucket=self.name, Key=key)["Body"]
        except self.client.exceptions.NoSuchKey:
            raise ObjectMissing(f"s3://{self.name}/{key} does not exist") from None


@contextmanager
def _spooled(records: Iterable[Any]) -> Iterator[IO[bytes]]:
    """Give records as a file of JSON Lines: in memory while it is small, then on disk."""
    with SpooledTemporaryFile(_SPOOLED_BYTES) as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        file.seek(0)
        yield file
