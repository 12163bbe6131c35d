"""A second CleanUp after a run failed, timed out or was stopped.

A function that had asked Bedrock for a job or a deployment before the end may get its answer after the first CleanUp.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.state_machine import execution_logs
from infra.step_lambda import StepLambda

_MARGIN_SECONDS = 30


class SecondCleanUp(Construct):
    """State machine that waits longer than any of the ``creators`` may run, then invokes ``clean_up`` with its input.

    A Wait state costs nothing while it waits and occupies no function.
    """

    def __init__(self, scope: Construct, id: str, *, clean_up: StepLambda, creators: Sequence[StepLambda]) -> None:
        super().__init__(scope, id)
        longest_seconds = max(creator.timeout.to_seconds() for creator in creators if creator.timeout)
        self.machine = sfn.StateMachine(
            self,
            "StateMachine",
            definition_body=sfn.DefinitionBody.from_string(json.dumps(_definition(longest_seconds + _MARGIN_SECONDS))),
            definition_substitutions={"CleanUpFunctionArn": clean_up.function_arn},
            logs=execution_logs(self, f"{cdk.Stack.of(self).stack_name}-SecondCleanUp"),
            tracing_enabled=True,
        )
        self.machine.add_to_role_policy(
            iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[clean_up.function_arn])
        )


def _definition(seconds: float) -> dict[str, Any]:
    # Retries also cover resources that Bedrock is still changing, and Lambda throttling. They wait 4 hours in total.
    retry = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 60, "BackoffRate": 2, "MaxAttempts": 12}
    return {
        "Comment": "Clean up once more when no function of an ended execution can still create anything.",
        "StartAt": "WaitForFunctions",
        "TimeoutSeconds": 86400,
        "States": {
            "WaitForFunctions": {"Type": "Wait", "Seconds": int(seconds), "Next": "CleanUpAgain"},
            "CleanUpAgain": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Parameters": {"FunctionName": "${CleanUpFunctionArn}", "Payload.$": "$"},
                "TimeoutSeconds": 900,
                "Retry": [retry | {"MaxDelaySeconds": 1800}],
                "End": True,
            },
        },
    }
