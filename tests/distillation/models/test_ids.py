from __future__ import annotations

import pytest

from distillation.errors import InvalidRequest
from distillation.models import ids

PRO = "amazon.nova-pro-v1:0"
SYSTEM = f"arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.{PRO}"
FOUNDATION = f"arn:aws:bedrock:us-east-1::foundation-model/{PRO}"


@pytest.mark.parametrize(
    ("id", "prefix"),
    [(PRO, None), (f"us.{PRO}", "us"), (f"global.{PRO}", "global"), (SYSTEM, "us"), (FOUNDATION, None)],
)
def test_id_of_a_profile_has_a_prefix_before_the_id_of_its_model(id: str, prefix: str | None) -> None:
    assert ids.profile_prefix(id) == prefix
    assert ids.foundation_id(id) == PRO
    assert ids.provider(id) == "amazon"


def test_id_with_an_unknown_prefix_is_not_a_profile() -> None:
    assert ids.profile_prefix("local.student-pixels-v1:0") is None
    assert ids.foundation_id("local.student-pixels-v1:0") == "local.student-pixels-v1:0"


def test_profile_of_another_geography_is_refused_with_its_regions() -> None:
    with pytest.raises(InvalidRequest, match=r"'eu\.amazon.* can be called from eu-central-1, .* not from 'us-east-1'"):
        ids.check_region(f"eu.{PRO}", "us-east-1")
    for id in (PRO, f"us.{PRO}", "global.anthropic.claude-sonnet-4-6", SYSTEM):
        ids.check_region(id, "us-east-1")
