from __future__ import annotations

import pytest
from aws_cdk.assertions import Template

from app import Stacks
from local.synthesis import synthesise


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Stacks:
    return synthesise("dev", tmp_path_factory.mktemp("cdk.out"))[1]


@pytest.fixture(scope="session")
def pipeline(stacks: Stacks) -> Template:
    return Template.from_stack(stacks.pipeline)


@pytest.fixture(scope="session")
def storage(stacks: Stacks) -> Template:
    return Template.from_stack(stacks.storage)
