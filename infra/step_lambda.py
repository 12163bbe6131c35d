"""The Lambda function of one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.dependency_layer import ARCHITECTURE, RUNTIME

ROOT = Path(__file__).parents[1]
_IGNORED_FILES = [
    *("*", "!/distillation", "!/distillation/**", "!/lambdas", "!/lambdas/**"),
    *("!/samples", "!/samples/prompts", "!/samples/prompts/**", "__pycache__/"),
]


class StepLambda(lambda_.Function):
    """A function that runs ``lambdas/<step>.py``, with a log group and a role of its own.

    The role allows writing logs and what ``statements`` allow. ``dead_letters`` receives events from EventBridge rules
    for which the function failed three times.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        dead_letters: sqs.IQueue | None,
        environment: Mapping[str, str],
        layers: Sequence[lambda_.ILayerVersion],
        memory_size: int,
        step: str,
        statements: Sequence[iam.PolicyStatement],
        timeout: cdk.Duration,
    ) -> None:
        log_group = logs.LogGroup(
            scope,
            f"{id}Logs",
            removal_policy=cdk.RemovalPolicy.DESTROY,
            retention=logs.RetentionDays.ONE_MONTH,
        )
        role = iam.Role(
            scope,
            f"{id}Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            inline_policies={
                "Step": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                            resources=[log_group.log_group_arn],
                        ),
                        *statements,
                    ]
                )
            },
        )
        super().__init__(
            scope,
            id,
            architecture=ARCHITECTURE,
            dead_letter_queue=dead_letters,
            code=lambda_.Code.from_asset(str(ROOT), exclude=_IGNORED_FILES, ignore_mode=cdk.IgnoreMode.GIT),
            environment={"POWERTOOLS_SERVICE_NAME": step, **environment},
            handler=f"lambdas.{step}.handler",
            layers=layers,
            log_group=log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            memory_size=memory_size,
            role=role,
            runtime=RUNTIME,
            timeout=timeout,
        )
