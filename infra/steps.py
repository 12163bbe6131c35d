"""The function of each step, in the order of the state machine: permissions, memory and timeout."""

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
from infra.dependency_layer import DependencyLayer
from infra.step_lambda import ROOT, StepLambda

_REQUEST = "runs/*/request.json"


class Steps:
    """The functions of one stage.

    ``functions`` are those that the state machine invokes, keyed by the name in its definition. ``sweep`` runs every
    day and when the stack is deleted.
    """

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
        self._layer, self._evaluate_layer = (
            DependencyLayer(
                stack,
                f"{name.capitalize()}Layer",
                lockfile=ROOT / f"infra/layers/{name}.txt",
                bundled=config.bundle_layers,
            )
            for name in ("common", "evaluate")
        )
        self._list_data = access.list_keys(data)
        functions = [
            *self._preparation(),
            *self._labelling(),
            *self._training(),
            *self._evaluation(),
            *self._application(),
            *self._failure(),
        ]
        self.functions = {function.node.id: function for function in functions}
        self.sweep = self._sweep()

    def _preparation(self) -> list[StepLambda]:
        """Return the steps before the first label: accept the request, resize, split, estimate."""
        config, data, photos, stack = self._config, self._data, self._photos, self._stack
        return [
            self._function(
                "Prepare",
                access.list_keys(photos),
                access.read_objects(photos, "*distill.json", "*vocabulary.csv"),
                self._list_data,
                access.read_objects(
                    data, _REQUEST, "images/probe.jpg", "runs/*/deployment.json", "runs/*/report/report.json"
                ),
                access.write_objects(data, _REQUEST, "images/probe.jpg", "work/*/ledger/*"),
                access.read_objects(data, "budget/*"),
                access.write_objects(data, "budget/*"),
                access.bedrock_actions(stack, ["GetCustomModelDeployment"], "custom-model-deployment"),
                access.describe_students(stack, config.students),
                *access.invoke_models(stack, config.teachers, config.profiles),
                access.list_bedrock_resources("ListCustomModels"),
                access.read_quotas(),
                access.execution_actions(stack, "states:DescribeExecution"),
                environment={"STAGE_DEFAULTS": self._stage_defaults()},
                timeout_minutes=5,
            ),
            self._function(
                "AwaitUpload",
                access.list_keys(photos),
                access.write_objects(data, "runs/*/listing.jsonl"),
                environment={"MAX_PHOTOS": str(config.max_photos)},
                timeout_minutes=2,
            ),
            self._function(
                "Resize",
                access.list_keys(photos),
                access.read_objects(photos, "*"),
                access.read_objects(data, _REQUEST),
                access.write_objects(data, "images/*", "work/*/resize/*"),
                memory_mb=1769,
                timeout_minutes=15,
            ),
            self._function(
                "Split",
                self._list_data,
                access.list_keys(photos),
                access.read_objects(photos, "*labels.csv", "*labels.jsonl", "*vocabulary.csv"),
                access.read_objects(data, _REQUEST, "runs/*/listing.jsonl", "sets/*", "work/*/resize/*"),
                access.write_objects(
                    data, "runs/*/inventory.jsonl", "runs/*/own-labels.jsonl", "runs/*/splits/*", "sets/*"
                ),
                memory_mb=1024,
                timeout_minutes=5,
            ),
            self._function(
                "Estimate",
                self._list_data,
                access.read_objects(data, _REQUEST, "calibration/*", "runs/*/report/estimate.json", "runs/*/splits/*"),
                access.write_objects(data, "runs/*/report/estimate.json"),
                timeout_minutes=5,
            ),
        ]

    def _labelling(self) -> list[StepLambda]:
        """Return the steps that label images and write the dataset."""
        config, data, stack = self._config, self._data, self._stack
        return [
            self._function(
                "Label",
                self._list_data,
                access.read_objects(data, _REQUEST, "images/*", "labels/*", "work/locks/*"),
                access.write_objects(data, "labels/*", "work/locks/*", "work/*/label/*", "work/*/ledger/*"),
                *self._announce_waiting(),
                *access.invoke_models(stack, config.teachers, config.profiles),
                environment={"TOPIC_ARN": self._topic.topic_arn},
                timeout_minutes=15,
            ),
            self._function(
                "WriteDataset",
                self._list_data,
                access.read_objects(data, _REQUEST, "runs/*/inventory.jsonl", "runs/*/listing.jsonl"),
                access.read_objects(data, "runs/*/own-labels.jsonl", "runs/*/splits/*", "work/*/label/*"),
                access.write_objects(data, "runs/*/dataset/*"),
                memory_mb=1024,
                timeout_minutes=5,
            ),
            self._function(
                "ValidateDataset",
                self._list_data,
                access.read_objects(data, _REQUEST, "runs/*/dataset/*"),
                access.write_objects(data, "runs/*/dataset/hashes.json"),
                memory_mb=1024,
                timeout_minutes=5,
            ),
        ]

    def _training(self) -> list[StepLambda]:
        """Return the steps that TrainModels runs for each training size."""
        config, data, stack = self._config, self._data, self._stack
        return [
            self._function(
                "Customize",
                self._list_data,
                access.read_objects(data, _REQUEST, "runs/*/own-labels.jsonl"),
                access.read_objects(data, "runs/*/dataset/*", "runs/*/splits/*", "work/*/label/*"),
                access.write_objects(data, "work/*/ledger/*"),
                access.create_jobs(stack, config.students),
                access.bedrock_actions(
                    stack, ["GetModelCustomizationJob", "StopModelCustomizationJob"], "model-customization-job"
                ),
                access.list_bedrock_resources("ListCustomModels", "ListModelCustomizationJobs"),
                access.bedrock_actions(stack, ["TagResource"], "model-customization-job"),
                access.bedrock_actions(stack, ["GetCustomModel", "ListTagsForResource", "TagResource"], "custom-model"),
                access.execution_actions(stack, "states:DescribeExecution"),
                iam.PolicyStatement(actions=["iam:PassRole"], resources=[self._bedrock_role.role_arn]),
                *access.encrypt_models(stack, config.model_kms_key_arn),
                environment={
                    "BEDROCK_ROLE_ARN": self._bedrock_role.role_arn,
                    "MODEL_KMS_KEY_ARN": config.model_kms_key_arn or "",
                    "STUCK_JOB_HOURS": str(config.stuck_job_hours),
                },
                timeout_minutes=2,
            ),
            self._function(
                "Deploy",
                self._list_data,
                access.read_objects(data, _REQUEST, "images/*", "runs/*/splits/*", "work/*/answers/*"),
                access.write_objects(data, "work/*/answers/*", "work/*/ledger/*"),
                *self._announce_waiting(),
                access.list_bedrock_resources("ListCustomModelDeployments"),
                access.bedrock_actions(stack, ["CreateCustomModelDeployment"], "custom-model"),
                *access.invoke_deployments(stack),
                *access.decrypt_models(stack, config.model_kms_key_arn),
                access.bedrock_actions(
                    stack,
                    ["DeleteCustomModelDeployment", "GetCustomModelDeployment", "TagResource"],
                    "custom-model-deployment",
                ),
                access.execution_actions(stack, "states:DescribeExecution"),
                environment={"TOPIC_ARN": self._topic.topic_arn},
                timeout_minutes=5,
            ),
        ]

    def _evaluation(self) -> list[StepLambda]:
        """Return the steps that compare the models, promote one, delete the others and notify."""
        config, data, stack = self._config, self._data, self._stack
        return [
            self._function(
                "Predict",
                self._list_data,
                access.read_objects(data, _REQUEST, "images/*", "labels/*", "work/locks/*", "work/*/answers/*"),
                access.read_objects(data, "runs/*/own-labels.jsonl", "runs/*/splits/train.jsonl"),
                access.write_objects(data, "labels/*", "work/locks/*", "work/*/answers/*"),
                access.write_objects(data, "work/*/baseline/*", "work/*/predict/*", "work/*/ledger/*"),
                *self._announce_waiting(),
                *access.invoke_models(stack, [*config.teachers, *config.students], config.profiles),
                *access.invoke_deployments(stack),
                *access.decrypt_models(stack, config.model_kms_key_arn),
                environment={"TOPIC_ARN": self._topic.topic_arn},
                timeout_minutes=15,
            ),
            self._function(
                "Baseline",
                self._list_data,
                access.read_objects(data, _REQUEST, "labels/*", "runs/*/inventory.jsonl", "runs/*/listing.jsonl"),
                access.read_objects(data, "runs/*/own-labels.jsonl", "runs/*/report/estimate.json", "runs/*/splits/*"),
                access.read_objects(data, "work/*/baseline/*", "work/*/label/*"),
                access.write_objects(data, "runs/*/predictions/*", "runs/*/report/baseline.json"),
                layers=[self._evaluate_layer],
                memory_mb=1024,
                timeout_minutes=5,
            ),
            self._function(
                "Evaluate",
                self._list_data,
                access.read_objects(data, "calibration/*", "images/*", "runs/*", "work/*"),
                access.write_objects(
                    data,
                    "calibration/*",
                    "runs/*/ledger.json",
                    "runs/*/manifest.json",
                    "runs/*/predictions/*",
                    "runs/*/report/*",
                ),
                environment={"CODE_VERSION": code_version(ROOT)},
                layers=[self._evaluate_layer],
                memory_mb=1769,
                timeout_minutes=15,
            ),
            self._function(
                "Promote",
                self._list_data,
                access.read_objects(data, _REQUEST, "runs/*/report/report.json"),
                access.write_objects(data, "runs/*/deployment.json"),
                access.bedrock_actions(
                    stack,
                    ["GetCustomModelDeployment", "TagResource", "UpdateCustomModelDeployment"],
                    "custom-model-deployment",
                ),
                access.bedrock_actions(stack, ["UpdateCustomModelDeployment"], "custom-model"),
                *access.decrypt_models(stack, config.model_kms_key_arn),
            ),
            self._function(
                "CleanUp",
                self._list_data,
                access.read_objects(data, _REQUEST, "runs/*/deployment.json", "runs/*/report/report.json"),
                *access.delete_bedrock_resources(stack),
                access.execution_actions(stack, "states:DescribeExecution"),
                dead_letters=self._dead_letters,
                timeout_minutes=10,
            ),
            self._function(
                "Notify",
                self._list_data,
                access.read_objects(data, _REQUEST, "runs/*/failure.json", "runs/*/report/report.json"),
                access.publish(self._topic),
                *access.find_models(stack),
                dead_letters=self._dead_letters,
                environment={"TOPIC_ARN": self._topic.topic_arn},
            ),
        ]

    def _application(self) -> list[StepLambda]:
        """Return the steps that only a request with ``apply`` needs."""
        data = self._data
        return [
            self._function(
                "ListImages",
                self._list_data,
                access.list_keys(self._photos),
                access.read_objects(data, _REQUEST, "calibration/*", "runs/*/listing.jsonl", "work/*/resize/*"),
                access.read_objects(data, "runs/*/report/report.json"),
                access.write_objects(
                    data, "runs/*/inventory.jsonl", "runs/*/report/estimate.json", "runs/*/splits/images.jsonl"
                ),
                memory_mb=1024,
                timeout_minutes=5,
            ),
            self._function(
                "WriteResults",
                self._list_data,
                access.read_objects(data, _REQUEST, "runs/*/inventory.jsonl", "runs/*/listing.jsonl"),
                access.read_objects(data, "runs/*/report/estimate.json", "runs/*/report/report.json"),
                access.read_objects(data, "runs/*/splits/images.jsonl", "work/*/ledger/*", "work/*/predict/*"),
                access.write_objects(data, "runs/*/results.*", "runs/*/ledger.json", "runs/*/report/report.json"),
                layers=[self._evaluate_layer],
                memory_mb=1024,
                timeout_minutes=5,
            ),
        ]

    def _failure(self) -> list[StepLambda]:
        """Return the step that records why a run failed."""
        data, stack = self._data, self._stack
        return [
            self._function(
                "RecordFailure",
                self._list_data,
                access.read_objects(data, _REQUEST),
                access.write_objects(data, "runs/*/failure.json"),
                access.execution_actions(stack, "states:DescribeExecution", "states:ListMapRuns"),
                access.list_map_run_executions(stack),
                *access.find_models(stack),
            ),
        ]

    def _sweep(self) -> StepLambda:
        """Return the step that deletes what no run retains."""
        return self._function(
            "Sweep",
            self._list_data,
            access.read_objects(self._data, _REQUEST, "runs/*/deployment.json", "runs/*/report/report.json"),
            *access.delete_bedrock_resources(self._stack),
            access.execution_actions(self._stack, "states:DescribeExecution"),
            dead_letters=self._dead_letters,
            timeout_minutes=15,
        )

    def _announce_waiting(self) -> list[iam.PolicyStatement]:
        """Allow one notification per run when its batches wait for a daily quota."""
        return [access.write_objects(self._data, "work/*/daily-quota.json"), access.publish(self._topic)]

    def _function(
        self,
        id: str,
        *statements: iam.PolicyStatement,
        dead_letters: sqs.IQueue | None = None,
        environment: dict[str, str] | None = None,
        layers: list[lambda_.LayerVersion] | None = None,
        memory_mb: int = 512,
        timeout_minutes: int = 1,
    ) -> StepLambda:
        """Return the function of the step ``id`` with its permissions, memory and timeout."""
        step = "".join(f"_{c.lower()}" if c.isupper() else c for c in id).lstrip("_")
        return StepLambda(
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
            memory_size=memory_mb,
            step=step,
            statements=[*statements, *access.use_bucket_key(self._stack, self._config.bucket_kms_key_arn, statements)],
            timeout=cdk.Duration.minutes(timeout_minutes),
        )

    def _stage_defaults(self) -> str:
        """Return the stage's defaults for requests, as JSON for Prepare's environment."""
        return self._stack.to_json_string(
            {
                "account": self._stack.account,
                "concurrency": self._config.concurrency,
                "images_per_batch": self._config.images_per_batch,
                "max_photos": self._config.max_photos,
                "max_usd_per_month": self._config.max_usd_per_month,
                "max_usd_per_run": self._config.max_usd_per_run,
                "profiles": self._config.profiles,
                "quotas": {model: quota.model_dump(exclude_none=True) for model, quota in self._config.quotas.items()},
                "region": self._stack.region,
                "shared_models": self._config.shared_models,
                "stage": self._config.stage,
                "students": self._config.students,
                "tags": self._config.tags,
                "teachers": self._config.teachers,
            }
        )
