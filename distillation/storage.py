"""Read and write bytes, JSON and JSON Lines in one S3 bucket."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError
from pydantic import BaseModel

from distillation.bedrock_errors import code_and_message
from distillation.errors import ObjectMissing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK_BYTES = 1 << 16
_MEMORY_BYTES = 1 << 20
_JSON_LINES = "application/jsonl"

DocumentT = TypeVar("DocumentT", bound=BaseModel)


@dataclass(frozen=True)
class Bucket:
    """One S3 bucket."""

    client: S3Client
    name: str

    def read(self, key: str) -> bytes:
        """Return an object's bytes. Raises ``ObjectMissing`` if there is none."""
        return self._body(key).read()

    def read_first(self, key: str, count: int) -> bytes:
        """Return at most the first ``count`` bytes of an object, which must not be empty."""
        return self.client.get_object(Bucket=self.name, Key=key, Range=f"bytes=0-{count - 1}")["Body"].read()

    def get_or_none(self, key: str) -> bytes | None:
        """Return an object's bytes, or None if the object does not exist."""
        try:
            return self.read(key)
        except ObjectMissing:
            return None

    def read_document(self, key: str, kind: type[DocumentT]) -> DocumentT:
        """Return an object as a pydantic model; raises ``ObjectMissing``, or ``ValidationError`` if it is malformed."""
        return kind.model_validate_json(self.read(key))

    def find_document(self, key: str, kind: type[DocumentT]) -> DocumentT | None:
        """Return an object as a pydantic model, or None if it does not exist; raises ``ValidationError``."""
        body = self.get_or_none(key)
        return None if body is None else kind.model_validate_json(body)

    def read_json(self, key: str) -> Any:
        """Return an object parsed as JSON. Raises ``ObjectMissing`` if there is none."""
        return json.loads(self.read(key))

    def iter_lines(self, key: str) -> Iterator[bytes]:
        """Yield an object's lines, with line ends, without reading the whole object. Raises ``ObjectMissing``."""
        with closing(self._body(key)) as body:
            tail = b""
            while chunk := body.read(_CHUNK_BYTES):
                *complete, tail = (tail + chunk).split(b"\n")
                yield from (line + b"\n" for line in complete)
            if tail:
                yield tail

    def read_lines(self, key: str) -> Iterator[dict[str, Any]]:
        """Yield the records of a JSON Lines object. Raises ``ObjectMissing`` if there is none."""
        for line in self.iter_lines(key):
            yield json.loads(line)

    def read_parts(self, prefix: str) -> Iterator[dict[str, Any]]:
        """Yield the records of all JSON Lines objects under a prefix, in key order."""
        for key in self.keys(prefix):
            yield from self.read_lines(key)

    def write(self, key: str, body: bytes | IO[bytes], content_type: str = "application/json") -> None:
        """Write an object; an existing object is replaced."""
        self.client.put_object(Bucket=self.name, Key=key, Body=body, ContentType=content_type)

    def write_json(self, key: str, value: Any) -> None:
        """Write a value as JSON."""
        self.write(key, json.dumps(value, ensure_ascii=False, indent=1).encode())

    def write_document(self, key: str, document: BaseModel) -> None:
        """Write a pydantic model as JSON."""
        self.write(key, document.model_dump_json(indent=1).encode())

    def write_lines(self, key: str, records: Iterable[Any]) -> None:
        """Write records as JSON Lines without a blank last line; ``records`` is consumed one record at a time."""
        with _json_lines_file(records) as body:
            self.client.put_object(Bucket=self.name, Key=key, Body=body, ContentType=_JSON_LINES)

    def put_lines_if_absent(self, key: str, records: Iterable[Any]) -> bool:
        """Write records as JSON Lines unless the object exists; return whether it was written."""
        with _json_lines_file(records) as body:
            return self.put_if_absent(key, body, _JSON_LINES)

    def put_if_absent(self, key: str, body: bytes | IO[bytes], content_type: str = "application/json") -> bool:
        """Write an object unless it exists; return whether it was written."""
        try:
            self.client.put_object(Bucket=self.name, Key=key, Body=body, ContentType=content_type, IfNoneMatch="*")
        except ClientError as error:
            # 409 ConditionalRequestConflict: another writer is creating the object at the same time.
            if code_and_message(error)[0] in ("PreconditionFailed", "ConditionalRequestConflict"):
                return False
            raise
        return True

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys under a prefix, in key order."""
        for item in self.list(prefix):
            yield item["Key"]

    def list(self, prefix: str) -> Iterator[Any]:
        """Yield the entry of ListObjectsV2 for each object under a prefix, in key order."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        for page in pages:
            yield from page.get("Contents", [])

    def _body(self, key: str) -> Any:
        try:
            return self.client.get_object(Bucket=self.name, Key=key)["Body"]
        except self.client.exceptions.NoSuchKey:
            raise ObjectMissing(f"s3://{self.name}/{key} does not exist") from None


@contextmanager
def _json_lines_file(records: Iterable[Any]) -> Iterator[IO[bytes]]:
    """Yield a temporary file with records as JSON Lines; it is kept in memory up to 1 MiB and then on disk."""
    with SpooledTemporaryFile(_MEMORY_BYTES) as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        file.seek(0)
        yield file
