"""What differs between one deployment of the pipeline and another: the ``stages`` of cdk.json."""

from __future__ import annotations

import re
from typing import Self

from constructs import Node
from pydantic import BaseModel, ConfigDict, Field, model_validator

from distillation.models import catalog


class StageConfig(BaseModel):
    """One stage. The first teacher and student are the defaults of a request.

    ``profiles``: by the id of a teacher, the ARN of the account's application inference profile to ask it through.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str = Field(pattern=r"^[a-z][a-z0-9]{1,9}$")
    region: str
    teachers: list[str] = Field(min_length=1)
    students: list[str] = Field(min_length=1)
    profiles: dict[str, str] = {}
    concurrency: dict[str, int]
    """The most batches of each Map at once: resize, label, predict."""
    images_per_batch: int = Field(default=100, ge=20, le=150)
    """Of LabelImages and PredictTestImages."""
    quotas: dict[str, catalog.Quota] = {}
    """By model: requests_per_minute and tokens_per_minute, where the account's differ from the models table's."""
    old_deployment_days: int = Field(default=90, ge=1)
    stuck_job_hours: float = Field(default=24, gt=0)
    """How long a job's training may take to start before it counts as stuck."""
    custom_model_kms_key_id: str | None = None
    """ARN of the customer's key that tuned models are encrypted with; AWS's own by default."""
    notify: str | None = None

    @classmethod
    def from_context(cls, node: Node) -> Self:
        """Read the stage chosen with ``cdk deploy -c stage=NAME``; ``-c notify=EMAIL`` subscribes."""
        stages, stage = node.get_context("stages"), node.get_context("stage")
        if stage not in stages:
            raise ValueError(f"stage {stage!r} is not in cdk.json; known: {', '.join(stages)}")
        return cls(stage=stage, notify=node.try_get_context("notify"), **stages[stage])

    @model_validator(mode="after")
    def _students_are_tuned_here(self) -> Self:
        for teacher in self.teachers:
            catalog.get_model(teacher)
            catalog.check_region(teacher, self.region)
        for student in self.students:
            model = catalog.get_model(student)
            if model.training_id is None or self.region not in model.family.training_regions:
                where = ", ".join(model.family.training_regions) or "no Region"
                raise ValueError(
                    f"stage {self.stage!r}: Bedrock tunes {student!r} in {where}, not in "
                    f"{self.region!r}; change 'region' or 'students' in cdk.json"
                )
        return self

    @model_validator(mode="after")
    def _quotas_are_of_models_that_are_asked(self) -> Self:
        if unknown := set(self.quotas) - {*self.teachers, *self.students}:
            raise ValueError(
                f"stage {self.stage!r}: 'quotas' names {', '.join(sorted(unknown))}, which is neither among its "
                "'teachers' nor its 'students' in cdk.json"
            )
        return self

    @model_validator(mode="after")
    def _profiles_are_of_teachers(self) -> Self:
        pattern = rf"arn:aws[a-z-]*:bedrock:{self.region}:\d{{12}}:application-inference-profile/[a-z0-9]+"
        for teacher, arn in self.profiles.items():
            if teacher not in self.teachers or not re.fullmatch(pattern, arn):
                raise ValueError(
                    f"stage {self.stage!r}: 'profiles' maps a teacher of the stage to the ARN of an application "
                    f"inference profile in {self.region} (got {teacher!r}: {arn!r})"
                )
        return self

    @model_validator(mode="after")
    def _key_is_of_this_region(self) -> Self:
        pattern = rf"arn:aws[a-z-]*:kms:{self.region}:\d{{12}}:key/[A-Za-z0-9-]+"
        if self.custom_model_kms_key_id is not None and not re.fullmatch(pattern, self.custom_model_kms_key_id):
            raise ValueError(
                f"stage {self.stage!r}: 'custom_model_kms_key_id' must be the ARN of a key (not of an alias) in "
                f"{self.region} (got {self.custom_model_kms_key_id!r})"
            )
        return self
