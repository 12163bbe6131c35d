"""Worker of a customization job: read the dataset from S3, train the local student, write metrics, add the model."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distillation.dataset.validator import DatasetValidator
from local.bedrock.faults import is_affected
from local.bedrock.protocol import BedrockError
from local.bedrock.service import ARN_PREFIX, Entry, Service, Tag, decode_image, student_of, timestamp

if TYPE_CHECKING:
    import numpy as np

PHASES = ("validationDetails", "dataProcessingDetails", "trainingDetails")
DEFAULT_EPOCHS = 2
_TRAINING_METRICS = "training_artifacts/step_wise_training_metrics.csv"
_VALIDATION_METRICS = "validation_artifacts/post_fine_tuning_validation/validation_metrics.csv"


@dataclass(frozen=True)
class _Example:
    """One record of a dataset."""

    features: np.ndarray
    """Features of the image, shape (2548,). The image itself would need a hundred times the memory."""
    answer: str
    """Text of the answer."""


class _Stopped(Exception):
    """The job was stopped."""


@dataclass(frozen=True)
class JobWorker:
    """The thread of one job."""

    service: Service
    job: Entry
    stop: threading.Event
    """Event that is set when the job is stopped."""
    model_tags: Sequence[Tag]

    def run(self) -> None:
        """Run the job to one of its ends: Completed, Failed or Stopped."""
        faults = self.service.faults
        try:
            training, validation = self._read_datasets()
            if is_affected(faults.stuck_jobs, self.job["jobName"]):
                self.stop.wait()
            self._begin("trainingDetails")
            tuned, validation_loss = self._train(training, validation)
            self.stop.wait(faults.job_seconds)
            self._complete_phase()
            self._complete(tuned, validation_loss)
        except _Stopped:
            self._end("Stopped")
        except Exception as error:  # noqa: BLE001 - as in Bedrock, any failure becomes the job's failure message
            self._end("Failed", failureMessage=str(error))

    def _begin(self, phase: str) -> None:
        self._complete_phase()
        with self.service.lock:
            self.job["statusDetails"][phase].update(status="InProgress", lastModifiedTime=timestamp())

    def _complete_phase(self) -> None:
        """Mark the phase in progress as completed; raise _Stopped if the job was stopped."""
        with self.service.lock:
            if self.stop.is_set():
                raise _Stopped
            self._end_phase("Completed")
            self.job["lastModifiedTime"] = timestamp()

    def _end_phase(self, status: str) -> None:
        for details in self.job["statusDetails"].values():
            if details["status"] == "InProgress":
                details.update(status=status, lastModifiedTime=timestamp())

    def _end(self, status: str, **members: Any) -> None:
        with self.service.lock:
            self._end_phase(status)
            self.job.update(status=status, endTime=timestamp(), lastModifiedTime=timestamp(), **members)

    def _read_datasets(self) -> tuple[list[_Example], list[_Example]]:
        """Return the training and validation examples; raise BedrockError for a dataset that Bedrock refuses."""
        self._begin("validationDetails")
        if is_affected(self.service.faults.failing_jobs, self.job["jobName"]):
            raise BedrockError("ValidationException", self.service.faults.failure_message)
        uri = self.job["trainingDataConfig"]["s3Uri"]
        training = self._read_lines(uri)
        validators = self.job["validationDataConfig"]["validators"]
        validation = [line for validator in validators for line in self._read_lines(validator["s3Uri"])]
        bucket = uri.removeprefix("s3://").partition("/")[0]
        problems = DatasetValidator(student_of(self.job).family, bucket).problems(training, validation or None)
        if error := next((problem for problem in problems if problem.severity == "error"), None):
            raise BedrockError("ValidationException", f"Unable to parse Amazon S3 file: {uri}. {error}")
        self._begin("dataProcessingDetails")
        features: dict[str, np.ndarray] = {}
        examples = [[self._read_example(line, features) for line in lines] for lines in (training, validation)]
        self._complete_phase()
        return examples[0], examples[1]

    def _read_example(self, line: bytes, features: dict[str, np.ndarray]) -> _Example:
        """Return the example of a record; ``features`` caches those of each image, keyed by URI."""
        record = json.loads(line)
        block = next(block["image"] for block in record["messages"][0]["content"] if "image" in block)
        uri = block["source"]["s3Location"]["uri"]
        if uri not in features:
            features[uri] = self.service.features(student_of(self.job).id, decode_image(self._read(uri)))
        return _Example(features[uri], record["messages"][1]["content"][0]["text"])

    def _read_lines(self, uri: str) -> list[bytes]:
        return self._read(uri).splitlines(keepends=True)

    def _read(self, uri: str) -> bytes:
        """Return the bytes of an S3 object with the job role's permissions; raise BedrockError with Bedrock's message.

        Source: "Troubleshooting model customization issues", Amazon Bedrock user guide.
        """
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            self.service.authorise(self._role, "s3:ListBucket", f"arn:aws:s3:::{bucket}")
            return self.service.fetch(uri, self._role)
        except BedrockError as error:
            if error.code != "AccessDeniedException":
                raise
            raise BedrockError(
                "ValidationException",
                f"Could not validate GetObject permissions to access Amazon S3 bucket: {bucket} at key {key}",
            ) from None

    @property
    def _role(self) -> str | None:
        return self.job["roleArn"] if self.service.identity else None

    def _train(self, training: list[_Example], validation: list[_Example]) -> tuple[Any, float | None]:
        """Return the trained student, and its loss on the validation examples or None without any."""
        import numpy as np

        from local.models.learning import learn

        epochs = int(self.job["hyperParameters"].get("epochCount", DEFAULT_EPOCHS))
        tuned = learn(np.stack([example.features for example in training]), [e.answer for e in training], epochs)
        if not validation:
            return tuned, None
        return tuned, tuned.loss(
            np.stack([example.features for example in validation]), [example.answer for example in validation]
        )

    def _complete(self, tuned: Any, validation_loss: float | None) -> None:
        """Write the metrics and add the tuned model."""
        self._write_metrics(_TRAINING_METRICS, "training_loss", tuned.losses)
        last_step, last_epoch, training_loss = tuned.losses[-1]
        if validation_loss is not None:
            self._write_metrics(_VALIDATION_METRICS, "validation_loss", [(last_step, last_epoch, validation_loss)])
            self.job["validationMetrics"] = [{"validationLoss": validation_loss}]
        with self.service.lock:
            if self.stop.is_set():
                raise _Stopped
            self.job["trainingMetrics"] = {"trainingLoss": float(training_loss)}
            model = self._new_model()
            self.service.add_custom_model(model, self.model_tags, tuned)
            self._end("Completed", outputModelArn=model["modelArn"])

    def _write_metrics(self, file: str, column: str, losses: list[tuple[int, int, float]]) -> None:
        """Write a file of metrics; the role of a job may also read them, in the policy that Bedrock documents.

        Source: "Create a service role for model customization", Amazon Bedrock user guide.
        """
        folder = f"{self.job['outputDataConfig']['s3Uri'].rstrip('/')}/model-customization-job-{self._id}"
        rows = "".join(f"{step},{epoch},{loss}\n" for step, epoch, loss in losses)
        body = f"step_number,epoch_number,{column}\n{rows}".encode()
        path = f"{folder}/{file}".removeprefix("s3://")
        action = "GetObject"
        try:
            self.service.authorise(self._role, "s3:GetObject", f"arn:aws:s3:::{path}")
            action = "PutObject"
            self.service.store(f"s3://{path}", body, self._role)
        except BedrockError:
            raise BedrockError("ValidationException", f"Amazon S3 perms missing ({action}): {path}") from None

    @property
    def _id(self) -> str:
        return self.job["jobArn"].rsplit("/", 1)[-1]

    def _new_model(self) -> Entry:
        identical = (
            *("jobArn", "jobName", "baseModelArn", "customizationType", "hyperParameters"),
            *("trainingDataConfig", "validationDataConfig", "outputDataConfig", "trainingMetrics", "validationMetrics"),
        )
        key = {"modelKmsKeyArn": self.job["outputModelKmsKeyArn"]} if "outputModelKmsKeyArn" in self.job else {}
        base = self.job["baseModelArn"].rsplit("/", 1)[-1]
        return {
            "modelArn": f"{ARN_PREFIX}:custom-model/{base}/{self._id}",
            "modelName": self.job["outputModelName"],
            "modelStatus": "Active",
            "creationTime": timestamp(),
            **{name: self.job[name] for name in identical if name in self.job},
            **key,
        }
