"""``make verify-aws``: what could not be checked without AWS, on a deployed stage; about $0.20, and hours."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cli.stage import Stage
from local.synthesis import ROOT
from tests.aws.checks import CHECKS
from tests.aws.observed import Observed, observed_run

STAGE = os.environ.get("VERIFY_AWS")
pytestmark = pytest.mark.skipif(
    not STAGE, reason="needs an AWS account and costs about $0.20: run `make verify-aws STAGE=dev`, which asks first"
)


@pytest.fixture(scope="module")
def seen() -> Iterator[Observed]:
    photos = sorted((ROOT / "samples" / "photos").glob("*.jpg"))[:24]
    with observed_run(Stage(STAGE or "", os.environ.get("AWS_REGION", "us-east-1")), photos) as found:
        yield found


@pytest.mark.parametrize("name", CHECKS)
def test_assumption_holds(seen: Observed, name: str) -> None:
    print(f"{name}: {CHECKS[name](seen)}")  # noqa: T201 - for the table in docs/local-vs-aws.md
