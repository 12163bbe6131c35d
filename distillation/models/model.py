"""Rows of catalog.toml as pydantic models, and how a model is priced and tuned by them.

Units are in the names of the fields. A family has the rules that several models share.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, field_validator

from distillation.errors import InvalidRequest, excerpt
from distillation.models import prices
from distillation.models.image_tokens import ImageTokenRule
from distillation.models.prices import Price
from distillation.records import ImageSource, Quota

WARMUP_STEPS = "learningRateWarmupSteps"
_MEDIA_PER_RECORD = {"image": 10, "video": 1, "document": 1}


class Row(BaseModel):
    """Base of the rows of catalog.toml: immutable, without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HyperparameterRange(Row):
    """Allowed values of one hyperparameter, and its defaults."""

    minimum: float
    maximum: float
    default: float
    """Value that Bedrock takes if a job has none."""
    integer: bool
    by_records: tuple[tuple[int, float], ...] = ()
    """Values that jobs get unless the request sets one: pairs of a number of training records and the value up to it.

    They ascend. The last value also applies to more records.
    """

    @field_validator("by_records")
    @classmethod
    def _ascends(cls, by_records: tuple[tuple[int, float], ...]) -> tuple[tuple[int, float], ...]:
        limits = [records for records, _ in by_records]
        if limits != sorted(set(limits)):
            raise ValueError("numbers of records must ascend")
        return by_records

    def value_for(self, records: int) -> float:
        """Return the value for a job on ``records`` training records, unless the request sets one."""
        values = [value for limit, value in self.by_records if records <= limit]
        return next(iter([*values, *(value for _, value in self.by_records[-1:]), self.default]))

    def format(self, name: str, value: float) -> str:
        """Return ``value`` as the text that CreateModelCustomizationJob takes.

        Raises ``InvalidRequest`` if the value is not allowed.
        """
        if not self.minimum <= value <= self.maximum or (self.integer and value != int(value)):
            kind = "a whole number" if self.integer else "a number"
            raise InvalidRequest(
                f"hyperparameters: {name} must be {kind} from {self.minimum:g} to {self.maximum:g} (got {value:g})"
            )
        return str(int(value)) if self.integer else f"{value:.10f}".rstrip("0")


class Family(Row):
    """Models that share rules for images, datasets and hyperparameters."""

    name: str
    """Key of the row."""
    image_side: int = Field(gt=0)
    """Longest side, in pixels, to which photos are reduced."""
    image_tokens: ImageTokenRule
    """Function from width and height in pixels to input tokens."""
    image_tokens_spread: tuple[float, float]
    """Lowest and highest ratio of documented tokens to the rule; (1, 1) if the rule is exact."""
    training_image_tokens: tuple[float, float] | None = None
    """Tokens of an image in a training record, low and expected, as a bill has them; None if the rule applies.

    An image is never expected to have more tokens than by the rule, which remains the upper bound.
    """
    formats: Mapping[str, tuple[str, ...]]
    """Formats of training media by kind (image, video, document); empty if the family does not train on that kind."""
    reasoning: bool
    """Whether training records may contain reasoning."""
    tools: bool
    """Whether training records may contain tool use."""
    training_regions: tuple[str, ...]
    """Regions in which customization jobs can run."""
    serving_regions: tuple[str, ...]
    """Regions in which tuned models can be deployed on demand."""
    minimum_records: int
    """Smallest number of training records of a job."""
    maximum_records: int
    """Largest number of training and validation records of a job."""
    validation_file: bool
    """Whether a job takes a validation file."""
    hyperparameters: Mapping[str, HyperparameterRange]
    """Ranges by the name of the hyperparameter."""
    images_by: ImageSource = "s3Location"
    """Source of an image in a Converse call: its S3 URI, or its bytes in the request."""
    minimum_temperature: float = Field(default=0.0, ge=0, le=1)
    """Lowest sampling temperature that the models accept, 0-1."""
    maximum_inline_bytes: int = 3_932_160
    """Largest image sent as bytes: 3.75 MB (Converse, Amazon Bedrock API reference)."""
    limits: Mapping[str, int] = _MEDIA_PER_RECORD
    """Largest number of media of each kind in one training record."""
    maximum_image_bytes: int = 10 * 1024 * 1024
    """Largest image in a training record."""
    minimum_image_side: int = 25
    """Shortest side of an image in a training record, in pixels."""
    maximum_image_side: int = 8000
    """Longest side of an image in a training record, in pixels."""
    record_tokens: int = 32_000
    """Largest number of tokens in a training record."""

    @field_validator("formats")
    @classmethod
    def _has_every_kind(cls, formats: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        if set(formats) != set(_MEDIA_PER_RECORD):
            raise ValueError(f"must have {', '.join(_MEDIA_PER_RECORD)}")
        return formats

    def accepted_temperature(self, requested: float) -> float:
        """Return ``requested``, or the family's minimum sampling temperature if it is lower."""
        return max(requested, self.minimum_temperature)

    def resolve_hyperparameters(self, requested: Mapping[str, float]) -> dict[str, str]:
        """Return all hyperparameters of a job as text, with defaults for those not requested.

        Raises ``InvalidRequest`` for an unknown name or a value that is not allowed.
        """
        for name in requested:
            if name not in self.hyperparameters:
                raise InvalidRequest(
                    f"hyperparameters: unknown {excerpt(name)!r} (known: {', '.join(self.hyperparameters)})"
                )
        return {
            name: allowed.format(name, requested.get(name, allowed.default))
            for name, allowed in self.hyperparameters.items()
        }


class DefaultQuota(Row):
    """Documented quota of an account on calls of one model; an account's applied quota is often lower."""

    requests_per_minute: int = Field(gt=0)
    tokens_per_minute: int = Field(gt=0)
    tokens_per_day: int = Field(gt=0)
    source: str
    """Document that has the figures."""
    date: datetime.date
    """Day on which the source was read."""
    confirmed: bool = True
    """Whether an official AWS document confirms the figures."""

    def as_quota(self) -> Quota:
        """Return the figures without their source."""
        return Quota(
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            tokens_per_day=self.tokens_per_day,
        )


class Model(Row):
    """One model: how it is called, tuned and priced."""

    id: str
    """Model id or inference profile id for Converse; key of the row."""
    family: Family
    training_id: str | None = None
    """Base model id for a customization job; None if Bedrock does not tune the model with images."""
    display_name: str = Field(min_length=1)
    """Name in reports and messages."""
    own_name: str | None = None
    """Name in the catalog, if ``set_served_names`` has replaced the display name; else None."""
    priced_as: str = ""
    """Product in prices.toml; the model's own id by default."""
    successor: str | None = None
    """Id of the student to use once this one is LEGACY and no longer takes jobs."""
    records_per_warmup_step: int | None = Field(default=None, gt=0)
    """Training records per step of learning-rate warm-up, as the Nova guide recommends."""
    records_quota: str | None = None
    """Service Quotas code of the limit on a job's training and validation records."""
    tokens_per_day_quota: str | None = None
    """Service Quotas code of the tokens per day, which Service Quotas shows for calls without a profile."""
    quota: DefaultQuota
    """Default quota on on-demand calls; each deployment of a tuned model has a separate quota of the same size."""
    profile_quota: DefaultQuota | None = None
    """Default quota on calls through a cross-Region inference profile, if it differs."""

    @property
    def tuned_name(self) -> str:
        """Name of the model that a job tunes."""
        return self.own_name or self.display_name

    @property
    def product(self) -> str:
        """Product in prices.toml."""
        return self.priced_as or self.id

    def price(self, use: str) -> Price:
        """Return the price of a use, such as ``input``, ``output``, ``training`` or ``storage``.

        Raises ``InvalidRequest`` if prices.toml has no such row.
        """
        return prices.price(self.product, use)

    def has_price(self, use: str) -> bool:
        """Return whether prices.toml has a price for this use."""
        return prices.has_price(self.product, use)

    def resolve_hyperparameters(self, requested: Mapping[str, float], records: int) -> dict[str, str]:
        """Return the hyperparameters of a job on ``records`` training records, as text.

        Epochs and warm-up steps follow from the number of records unless they are requested. Raises ``InvalidRequest``.
        """
        ranges = self.family.hyperparameters
        by_records = {name: allowed.value_for(records) for name, allowed in ranges.items()}
        if self.records_per_warmup_step and (warmup := ranges.get(WARMUP_STEPS)):
            steps = records // self.records_per_warmup_step
            by_records[WARMUP_STEPS] = min(max(steps, warmup.minimum), warmup.maximum)
        return self.family.resolve_hyperparameters({**by_records, **requested})
