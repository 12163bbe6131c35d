"""IAM policy statements for the steps, with exact actions and key prefixes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns

from distillation.models import catalog, ids

_BUCKET_KEY_ACTIONS = {"s3:GetObject": "kms:Decrypt", "s3:PutObject": "kms:GenerateDataKey"}
"""Actions on the key of an SSE-KMS bucket, keyed by the action on an object that needs them."""


def read_objects(bucket: s3.IBucket, *prefixes: str) -> iam.PolicyStatement:
    """Allow ``s3:GetObject`` under these prefixes."""
    return _object_actions("s3:GetObject", bucket, prefixes)


def write_objects(bucket: s3.IBucket, *prefixes: str) -> iam.PolicyStatement:
    """Allow ``s3:PutObject`` under these prefixes."""
    return _object_actions("s3:PutObject", bucket, prefixes)


def list_keys(bucket: s3.IBucket) -> iam.PolicyStatement:
    """Allow ``s3:ListBucket``. Without it S3 returns 403 instead of 404 for an object that does not exist."""
    return iam.PolicyStatement(actions=["s3:ListBucket"], resources=[bucket.bucket_arn])


def invoke_models(stack: cdk.Stack, models: Sequence[str], profiles: Mapping[str, str]) -> list[iam.PolicyStatement]:
    """Allow invoking ``models``: directly in the stage's Region, or only through their inference profile.

    Inference with a profile also needs `bedrock:GetInferenceProfile` on it.
    Source: "Prerequisites for running model inference", Amazon Bedrock user guide.

    ``profiles`` maps a model id to the ARN of the application inference profile to invoke it through.
    """
    direct = [model for model in dict.fromkeys(models) if model not in profiles and not ids.profile_prefix(model)]
    statements = (
        [_invoke([foundation_model_arn(stack, ids.foundation_id(model)) for model in direct])] if direct else []
    )
    for model in dict.fromkeys(models):
        if model not in direct:
            statements += _invoke_through_profile(stack, model, profiles.get(model))
    return statements


def invoke_deployments(stack: cdk.Stack) -> list[iam.PolicyStatement]:
    """Allow invoking tuned models. Bedrock chooses the ids of their deployments.

    Inference with a custom model also needs `bedrock:GetCustomModel` on it.
    Source: "Prerequisites for running model inference", Amazon Bedrock user guide.
    """
    return [
        bedrock_actions(stack, ["InvokeModel"], "custom-model-deployment"),
        bedrock_actions(stack, ["GetCustomModel"], "custom-model"),
    ]


def bedrock_actions(stack: cdk.Stack, actions: Sequence[str], *kinds: str) -> iam.PolicyStatement:
    """Allow ``actions`` on this account's Bedrock resources of these kinds, for example ``custom-model``."""
    return iam.PolicyStatement(
        actions=[f"bedrock:{action}" for action in actions],
        resources=[stack.format_arn(service="bedrock", resource=kind, resource_name="*") for kind in kinds],
    )


def encrypt_models(stack: cdk.Stack, key: str | None) -> list[iam.PolicyStatement]:
    """Allow encrypting tuned models with the customer managed key, through Bedrock only; empty without a key.

    Source: "Encryption of custom models", Amazon Bedrock user guide.
    """
    return _key_actions(
        stack, key, "bedrock", "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"
    )


def decrypt_models(stack: cdk.Stack, key: str | None) -> list[iam.PolicyStatement]:
    """Allow using tuned models that are encrypted with the customer managed key; empty without a key."""
    return _key_actions(stack, key, "bedrock", "kms:Decrypt")


def use_bucket_key(
    stack: cdk.Stack, key: str | None, statements: Sequence[iam.PolicyStatement]
) -> list[iam.PolicyStatement]:
    """Allow what ``statements`` need on the customer managed key of the buckets, through S3 only; empty without a key.

    Reading an object needs ``kms:Decrypt``, writing one ``kms:GenerateDataKey``.
    Source: "Using server-side encryption with AWS KMS keys (SSE-KMS)", Amazon S3 user guide.
    """
    granted = {action for statement in statements for action in statement.actions}
    actions = [key_action for object_action, key_action in _BUCKET_KEY_ACTIONS.items() if object_action in granted]
    return _key_actions(stack, key, "s3", *actions) if actions else []


def list_bedrock_resources(*actions: str) -> iam.PolicyStatement:
    """Allow Bedrock List actions, which do not support resource-level permissions."""
    return iam.PolicyStatement(actions=[f"bedrock:{action}" for action in actions], resources=["*"])


def delete_bedrock_resources(stack: cdk.Stack) -> list[iam.PolicyStatement]:
    """Allow finding jobs, deployments and models by tag, stopping jobs, and deleting deployments and models.

    ``TagResource`` is for the tag that announces the deletion of a model.
    """
    return [
        list_bedrock_resources("ListCustomModelDeployments", "ListCustomModels", "ListModelCustomizationJobs"),
        bedrock_actions(
            stack,
            ["GetModelCustomizationJob", "ListTagsForResource", "StopModelCustomizationJob"],
            "model-customization-job",
        ),
        bedrock_actions(stack, ["DeleteCustomModel", "ListTagsForResource", "TagResource"], "custom-model"),
        bedrock_actions(stack, ["DeleteCustomModelDeployment", "ListTagsForResource"], "custom-model-deployment"),
    ]


def find_models(stack: cdk.Stack) -> list[iam.PolicyStatement]:
    """Allow finding tuned models by tag."""
    return [
        list_bedrock_resources("ListCustomModels"),
        bedrock_actions(stack, ["ListTagsForResource"], "custom-model"),
    ]


def execution_actions(stack: cdk.Stack, *actions: str) -> iam.PolicyStatement:
    """Allow ``actions`` on executions of any state machine.

    Naming the stage's own machine would be a circular dependency: its definition names the function.
    """
    arn = stack.format_arn(
        service="states", resource="execution", resource_name="*", arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
    )
    return iam.PolicyStatement(actions=list(actions), resources=[arn])


def list_map_run_executions(stack: cdk.Stack) -> iam.PolicyStatement:
    """Allow listing the executions of any Map Run, which is the resource of the action for a ``mapRunArn``."""
    arn = stack.format_arn(
        service="states", resource="mapRun", resource_name="*", arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
    )
    return iam.PolicyStatement(actions=["states:ListExecutions"], resources=[arn])


def describe_students(stack: cdk.Stack, students: Sequence[str]) -> iam.PolicyStatement:
    """Allow ``bedrock:GetFoundationModel`` on the students, to check that Bedrock still trains them."""
    return iam.PolicyStatement(
        actions=["bedrock:GetFoundationModel"],
        resources=[foundation_model_arn(stack, training_id) for training_id in _training_model_ids(students)],
    )


def publish(topic: sns.ITopic) -> iam.PolicyStatement:
    """Allow ``sns:Publish`` on a topic."""
    return iam.PolicyStatement(actions=["sns:Publish"], resources=[topic.topic_arn])


def read_quotas() -> iam.PolicyStatement:
    """Allow reading Service Quotas and Lambda's limits; these actions have no resource-level permissions."""
    actions = ["lambda:GetAccountSettings", "servicequotas:GetAWSDefaultServiceQuota", "servicequotas:GetServiceQuota"]
    return iam.PolicyStatement(actions=actions, resources=["*"])


def create_jobs(stack: cdk.Stack, students: Sequence[str]) -> iam.PolicyStatement:
    """Allow creating customization jobs for the stage's students."""
    return iam.PolicyStatement(
        actions=["bedrock:CreateModelCustomizationJob"],
        resources=[
            *(foundation_model_arn(stack, training_id) for training_id in _training_model_ids(students)),
            *(
                stack.format_arn(service="bedrock", resource=kind, resource_name="*")
                for kind in ("custom-model", "model-customization-job")
            ),
        ],
    )


def foundation_model_arn(stack: cdk.Stack, model: str, region: str | None = None) -> str:
    """Return the ARN of a foundation model, by default in the stage's Region."""
    return stack.format_arn(
        service="bedrock", account="", region=region, resource="foundation-model", resource_name=model
    )


def _invoke_through_profile(stack: cdk.Stack, model: str, application_profile: str | None) -> list[iam.PolicyStatement]:
    """Allow invoking a profile, and its model in the profile's Regions only through that profile.

    Source: "Geographic cross-Region inference" and "Global cross-Region inference", Amazon Bedrock user guide.
    """
    name, prefix = ids.foundation_id(model), ids.profile_prefix(model)
    profile = application_profile or stack.format_arn(
        service="bedrock", resource="inference-profile", resource_name=f"{prefix}.{name}"
    )
    regions = ids.profile_regions(model)
    models = [foundation_model_arn(stack, name, region) for region in regions or [stack.region]]
    through_profile = {"bedrock:InferenceProfileArn": profile}
    get_profile = iam.PolicyStatement(actions=["bedrock:GetInferenceProfile"], resources=[profile])
    statements = [get_profile, _invoke([profile]), _invoke(models, through_profile)]
    if prefix == "global":
        model = foundation_model_arn(stack, name, region="")
        statements.append(_invoke([model], {**through_profile, "aws:RequestedRegion": "unspecified"}))
    return statements


def _invoke(resources: list[str], equals: Mapping[str, str] | None = None) -> iam.PolicyStatement:
    conditions = {"StringEquals": dict(equals)} if equals else None
    return iam.PolicyStatement(actions=["bedrock:InvokeModel"], resources=resources, conditions=conditions)


def _training_model_ids(students: Sequence[str]) -> list[str]:
    return [catalog.get_model(student).training_id or student for student in students]


def _key_actions(stack: cdk.Stack, key: str | None, service: str, *actions: str) -> list[iam.PolicyStatement]:
    """Allow ``actions`` on a key in requests that ``service`` makes for the caller."""
    if key is None:
        return []
    through_service = {"StringEquals": {"kms:ViaService": f"{service}.{stack.region}.amazonaws.com"}}
    return [iam.PolicyStatement(actions=list(actions), resources=[key], conditions=through_service)]


def _object_actions(action: str, bucket: s3.IBucket, prefixes: Sequence[str]) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=[action], resources=[bucket.arn_for_objects(prefix) for prefix in prefixes])
