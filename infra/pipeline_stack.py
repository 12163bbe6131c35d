"""The functions, the state machine, its triggers and its notifications; safe to destroy and recreate."""

# jsii's protocols name parameters otherwise than its classes do; nothing of ours is wrong there.
# pyright: reportArgumentType=false
from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra import access
from infra.code_version import code_version
from infra.config import StageConfig
from infra.constructs.dependency_layer import DependencyLayer
from infra.constructs.endings import Endings
from infra.constructs.monitoring import Monitoring
from infra.constructs.step_function import ROOT, StepFunction
from infra.constructs.workflow import Workflow

_REQUEST = "runs/*/request.json"


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
        self._layer = DependencyLayer(self, "Dependencies", lockfile=ROOT / "lambdas/requirements.txt")
        self._topic = self._notifications()
        self._dead_letters = self._queue()
        self._bedrock_role = self._role_for_bedrock()
        steps, sweep = self._steps(), self._sweep()
        self.workflow = Workflow(self, "Distillation", data=data, photos=photos, steps=steps)
        endings = Endings(self, "Endings", dead_letters=self._dead_letters, sweep=sweep)
        # On deletion the machine goes first: it ends its executions, which then create no further job.
        self.workflow.node.add_dependency(endings.on_deletion)
        self._start_on_request(self.workflow)
        self._finish_on_ending(self.workflow, [steps["CleanUp"], steps["Notify"]])
        Monitoring(
            self,
            "Monitoring",
            config=config,
            dead_letters=self._dead_letters,
            functions={**steps, "Sweep": sweep},
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

    def _steps(self) -> dict[str, StepFunction]:
        """Return the function of every step, by the name that the state machine's file uses."""
        data, photos, config = self._data, self._photos, self._config
        everywhere = access.list_keys(data)
        return {
            "Prepare": self._step(
                "Prepare",
                access.read(photos, "*distill.json"),
                everywhere,
                access.read(data, _REQUEST, "runs/*/deployment.json", "runs/*/report/report.json"),
                access.write(data, _REQUEST, "work/*/ledger/*"),
                access.bedrock(self, ["GetCustomModelDeployment"], "custom-model-deployment"),
                access.describe_students(self, config.students),
                *access.ask(self, config.teachers, config.profiles),
                access.list_bedrock("ListCustomModels"),
                access.read_quotas(),
                environment={"STAGE_DEFAULTS": self._stage_defaults()},
                timeout=2,
            ),
            "AwaitUpload": self._step("AwaitUpload", access.list_keys(photos), timeout=2),
            "Resize": self._step(
                "Resize",
                access.read(photos, "*"),
                access.read(data, _REQUEST),
                access.write(data, "images/*", "work/*/resize/*"),
                memory=1769,
                timeout=15,
            ),
            "Split": self._step(
                "Split",
                everywhere,
                access.list_keys(photos),
                access.read(photos, "*labels.csv", "*labels.jsonl"),
                access.read(data, _REQUEST, "sets/*", "work/*/resize/*"),
                access.write(data, "runs/*/inventory.jsonl", "runs/*/own-labels.jsonl", "runs/*/splits/*", "sets/*"),
                memory=1024,
                timeout=5,
            ),
            "Estimate": self._step(
                "Estimate",
                everywhere,
                access.read(data, _REQUEST, "calibration/*", "runs/*/splits/*"),
                access.write(data, "runs/*/report/estimate.json"),
                timeout=5,
            ),
            "Label": self._step(
                "Label",
                everywhere,
                access.read(data, _REQUEST, "images/*", "labels/*", "work/turns/*"),
                access.write(data, "labels/*", "work/turns/*", "work/*/label/*", "work/*/ledger/*"),
                *access.ask(self, config.teachers, config.profiles),
                timeout=15,
            ),
            "WriteDataset": self._step(
                "WriteDataset",
                everywhere,
                access.read(data, _REQUEST, "runs/*/own-labels.jsonl", "runs/*/splits/*", "work/*/label/*"),
                access.write(data, "runs/*/dataset/*"),
                memory=1024,
                timeout=5,
            ),
            "ValidateDataset": self._step(
                "ValidateDataset",
                everywhere,
                access.read(data, _REQUEST, "runs/*/dataset/*"),
                memory=1024,
                timeout=5,
            ),
            "Customize": self._step(
                "Customize",
                everywhere,
                access.read(data, _REQUEST, "calibration/*", "runs/*/own-labels.jsonl"),
                access.read(data, "runs/*/splits/*", "work/*/label/*"),
                access.write(data, "work/*/ledger/*"),
                access.customize(self, config.students),
                access.bedrock(
                    self, ["GetModelCustomizationJob", "StopModelCustomizationJob"], "model-customization-job"
                ),
                access.bedrock(self, ["TagResource"], "model-customization-job", "custom-model"),
                iam.PolicyStatement(actions=["iam:PassRole"], resources=[self._bedrock_role.role_arn]),
                *access.encrypt(self, config.custom_model_kms_key_id),
                environment={
                    "BEDROCK_ROLE_ARN": self._bedrock_role.role_arn,
                    "CUSTOM_MODEL_KMS_KEY_ID": config.custom_model_kms_key_id or "",
                    "STUCK_JOB_HOURS": str(config.stuck_job_hours),
                },
                timeout=2,
            ),
            "Deploy": self._step(
                "Deploy",
                access.read(data, _REQUEST),
                access.bedrock(self, ["CreateCustomModelDeployment"], "custom-model"),
                *access.decrypt(self, config.custom_model_kms_key_id),
                access.bedrock(self, ["GetCustomModelDeployment", "TagResource"], "custom-model-deployment"),
                timeout=2,
            ),
            "Predict": self._step(
                "Predict",
                everywhere,
                access.read(data, _REQUEST, "images/*", "labels/*", "work/turns/*", "work/*/answers/*"),
                access.write(data, "labels/*", "work/turns/*", "work/*/answers/*"),
                access.write(data, "work/*/predict/*", "work/*/ledger/*"),
                *access.ask(self, [*config.teachers, *config.students], config.profiles),
                access.ask_deployments(self),
                *access.decrypt(self, config.custom_model_kms_key_id),
                timeout=15,
            ),
            "ListImages": self._step(
                "ListImages",
                everywhere,
                access.read(data, _REQUEST, "calibration/*", "work/*/resize/*"),
                access.write(
                    data, "runs/*/inventory.jsonl", "runs/*/report/estimate.json", "runs/*/splits/images.jsonl"
                ),
                memory=1024,
                timeout=5,
            ),
            "WriteKeywords": self._step(
                "WriteKeywords",
                everywhere,
                access.read(data, _REQUEST, "runs/*/inventory.jsonl", "runs/*/report/estimate.json"),
                access.read(data, "work/*/ledger/*", "work/*/predict/*"),
                access.write(data, "runs/*/keywords.*", "runs/*/ledger.json", "runs/*/report/report.json"),
                memory=1024,
                timeout=5,
            ),
            "Evaluate": self._step(
                "Evaluate",
                everywhere,
                access.read(data, "images/*", "runs/*", "work/*"),
                access.write(
                    data,
                    *("calibration/*", "runs/*/ledger.json", "runs/*/manifest.json"),
                    *("runs/*/predictions/*", "runs/*/report/*"),
                ),
                environment={"CODE_VERSION": code_version(ROOT)},
                layers=[DependencyLayer(self, "Numbers", lockfile=ROOT / "lambdas/evaluate/requirements.txt")],
                memory=1769,
                timeout=15,
            ),
            "Promote": self._step(
                "Promote",
                everywhere,
                access.read(data, _REQUEST, "runs/*/report/report.json"),
                access.write(data, "runs/*/deployment.json"),
                access.bedrock(
                    self,
                    ["GetCustomModelDeployment", "TagResource", "UpdateCustomModelDeployment"],
                    "custom-model-deployment",
                ),
                access.bedrock(self, ["UpdateCustomModelDeployment"], "custom-model"),
            ),
            "CleanUp": self._step(
                "CleanUp",
                everywhere,
                access.read(data, _REQUEST, "runs/*/deployment.json", "runs/*/report/report.json"),
                *access.take_down(self),
                dead_letters=self._dead_letters,
                timeout=10,
            ),
            "Notify": self._step(
                "Notify",
                everywhere,
                access.read(data, _REQUEST, "runs/*/failure.json", "runs/*/report/report.json"),
                iam.PolicyStatement(actions=["sns:Publish"], resources=[self._topic.topic_arn]),
                dead_letters=self._dead_letters,
                environment={"TOPIC_ARN": self._topic.topic_arn},
            ),
            "RecordFailure": self._step(
                "RecordFailure",
                access.write(data, "runs/*/failure.json"),
                access.executions(
                    self, *("states:DescribeExecution", "states:GetExecutionHistory", "states:ListMapRuns")
                ),
                # Of a Map Run: which resource AWS checks for that is documented nowhere.
                iam.PolicyStatement(actions=["states:ListExecutions"], resources=["*"]),
            ),
        }

    def _sweep(self) -> StepFunction:
        return self._step(
            "Sweep",
            access.list_keys(self._data),
            access.read(self._data, _REQUEST, "runs/*/deployment.json", "runs/*/report/report.json"),
            *access.take_down(self),
            access.executions(self, "states:DescribeExecution"),
            dead_letters=self._dead_letters,
            timeout=15,
        )

    def _step(
        self,
        id: str,
        *statements: iam.PolicyStatement,
        dead_letters: sqs.IQueue | None = None,
        environment: dict[str, str] | None = None,
        layers: list[lambda_.LayerVersion] | None = None,
        memory: int = 512,
        timeout: int = 1,
    ) -> StepFunction:
        package = "".join(f"_{c.lower()}" if c.isupper() else c for c in id).lstrip("_")
        return StepFunction(
            self,
            id,
            dead_letters=dead_letters,
            environment={
                "DATA_BUCKET": self._data.bucket_name,
                "PHOTOS_BUCKET": self._photos.bucket_name,
                "STAGE": self._config.stage,
                **(environment or {}),
            },
            layers=[self._layer, *(layers or [])],
            memory_size=memory,
            package=package,
            statements=statements,
            timeout=cdk.Duration.minutes(timeout),
        )

    def _stage_defaults(self) -> str:
        return self.to_json_string(
            {
                "account": self.account,
                "concurrency": self._config.concurrency,
                "images_per_batch": self._config.images_per_batch,
                "profiles": self._config.profiles,
                "quotas": {model: quota.model_dump(exclude_none=True) for model, quota in self._config.quotas.items()},
                "region": self.region,
                "students": self._config.students,
                "teachers": self._config.teachers,
            }
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
