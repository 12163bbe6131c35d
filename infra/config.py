"""Configuration of a stage, from ``context.stages`` in cdk.json."""

from __future__ import annotations

import re
from typing import Self

from constructs import Node
from pydantic import BaseModel, ConfigDict, Field, model_validator

from distillation.models import catalog, ids


class StageConfig(BaseModel):
    """Configuration of one stage. A request uses the first teacher and the first student by default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str = Field(pattern=r"^[a-z][a-z0-9]{1,9}$")
    region: str
    teachers: list[str] = Field(min_length=1)
    students: list[str] = Field(min_length=1)
    profiles: dict[str, str] = {}
    """ARNs of application inference profiles, keyed by the id of the teacher to invoke through them."""
    concurrency: dict[str, int]
    """Maximum number of batches at the same time, keyed by step: resize, label, predict."""
    images_per_batch: int = Field(default=100, ge=20, le=150)
    """Images per batch of LabelImages, PredictTestImages and PredictImages."""
    quotas: dict[str, catalog.Quota] = {}
    """Requests and tokens per minute, keyed by model id, where the account's quotas differ from the catalog."""
    old_deployment_days: int = Field(default=90, ge=1)
    """Age of a deployment in days that sets off the OldDeployment alarm."""
    stuck_job_hours: float = Field(default=24, gt=0)
    """Hours that a job may wait for its training to start before it counts as stuck."""
    custom_model_kms_key_id: str | None = None
    """ARN of the customer managed key that encrypts tuned models; by default a key that AWS owns."""
    notify: str | None = None
    """Email address to subscribe to the stage's notifications."""

    @classmethod
    def from_context(cls, node: Node) -> Self:
        """Return the stage chosen with ``-c stage=NAME``, with the subscriber given as ``-c notify=EMAIL``."""
        stages, stage = node.get_context("stages"), node.get_context("stage")
        if stage not in stages:
            raise ValueError(
                f"stage {stage!r} is not defined in cdk.json (defined: {', '.join(stages)}). "
                "Add it under context.stages or choose another with -c stage=NAME."
            )
        return cls(stage=stage, notify=node.try_get_context("notify"), **stages[stage])

    @model_validator(mode="after")
    def _models_are_available_in_the_region(self) -> Self:
        for teacher in self.teachers:
            catalog.get_model(teacher)
            ids.check_region(teacher, self.region)
        for student in self.students:
            model = catalog.get_model(student)
            regions = model.family.training_regions if model.training_id else ()
            if self.region not in regions:
                raise ValueError(
                    f"stage {self.stage!r}: {student!r} cannot be trained in {self.region!r} "
                    f"(Regions: {', '.join(regions) or 'none'}). Change 'region' or 'students' in cdk.json."
                )
        return self

    @model_validator(mode="after")
    def _quotas_name_models_of_the_stage(self) -> Self:
        if unknown := set(self.quotas) - {*self.teachers, *self.students}:
            raise ValueError(
                f"stage {self.stage!r}: 'quotas' has an entry for {', '.join(sorted(unknown))}, which is not one of "
                "the stage's 'teachers' or 'students'. Remove the entry or add the model in cdk.json."
            )
        return self

    @model_validator(mode="after")
    def _profiles_name_teachers_of_the_stage(self) -> Self:
        pattern = rf"arn:aws[a-z-]*:bedrock:{self.region}:\d{{12}}:application-inference-profile/[a-z0-9]+"
        for teacher, arn in self.profiles.items():
            if teacher not in self.teachers or not re.fullmatch(pattern, arn):
                raise ValueError(
                    f"stage {self.stage!r}: 'profiles' in cdk.json must map a teacher of the stage to the ARN of an "
                    f"application inference profile in {self.region} (got {teacher!r}: {arn!r})."
                )
        return self

    @model_validator(mode="after")
    def _key_is_in_the_region(self) -> Self:
        pattern = rf"arn:aws[a-z-]*:kms:{self.region}:\d{{12}}:key/[A-Za-z0-9-]+"
        if self.custom_model_kms_key_id is not None and not re.fullmatch(pattern, self.custom_model_kms_key_id):
            raise ValueError(
                f"stage {self.stage!r}: 'custom_model_kms_key_id' in cdk.json must be the ARN of a key, not of an "
                f"alias, in {self.region} (got {self.custom_model_kms_key_id!r})."
            )
        return self
