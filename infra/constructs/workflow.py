"""The state machine: the file in statemachine/, its substitutions, logs and rights."""

# jsii's protocols name parameters otherwise than its classes do; nothing of ours is wrong there.
# pyright: reportArgumentType=false
from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra import access
from infra.constructs.step_function import StepFunction
from infra.definition import render


class Workflow(Construct):
    """``machine`` runs the definition as it stands in the file, and may do what it says."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        data: s3.IBucket,
        photos: s3.IBucket,
        steps: Mapping[str, StepFunction],
    ) -> None:
        super().__init__(scope, id)
        self.machine = sfn.StateMachine(
            self,
            "StateMachine",
            definition_body=sfn.DefinitionBody.from_string(render()),
            definition_substitutions={
                "DataBucket": data.bucket_name,
                "PhotosBucket": photos.bucket_name,
                **{f"{name}FunctionArn": step.function_arn for name, step in steps.items()},
            },
            logs=sfn.LogOptions(
                destination=logs.LogGroup(
                    self,
                    "Logs",
                    removal_policy=cdk.RemovalPolicy.DESTROY,
                    retention=logs.RetentionDays.ONE_MONTH,
                ),
                level=sfn.LogLevel.ALL,
            ),
            tracing_enabled=True,
        )
        # A policy of its own: as part of the role's default policy these would be a circular
        # dependency, for they name the machine that depends on that policy.
        iam.Policy(
            self,
            "RunMaps",
            roles=[self.machine.role],
            statements=[
                iam.PolicyStatement(actions=["states:StartExecution"], resources=[self.machine.state_machine_arn]),
                iam.PolicyStatement(
                    actions=["states:DescribeExecution", "states:StopExecution"],
                    resources=[self._executions()],
                ),
            ],
        )
        self.machine.add_to_role_policy(
            iam.PolicyStatement(
                actions=["lambda:InvokeFunction"],
                resources=[step.function_arn for step in steps.values()],
            )
        )
        self.machine.add_to_role_policy(access.list_keys(photos))
        self.machine.add_to_role_policy(access.read(data, "runs/*/splits/*"))

    def _executions(self) -> str:
        return cdk.Stack.of(self).format_arn(
            service="states",
            resource="execution",
            resource_name=f"{self.machine.state_machine_name}*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
