"""Texts about kept models, against the local Bedrock endpoint."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.stub import Stubber

from distillation.serving.kept_models import kept_models_text
from distillation.serving.tags import USED_BY_PREFIX
from local.bedrock import Endpoint
from tests.support.bedrock_state import ARN, BASE, add_resources
from tests.support.builders import any_run

ENDED = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_text_names_the_models_that_the_run_trained_or_reused_their_cost_and_how_to_resume(
    endpoint: Endpoint, client: Any
) -> None:
    add_resources(endpoint, "holiday-1", 12, stage="test")
    add_resources(endpoint, "earlier", 6, stage="test")
    add_resources(endpoint, "other", 3, stage="test")
    tag = {"key": f"{USED_BY_PREFIX}holiday-1", "value": ""}
    endpoint.service.tags[f"{ARN}:custom-model/{BASE}/{6:012x}"].append(tag)

    assert kept_models_text(any_run(), client, ENDED) == (
        "Tuned models kept until 2026-11-28: earlier-n6-a1, holiday-1-n12-a1. Storage costs $1.95 a month for each. To "
        "resume, upload distill.json again (or start the same request again): the same training is reused until "
        "2026-11-28 and not paid for twice."
    )


def test_text_is_empty_without_a_model_or_if_none_is_kept_after_a_failure(endpoint: Endpoint, client: Any) -> None:
    assert kept_models_text(any_run(), client, ENDED) == ""
    add_resources(endpoint, "holiday-1", 12, stage="test")

    assert kept_models_text(any_run(keep_on_failure_days=0), client, ENDED) == ""
    assert "until 2026-12-02" in kept_models_text(any_run(keep_on_failure_days=7), client, ENDED)


def test_text_names_no_model_if_bedrock_does_not_answer() -> None:
    client: Any = boto3.client("bedrock")
    with Stubber(client) as bedrock:
        bedrock.add_client_error("list_custom_models", "AccessDeniedException")
        text = kept_models_text(any_run(), client, ENDED)

    assert text.startswith("If a job had completed: its tuned model is kept until 2026-11-28. Storage costs $1.95")
