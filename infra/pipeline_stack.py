"""The functions, the state machine, its triggers and its notifications; safe to destroy and recreate."""

# jsii's protocols name parameters otherwise than its classes do; nothing of ours is wrong there.
# pyright: reportArgumentType=false
from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra import access
from infra.config import StageConfig
from infra.constructs.endings import Endings
from infra.constructs.monitoring import Monitoring
from infra.constructs.step_function import StepFunction
from infra.constructs.workflow import Workflow
from infra.steps import Steps


class PipelineStack(cdk.Stack):
    """From photos to a tuned model and a report; keeps nothing of its own."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: StageConfig,
        data: s3.IBucket,
        photos: s3.IBucket,
        env: cdk.Environment | None = None,
    ) -> None:
        super().__init__(scope, id, env=env)
        self._config, self._data, self._photos = config, data, photos
        self._topic = self._notifications()
        self._dead_letters = self._queue()
        steps = Steps(
            self,
            bedrock_role=self._role_for_bedrock(),
            config=config,
            data=data,
            dead_letters=self._dead_letters,
            photos=photos,
            topic=self._topic,
        )
        self.workflow = Workflow(self, "Distillation", data=data, photos=photos, steps=steps.of_machine)
        endings = Endings(self, "Endings", dead_letters=self._dead_letters, sweep=steps.sweep)
        # On deletion the machine goes first: it ends its executions, which then create no further job.
        self.workflow.node.add_dependency(endings.on_deletion)
        self._start_on_request(self.workflow)
        self._finish_on_ending(self.workflow, [steps.of_machine["CleanUp"], steps.of_machine["Notify"]])
        Monitoring(
            self,
            "Monitoring",
            config=config,
            dead_letters=self._dead_letters,
            functions={**steps.of_machine, "Sweep": steps.sweep},
            machine=self.workflow.machine,
            topic=self._topic,
        )
        cdk.CfnOutput(self, "StateMachineArn", value=self.workflow.machine.state_machine_arn)
        cdk.CfnOutput(self, "TopicArn", value=self._topic.topic_arn)
        cdk.CfnOutput(
            self,
            "ConsoleLink",
            value=f"https://{self.region}.console.aws.amazon.com/states/home?region={self.region}"
            f"#/statemachines/view/{self.workflow.machine.state_machine_arn}",
        )

    def _role_for_bedrock(self) -> iam.Role:
        """The role that Bedrock assumes in a job: reads datasets and images, writes metrics."""
        jobs = self.format_arn(service="bedrock", resource="model-customization-job", resource_name="*")
        return iam.Role(
            self,
            "BedrockRole",
            assumed_by=iam.ServicePrincipal(
                "bedrock.amazonaws.com",
                conditions={
                    "ArnEquals": {"aws:SourceArn": jobs},
                    "StringEquals": {"aws:SourceAccount": self.account},
                },
            ),
            inline_policies={
                "Job": iam.PolicyDocument(
                    statements=[
                        access.list_keys(self._data),
                        access.read(self._data, "images/*", "runs/*/dataset/*", "runs/*/training/*"),
                        access.write(self._data, "runs/*/training/*"),
                    ]
                )
            },
        )

    def _notifications(self) -> sns.Topic:
        topic = sns.Topic(self, "Notifications", enforce_ssl=True)
        if self._config.notify:
            topic.add_subscription(subscriptions.EmailSubscription(self._config.notify))
        return topic

    def _queue(self) -> sqs.Queue:
        return sqs.Queue(self, "DeadLetters", enforce_ssl=True, retention_period=cdk.Duration.days(14))

    def _start_on_request(self, workflow: Workflow) -> None:
        events.Rule(
            self,
            "StartOnRequest",
            description="A distill.json in a collection starts a run.",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [self._photos.bucket_name]},
                    "object": {"key": [{"suffix": "/distill.json"}]},
                },
            ),
            targets=[targets.SfnStateMachine(workflow.machine, dead_letter_queue=self._dead_letters)],
        )

    def _finish_on_ending(self, workflow: Workflow, functions: list[StepFunction]) -> None:
        events.Rule(
            self,
            "FinishOnEnding",
            description="Clean up and tell after a failure, which Catch may not have seen.",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={
                    "stateMachineArn": [workflow.machine.state_machine_arn],
                    "status": ["FAILED", "TIMED_OUT", "ABORTED"],
                },
            ),
            targets=[targets.LambdaFunction(function, dead_letter_queue=self._dead_letters) for function in functions],
        )
