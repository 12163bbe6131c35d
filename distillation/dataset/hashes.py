"""Hashes of the dataset files that ValidateDataset checked, so that a job is never created from another file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from distillation import keys
from distillation.documents import DatasetHashes
from distillation.errors import LABELS_ARE_REUSED, DatasetRejected
from distillation.records import Run
from distillation.storage import Bucket

if TYPE_CHECKING:
    from hashlib import _Hash


def hashed_lines(lines: Iterable[bytes], digest: _Hash) -> Iterator[bytes]:
    """Yield the lines of a file and add their bytes to ``digest``."""
    for line in lines:
        digest.update(line)
        yield line


def write_hashes(run: Run, sha256: Mapping[str, str], data: Bucket) -> None:
    """Store the SHA-256 of each validated file, keyed by S3 key."""
    data.write_document(keys.dataset_hashes_key(run.name), DatasetHashes(sha256=dict(sha256)))


def read_hashes(run: Run, data: Bucket) -> DatasetHashes:
    """Return the hashes of the validated files. Raises ``ObjectMissing`` if ValidateDataset wrote none."""
    return data.read_document(keys.dataset_hashes_key(run.name), DatasetHashes)


def file_sha256(key: str, data: Bucket) -> str:
    """Return the SHA-256 of an object in hexadecimal. Raises ``ObjectMissing``."""
    digest = hashlib.sha256()
    for line in data.iter_lines(key):
        digest.update(line)
    return digest.hexdigest()


def check_hash(key: str, hashes: DatasetHashes, data: Bucket) -> None:
    """Raise ``DatasetRejected`` if a dataset file is not the one that was validated, ``ObjectMissing`` if it is gone.

    The file is read once, in chunks.
    """
    sha256, validated = file_sha256(key, data), hashes.sha256.get(key)
    if sha256 != validated:
        raise DatasetRejected(
            f"s3://{data.name}/{key} is not the file that ValidateDataset checked (SHA-256 {sha256} "
            f"instead of {validated or 'none'}). No job was created. Start the run again. {LABELS_ARE_REUSED}"
        )
