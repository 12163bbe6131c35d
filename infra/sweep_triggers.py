"""Triggers of the Sweep function: every day, and when the stack is deleted."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.step_lambda import StepLambda


class SweepTriggers(Construct):
    """A daily schedule and a custom resource, which both invoke ``sweep``.

    ``on_deletion`` invokes it when the stack is deleted. Add a dependency on ``on_deletion`` to every construct that
    could still create Bedrock resources: CloudFormation then deletes that construct before it sweeps.
    """

    def __init__(self, scope: Construct, id: str, *, dead_letters: sqs.IQueue, sweep: StepLambda) -> None:
        super().__init__(scope, id)
        events.Rule(
            self,
            "Daily",
            description="Delete the models and deployments that no run retains or whose keep_days have passed.",
            schedule=events.Schedule.rate(cdk.Duration.days(1)),
            targets=[targets.LambdaFunction(sweep, dead_letter_queue=dead_letters)],
        )
        self.on_deletion = cdk.CustomResource(
            self,
            "OnDeletion",
            resource_type="Custom::SweepOnDeletion",
            service_timeout=cdk.Duration.minutes(16),
            service_token=sweep.function_arn,
        )
