"""The records that cross a step boundary; docs/data-formats.md shows each with an example."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from distillation.errors import InvalidRequest, message_of

Until = Literal["Estimate", "LabelImages", "ValidateDataset"]
Keep = Literal["best", "none", "all"]
Flag = Literal["dark", "bright", "blurred", "blank", "odd_aspect"]
OwnLabels = Literal["train", "gold"]
ServiceTier = Literal["default", "flex"]
SetName = Literal["train", "validation", "test"]


class Record(BaseModel):
    """Base of what travels: immutable, and nothing unknown in it."""

    model_config = ConfigDict(allow_inf_nan=False, extra="forbid", frozen=True)


class Prompt(Record):
    """What is said to the teacher and, word for word, to the student."""

    system: str = Field(min_length=1, max_length=10_000)
    user: str = Field(min_length=1, max_length=10_000)


class Limits(Record):
    """How many items an answer must hold: keywords, in the format of that name."""

    minimum: int = 1
    maximum: int = 100


class Quota(Record):
    """What an account may ask of one model in a minute; None: what the models table says.

    Tokens are counted as Bedrock counts them: input and max_tokens when a call starts, what was used when it ends.
    """

    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)

    def merged(self, other: Quota | None) -> Quota:
        """Return this quota with what another says."""
        return self.model_copy(update=other.model_dump(exclude_none=True)) if other else self


class Concurrency(Record):
    """The most batches of each Map that run at once."""

    resize: int = Field(ge=1, le=1000)
    label: int = Field(ge=1, le=1000)
    predict: int = Field(ge=1, le=1000)


class Request(Record):
    """What a user may ask for: the fields of ``distill.json``, all optional."""

    teacher: str | None = None
    student: str | None = None
    prompt: str | Prompt = "keywords"
    keywords_min: int | None = Field(default=None, ge=1, le=100)
    keywords_max: int | None = Field(default=None, ge=1, le=100)
    service_tier: ServiceTier = "default"
    accept_teacher_terms: bool = False
    own_labels: OwnLabels | None = None
    samples_per_image: int = Field(default=1, ge=1, le=9)
    max_tokens: int = Field(default=400, ge=16, le=5000)
    temperature: float = Field(default=0.0, ge=0, le=1)
    ceiling_temperature: float = Field(default=0.5, gt=0, le=1)
    train_sizes: list[int] | None = Field(default=None, min_length=1, max_length=10)
    test_share: float = Field(default=0.25, ge=0.05, le=0.5)
    min_images: int = Field(default=20, ge=16)
    hyperparameters: dict[str, float] = {}
    duplicate_records: int = Field(default=1, ge=1, le=10)
    stop_stuck_jobs: bool = False
    tolerance: float = Field(default=0.05, ge=0, le=1)
    max_usd: float = Field(default=25.0, ge=0)
    quotas: dict[str, Quota] = {}
    until: Until | None = None
    keep: Keep = "best"
    keep_days: int | None = Field(default=None, ge=1, le=3650)
    gate_margin: float = Field(default=0.0, ge=0, le=1)
    exclude_flags: list[Flag] = []
    apply: str | None = Field(default=None, min_length=1)
    replace: str | None = Field(default=None, min_length=1)


class Labeler(Record):
    """A model, a prompt and inference settings; ``id`` is the hash of all of them, however the model is reached.

    ``profile``: ARN of the application inference profile through which the stage asks it, if any.
    """

    id: str
    model: str
    max_tokens: int
    temperature: float
    profile: str | None = None

    @property
    def invocation_id(self) -> str:
        """What Bedrock is given as the model's id."""
        return self.profile or self.model


class Run(Record):
    """One distillation: the request with every choice made. Kept as ``runs/<run>/request.json``."""

    name: str
    collection: str
    execution: str
    created: str
    account: str
    teacher: Labeler
    ceiling: Labeler
    student: str
    prompt: Prompt
    answer_format: str = "keywords"
    limits: Limits = Limits()
    side: int
    quotas: dict[str, Quota] = {}
    concurrency: Concurrency = Concurrency(resize=1, label=1, predict=1)
    images_per_batch: int = 100
    request: Request
    applies: TrainedModel | None = None
    """Whose model answers, where the request is to apply one instead of training."""
    replaces: str | None = None
    """ARN of the deployment that a promoted model is to take over."""

    @property
    def ceiling_sample(self) -> int:
        """Number of the teacher's second answer; where it is asked as the label was, it must not find a label."""
        return self.request.samples_per_image if self.ceiling.id == self.teacher.id else 1

    def quota(self, model: str) -> Quota:
        """Return what may be asked of a model in a minute; nothing in it where nothing is known."""
        return self.quotas.get(model, Quota())


class InventoryLine(Record):
    """One photo and what became of it."""

    photo: str
    status: Literal["ok", "refused", "ignored", "duplicate", "excluded"]
    image: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    perceptual_hash: str | None = None
    flags: list[Flag] = []
    group: str | None = None
    reason: str | None = None
    set: SetName | None = None
    labelled_by: Literal["teacher", "owner"] | None = None


class OwnLabel(Record):
    """The owner's label of an image, laid out as an answer is."""

    image: str
    photo: str
    text: str


class SplitLine(Record):
    """One image of a set; ``photo`` is the first original that gave it, ``group`` names its near-duplicates."""

    image: str
    group: str
    photo: str
    width: int
    height: int


class Usage(Record):
    """Tokens that a model billed for one answer."""

    input_tokens: int
    output_tokens: int


class Answer(Record):
    """What a model said about an image. Kept as a label, or as a prediction."""

    model: str
    image: str
    text: str
    stop_reason: str
    usage: Usage
    latency_ms: int


class AnswerLine(Record):
    """One line of a part of LabelImages or PredictTestImages.

    ``disagreement``: of the samples that a label was made of, 0 (all the same) to 1.
    """

    image: str
    answerer: str
    status: Literal["ok", "refused"]
    format: str = "keywords"
    sample: int = 0
    text: str | None = None
    reason: str | None = None
    reused: bool = False
    usage: Usage | None = None
    latency_ms: int | None = None
    disagreement: float | None = None


class TrainedModel(Record):
    """How the training of one size ended; made by the states of TrainModels.

    ``model`` is a name; ``arn``, of the tuned model, ``job`` and ``deployment`` are ARNs.
    """

    size: int
    status: Literal["Active", "Failed"]
    model_name: str | None = None
    model_arn: str | None = None
    job_arn: str | None = None
    deployment_arn: str | None = None
    reason: Annotated[str, BeforeValidator(message_of)] | None = None


class LedgerPart(Record):
    """What one batch paid for; ``throttled``: calls that were turned away and cost nothing."""

    step: str
    model: str
    tier: ServiceTier = "default"
    calls: int
    throttled: int = 0
    reused: int
    input_tokens: int
    output_tokens: int
    training_tokens: int = 0
    usd: float


AnyRecord = TypeVar("AnyRecord", bound=BaseModel)


def parse(kind: type[AnyRecord], value: Any, source: str) -> AnyRecord:
    """Check an outside input against a record; raises ``InvalidRequest`` naming each wrong field."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problems = "; ".join(_problem(detail, kind) for detail in error.errors())
        raise InvalidRequest(f"{source}: {problems}") from None


def _problem(detail: Any, kind: type[BaseModel]) -> str:
    field = ".".join(str(part) for part in detail["loc"]) or "value"
    if detail["type"] == "extra_forbidden":
        return f"unknown field {field!r}; known: {', '.join(sorted(kind.model_fields))}"
    return f"field {field!r}: {detail['msg']} (got {detail['input']!r})"
