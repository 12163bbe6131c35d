"""The state machine: its definition, substitutions, logs and permissions."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra import access
from infra.state_machine_definition import render
from infra.step_lambda import StepLambda


class StateMachine(Construct):
    """The state machine of ``statemachine/``, allowed to invoke ``steps`` and to read what its Maps list."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        data: s3.IBucket,
        bucket_kms_key_arn: str | None,
        photos: s3.IBucket,
        steps: Mapping[str, StepLambda],
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
            logs=execution_logs(self, cdk.Stack.of(self).stack_name),
            tracing_enabled=True,
        )
        # A separate policy: the machine depends on the role's default policy, so statements that name the machine would
        # be a circular dependency there.
        iam.Policy(
            self,
            "RunMaps",
            roles=[self.machine.role],
            statements=[
                iam.PolicyStatement(actions=["states:StartExecution"], resources=[self.machine.state_machine_arn]),
                iam.PolicyStatement(
                    actions=["states:DescribeExecution", "states:StopExecution"],
                    resources=[self._execution_arns()],
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
        read_splits = access.read_objects(data, "runs/*/splits/*")
        for statement in (read_splits, *access.use_bucket_key(cdk.Stack.of(self), bucket_kms_key_arn, [read_splits])):
            self.machine.add_to_role_policy(statement)

    def _execution_arns(self) -> str:
        return cdk.Stack.of(self).format_arn(
            service="states",
            resource="execution",
            resource_name=f"{self.machine.state_machine_name}*",
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )


def execution_logs(machine: Construct, name: str) -> sfn.LogOptions:
    """Return the log options of a state machine, with a new log group of this name.

    Log groups without the prefix are listed in a CloudWatch Logs resource policy of the account, which is limited to
    5,120 characters. Source: https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
    """
    destination = logs.LogGroup(
        machine,
        "Logs",
        log_group_name=f"/aws/vendedlogs/states/{name}",
        removal_policy=cdk.RemovalPolicy.DESTROY,
        retention=logs.RetentionDays.ONE_MONTH,
    )
    return sfn.LogOptions(destination=destination, level=sfn.LogLevel.ALL)
