"""The local endpoint with a bucket that has a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.bedrock import Endpoint
from tests.support.fakes import MemoryS3
from tests.support.local_bedrock import running_endpoint, trainable_bucket


@pytest.fixture
def s3() -> MemoryS3:
    return trainable_bucket()


@pytest.fixture
def endpoint(s3: MemoryS3, tmp_path: Path) -> Iterator[Endpoint]:
    with running_endpoint(s3, tmp_path) as endpoint:
        yield endpoint
