"""Configuration of a stage, from ``context.stages`` in cdk.json."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from typing import Self

from constructs import Node
from pydantic import Field, model_validator

from distillation.models import catalog, ids
from distillation.records import Quota, StageLimits

_RESERVED_TAG_PREFIXES = ("aws:", "vision-distillation:")
_TAG_CHARACTERS = r"[A-Za-z0-9 _.:/=+@-]"
"""Characters of a tag: Bedrock's pattern in its service model, which allows fewer than IAM and S3."""
_MAXIMUM_TAGS = 40
"""Number of tags. S3, IAM and CloudFormation accept 50 per resource; the rest is for the pipeline's own tags."""
_MAXIMUM_TAG_CHARACTERS = 2000
"""Length of the tags as JSON. They are in the environment of Prepare, which Lambda limits to 4 KB."""


class StageConfig(StageLimits):
    """Configuration of one stage. A request uses the first teacher and the first student by default."""

    stage: str = Field(pattern=r"^[a-z][a-z0-9]{1,9}$")
    """Name of the stage in cdk.json: a lowercase letter, then 1-9 lowercase letters or digits."""
    region: str
    """Region of the stacks, in which Bedrock must be able to train the students."""
    teachers: list[str] = Field(min_length=1)
    """Model ids that a request may choose as teacher; the first is the default."""
    students: list[str] = Field(min_length=1)
    """Model ids that a request may choose as student; the first is the default."""
    profiles: dict[str, str] = Field(default={})
    """ARNs of application inference profiles, keyed by the id of the teacher to invoke through them."""
    concurrency: dict[str, int]
    """Maximum number of batches at the same time, keyed by step: resize, label, predict."""
    images_per_batch: int = Field(default=100, ge=20, le=150)
    """Images per batch of LabelImages, PredictTestImages and PredictImages."""
    shared_models: list[str] = Field(default=[], max_length=20)
    """Up to 20 names of runs whose models a request that arrives by upload may apply or replace from any collection."""
    quotas: dict[str, Quota] = Field(default={})
    """Requests and tokens per minute and tokens per day where they differ from the catalog, keyed by model id."""
    old_deployment_days: int = Field(default=90, ge=1)
    """Age of a deployment in days that sets off the OldDeployment alarm."""
    stuck_job_hours: float = Field(default=24, gt=0)
    """Hours that a job may wait for its training to start before it counts as stuck."""
    bundle_layers: bool = True
    """Whether the layers have their packages. The functions on the AWS emulator import those of this machine."""
    bucket_kms_key_arn: str | None = None
    """ARN of the customer managed key that encrypts both buckets (SSE-KMS); by default keys that S3 manages."""
    model_kms_key_arn: str | None = None
    """ARN of the customer managed key that encrypts tuned models; by default a key that AWS owns."""
    tags: dict[str, str] = Field(default={})
    """Up to 40 tags of all resources of both stacks, and of all jobs, models and deployments."""
    notify: str | None = None
    """Email address to subscribe to the stage's notifications."""

    @classmethod
    def from_context(cls, node: Node) -> Self:
        """Return the stage chosen with ``-c stage=NAME``, with the subscriber given as ``-c notify=EMAIL``.

        Without it, the stage is that of the environment variable ``DISTILL_STAGE``, or ``dev``.
        """
        stages = node.get_context("stages")
        stage = node.try_get_context("stage") or os.environ.get("DISTILL_STAGE") or "dev"
        if stage not in stages:
            raise ValueError(
                f"stage {stage!r} is not defined in cdk.json (defined: {', '.join(stages)}). "
                "Add it under context.stages, or choose another with -c stage=NAME or DISTILL_STAGE."
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
    def _shared_models_are_names_of_runs(self) -> Self:
        if wrong := [name for name in self.shared_models if not re.fullmatch(r"[a-z0-9-]{1,41}", name)]:
            raise ValueError(
                f"stage {self.stage!r}: 'shared_models' in cdk.json has {', '.join(map(repr, wrong))}, which is not "
                "the name of a run. List the runs with: distill runs"
            )
        return self

    @model_validator(mode="after")
    def _run_fits_into_a_month(self) -> Self:
        if self.max_usd_per_run > self.max_usd_per_month:
            raise ValueError(
                f"stage {self.stage!r}: 'max_usd_per_run' {self.max_usd_per_run:,.2f} in cdk.json is above "
                f"'max_usd_per_month' {self.max_usd_per_month:,.2f}. Lower the first or raise the second."
            )
        return self

    @model_validator(mode="after")
    def _keys_are_in_the_region(self) -> Self:
        pattern = rf"arn:aws[a-z-]*:kms:{self.region}:\d{{12}}:key/[A-Za-z0-9-]+"
        for field in ("bucket_kms_key_arn", "model_kms_key_arn"):
            key = getattr(self, field)
            if key is not None and not re.fullmatch(pattern, key):
                raise ValueError(
                    f"stage {self.stage!r}: {field!r} in cdk.json must be the ARN of a key, not of an alias, in "
                    f"{self.region} (got {key!r})."
                )
        return self

    @model_validator(mode="after")
    def _tags_are_accepted_by_every_service(self) -> Self:
        """Check the rules for tags of IAM, S3, CloudFormation and Bedrock; the strictest of each applies."""
        for key, value in self.tags.items():
            if problem := _tag_problem(key, value):
                raise ValueError(f"stage {self.stage!r}: 'tags' in cdk.json: {key!r}: {value!r}: {problem}.")
        keys = Counter(key.lower() for key in self.tags)
        if duplicates := [key for key in self.tags if keys[key.lower()] > 1]:
            raise ValueError(
                f"stage {self.stage!r}: 'tags' in cdk.json: {', '.join(duplicates)} differ only in case, which IAM "
                "does not accept. Remove all but one."
            )
        if len(self.tags) > _MAXIMUM_TAGS or len(json.dumps(self.tags)) > _MAXIMUM_TAG_CHARACTERS:
            raise ValueError(
                f"stage {self.stage!r}: 'tags' in cdk.json must be at most {_MAXIMUM_TAGS} tags with "
                f"{_MAXIMUM_TAG_CHARACTERS:,} characters of JSON. Remove some."
            )
        return self


def _tag_problem(key: str, value: str) -> str | None:
    """Return why a tag is not valid, or None."""
    if key.lower().startswith(_RESERVED_TAG_PREFIXES):
        return f"keys that start with {' or '.join(_RESERVED_TAG_PREFIXES)} are reserved"
    if not re.fullmatch(rf"{_TAG_CHARACTERS}{{1,128}}", key):
        return "a key has 1-128 characters out of letters A-Z, digits, spaces and _.:/=+@-"
    if not re.fullmatch(rf"{_TAG_CHARACTERS}{{0,256}}", value):
        return "a value has at most 256 characters out of letters A-Z, digits, spaces and _.:/=+@-"
    return None
