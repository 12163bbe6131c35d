from __future__ import annotations

from distillation.serving.tags import resource_tags
from tests.support.builders import any_run
from tests.support.fakes import bucket


def test_resources_have_tags_with_their_run_stage_and_data_bucket_and_those_of_the_stage() -> None:
    run = any_run().model_copy(update={"stage": "dev", "tags": {"cost-center": "42"}})

    assert resource_tags(run, bucket()) == [
        {"key": "vision-distillation:run", "value": "holiday-1"},
        {"key": "vision-distillation:stage", "value": "dev"},
        {"key": "vision-distillation:data-bucket", "value": "data"},
        {"key": "cost-center", "value": "42"},
    ]
