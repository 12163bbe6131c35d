from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.support.local_bedrock import client, create_job, error_code, running_endpoint, trainable_bucket, wait_for_job

TAG = {"key": "vision-distillation:run", "value": "run"}


def test_tags_are_added_changed_removed_and_deleted_with_their_resource(tmp_path: Path) -> None:
    with running_endpoint(trainable_bucket(), tmp_path) as endpoint:
        bedrock = client(endpoint, "bedrock")
        job = wait_for_job(endpoint, create_job(endpoint, jobTags=[TAG], customModelTags=[TAG]))
        model = job["outputModelArn"]
        bedrock.tag_resource(resourceARN=model, tags=[TAG | {"value": "other"}, {"key": "more", "value": "1"}])
        bedrock.untag_resource(resourceARN=job["jobArn"], tagKeys=[TAG["key"]])

        tags = bedrock.list_tags_for_resource(resourceARN=model)["tags"]
        assert tags == [TAG | {"value": "other"}, {"key": "more", "value": "1"}]
        assert bedrock.list_tags_for_resource(resourceARN=job["jobArn"])["tags"] == []
        bedrock.delete_custom_model(modelIdentifier=model)
        with pytest.raises(ClientError) as error:
            bedrock.list_tags_for_resource(resourceARN=model)
        assert error_code(error) == "ResourceNotFoundException"
