"""Read and write bytes, JSON and JSON Lines in one S3 bucket.

S3's errors are translated here: ``ServiceUnavailable`` for an outage, also in the middle of a body; ``ObjectMissing``;
``AccessDenied``; and ``InvalidRequest`` for any other error. The state machine retries ``ServiceUnavailable``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError
from pydantic import BaseModel, ValidationError

from distillation.aws_errors import code_and_message, service_errors
from distillation.errors import LABELS_ARE_REUSED, AccessDenied, ObjectDamaged, ObjectMissing, excerpt
from distillation.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK_BYTES = 1 << 16
_MEMORY_BYTES = 1 << 20
_JSON_LINES = "application/jsonl"
_LINE_ENCODER = json.JSONEncoder(ensure_ascii=False)

_DENIED_READS = {
    "AccessDenied": "If the object does not exist, S3 answers the same to a role without s3:ListBucket on the bucket.",
    "InvalidObjectState": "The object is in an archive storage class, such as S3 Glacier. Restore it first.",
}
"""Possible causes of a refused GetObject, by S3's error code.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, under Permissions and Errors.
"""

_CONDITION_FAILED = {"ConditionalRequestConflict", "NoSuchKey", "PreconditionFailed"}
"""Error codes of a conditional write whose condition is not met, or that another write overlaps.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

DocumentT = TypeVar("DocumentT", bound=BaseModel)


@dataclass(frozen=True)
class Bucket:
    """One S3 bucket."""

    client: S3Client
    name: str

    def read(self, key: str, limit: int | None = None) -> bytes:
        """Return an object's bytes, with ``limit`` at most that many of them. Raises ``ObjectMissing``."""
        with closing(self._body(key)) as body, self._errors(key):
            return body.read(limit)

    def read_first(self, key: str, count: int) -> bytes:
        """Return at most the first ``count`` bytes of an object, which must not be empty."""
        with self._errors(key):
            return self.client.get_object(Bucket=self.name, Key=key, Range=f"bytes=0-{count - 1}")["Body"].read()

    def get_or_none(self, key: str) -> bytes | None:
        """Return an object's bytes, or None if the object does not exist."""
        try:
            return self.read(key)
        except ObjectMissing:
            return None

    def read_document(self, key: str, kind: type[DocumentT]) -> DocumentT:
        """Return an object as a pydantic model; raises ``ObjectMissing``, or ``ObjectDamaged`` if it is malformed."""
        return self._parse(key, self.read(key), kind)

    def find_document(self, key: str, kind: type[DocumentT]) -> DocumentT | None:
        """Return an object as a pydantic model, or None if it does not exist; raises ``ObjectDamaged``."""
        body = self.get_or_none(key)
        return None if body is None else self._parse(key, body, kind)

    def find_intact(self, key: str, kind: type[DocumentT]) -> DocumentT | None:
        """Return an object as a pydantic model, or None if it does not exist or is damaged, which is logged."""
        try:
            return self.find_document(key, kind)
        except ObjectDamaged as error:
            logger.warning("damaged object ignored", key=key, error=str(error))
            return None

    def iter_lines(self, key: str) -> Iterator[bytes]:
        """Yield an object's lines, with line ends, without reading the whole object. Raises ``ObjectMissing``."""
        with closing(self._body(key)) as body:
            tail = b""
            while chunk := self._next_chunk(key, body):
                *complete, tail = (tail + chunk).split(b"\n")
                yield from (line + b"\n" for line in complete)
            if tail:
                yield tail

    def read_records(self, key: str, kind: type[DocumentT]) -> Iterator[DocumentT]:
        """Yield the lines of a JSON Lines object as pydantic models. Raises ``ObjectMissing`` or ``ObjectDamaged``."""
        for number, line in enumerate(self.iter_lines(key), 1):
            yield self._parse(key, line, kind, f" line {number}")

    def read_intact_records(self, key: str, kind: type[DocumentT], damaged: list[str]) -> Iterator[DocumentT]:
        """Yield the valid lines of a JSON Lines object as pydantic models; describe the others in ``damaged``.

        Raises ``ObjectMissing``.
        """
        for number, line in enumerate(self.iter_lines(key), 1):
            try:
                yield self._parse(key, line, kind, f" line {number}")
            except ObjectDamaged as error:
                damaged.append(str(error))

    def read_parts(self, prefix: str, kind: type[DocumentT]) -> Iterator[DocumentT]:
        """Yield the lines of all JSON Lines objects under a prefix, in key order. Raises ``ObjectDamaged``."""
        for key in self.keys(prefix):
            yield from self.read_records(key, kind)

    def write(self, key: str, body: bytes | IO[bytes], content_type: str = "application/json") -> None:
        """Write an object; an existing object is replaced."""
        with self._errors(key):
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
            self.write(key, body, _JSON_LINES)

    def put_lines_if_absent(self, key: str, records: Iterable[Any]) -> bool:
        """Write records as JSON Lines unless the object exists; return whether it was written."""
        with _json_lines_file(records) as body:
            return self.put_if_absent(key, body, _JSON_LINES)

    def put_if_absent(self, key: str, body: bytes | IO[bytes], content_type: str = "application/json") -> bool:
        """Write an object unless it exists; return whether it was written."""
        return self._put_if(key, body, content_type, IfNoneMatch="*")

    def find_with_etag(self, key: str, kind: type[DocumentT]) -> tuple[DocumentT, str] | None:
        """Return an object as a pydantic model with its ETag, or None if there is none; raises ``ObjectDamaged``."""
        try:
            response = self._get(key)
        except ObjectMissing:
            return None
        with closing(response["Body"]) as body, self._errors(key):
            content = body.read()
        return self._parse(key, content, kind), response["ETag"]

    def replace_document(self, key: str, document: BaseModel, etag: str | None) -> bool:
        """Write a pydantic model if the object still has this ETag; return whether it was written.

        With None as ``etag``, the object must not exist. If several writers have read the same version, exactly one of
        them succeeds.
        """
        body = document.model_dump_json(indent=1).encode()
        if etag is None:
            return self.put_if_absent(key, body)
        return self._put_if(key, body, "application/json", IfMatch=etag)

    def _put_if(self, key: str, body: bytes | IO[bytes], content_type: str, **condition: Any) -> bool:
        with self._errors(key):
            try:
                self.client.put_object(Bucket=self.name, Key=key, Body=body, ContentType=content_type, **condition)
            except ClientError as error:
                if code_and_message(error)[0] in _CONDITION_FAILED:
                    return False
                raise
        return True

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys under a prefix, in key order."""
        for item in self.list(prefix):
            yield item["Key"]

    def list(self, prefix: str) -> Iterator[Any]:
        """Yield the entry of ListObjectsV2 for each object under a prefix, in key order."""
        paginator = self.client.get_paginator("list_objects_v2")
        with self._errors(f"{prefix}*"):
            for page in paginator.paginate(Bucket=self.name, Prefix=prefix):
                yield from page.get("Contents", [])

    def _parse(self, key: str, body: bytes, kind: type[DocumentT], place: str = "") -> DocumentT:
        try:
            return kind.model_validate_json(body)
        except ValidationError as error:
            raise damaged(f"s3://{self.name}/{key}{place}", error) from None

    def _body(self, key: str) -> Any:
        """Return the open body of an object. Raises ``ObjectMissing``, or ``AccessDenied`` with possible causes."""
        return self._get(key)["Body"]

    def _get(self, key: str) -> Any:
        try:
            with self._errors(key):
                return self.client.get_object(Bucket=self.name, Key=key)
        except ObjectMissing:
            raise ObjectMissing(f"s3://{self.name}/{excerpt(key)} does not exist") from None
        except AccessDenied as error:
            code = code_and_message(error.__cause__)[0] if isinstance(error.__cause__, ClientError) else ""
            raise AccessDenied(f"{error}. {_DENIED_READS.get(code, '')}".rstrip()) from error.__cause__

    def _next_chunk(self, key: str, body: Any) -> bytes:
        with self._errors(key):
            return body.read(_CHUNK_BYTES)

    def _errors(self, key: str) -> AbstractContextManager[None]:
        return service_errors(f"s3://{self.name}/{key}")


def damaged(place: str, error: ValidationError) -> ObjectDamaged:
    """Return the exception for a stored object that is not what the pipeline wrote."""
    first = error.errors(include_url=False)[0]
    name = excerpt(".".join(map(str, first["loc"])))
    field = f"field {name}: " if name else ""
    return ObjectDamaged(
        f"{excerpt(place)} is not what the pipeline wrote: {field}{excerpt(first['msg'])}. "
        f"Start the run again. {LABELS_ARE_REUSED}"
    )


@contextmanager
def _json_lines_file(records: Iterable[Any]) -> Iterator[IO[bytes]]:
    """Yield a temporary file with records as JSON Lines; it is kept in memory up to 1 MiB and then on disk."""
    with SpooledTemporaryFile(_MEMORY_BYTES) as file:
        for record in records:
            file.write(_LINE_ENCODER.encode(record).encode() + b"\n")
        file.seek(0)
        yield file
