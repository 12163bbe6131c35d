"""``make verify-aws``: check assumptions about AWS on a deployed stage. Takes hours and costs about $0.20."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cli.stage import Stage
from local.synthesis import ROOT
from tests.aws.checks import CHECKS
from tests.aws.observed import ObservedRun, observed_run

STAGE = os.environ.get("VERIFY_AWS")
pytestmark = pytest.mark.skipif(
    not STAGE, reason="needs an AWS account and costs about $0.20: run `make verify-aws STAGE=dev`, which asks first"
)


@pytest.fixture(scope="module")
def observed() -> Iterator[ObservedRun]:
    photos = sorted((ROOT / "samples" / "photos").glob("*.jpg"))[:24]
    with observed_run(Stage(STAGE or "", os.environ.get("AWS_REGION", "us-east-1")), photos) as run:
        yield run


@pytest.mark.parametrize("name", CHECKS)
def test_assumption_is_true_on_aws(observed: ObservedRun, name: str) -> None:
    print(f"{name}: {CHECKS[name](observed)}")  # noqa: T201 - for the table in docs/local-vs-aws.md
