"""What a step may do: policy statements with exact actions and key prefixes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

from distillation.models import catalog


def read(bucket: s3.IBucket, *prefixes: str) -> iam.PolicyStatement:
    """Let read objects under prefixes."""
    return _objects("s3:GetObject", bucket, prefixes)


def write(bucket: s3.IBucket, *prefixes: str) -> iam.PolicyStatement:
    """Let write objects under prefixes."""
    return _objects("s3:PutObject", bucket, prefixes)


def list_keys(bucket: s3.IBucket) -> iam.PolicyStatement:
    """Let list keys. Without it S3 answers 403, not 404, for an object that does not exist."""
    return iam.PolicyStatement(actions=["s3:ListBucket"], resources=[bucket.bucket_arn])


def ask(
    stack: cdk.Stack, models: Sequence[str], profiles: Mapping[str, str] | None = None
) -> list[iam.PolicyStatement]:
    """Let ask foundation models in this Region, and others through their inference profile only.

    ``profiles``: ARN of an application inference profile, by the id of the model that is asked through it.
    """
    by_application = profiles or {}
    distinct = dict.fromkeys(models)
    alone = [model for model in distinct if model not in by_application and not catalog.profile_prefix(model)]
    direct = [_invoke([foundation_model(stack, catalog.foundation_id(model)) for model in alone])] if alone else []
    return direct + [
        statement
        for model in distinct
        if model not in alone
        for statement in _through_profile(stack, model, by_application.get(model))
    ]


def ask_deployments(stack: cdk.Stack) -> iam.PolicyStatement:
    """Let ask tuned models; their deployments are named by Bedrock when they are made."""
    return bedrock(stack, ["InvokeModel"], "custom-model-deployment")


def bedrock(stack: cdk.Stack, actions: Sequence[str], *kinds: str) -> iam.PolicyStatement:
    """Let act on this account's Bedrock resources of some kinds, such as ``custom-model``."""
    return iam.PolicyStatement(
        actions=[f"bedrock:{action}" for action in actions],
        resources=[stack.format_arn(service="bedrock", resource=kind, resource_name="*") for kind in kinds],
    )


def encrypt(stack: cdk.Stack, key: str | None) -> list[iam.PolicyStatement]:
    """Let encrypt tuned models with the customer's key, through Bedrock only; nothing where there is no key.

    "Encryption of custom models", Amazon Bedrock user guide.
    """
    return _key(stack, key, "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey")


def decrypt(stack: cdk.Stack, key: str | None) -> list[iam.PolicyStatement]:
    """Let ask tuned models that are encrypted with the customer's key."""
    return _key(stack, key, "kms:Decrypt")


def list_bedrock(*actions: str) -> iam.PolicyStatement:
    """Let list; Bedrock's List actions know no resources."""
    return iam.PolicyStatement(actions=[f"bedrock:{action}" for action in actions], resources=["*"])


def take_down(stack: cdk.Stack) -> list[iam.PolicyStatement]:
    """Let find jobs, deployments and models by their tags, stop and delete them."""
    tags = "ListTagsForResource"
    return [
        list_bedrock("ListCustomModelDeployments", "ListCustomModels", "ListModelCustomizationJobs"),
        bedrock(stack, ["GetModelCustomizationJob", tags, "StopModelCustomizationJob"], "model-customization-job"),
        bedrock(stack, ["DeleteCustomModel", tags], "custom-model"),
        bedrock(stack, ["DeleteCustomModelDeployment", tags], "custom-model-deployment"),
    ]


def executions(stack: cdk.Stack, *actions: str) -> iam.PolicyStatement:
    """Let act on executions of any machine; naming ours would be a circle, for it names the function."""
    arn = stack.format_arn(
        service="states", resource="execution", resource_name="*", arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
    )
    return iam.PolicyStatement(actions=list(actions), resources=[arn])


def describe_students(stack: cdk.Stack, students: Sequence[str]) -> iam.PolicyStatement:
    """Let see whether the stage's students may still be tuned."""
    return iam.PolicyStatement(
        actions=["bedrock:GetFoundationModel"],
        resources=[foundation_model(stack, training_id) for training_id in _training_ids(students)],
    )


def read_quotas() -> iam.PolicyStatement:
    """Let read quotas; these actions know no resources."""
    actions = ["servicequotas:GetAWSDefaultServiceQuota", "servicequotas:GetServiceQuota"]
    return iam.PolicyStatement(actions=actions, resources=["*"])


def customize(stack: cdk.Stack, students: Sequence[str]) -> iam.PolicyStatement:
    """Let create jobs that tune the stage's students."""
    return iam.PolicyStatement(
        actions=["bedrock:CreateModelCustomizationJob"],
        resources=[
            *(foundation_model(stack, training_id) for training_id in _training_ids(students)),
            *(
                stack.format_arn(service="bedrock", resource=kind, resource_name="*")
                for kind in ("custom-model", "model-customization-job")
            ),
        ],
    )


def foundation_model(stack: cdk.Stack, model: str, region: str | None = None) -> str:
    """Return the ARN of a foundation model, in the stage's Region unless another is given."""
    return stack.format_arn(
        service="bedrock", account="", region=region, resource="foundation-model", resource_name=model
    )


def _through_profile(stack: cdk.Stack, model: str, application: str | None) -> list[iam.PolicyStatement]:
    """Let ask a profile, and the model wherever the profile leads, by no other way.

    "Geographic cross-Region inference" and "Global cross-Region inference", Amazon Bedrock user guide.
    """
    name, prefix = catalog.foundation_id(model), catalog.profile_prefix(model)
    profile = application or stack.format_arn(
        service="bedrock", resource="inference-profile", resource_name=f"{prefix}.{name}"
    )
    regions = catalog.PROFILE_REGIONS[prefix] if prefix else ()
    reached = [foundation_model(stack, name, region) for region in regions or [stack.region]]
    through = {"bedrock:InferenceProfileArn": profile}
    statements = [_invoke([profile]), _invoke(reached, through)]
    if prefix == "global":
        anywhere = foundation_model(stack, name, region="")
        statements.append(_invoke([anywhere], {**through, "aws:RequestedRegion": "unspecified"}))
    return statements


def _invoke(resources: list[str], equals: Mapping[str, str] | None = None) -> iam.PolicyStatement:
    conditions = {"StringEquals": dict(equals)} if equals else None
    return iam.PolicyStatement(actions=["bedrock:InvokeModel"], resources=resources, conditions=conditions)


def _training_ids(students: Sequence[str]) -> list[str]:
    return [catalog.get_model(student).training_id or student for student in students]


def _key(stack: cdk.Stack, key: str | None, *actions: str) -> list[iam.PolicyStatement]:
    if key is None:
        return []
    through = {"StringEquals": {"kms:ViaService": f"bedrock.{stack.region}.amazonaws.com"}}
    return [iam.PolicyStatement(actions=list(actions), resources=[key], conditions=through)]


def _objects(action: str, bucket: s3.IBucket, prefixes: Sequence[str]) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=[action], resources=[bucket.arn_for_objects(prefix) for prefix in prefixes])
