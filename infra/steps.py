"""The function of every step: what it may do, its memory and its time."""

# jsii's protocols name parameters otherwise than its classes do; nothing of ours is wrong there.
# pyright: reportArgumentType=false
from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from infra import access
from infra.code_version import code_version
from infra.config import StageConfig
from infra.constructs.dependency_layer import DependencyLayer
from infra.constructs.step_function import ROOT, StepFunction

_REQUEST = "runs/*/request.json"


class Steps:
    """``of_machine``: the functions that the state machine calls, by the names in its file; ``sweep`` stands alone."""

    def __init__(
        self,
        stack: cdk.Stack,
        *,
        bedrock_role: iam.IRole,
        config: StageConfig,
        data: s3.IBucket,
        dead_letters: sqs.IQueue,
        photos: s3.IBucket,
        topic: sns.ITopic,
    ) -> None:
        self._stack, self._config, self._data, self._photos = stack, config, data, photos
        self._bedrock_role, self._dead_letters, self._topic = bedrock_role, dead_letters, topic
        self._layer = DependencyLayer(stack, "Dependencies", lockfile=ROOT / "infra/layers/common.txt")
        self._list_data = access.list_keys(data)
        self.of_machine = {
            **self._before_paying(),
            **self._labels(),
            **self._models(),
            **self._applying(),
            **self._endings(),
        }
        self.sweep = self._sweep()

    def _before_paying(self) -> dict[str, StepFunction]:
        """Return what runs before anything is paid."""
        stack, data, photos, config = self._stack, self._data, self._photos, self._config
        return {
            "Prepare": self._step(
                "Prepare",
                access.read(photos, "*distill.json"),
                self._list_data,
                access.read(data, _REQUEST, "runs/*/deployment.json", "runs/*/report/report.json"),
                access.write(data, _REQUEST, "work/*/ledger/*"),
                access.bedrock(stack, ["GetCustomModelDeployment"], "custom-model-deployment"),
                access.describe_students(stack, config.students),
                *access.ask(stack, config.teachers, config.profiles),
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
                self._list_data,
                access.list_keys(photos),
                access.read(photos, "*labels.csv", "*labels.jsonl"),
                access.read(data, _REQUEST, "sets/*", "work/*/resize/*"),
                access.write(data, "runs/*/inventory.jsonl", "runs/*/own-labels.jsonl", "runs/*/splits/*", "sets/*"),
                memory=1024,
                timeout=5,
            ),
            "Estimate": self._step(
                "Estimate",
                self._list_data,
                access.read(data, _REQUEST, "calibration/*", "runs/*/splits/*"),
                access.write(data, "runs/*/report/estimate.json"),
                timeout=5,
            ),
        }

    def _labels(self) -> dict[str, StepFunction]:
        """Return what leads from images to a dataset that Bedrock takes."""
        stack, data, config = self._stack, self._data, self._config
        return {
            "Label": self._step(
                "Label",
                self._list_data,
                access.read(data, _REQUEST, "images/*", "labels/*", "work/turns/*"),
                access.write(data, "labels/*", "work/turns/*", "work/*/label/*", "work/*/ledger/*"),
                *access.ask(stack, config.teachers, config.profiles),
                timeout=15,
            ),
            "WriteDataset": self._step(
                "WriteDataset",
                self._list_data,
                access.read(data, _REQUEST, "runs/*/own-labels.jsonl", "runs/*/splits/*", "work/*/label/*"),
                access.write(data, "runs/*/dataset/*"),
                memory=1024,
                timeout=5,
            ),
            "ValidateDataset": self._step(
                "ValidateDataset",
                self._list_data,
                access.read(data, _REQUEST, "runs/*/dataset/*"),
                memory=1024,
                timeout=5,
            ),
        }

    def _models(self) -> dict[str, StepFunction]:
        """Return what leads from a dataset to tuned models, their answers, and what those are worth."""
        stack, data, config = self._stack, self._data, self._config
        return {
            "Customize": self._step(
                "Customize",
                self._list_data,
                access.read(data, _REQUEST, "calibration/*", "runs/*/own-labels.jsonl"),
                access.read(data, "runs/*/splits/*", "work/*/label/*"),
                access.write(data, "work/*/ledger/*"),
                access.customize(stack, config.students),
                access.bedrock(
                    stack, ["GetModelCustomizationJob", "StopModelCustomizationJob"], "model-customization-job"
                ),
                access.bedrock(stack, ["TagResource"], "model-customization-job", "custom-model"),
                iam.PolicyStatement(actions=["iam:PassRole"], resources=[self._bedrock_role.role_arn]),
                *access.encrypt(stack, config.custom_model_kms_key_id),
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
                access.bedrock(stack, ["CreateCustomModelDeployment"], "custom-model"),
                *access.decrypt(stack, config.custom_model_kms_key_id),
                access.bedrock(stack, ["GetCustomModelDeployment", "TagResource"], "custom-model-deployment"),
                timeout=2,
            ),
            "Predict": self._step(
                "Predict",
                self._list_data,
                access.read(data, _REQUEST, "images/*", "labels/*", "work/turns/*", "work/*/answers/*"),
                access.write(data, "labels/*", "work/turns/*", "work/*/answers/*"),
                access.write(data, "work/*/predict/*", "work/*/ledger/*"),
                *access.ask(stack, [*config.teachers, *config.students], config.profiles),
                access.ask_deployments(stack),
                *access.decrypt(stack, config.custom_model_kms_key_id),
                timeout=15,
            ),
            "Evaluate": self._step(
                "Evaluate",
                self._list_data,
                access.read(data, "images/*", "runs/*", "work/*"),
                access.write(
                    data,
                    *("calibration/*", "runs/*/ledger.json", "runs/*/manifest.json"),
                    *("runs/*/predictions/*", "runs/*/report/*"),
                ),
                environment={"CODE_VERSION": code_version(ROOT)},
                layers=[DependencyLayer(stack, "Numbers", lockfile=ROOT / "infra/layers/evaluate.txt")],
                memory=1769,
                timeout=15,
            ),
        }

    def _applying(self) -> dict[str, StepFunction]:
        """Return what answers about a new collection with a tuned model."""
        data = self._data
        return {
            "ListImages": self._step(
                "ListImages",
                self._list_data,
                access.read(data, _REQUEST, "calibration/*", "work/*/resize/*"),
                access.write(
                    data, "runs/*/inventory.jsonl", "runs/*/report/estimate.json", "runs/*/splits/images.jsonl"
                ),
                memory=1024,
                timeout=5,
            ),
            "WriteResults": self._step(
                "WriteResults",
                self._list_data,
                access.read(data, _REQUEST, "runs/*/inventory.jsonl", "runs/*/report/estimate.json"),
                access.read(data, "work/*/ledger/*", "work/*/predict/*"),
                access.write(data, "runs/*/results.*", "runs/*/ledger.json", "runs/*/report/report.json"),
                memory=1024,
                timeout=5,
            ),
        }

    def _endings(self) -> dict[str, StepFunction]:
        """Return what ends a run."""
        stack, data = self._stack, self._data
        return {
            "Promote": self._step(
                "Promote",
                self._list_data,
                access.read(data, _REQUEST, "runs/*/report/report.json"),
                access.write(data, "runs/*/deployment.json"),
                access.bedrock(
                    stack,
                    ["GetCustomModelDeployment", "TagResource", "UpdateCustomModelDeployment"],
                    "custom-model-deployment",
                ),
                access.bedrock(stack, ["UpdateCustomModelDeployment"], "custom-model"),
                *access.decrypt(stack, self._config.custom_model_kms_key_id),
            ),
            "CleanUp": self._step(
                "CleanUp",
                self._list_data,
                access.read(data, _REQUEST, "runs/*/deployment.json", "runs/*/report/report.json"),
                *access.take_down(stack),
                dead_letters=self._dead_letters,
                timeout=10,
            ),
            "Notify": self._step(
                "Notify",
                self._list_data,
                access.read(data, _REQUEST, "runs/*/failure.json", "runs/*/report/report.json"),
                iam.PolicyStatement(actions=["sns:Publish"], resources=[self._topic.topic_arn]),
                dead_letters=self._dead_letters,
                environment={"TOPIC_ARN": self._topic.topic_arn},
            ),
            "RecordFailure": self._step(
                "RecordFailure",
                self._list_data,
                access.read(data, _REQUEST),
                access.write(data, "runs/*/failure.json"),
                access.executions(
                    stack, *("states:DescribeExecution", "states:GetExecutionHistory", "states:ListMapRuns")
                ),
                # Of a Map Run: which resource AWS checks for that is documented nowhere.
                iam.PolicyStatement(actions=["states:ListExecutions"], resources=["*"]),
            ),
        }

    def _sweep(self) -> StepFunction:
        return self._step(
            "Sweep",
            self._list_data,
            access.read(self._data, _REQUEST, "runs/*/deployment.json", "runs/*/report/report.json"),
            *access.take_down(self._stack),
            access.executions(self._stack, "states:DescribeExecution"),
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
        step = "".join(f"_{c.lower()}" if c.isupper() else c for c in id).lstrip("_")
        return StepFunction(
            self._stack,
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
            step=step,
            statements=statements,
            timeout=cdk.Duration.minutes(timeout),
        )

    def _stage_defaults(self) -> str:
        return self._stack.to_json_string(
            {
                "account": self._stack.account,
                "concurrency": self._config.concurrency,
                "images_per_batch": self._config.images_per_batch,
                "profiles": self._config.profiles,
                "quotas": {model: quota.model_dump(exclude_none=True) for model, quota in self._config.quotas.items()},
                "region": self._stack.region,
                "students": self._config.students,
                "teachers": self._config.teachers,
            }
        )
