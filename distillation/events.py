"""Events that the state machine sends to each step, and results that it reads; the names of their fields are its paths.

An event may carry more than a step reads, so unknown fields are ignored. A result has exactly the fields that the
state machine selects.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from distillation.records import (
    AnswerLine,
    Concurrency,
    ImageSource,
    InventoryLine,
    Record,
    Round,
    SetName,
    TrainedModel,
)


class Event(BaseModel):
    """Base of an event: immutable; unknown fields are ignored."""

    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)


class PrepareEvent(Event):
    """Event of Prepare, which reads the execution's input from Step Functions."""

    execution: str
    """ARN of the execution. Its input is an S3 event from EventBridge, or a request with ``collection``."""


class RunEvent(Event):
    """Event of a step that needs the run alone."""

    run: str
    """Name of the run."""


class EstimateEvent(RunEvent):
    """Event of Estimate."""

    previous: int
    """Number of the round before; -1 if there is none."""


class AwaitUploadEvent(RunEvent):
    """Event of AwaitUpload."""

    collection: str
    """Prefix in the Photos bucket."""
    previous: str
    """Digest of the listing before; empty at first."""


class S3Item(Event):
    """A listed photo, as the ItemReader of a Distributed Map gives it."""

    key: str = Field(alias="Key")
    """Key in the Photos bucket."""
    size: int = Field(default=0, alias="Size")
    """Bytes."""


class ImageItem(Event):
    """A line of a list of images."""

    image: str
    """SHA-256 of the image's bytes, in hexadecimal."""
    set: SetName | None = None
    """Set that the image is in."""
    ceiling: bool = False
    """Whether the teacher is asked a second time, for the ceiling."""
    audit: bool = False
    """Whether the teacher is asked as well, for the audit of a run with ``apply``."""


class RunInput(Event):
    """Input that all batches of ResizePhotos share."""

    run: str
    """Name of the run."""


class AskInput(RunInput):
    """Input that all batches of LabelImages, PredictTestImages or PredictImages share."""

    concurrent_batches: int = Field(ge=1)
    """Batches that share the model's rate limit."""
    kind: Literal["baseline", "training"] = "training"
    """Kind of the round, with PredictTestImages."""
    models: list[TrainedModel] = []
    """Models to ask, with PredictTestImages."""


class ResizeEvent(Event):
    """One batch of ResizePhotos."""

    batch: RunInput = Field(alias="BatchInput")
    """Input that all batches share."""
    items: list[S3Item] = Field(alias="Items")
    """Photos of the batch."""


class AskEvent(Event):
    """One batch of LabelImages, PredictTestImages or PredictImages."""

    batch: AskInput = Field(alias="BatchInput")
    """Input that all batches share."""
    items: list[ImageItem] = Field(alias="Items")
    """Images of the batch."""

    @property
    def images(self) -> list[str]:
        """SHA-256 of each image's bytes, in hexadecimal."""
        return [item.image for item in self.items]

    @property
    def audited_images(self) -> list[str]:
        """Those of ``images`` that the teacher is asked about for the audit."""
        return [item.image for item in self.items if item.audit]

    @property
    def validation_images(self) -> set[str]:
        """Those of ``images`` that are in the validation set."""
        return {item.image for item in self.items if item.set == "validation"}

    @property
    def ceiling_images(self) -> list[str]:
        """Those of ``images`` that the teacher is asked about a second time."""
        return [item.image for item in self.items if item.ceiling]


class RoundState(Event):
    """Round in the state."""

    number: int
    """Position in the list of rounds; -1 before the first."""
    sizes: list[int] = []
    """Training sizes of this and all earlier rounds, in images."""


class WriteDatasetEvent(RunEvent):
    """Event of WriteDataset."""

    round: RoundState
    """Current round."""


class ValidateEvent(RunEvent):
    """Event of ValidateDataset."""

    sizes: list[int] = Field(min_length=1)
    """Training sizes, in images."""
    records: list[int]
    """Records that WriteDataset wrote, one number for each size."""
    validation: int
    """Records of the validation file that WriteDataset wrote; 0 if there is none."""


class CustomizeEvent(RunEvent):
    """Event of Customize."""

    size: int
    """Training size, in images."""


class DeployEvent(RunEvent):
    """Event of Deploy."""

    size: int
    """Training size, in images."""
    model_name: str
    """Name of the tuned model."""
    model_arn: str
    """ARN of the tuned model."""


class TrainingState(Event):
    """Result of TrainModels in the state."""

    models: list[TrainedModel] = []
    """Trained sizes, the failed ones included."""


class EvaluateState(Event):
    """Part of the state that Evaluate reads."""

    round: RoundState = RoundState(number=-1)
    """Last round."""
    trained: TrainingState = TrainingState()
    """Result of TrainModels; empty if the run stopped earlier."""


class EvaluateEvent(RunEvent):
    """Event of Evaluate."""

    state: EvaluateState
    """Whole state of the execution."""


class ExecutionDetail(Event):
    """``detail`` of the EventBridge event "Step Functions Execution Status Change"."""

    execution_arn: str = Field(alias="executionArn")
    """ARN of the execution."""
    status: str = ""
    """FAILED, TIMED_OUT or ABORTED."""
    input: str | None = None
    """Input of the execution as JSON; null if EventBridge left it out."""
    cause: str | None = None
    """Cause that the execution failed with."""


class EndingEvent(Event):
    """Event of CleanUp and Notify: from the state machine, or from EventBridge when an execution ended otherwise."""

    run: str | None = None
    """Name of the run, from the state machine."""
    detail: ExecutionDetail | None = None
    """Execution that ended, from EventBridge."""

    @model_validator(mode="after")
    def _require_run_or_detail(self) -> EndingEvent:
        if self.run is None and self.detail is None:
            raise ValueError("either run or detail is required")
        return self


class RecordFailureEvent(Event):
    """Event of RecordFailure."""

    state: Any
    """Whole state of the execution, or Error and Cause alone if Prepare failed."""
    execution: str
    """ARN of the execution."""


class Listing(Record):
    """Result of AwaitUpload."""

    photos: int
    """Photos of the collection."""
    digest: str
    """Hash of names and versions."""
    settled: bool
    """Whether the listing equals the one before."""


class RoundStart(Record):
    """State before the first round."""

    number: int = -1
    """Number before that of the first round."""


class NoModels(Record):
    """State before TrainModels."""

    models: list[TrainedModel] = Field(default_factory=list)
    """Empty list."""


class PrepareResult(Record):
    """Result of Prepare: what the state machine reads of a run."""

    run: str
    """Name of the run."""
    collection: str
    """Prefix in the Photos bucket."""
    claimed_by: str | None
    """ARN of another execution that has this run; null if this one has it."""
    apply: str | None
    """Run whose model is applied; null if this run trains one."""
    until: str
    """Step after which the run stops; ``Notify`` for the whole run."""
    concurrency: Concurrency
    """Upper limits of concurrent batches."""
    images_per_batch: int
    """Images per batch of LabelImages, PredictTestImages and PredictImages."""
    listing: Listing
    """Empty listing, which AwaitUpload replaces."""
    round: RoundStart
    """Start of the rounds, which Estimate replaces."""
    trained: NoModels
    """No models, which TrainModels replaces."""


class BatchResult(Record):
    """Result of one batch of a Map."""

    ok: int
    """Items that can be used."""
    refused: int
    """Items that were set aside, each with a reason in the batch's part."""

    @classmethod
    def count(cls, lines: Iterable[InventoryLine | AnswerLine]) -> BatchResult:
        """Return the counts of a batch's lines."""
        statuses = [line.status for line in lines]
        return cls(ok=statuses.count("ok"), refused=statuses.count("refused"))


class SplitResult(Record):
    """Result of Split."""

    photos: int
    """Photos, ignored files not counted."""
    refused: int
    """Photos that cannot be used."""
    images: int
    """Images in the three sets."""
    train: int
    """Images in the training set."""
    validation: int
    """Images in the validation set."""
    test: int
    """Images in the test set."""


class CostResult(Record):
    """Expected cost, compared with the budget."""

    usd: float
    """Expected cost in US dollars."""
    within_budget: bool
    """Whether it is within ``max_usd``."""
    verdict: str
    """The estimate in a sentence."""


class EstimateResult(CostResult, Round):
    """Result of Estimate: the next round, and what it costs."""


class BaselineResult(Record):
    """Result of Baseline."""

    worth_training: bool
    """Whether the gap to the ceiling is large enough to train for."""
    verdict: str
    """The result in a sentence."""


class ListImagesResult(CostResult):
    """Result of ListImages."""

    photos: int
    """Photos, ignored files not counted."""
    refused: int
    """Photos that cannot be used."""
    images: int
    """Distinct images."""
    images_key: str
    """Key of their list."""
    concurrent_batches: int
    """Batches of PredictImages that run at the same time."""


class DatasetResult(Record):
    """Result of WriteDataset."""

    sizes: list[int]
    """Training sizes, in images."""
    records: list[int]
    """Records of the training file of each size; fewer than its images if a label was refused."""
    validation: int
    """Records of the validation file."""
    set_aside: int
    """Images whose label cannot be used."""


class ValidationResult(Record):
    """Result of ValidateDataset."""

    files: int
    """Training files."""
    records: int
    """Records of the largest one."""


class JobResult(Record):
    """Result of Customize."""

    status: Literal["InProgress", "Completed"]
    """Status of the job."""
    model_name: str
    """Name of the model, and of the job that trained it."""
    job_arn: str | None
    """ARN of the job."""
    model_arn: str | None
    """ARN of the tuned model; null until the job has completed."""
    trained_by: str | None = None
    """Run that trained the model, if this run reuses it and paid nothing for it."""


class DeploymentResult(Record):
    """Result of Deploy."""

    status: str
    """Creating, or Active."""
    deployment_arn: str
    """ARN of the deployment."""
    images_by: ImageSource | None = None
    """Source from which an active deployment takes images, as its first answer shows; null before it is active."""


class EvaluateResult(Record):
    """Result of Evaluate."""

    verdict: str
    """The result in words."""
    promoted: str | None
    """Name of the promoted model."""
    report_key: str
    """Key of report.html."""
    grow: bool
    """Whether another round follows."""


class WriteResultsResult(Record):
    """Result of WriteResults."""

    verdict: str
    """The result in words."""
    results_key: str
    """Key of results.csv."""


class PromoteResult(Record):
    """Result of Promote."""

    status: Literal["Done", "Updating"]
    """Whether the deployment serves the promoted model."""
    deployment_arn: str | None
    """ARN to call; null if no model was promoted."""


class CleanUpResult(Record):
    """Result of CleanUp."""

    stopped: list[str] = Field(default_factory=list)
    """Names of jobs that were stopped."""
    deleted: list[str] = Field(default_factory=list)
    """Deployments and models that were deleted."""
    kept: list[str] = Field(default_factory=list)
    """Deployments and models that were kept."""


class SweepResult(CleanUpResult):
    """Result of Sweep."""

    oldest_deployment_days: int
    """Age of the oldest deployment that a run retains, in days; 0 without any."""
    unknown: list[str] = Field(default_factory=list)
    """Deployments and models of the stage that belong to no run in the Data bucket; they are never deleted."""
    problems: list[str] = Field(default_factory=list)
    """Runs and resources that could not be read, stopped or deleted, with the reason. The next sweep tries again."""


class NotifyResult(Record):
    """Result of Notify."""

    run: str | None
    """Name of the run; null if its execution was started with neither an event nor a request."""
    headline: str
    """Subject of the notification."""


class FailureResult(Record):
    """Result of RecordFailure."""

    error: str
    """Name of the error, which the execution fails with."""
    cause: str
    """Description of the failure, with a remedy if one is known."""
