from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from distillation.errors import JobFailed
from tests.support.training_jobs import create_or_describe, job_description


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("Could not validate GetObject permissions to access Amazon S3 bucket: b at key k", "Deploy the stack again"),
        ("Amazon S3 perms missing (PutObject): b/k", "runs/\\*/training/"),
        ("Unable to parse Amazon S3 file: f.jsonl. Data files must conform to JSONL format.", "distill validate"),
        ("Input size exceeded in file f.jsonl for record starting with...", "Shorten the prompt or lower max_tokens"),
        ("Something new", "Something new$"),
    ],
)
def test_error_of_a_failed_job_has_the_message_and_a_remedy(
    bedrock_client: Any, bedrock: Stubber, message: str, remedy: str
) -> None:
    bedrock.add_response("get_model_customization_job", job_description("Failed", failureMessage=message))
    with pytest.raises(JobFailed, match=remedy) as error:
        create_or_describe(bedrock_client)
    assert message.rstrip(".") in str(error.value)
