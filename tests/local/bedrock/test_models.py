from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.support.local_bedrock import STUDENT, client, create_job, error_code, running_endpoint, trainable_bucket

NOVA_2 = "local.student-pixels-2-v1:0:256k"


def test_legacy_model_is_described_as_legacy_and_takes_no_jobs(tmp_path: Path) -> None:
    with running_endpoint(trainable_bucket(), tmp_path, legacy_models=(f"{STUDENT}:300k",)) as endpoint:
        bedrock = client(endpoint, "bedrock")
        states = [
            bedrock.get_foundation_model(modelIdentifier=id)["modelDetails"]["modelLifecycle"]["status"]
            for id in (f"{STUDENT}:300k", STUDENT, NOVA_2)
        ]

        assert states == ["LEGACY", "ACTIVE", "ACTIVE"]
        assert bedrock.get_foundation_model_availability(modelId=STUDENT)["authorizationStatus"] == "AUTHORIZED"
        with pytest.raises(ClientError, match="LEGACY"):
            create_job(endpoint)
        with pytest.raises(ClientError) as error:
            bedrock.get_foundation_model(modelIdentifier="amazon.nova-lite-v1:0:300k")
        assert error_code(error) == "ResourceNotFoundException"
