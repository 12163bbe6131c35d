"""Stack of the functions, the state machine, its triggers, notifications and alarms."""

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
from infra.monitoring import Monitoring
from infra.second_clean_up import SecondCleanUp
from infra.state_machine import StateMachine
from infra.steps import Steps
from infra.sweep_triggers import SweepTriggers


class PipelineStack(cdk.Stack):
    """The pipeline of one stage. It stores no data, so it can be destroyed and created again."""

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
        self._topic = self._notification_topic()
        self._dead_letters = self._dead_letter_queue()
        steps = Steps(
            self,
            bedrock_role=self._bedrock_role(),
            config=config,
            data=data,
            dead_letters=self._dead_letters,
            photos=photos,
            topic=self._topic,
        )
        self.state_machine = StateMachine(
            self,
            "Distillation",
            data=data,
            bucket_kms_key_arn=config.bucket_kms_key_arn,
            photos=photos,
            steps=steps.functions,
        )
        # Renaming "Endings" would replace the custom resource in it, and deleting the old one sweeps the stage.
        triggers = SweepTriggers(self, "Endings", dead_letters=self._dead_letters, sweep=steps.sweep)
        # CloudFormation deletes the machine before the last sweep, so that no execution creates another job.
        self.state_machine.node.add_dependency(triggers.on_deletion)
        self._start_on_request(self.state_machine)
        self._clean_up_after_failure(self.state_machine, steps)
        Monitoring(
            self,
            "Monitoring",
            config=config,
            dead_letters=self._dead_letters,
            functions={**steps.functions, "Sweep": steps.sweep},
            machine=self.state_machine.machine,
            topic=self._topic,
        )
        cdk.CfnOutput(self, "StateMachineArn", value=self.state_machine.machine.state_machine_arn)
        cdk.CfnOutput(self, "TopicArn", value=self._topic.topic_arn)
        cdk.CfnOutput(
            self,
            "ConsoleLink",
            value=f"https://{self.region}.console.aws.amazon.com/states/home?region={self.region}"
            f"#/statemachines/view/{self.state_machine.machine.state_machine_arn}",
        )

    def _bedrock_role(self) -> iam.Role:
        """Return the role that Bedrock assumes in a job to read datasets and images and to write metrics."""
        jobs = self.format_arn(service="bedrock", resource="model-customization-job", resource_name="*")
        statements = [
            access.list_keys(self._data),
            access.read_objects(self._data, "images/*", "runs/*/dataset/*", "runs/*/training/*"),
            access.write_objects(self._data, "runs/*/training/*"),
        ]
        statements += access.use_bucket_key(self, self._config.bucket_kms_key_arn, statements)
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
            inline_policies={"Job": iam.PolicyDocument(statements=statements)},
        )

    def _notification_topic(self) -> sns.Topic:
        topic = sns.Topic(self, "Notifications", enforce_ssl=True)
        if self._config.notify:
            topic.add_subscription(subscriptions.EmailSubscription(self._config.notify))
        return topic

    def _dead_letter_queue(self) -> sqs.Queue:
        return sqs.Queue(self, "DeadLetters", enforce_ssl=True, retention_period=cdk.Duration.days(14))

    def _start_on_request(self, state_machine: StateMachine) -> None:
        events.Rule(
            self,
            "StartOnRequest",
            description="Start a run when distill.json is uploaded to a collection.",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [self._photos.bucket_name]},
                    "object": {"key": [{"suffix": "/distill.json"}]},
                },
            ),
            targets=[targets.SfnStateMachine(state_machine.machine, dead_letter_queue=self._dead_letters)],
        )

    def _clean_up_after_failure(self, state_machine: StateMachine, steps: Steps) -> None:
        clean_up, notify = steps.functions["CleanUp"], steps.functions["Notify"]
        creators = [steps.functions[name] for name in ("Customize", "Deploy")]
        second = SecondCleanUp(self, "SecondCleanUp", clean_up=clean_up, creators=creators)
        events.Rule(
            self,
            "FinishOnEnding",
            description="Clean up and notify after a run failed, timed out or was stopped.",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={
                    "stateMachineArn": [state_machine.machine.state_machine_arn],
                    "status": ["FAILED", "TIMED_OUT", "ABORTED"],
                },
            ),
            targets=[
                targets.LambdaFunction(clean_up, dead_letter_queue=self._dead_letters),
                targets.LambdaFunction(notify, dead_letter_queue=self._dead_letters),
                targets.SfnStateMachine(second.machine, dead_letter_queue=self._dead_letters),
            ],
        )
