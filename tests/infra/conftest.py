from __future__ import annotations

from pathlib import Path

import pytest
from aws_cdk.assertions import Template

from app import Stacks
from tests.support.synthesis import synthesise
from tests.support.xdist_groups import mark_groups

KEY = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
CONFIGURED = {
    "model_kms_key_arn": KEY,
    "bucket_kms_key_arn": KEY,
    "max_usd_per_run": 150,
    "max_usd_per_month": 1000,
    "max_photos": 5000,
    "shared_models": ["holiday-3f2a9c1b7d"],
    "profiles": {"amazon.nova-pro-v1:0": "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/abc"},
    "tags": {"cost-center": "42", "Owner": "photo team"},
    "teachers": ["amazon.nova-pro-v1:0", "us.amazon.nova-pro-v1:0", "global.anthropic.claude-sonnet-4-6"],
}
"""Settings of a stage that adds every kind of optional resource and permission."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of the templates in one process of pytest-xdist: a stage takes seconds to synthesise."""
    mark_groups(items, Path(__file__).parent, lambda _: "templates", {"stacks", "configured"})


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Stacks:
    return synthesise("dev", tmp_path_factory.mktemp("cdk.out"))[1]


@pytest.fixture(scope="session")
def pipeline(stacks: Stacks) -> Template:
    return Template.from_stack(stacks.pipeline)


@pytest.fixture(scope="session")
def storage(stacks: Stacks) -> Template:
    return Template.from_stack(stacks.storage)


@pytest.fixture(scope="session")
def configured_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which ``configured_pipeline`` and ``configured_storage`` write both templates."""
    return tmp_path_factory.mktemp("cdk.out")


@pytest.fixture(scope="session")
def configured(configured_folder: Path) -> Stacks:
    return synthesise("dev", configured_folder, **CONFIGURED)[1]


@pytest.fixture(scope="session")
def configured_pipeline(configured: Stacks) -> Template:
    return Template.from_stack(configured.pipeline)


@pytest.fixture(scope="session")
def configured_storage(configured: Stacks) -> Template:
    return Template.from_stack(configured.storage)
