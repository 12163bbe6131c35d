"""What a step may do: policy statements with exact actions and key prefixes."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

from lambdas.shared import families


def read(bucket: s3.IBucket, *prefixes: str) -> iam.PolicyStatement:
    """Let read objects under prefixes."""
    return _objects("s3:GetObject", bucket, prefixes)


def write(bucket: s3.IBucket, *prefixes: str) -> iam.PolicyStatement:
    """Let write objects under prefixes."""
    return _objects("s3:PutObject", bucket, prefixes)


def list_keys(bucket: s3.IBucket) -> iam.PolicyStatement:
    """Let list keys. Without it S3 answers 403, not 404, for an object that does not exist."""
    return iam.PolicyStatement(actions=["s3:ListBucket"], resources=[bucket.bucket_arn])


def ask(stack: cdk.Stack, models: Sequence[str]) -> iam.PolicyStatement:
    """Let ask foundation models in this Region."""
    return iam.PolicyStatement(
        actions=["bedrock:InvokeModel"],
        resources=[foundation_model(stack, model) for model in models],
    )


def ask_deployments(stack: cdk.Stack) -> iam.PolicyStatement:
    """Let ask tuned models; their deployments are named by Bedrock when they are made."""
    return bedrock(stack, ["InvokeModel"], "custom-model-deployment")


def bedrock(stack: cdk.Stack, actions: Sequence[str], *kinds: str) -> iam.PolicyStatement:
    """Let act on this account's Bedrock resources of some kinds, such as ``custom-model``."""
    return iam.PolicyStatement(
        actions=[f"bedrock:{action}" for action in actions],
        resources=[stack.format_arn(service="bedrock", resource=kind, resource_name="*") for kind in kinds],
    )


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


def customize(stack: cdk.Stack, students: Sequence[str]) -> iam.PolicyStatement:
    """Let create jobs that tune the stage's students."""
    training_ids = [families.model(student).training_id or student for student in students]
    return iam.PolicyStatement(
        actions=["bedrock:CreateModelCustomizationJob"],
        resources=[
            *(foundation_model(stack, training_id) for training_id in training_ids),
            *(
                stack.format_arn(service="bedrock", resource=kind, resource_name="*")
                for kind in ("custom-model", "model-customization-job")
            ),
        ],
    )


def foundation_model(stack: cdk.Stack, model: str) -> str:
    """Return the ARN of a foundation model in the stack's Region."""
    return stack.format_arn(service="bedrock", account="", resource="foundation-model", resource_name=model)


def _objects(action: str, bucket: s3.IBucket, prefixes: Sequence[str]) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=[action], resources=[bucket.arn_for_objects(prefix) for prefix in prefixes])
