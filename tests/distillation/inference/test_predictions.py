from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from botocore.stub import Stubber

from distillation import keys
from distillation.dataset.writer import training_record
from distillation.inference.apply import apply_batch
from distillation.inference.labelling import label_batch
from distillation.inference.predictions import predict_batch
from distillation.records import Concurrency, TrainedModel
from distillation.runs.execution_input import StartedRequest
from distillation.runs.request import Defaults, resolve
from tests.support.builders import any_limits, any_run, converse_response, image_names, run_with_limits
from tests.support.fakes import bucket

IMAGES = image_names(1)
DEFAULTS = Defaults(
    stage="dev",
    teachers=["amazon.nova-pro-v1:0"],
    students=["amazon.nova-lite-v1:0"],
    concurrency=Concurrency(resize=1, label=1, predict=1),
    region="us-east-1",
    account="000000000000",
)
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


def test_student_is_not_asked_again_after_an_invalid_answer(client: Any, bedrock: Stubber) -> None:
    bedrock.add_response("converse", converse_response("I cannot help with that."))
    for _ in range(2):
        bedrock.add_response("converse", converse_response("I cannot help with that."))
    base, ceiling = predict_batch(run_with_limits(3, 9), [], IMAGES, bucket(), client, any_limits())

    assert (base.status, ceiling.status) == ("refused", "refused")
    bedrock.assert_no_pending_responses()


@pytest.mark.parametrize("apply", [False, True])
def test_prediction_is_valid_with_another_number_of_keywords_than_labels_have(
    client: Any, bedrock: Stubber, apply: bool
) -> None:
    model = TrainedModel(size=12, status="Active", model_name="m", deployment_arn=DEPLOYMENT)
    run = run_with_limits(15, 25, **({"apply": "earlier", "audit_share": 0} if apply else {}))
    run = run.model_copy(update={"applies": model}) if apply else run
    for _ in range(1 if apply else 3):
        bedrock.add_response("converse", converse_response("cat, sofa"))
    if apply:
        lines = apply_batch(run, IMAGES, [], bucket(), client, any_limits())
    else:
        lines = predict_batch(run, [model], IMAGES, bucket(), client, any_limits())

    assert [line.status for line in lines] == ["ok"] * len(lines)
    bedrock.assert_no_pending_responses()


@pytest.mark.parametrize(("sizes", "asked_about_validation"), [((12, 30), ["n12", "n30"]), ((12,), [])])
def test_only_tuned_models_are_asked_about_validation_images_and_only_to_choose_a_size(
    client: Any, bedrock: Stubber, sizes: tuple[int, ...], asked_about_validation: list[str]
) -> None:
    test, validation = image_names(2)
    models = [TrainedModel(size=size, status="Active", model_name="m", deployment_arn=DEPLOYMENT) for size in sizes]
    for _ in range(2 + len(sizes) + len(asked_about_validation)):
        bedrock.add_response("converse", converse_response())
    images = [test, validation]
    lines = predict_batch(any_run(), models, images, bucket(), client, any_limits(), {validation})

    assert [line.answerer for line in lines if line.image == validation] == asked_about_validation
    assert [line.answerer for line in lines if line.image == test] == [
        "base",
        *(f"n{size}" for size in sizes),
        "ceiling",
    ]
    bedrock.assert_no_pending_responses()


def test_teacher_is_asked_again_about_the_images_of_the_ceiling_only(client: Any, bedrock: Stubber) -> None:
    first, second = image_names(2)
    for _ in range(3):
        bedrock.add_response("converse", converse_response())
    lines = predict_batch(any_run(), [], [first, second], bucket(), client, any_limits(), ceiling=[first])

    assert [(line.answerer, line.image) for line in lines] == [("base", first), ("base", second), ("ceiling", first)]
    bedrock.assert_no_pending_responses()


def test_student_is_trained_and_called_with_the_teachers_question_word_for_word(
    client: Any, bedrock: Stubber, converse_calls: list[dict[str, Any]]
) -> None:
    for _ in range(4):
        bedrock.add_response("converse", converse_response())
    run, data = resolve(StartedRequest("holiday/", {"keywords_min": 1}), "arn:e", bucket(), DEFAULTS), bucket()
    models = [TrainedModel(size=12, status="Active", model_name="m", deployment_arn=DEPLOYMENT)]
    label_batch(run, IMAGES, data, client, any_limits())
    predict_batch(run, models, IMAGES, data, client, any_limits())
    record = training_record(run, "data", IMAGES[0], "cat")

    model_ids = [call["modelId"] for call in converse_calls]
    assert model_ids == ["amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0", DEPLOYMENT, "amazon.nova-pro-v1:0"]
    assert [(call["system"], call["messages"]) for call in converse_calls] == [
        (record["system"], record["messages"][:1])
    ] * 4


@pytest.mark.parametrize("apply", [False, True])
def test_deployment_that_refuses_s3_locations_is_asked_with_bytes(
    client: Any, bedrock: Stubber, converse_calls: list[dict[str, Any]], apply: bool
) -> None:
    model = TrainedModel(size=12, status="Active", model_name="m", deployment_arn=DEPLOYMENT, images_by="bytes")
    run = any_run(apply="earlier", audit_share=0).model_copy(update={"applies": model}) if apply else any_run()
    image = sha256(b"jpeg").hexdigest()
    data = bucket(**{keys.image_key(run.image_side, image): b"jpeg"})
    for _ in range(1 if apply else 3):
        bedrock.add_response("converse", converse_response())
    if apply:
        apply_batch(run, [image], [], data, client, any_limits())
    else:
        predict_batch(run, [model], [image], data, client, any_limits())

    sources = {call["modelId"]: call["messages"][0]["content"][1]["image"]["source"] for call in converse_calls}
    assert sources.pop(DEPLOYMENT) == {"bytes": b"jpeg"}
    assert all("s3Location" in source for source in sources.values())


def test_temperature_0_is_sent_as_the_lowest_that_each_family_accepts(
    client: Any, bedrock: Stubber, converse_calls: list[dict[str, Any]]
) -> None:
    run = any_run()
    # A teacher of another family may have temperature 0.
    run = run.model_copy(update={"teacher": run.teacher.model_copy(update={"temperature": 0})})
    for _ in range(2):
        bedrock.add_response("converse", converse_response())
    predict_batch(run, [], IMAGES, bucket(), client, any_limits())

    temperatures = {call["modelId"]: call["inferenceConfig"]["temperature"] for call in converse_calls}
    assert temperatures[run.student] == 0.00001
