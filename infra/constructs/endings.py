"""What ends things that no step of a run has ended: a daily sweep, and one when the stack is deleted."""

# jsii's protocols name parameters otherwise than its classes do; nothing of ours is wrong there.
# pyright: reportArgumentType=false
from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.step_function import StepFunction


class Endings(Construct):
    """Calls ``sweep`` every day, and on the stack's deletion by ``on_deletion``.

    What must be gone before that last sweep, so that it starts nothing new, depends on ``on_deletion``.
    """

    def __init__(self, scope: Construct, id: str, *, dead_letters: sqs.IQueue, sweep: StepFunction) -> None:
        super().__init__(scope, id)
        events.Rule(
            self,
            "Daily",
            description="Remove what no run keeps, and what has outlived its keep_days.",
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
