from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.local_bedrock import (
    client,
    create_deployment,
    create_job,
    error_code,
    running_endpoint,
    trainable_bucket,
    wait_for_job,
)


def test_lists_have_pages_and_filters_by_name_status_and_time(tmp_path: Path) -> None:
    with running_endpoint(trainable_bucket(), tmp_path) as endpoint:
        bedrock = client(endpoint, "bedrock")
        model = wait_for_job(endpoint, create_job(endpoint))["outputModelArn"]
        for number in range(13):
            create_deployment(endpoint, model, f"d{number}")
            for _ in range(2):
                bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=f"d{number}")

        def names(**filters: Any) -> list[str]:
            pages = bedrock.get_paginator("list_custom_model_deployments").paginate(**filters)
            summaries = [summary for page in pages for summary in page["modelDeploymentSummaries"]]
            return [summary["customModelDeploymentName"] for summary in summaries]

        first = bedrock.list_custom_model_deployments()
        assert (len(first["modelDeploymentSummaries"]), "nextToken" in first) == (10, True)
        assert sorted(names()) == sorted(names(maxResults=4)) == sorted(f"d{number}" for number in range(13))
        assert names(sortOrder="Ascending") == names()[::-1]
        assert sorted(names(nameContains="d1")) == ["d1", "d10", "d11", "d12"]
        assert names(statusEquals="Creating") == names(createdBefore=datetime(2026, 1, 1, tzinfo=UTC)) == []
        assert len(names(modelArnEquals=model, createdAfter=datetime(2026, 1, 1, tzinfo=UTC))) == 13
        with pytest.raises(ClientError) as error:
            bedrock.list_custom_model_deployments(nextToken="gone")
        assert error_code(error) == "ValidationException"
