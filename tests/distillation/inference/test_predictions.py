from __future__ import annotations

from typing import Any

from botocore.stub import Stubber

from distillation.inference.predictions import predict_batch
from distillation.records import TrainedModel
from tests.support.builders import any_limits, any_run, converse_response, run_with_limits
from tests.support.fakes import bucket
from tests.support.labelling import image_names

IMAGES = image_names(1)
DEPLOYMENT = "arn:aws:bedrock:us-east-1:000000000000:custom-model-deployment/abcdefghijkl"


def test_base_tuned_model_and_ceiling_are_asked_but_not_a_size_that_failed(client: Any, bedrock: Stubber) -> None:
    models = [
        TrainedModel(size=12, status="Active", model_name="m", deployment_arn=DEPLOYMENT),
        TrainedModel(size=30, status="Failed", reason="x"),
    ]
    for _ in range(3):
        bedrock.add_response("converse", converse_response())
    lines = predict_batch(any_run(), models, IMAGES, bucket(), client, any_limits())

    assert [line.answerer for line in lines] == ["base", "n12", "ceiling"]
    bedrock.assert_no_pending_responses()


def test_student_is_not_asked_again_after_a_rejected_answer(client: Any, bedrock: Stubber) -> None:
    bedrock.add_response("converse", converse_response("cat"))
    for _ in range(2):
        bedrock.add_response("converse", converse_response("cat"))
    base, ceiling = predict_batch(run_with_limits(3, 9), [], IMAGES, bucket(), client, any_limits())

    assert (base.status, ceiling.status) == ("refused", "refused")
    bedrock.assert_no_pending_responses()
