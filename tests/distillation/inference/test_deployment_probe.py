from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from botocore.stub import Stubber

from distillation import keys, ledger
from distillation.errors import DeploymentFailed, InvalidRequest, ObjectDamaged, OverBudget
from distillation.inference.deployment_probe import probe_image_source
from distillation.inference.predictions import predict_batch
from distillation.records import ImageSource, SplitLine, TrainedModel
from distillation.storage import Bucket
from tests.support.builders import any_limits, any_run, converse_response
from tests.support.training_jobs import DEPLOYMENT_ARN, split_bucket

IMAGE = sha256(b"jpeg").hexdigest()
REFUSAL = ("ValidationException", "The image source s3Location is not supported for this model.")


def data_bucket() -> Bucket:
    """Return a Data bucket whose first test image is ``IMAGE``."""
    data = split_bucket()
    line = SplitLine(image=IMAGE, group=IMAGE, photo="holiday/1.jpg", width=900, height=600)
    data.write_lines(keys.split_key("holiday-1", "test"), [line.model_dump()])
    data.write(keys.image_key(900, IMAGE), b"jpeg")
    return data


def image_source(data: Bucket, client: Any, **request: Any) -> ImageSource:
    return probe_image_source(any_run(**request), 12, DEPLOYMENT_ARN, data, client, any_limits())


def test_first_question_is_paid_once_and_is_the_prediction_about_its_image(
    client: Any, bedrock: Stubber, converse_calls: list[dict[str, Any]]
) -> None:
    data = data_bucket()
    bedrock.add_response("converse", converse_response())
    assert image_source(data, client) == "s3Location"
    assert image_source(data, client) == "s3Location"
    entries = {entry.step: entry for entry in ledger.summary("holiday-1", data).entries}

    assert (entries["Deploy"].calls, entries["Deploy"].model) == (1, "amazon.nova-lite-v1:0")
    assert entries["Deploy"].usd > 0
    model = TrainedModel(size=12, status="Active", deployment_arn=DEPLOYMENT_ARN)
    for _ in range(2):  # The base model and the ceiling.
        bedrock.add_response("converse", converse_response())
    lines = predict_batch(any_run(), [model], [IMAGE], data, client, any_limits())
    assert {line.answerer: line.reused for line in lines} == {"base": False, "n12": True, "ceiling": False}


def test_deployment_that_refuses_s3_locations_is_asked_with_bytes_also_in_a_repeated_call(
    client: Any, bedrock: Stubber, converse_calls: list[dict[str, Any]]
) -> None:
    data = data_bucket()
    bedrock.add_client_error("converse", *REFUSAL)
    bedrock.add_response("converse", converse_response())

    assert image_source(data, client) == "bytes"
    assert image_source(data, client) == "bytes"
    sources = [call["messages"][0]["content"][1]["image"]["source"] for call in converse_calls]
    assert [next(iter(source)) for source in sources] == ["s3Location", "bytes"]


def test_refusal_in_other_words_is_recognised_because_bytes_are_answered(client: Any, bedrock: Stubber) -> None:
    bedrock.add_client_error("converse", "ValidationException", "We could not read the image.")
    bedrock.add_response("converse", converse_response())

    assert image_source(data_bucket(), client) == "bytes"


def test_image_that_is_refused_from_both_sources_does_not_fail_the_deployment(client: Any, bedrock: Stubber) -> None:
    for _ in range(2):
        bedrock.add_client_error("converse", "ValidationException", "Could not process image")

    assert image_source(data_bucket(), client) == "s3Location"


def test_deployment_that_refuses_both_sources_has_failed(client: Any, bedrock: Stubber) -> None:
    bedrock.add_client_error("converse", *REFUSAL)
    bedrock.add_client_error("converse", "ValidationException", "The image source bytes is not supported.")
    with pytest.raises(DeploymentFailed, match=r"takes no images: .*source bytes is not supported"):
        image_source(data_bucket(), client)


def test_other_refusals_end_the_first_question(client: Any, bedrock: Stubber) -> None:
    bedrock.add_client_error("converse", "ValidationException", "`temperature` is deprecated for this model.")
    with pytest.raises(InvalidRequest, match="temperature"):
        image_source(data_bucket(), client)


def test_first_question_stays_within_the_budget(client: Any, bedrock: Stubber) -> None:
    with pytest.raises(OverBudget):
        image_source(data_bucket(), client, max_usd=0)


def test_empty_list_of_test_images_is_named(client: Any, bedrock: Stubber) -> None:
    data = data_bucket()
    data.write(keys.split_key("holiday-1", "test"), b"")

    with pytest.raises(ObjectDamaged, match=r"splits/test\.jsonl lists no image\. Start the run again"):
        image_source(data, client)
