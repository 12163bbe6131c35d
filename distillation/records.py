"""Records that steps pass to each other through S3; docs/data-formats.md has a table of fields for each."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from distillation.errors import InvalidRequest, error_message, excerpt

MAXIMUM_KEYWORDS = 100
"""Largest number of distinct keywords that a request may allow in a label."""

Until = Literal["Estimate", "Baseline", "LabelImages", "ValidateDataset"]
Keep = Literal["best", "none", "all"]
Flag = Literal["dark", "bright", "blurred", "blank", "odd_aspect"]
OwnLabels = Literal["train", "gold"]
ServiceTier = Literal["default", "flex"]
RequestedTier = Literal["auto", "default", "flex"]
ImageSource = Literal["s3Location", "bytes"]
SetName = Literal["train", "validation", "test"]
Dimensions = tuple[int, int]
"""Width and height of an image in pixels."""


class Record(BaseModel):
    """Base of a record: immutable, without unknown fields."""

    model_config = ConfigDict(allow_inf_nan=False, defer_build=True, extra="forbid", frozen=True)


class Prompt(Record):
    """Question about an image, sent word for word."""

    system: str = Field(min_length=1, max_length=10_000)
    """System prompt, 1-10,000 characters."""
    user: str = Field(min_length=1, max_length=10_000)
    """User prompt, 1-10,000 characters."""


class PromptFile(Prompt):
    """A file of samples/prompts, or the same fields in a request."""

    answers: dict[str, JsonValue] = {}
    """Name of the answer format in ``format``, by default ``keywords``, and its settings."""


class Quota(Record):
    """Quota of an account on calls of one model. An unset field means the default of catalog.toml.

    Bedrock counts input tokens and ``max_tokens`` when a call starts. It corrects the count when the call ends.
    """

    requests_per_minute: float | None = Field(default=None, gt=0)
    """Requests per minute."""
    tokens_per_minute: float | None = Field(default=None, gt=0)
    """Tokens per minute."""
    tokens_per_day: float | None = Field(default=None, gt=0)
    """Tokens per day."""

    def merged(self, other: Quota | None) -> Quota:
        """Return this quota with the fields that ``other`` sets."""
        return self.model_copy(update=other.model_dump(exclude_none=True)) if other else self


class Concurrency(Record):
    """Largest number of batches that each Map runs at the same time."""

    resize: int = Field(ge=1, le=1000)
    """Batches of ResizePhotos, 1-1000."""
    label: int = Field(ge=1, le=1000)
    """Batches of LabelImages, 1-1000."""
    predict: int = Field(ge=1, le=1000)
    """Batches of PredictTestImages and PredictImages, 1-1000."""


class StageLimits(Record):
    """Limits of a stage on what a request may cost; nobody can exceed them without a deployment."""

    max_usd_per_run: float = Field(default=200.0, gt=0)
    """Highest ``max_usd`` of a request in US dollars."""
    max_usd_per_month: float = Field(default=500.0, gt=0)
    """Highest cost of all runs of a calendar month (UTC) in US dollars; running runs count with their ``max_usd``."""
    max_photos: int = Field(default=25_000, ge=16)
    """Largest number of photos of a collection."""


class Request(Record):
    """Options of a run: the fields of ``distill.json``, all optional."""

    teacher: str | None = None
    """Model id of the teacher; by default the stage's first."""
    student: str | None = None
    """Model id of the student; by default the stage's first."""
    prompt: str | PromptFile = "keywords"
    """Name of a file in samples/prompts, or the texts themselves."""
    student_prompt: str | Prompt | None = None
    """Prompt that the student is trained and asked with, given as in ``prompt``; by default the teacher's."""
    keywords_min: int | None = Field(default=None, ge=1, le=MAXIMUM_KEYWORDS)
    """Smallest number of distinct keywords in a label, 1-100; by default the prompt file's. For keywords only."""
    keywords_max: int | None = Field(default=None, ge=1, le=MAXIMUM_KEYWORDS)
    """Largest number of distinct keywords in a label, 1-100; by default the prompt file's. For keywords only."""
    closed_vocabulary: bool | None = None
    """Whether keywords outside the vocabulary are left out; by default the prompt file's. For a vocabulary only."""
    service_tier: RequestedTier = "auto"
    """Service tier of the teacher's calls; ``flex`` costs half and may answer later.

    ``auto`` uses flex if the teacher has it, and the standard tier (``default``) where flex throttles or stalls.
    """
    accept_teacher_terms: bool = False
    """Whether the terms of a teacher from another provider than the student's are accepted."""
    own_labels: OwnLabels | None = None
    """Use of your own labels: trained on (``train``, the default if there are any), or compared with (``gold``)."""
    samples_per_image: int = Field(default=1, ge=1, le=9)
    """Answers of the teacher per label, 1-9."""
    max_tokens: int = Field(default=400, ge=16, le=5000)
    """Largest number of output tokens per answer, 16-5000."""
    temperature: float = Field(default=0.0, ge=0, le=1)
    """Sampling temperature of labels and predictions, 0-1. A value below the model's minimum is raised to it."""
    ceiling_temperature: float = Field(default=0.5, gt=0, le=1)
    """Sampling temperature of the teacher's second answer, above 0 and up to 1."""
    sample: int | None = Field(default=None, ge=16)
    """Number of images to use, at least 16, chosen by a hash; by default all images of the collection."""
    baseline: bool = True
    """Whether alternatives to training are measured before the training images are labelled."""
    minimum_gap: float = Field(default=0.05, ge=0, le=1)
    """Gap in agreement, 0-1, between the ceiling and the best alternative below which nothing is trained."""
    train_sizes: list[int] | None = Field(default=None, min_length=1, max_length=10)
    """Numbers of training images, 1-10 of them, all trained in one round; by default see ``grow``."""
    grow: bool | None = None
    """Whether to label and train in growing rounds; by default if there are more than 1,000 training images."""
    grow_from: int = Field(default=300, ge=8)
    """Training images of the first round with ``grow``; each later round has three times as many."""
    grow_until: float = Field(default=0.01, ge=0, le=1)
    """Expected gain in agreement, 0-1, of the next round below which ``grow`` stops."""
    test_share: float = Field(default=0.25, ge=0.05, le=0.5)
    """Share of the images in the test set, 0.05-0.5."""
    test_images: int = Field(default=500, ge=16, le=5000)
    """Largest number of test images and of validation images, 16-5000."""
    images_per_month: int | None = Field(default=None, ge=0)
    """Images that will be asked about in a month, for the break-even of estimate and report."""
    min_images: int = Field(default=20, ge=16)
    """Smallest number of usable images, at least 16."""
    hyperparameters: dict[str, float] = {}
    """Values by hyperparameter name; the family's defaults for the others."""
    duplicate_records: int = Field(default=1, ge=1, le=10)
    """Times that each record is written if a training size has fewer than 1,000 images, 1-10."""
    stop_stuck_jobs: bool = False
    """Whether to stop a job that does not start within the stage's ``stuck_job_hours``."""
    tolerance: float = Field(default=0.05, ge=0, le=1)
    """Share of photos and of labels that may be set aside, 0-1."""
    max_usd: float = Field(default=25.0, ge=0)
    """Highest cost of the run in US dollars."""
    quotas: dict[str, Quota] = {}
    """Quotas by model id, if the account's are lower than the stage's."""
    until: Until | None = None
    """Last state to run; by default the run continues to the end."""
    keep: Keep = "best"
    """Tuned models that are retained: the promoted one (``best``), none or all."""
    keep_days: int | None = Field(default=None, ge=1, le=3650)
    """Days from the start of the run after which retained models are deleted, 1-3650; by default never."""
    keep_on_failure_days: int = Field(default=3, ge=0, le=90)
    """Days after a failure, a timeout or a stop for which the tuned models are kept, 0-90, also with ``keep: none``.

    A run that trains the same again within that time reuses them.
    """
    gate_margin: float = Field(default=0.0, ge=0, le=1)
    """Gain, 0-1, that the lower bound of the 95 % confidence interval must exceed for promotion."""
    gate_validity: float = Field(default=0.98, ge=0, le=1)
    """Share of valid answers, 0-1, that the gate requires: complete, no refusal, and in the answer format."""
    exclude_flags: list[Flag] = []
    """Quality flags whose images are left out."""
    apply: str | None = Field(default=None, min_length=1)
    """Name of a run whose tuned model answers about this collection; nothing is trained."""
    fallback: Literal["teacher"] | None = None
    """With ``apply``: who is asked about an image if the tuned model's answer is not valid; by default nobody."""
    audit_share: float = Field(default=0.02, ge=0, le=1)
    """With ``apply``: share of the images, 0-1, that the teacher is asked about as well; at least 20, none with 0."""
    replace: str | None = Field(default=None, min_length=1)
    """Name of a run whose deployment the promoted model takes over."""


class Labeler(Record):
    """A teacher model with its inference settings; ``id`` also covers the prompt."""

    id: str
    """Hash of the foundation model, the prompt and the inference settings; names the label cache."""
    model: str
    """Model id, profile id or profile ARN."""
    max_tokens: int
    """Largest number of output tokens per answer."""
    temperature: float
    """Sampling temperature, 0-1, at least the minimum of the model's family."""
    profile: str | None = None
    """ARN of the application inference profile to call it through, if the stage has one."""

    @property
    def invocation_id(self) -> str:
        """``modelId`` of a Converse call."""
        return self.profile or self.model


class Run(Record):
    """One distillation: the request with all defaults resolved, stored as ``runs/<run>/request.json``."""

    name: str
    """Name of the run; see ``keys.run_name``."""
    stage: str
    """Name of the stage."""
    collection: str
    """Prefix of the photos in the Photos bucket."""
    execution: str
    """ARN of the execution that claimed the run."""
    created: str
    """Start of the run, ISO 8601 in UTC."""
    account: str
    """AWS account id."""
    teacher: Labeler
    """Labeler that writes the labels."""
    ceiling: Labeler
    """Labeler that writes the teacher's second answers on the test images."""
    student: str
    """Model id of the student."""
    alternatives: list[str] = []
    """Model ids of the stage's other students, which the baseline round asks untuned."""
    prompt: Prompt
    """Prompt of the teacher."""
    student_prompt: Prompt
    """Prompt that the student is trained and asked with."""
    answers: dict[str, JsonValue] = {"format": "keywords"}
    """Answer format and its settings; see ``distillation.answers.formats``."""
    image_side: int
    """Longest side of images in pixels."""
    quotas: dict[str, Quota] = {}
    """Requests and tokens per minute and tokens per day, by model id."""
    concurrency: Concurrency = Concurrency(resize=1, label=1, predict=1)
    """Largest number of concurrent batches."""
    images_per_batch: int = 100
    """Images per batch of LabelImages, PredictTestImages and PredictImages."""
    tags: dict[str, str] = {}
    """The stage's tags of jobs, models and deployments."""
    request: Request
    """The request as written."""
    applies: TrainedModel | None = None
    """Tuned model that answers, if the request has ``apply``."""
    replaces: str | None = None
    """ARN of the deployment that a promoted model takes over, if the request has ``replace``."""

    @property
    def is_local(self) -> bool:
        """Whether models on one machine answer instead of Amazon Nova: their latency and prices mean nothing."""
        return any(model.startswith("local.") for model in (self.teacher.model, self.student))

    @property
    def ceiling_sample(self) -> int:
        """Sample number of the teacher's second answer.

        It follows those of the label if both have the same labeler, so that it does not reuse a label.
        """
        return self.request.samples_per_image if self.ceiling.id == self.teacher.id else 1

    def prompt_of(self, model: str) -> Prompt:
        """Return the prompt that a model is asked with: the teacher's own, and the student's for every other model."""
        return self.prompt if model == self.teacher.model else self.student_prompt

    def quota(self, model: str) -> Quota:
        """Return the model's requests and tokens per minute and tokens per day; fields are None when unknown."""
        return self.quotas.get(model, Quota())


class ListedPhoto(Record):
    """One photo in the listing of the complete upload."""

    photo: str
    """Key of the photo in the Photos bucket."""


class InventoryLine(Record):
    """One photo of the collection and its status."""

    photo: str
    """Key of the photo in the Photos bucket."""
    status: Literal["ok", "refused", "ignored", "duplicate", "excluded"]
    """Whether the photo is used.

    ``ok``; ``refused``: cannot be used; ``ignored``: skipped, because it is no photo or a RAW file with a JPEG;
    ``duplicate``: same image as another photo; ``excluded``: by a flag, by ``sample``, by ``test_images`` or by your
    own labels, or near-duplicate of images in two sets.
    """
    image: str | None = None
    """SHA-256 of the image's bytes, in hexadecimal."""
    width: int | None = None
    """Width of the image in pixels."""
    height: int | None = None
    """Height of the image in pixels."""
    bytes: int | None = None
    """Size of the image in bytes."""
    perceptual_hash: str | None = None
    """Perceptual hash of the image, in hexadecimal."""
    flags: list[Flag] = []
    """Quality flags of the image."""
    group: str | None = None
    """Image that names the group of near-duplicates."""
    reason: str | None = None
    """Why the photo is not used; the kind of file if it was skipped."""
    set: SetName | None = None
    """Set that the image is in."""
    labelled_by: Literal["teacher", "owner"] | None = None
    """Source of the image's label."""


class OwnLabel(Record):
    """A label that the collection's owner wrote."""

    image: str
    """SHA-256 of the image's bytes, in hexadecimal."""
    photo: str
    """Key of the photo in the Photos bucket."""
    text: str
    """Label in the layout of an answer."""


class SplitLine(Record):
    """One image of a set, or of the list of images to label or to predict."""

    image: str
    """SHA-256 of the image's bytes, in hexadecimal."""
    group: str
    """Image that names the group of near-duplicates; the image itself if it has none."""
    photo: str
    """Key of the first photo with this image in the Photos bucket."""
    width: int
    """Width of the image in pixels."""
    height: int
    """Height of the image in pixels."""
    set: SetName | None = None
    """Set that the image is in."""
    ceiling: bool = False
    """In a list of images to predict: whether the teacher is asked a second time, for the ceiling."""
    audit: bool = False
    """In the list of images of a run with ``apply``: whether the teacher is asked as well, for the audit."""

    @property
    def dimensions(self) -> Dimensions:
        """Width and height of the image in pixels."""
        return self.width, self.height


class ConcurrentBatches(Record):
    """Batches of each Map that run at the same time."""

    label: int
    """Batches of LabelImages."""
    predict: int
    """Batches of PredictTestImages."""


class Round(Record):
    """One pass through LabelImages and PredictTestImages.

    The first may be a ``baseline`` round, which measures the alternatives to training. A run with ``grow`` has several
    ``training`` rounds, any other run has one.
    """

    number: int = Field(ge=0)
    """Position in the list of rounds, from 0."""
    kind: Literal["baseline", "training"]
    """Whether alternatives are measured, or models trained."""
    sizes: list[int]
    """Training sizes of this and all earlier rounds, in images; empty in the baseline round."""
    to_label: int
    """Images that the teacher labels in this round."""
    to_label_key: str
    """Key of their list."""
    to_predict_key: str
    """Key of the list of images for PredictTestImages."""
    concurrent_batches: ConcurrentBatches
    """Batches that run at the same time."""


class SetAssignment(Record):
    """``sets/<collection>-<hash>/``: set of an image, as the first run with this image assigned it."""

    image: str
    """SHA-256 of the image's bytes, in hexadecimal."""
    set: SetName
    """Set that the image is in."""


class Usage(Record):
    """Tokens that Bedrock billed for one answer."""

    input_tokens: int
    """Input tokens, including the image."""
    output_tokens: int
    """Output tokens."""


class Answer(Record):
    """Answer of a model about an image, stored as a label or a prediction."""

    model: str
    """Model id, profile ARN or deployment ARN that was called."""
    image: str
    """SHA-256 of the image's bytes, in hexadecimal."""
    text: str
    """Text of the answer."""
    stop_reason: str
    """Stop reason that Converse returned."""
    usage: Usage
    """Billed tokens."""
    latency_ms: int | None = None
    """Latency that Converse returned, in milliseconds; null if it returned none."""
    images_by: ImageSource = "s3Location"
    """Source of the image in the call: its S3 URI (``s3Location``), or its bytes in the request."""
    tier: ServiceTier = "default"
    """Service tier that answered."""


def _none_if_invalid(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Return None for a value that is not valid: no verdict depends on it."""
    try:
        return validate(value)
    except ValidationError:
        return None


class AnswerLine(Record):
    """One answer in a part of LabelImages, PredictTestImages or PredictImages."""

    image: str
    """SHA-256 of the image's bytes, in hexadecimal."""
    answerer: str
    """Who answered.

    ``teacher``, ``owner``, ``ceiling``, ``base``, ``n<size>``; ``examples`` or an untuned student in a baseline round;
    ``tuned``, ``fallback`` or ``audit`` in a run with ``apply``. ``distill evaluate`` uses the file's name.
    """
    status: Literal["ok", "refused"]
    """Whether the answer is valid."""
    sample: int = 0
    """Number of the answer, from 0."""
    text: str | None = None
    """Text of the answer."""
    reason: str | None = None
    """Why the answer was refused."""
    reused: bool = False
    """Whether the answer was stored before this batch."""
    usage: Annotated[Usage | None, WrapValidator(_none_if_invalid)] = None
    """Billed tokens."""
    latency_ms: Annotated[int | None, WrapValidator(_none_if_invalid)] = None
    """Latency in milliseconds."""
    disagreement: float | None = None
    """Disagreement of the samples of a label, from 0 (all equal) to 1."""
    answered: list[str] | None = None
    """The teacher's answers that a label was made of, if its text differs from them. It is not stored."""


class TrainedModel(Record):
    """Result of one training size, assembled by the states of TrainModels."""

    size: int
    """Number of training images."""
    status: Literal["Active", "Failed"]
    """Whether the model is deployed."""
    model_name: str | None = None
    """Name of the job and the tuned model, and of its deployment unless another run trained it."""
    model_arn: str | None = None
    """ARN of the tuned model."""
    job_arn: str | None = None
    """ARN of the customization job."""
    deployment_arn: str | None = None
    """ARN of the deployment."""
    trained_by: str | None = None
    """Run that trained the model, if this run reuses it and paid nothing for it."""
    images_by: ImageSource | None = None
    """Source from which the deployment takes images; by default that of the student's family."""
    reason: Annotated[str, BeforeValidator(error_message)] | None = None
    """Why there is no model or no deployment."""

    @property
    def answerer(self) -> str:
        """Name of the model in answers and scores, such as ``n30``."""
        return answerer_of(self.size)


class LedgerPart(Record):
    """Cost of one batch or job."""

    step: str
    """State that paid."""
    model: str
    """Model id whose prices apply."""
    tier: ServiceTier = "default"
    """Service tier of the calls."""
    calls: int
    """Billed calls."""
    throttled: int = 0
    """Throttled calls, which cost nothing."""
    reused: int
    """Stored answers that were reused, which cost nothing."""
    input_tokens: int
    """Billed input tokens."""
    output_tokens: int
    """Billed output tokens."""
    training_tokens: int = 0
    """Billed training tokens."""
    usd: float
    """Cost in US dollars."""


def answerer_of(size: int) -> str:
    """Return ``n<size>``, the name of a tuned model in answers and scores."""
    return f"n{size}"


def size_of(answerer: str) -> int | None:
    """Return the training size in a name ``n<size>``; None for another answerer."""
    return int(answerer[1:]) if re.fullmatch(r"n\d+", answerer) else None


AnyRecord = TypeVar("AnyRecord", bound=BaseModel)
_PROBLEMS_SHOWN = 5
"""Largest number of wrong fields that a message names."""


def parse(kind: type[AnyRecord], value: Any, source: str) -> AnyRecord:
    """Validate input from outside, such as a user's file, and return it as a record.

    ``source`` names the input in the message. Raises ``InvalidRequest`` that names each wrong field.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False)
        problems = [_problem(detail, kind) for detail in details[:_PROBLEMS_SHOWN]]
        if len(details) > _PROBLEMS_SHOWN:
            problems.append(f"and {len(details) - _PROBLEMS_SHOWN} more")
        raise InvalidRequest(f"{excerpt(source)}: {'; '.join(problems)}") from None


def parse_json(body: bytes | str, source: str) -> Any:
    """Parse JSON from outside. ``source`` names the input in the message. Raises ``InvalidRequest``."""
    try:
        value = json.loads(body)
        json.dumps(value, ensure_ascii=False).encode()  # Raises UnicodeEncodeError for half a surrogate pair.
        return value
    except ValueError as error:
        raise InvalidRequest(f"{excerpt(source)} is not JSON: {excerpt(error)}") from None
    except RecursionError:
        raise InvalidRequest(f"{excerpt(source)} is nested too deeply. No field has more than two levels.") from None


def _problem(detail: Any, kind: type[BaseModel]) -> str:
    field = excerpt(".".join(str(part) for part in detail["loc"]))
    if detail["type"] == "extra_forbidden":
        is_nested = len(detail["loc"]) > 1
        return f"unknown field {field!r}" + ("" if is_nested else f" (known: {', '.join(sorted(kind.model_fields))})")
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error" and not field:
        return message
    try:
        value = repr(detail["input"])
    except RecursionError:
        value = "a deeply nested value"
    return f"field {field or 'value'!r}: {message} (got {excerpt(value)})"
