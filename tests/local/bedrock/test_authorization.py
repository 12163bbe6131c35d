"""Permissions that the endpoint requires, against the Service Authorization Reference."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local.bedrock import Endpoint, Faults
from local.bedrock.endpoint import OPERATIONS
from tests.support.local_bedrock import (
    STUDENT,
    TEACHER,
    Permissions,
    client,
    converse,
    create_job,
    error_code,
    running_endpoint,
    trainable_bucket,
    wait_for_job,
)
from tests.support.service_authorization import resource_types

TAG = {"key": "k", "value": "v"}
PROFILE = "arn:aws:bedrock:us-east-1:000000000000:application-inference-profile/p"
ACTION_OF_OPERATION = {"Converse": "InvokeModel"}
OF_ONE_TYPE = {"InvokeModel", "ListTagsForResource", "TagResource", "UntagResource"}
"""Actions whose requests name one resource, which may be of any of the types that the reference lists."""


class RecordingPermissions(Permissions):
    """Identity of a caller with all permissions except one on one type of resource, which records what was checked."""

    def __init__(self, action: str = "", kind: str = "") -> None:
        super().__init__()
        self.missing = (action, kind)
        self.checked: set[tuple[str, str]] = set()

    def allowed(
        self, principal: str, action: str, resource: str, via: str | None = None, profile: str | None = None
    ) -> bool:
        """Return whether the permission on this type of resource is not the missing one."""
        permission = action, "" if resource == "*" else resource.split(":", 5)[-1].split("/")[0]
        self.checked.add(permission)
        return permission != self.missing


def use_every_operation(endpoint: Endpoint) -> None:
    """Call each operation of the endpoint, from the creation of jobs to the deletion of a model."""
    bedrock, endpoint.service.profiles[PROFILE] = client(endpoint, "bedrock"), TEACHER
    jobs = [create_job(endpoint, f"run-n10-a{n}", jobTags=[TAG], customModelTags=[TAG]) for n in (1, 2)]
    models = [wait_for_job(endpoint, job)["outputModelArn"] for job in jobs]
    deployment = bedrock.create_custom_model_deployment(modelDeploymentName="d", modelArn=models[0], tags=[TAG])
    arn = deployment["customModelDeploymentArn"]
    for _ in range(2):
        bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=arn)
    for resource in (jobs[0], models[0], arn):
        bedrock.tag_resource(resourceARN=resource, tags=[TAG])
        bedrock.list_tags_for_resource(resourceARN=resource)
        bedrock.untag_resource(resourceARN=resource, tagKeys=[TAG["key"]])
    for model in (TEACHER, PROFILE, arn):
        converse(endpoint, model)
    bedrock.update_custom_model_deployment(customModelDeploymentIdentifier=arn, modelArn=models[1])
    bedrock.get_custom_model(modelIdentifier=models[0])
    bedrock.get_foundation_model(modelIdentifier=f"{STUDENT}:300k")
    bedrock.get_foundation_model_availability(modelId=TEACHER)
    for operation in ("list_custom_models", "list_custom_model_deployments", "list_model_customization_jobs"):
        getattr(bedrock, operation)()
    bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=arn)
    bedrock.delete_custom_model(modelIdentifier=models[0])
    endpoint.service.faults = Faults(job_seconds=60)
    bedrock.stop_model_customization_job(jobIdentifier=create_job(endpoint, "run-n10-a3"))


@pytest.fixture(scope="module")
def permissions(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """Return actions and types of resources that the endpoint checks."""
    identity = RecordingPermissions()
    with running_endpoint(trainable_bucket(), tmp_path_factory.mktemp("models"), identity) as endpoint:
        use_every_operation(endpoint)
    return identity.checked


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operation_requires_its_action_on_each_type_of_the_reference(
    permissions: set[tuple[str, str]], operation: str
) -> None:
    action = f"bedrock:{ACTION_OF_OPERATION.get(operation, operation)}"
    checked = {kind for name, kind in permissions if name == action}
    listed = resource_types(action)

    if operation in ("Converse", *OF_ONE_TYPE):
        assert checked
        assert checked <= listed
    else:
        assert checked == (listed or {""})


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("bedrock:CreateModelCustomizationJob", "custom-model"),
        ("bedrock:CreateModelCustomizationJob", "foundation-model"),
        ("bedrock:TagResource", "custom-model"),
        ("bedrock:UpdateCustomModelDeployment", "custom-model"),
        ("bedrock:UpdateCustomModelDeployment", "custom-model-deployment"),
        ("bedrock:GetCustomModel", "custom-model"),
        ("bedrock:GetInferenceProfile", "application-inference-profile"),
        ("bedrock:InvokeModel", "foundation-model"),
        ("iam:PassRole", "role"),
    ],
)
def test_caller_without_a_permission_on_one_type_of_resource_is_denied(tmp_path: Path, action: str, kind: str) -> None:
    identity = RecordingPermissions(action, kind)
    with (
        running_endpoint(trainable_bucket(), tmp_path, identity) as endpoint,
        pytest.raises(ClientError, match=action) as error,
    ):
        use_every_operation(endpoint)

    assert error_code(error) in ("AccessDeniedException", "AccessDenied")
