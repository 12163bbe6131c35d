#!/usr/bin/env python3
"""The CDK app: the storage stack and the pipeline stack of one stage."""

from __future__ import annotations

import os
from typing import NamedTuple

import aws_cdk as cdk

from infra.config import StageConfig
from infra.pipeline_stack import PipelineStack
from infra.storage_stack import StorageStack


class Stacks(NamedTuple):
    """Stacks of one stage."""

    storage: StorageStack
    pipeline: PipelineStack


def build(app: cdk.App) -> Stacks:
    """Add the stacks of the stage in the CDK context to ``app``."""
    config = StageConfig.from_context(app.node)
    env = cdk.Environment(account=os.environ.get("CDK_DEFAULT_ACCOUNT"), region=config.region)
    storage = StorageStack(app, f"Distill-{config.stage}-Storage", env=env, kms_key_arn=config.bucket_kms_key_arn)
    pipeline = PipelineStack(
        app,
        f"Distill-{config.stage}-Pipeline",
        config=config,
        data=storage.data,
        photos=storage.photos,
        env=env,
    )
    for key, value in {**config.tags, "vision-distillation:stage": config.stage}.items():
        cdk.Tags.of(app).add(key, value)
    return Stacks(storage, pipeline)


if __name__ == "__main__":
    application = cdk.App()
    build(application)
    application.synth()
