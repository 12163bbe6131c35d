from __future__ import annotations

from typing import Any

from botocore.stub import Stubber

from distillation import keys
from distillation.inference.predictions import predict_batch
from distillation.inference.untuned import untuned_labeler, untuned_target
from distillation.records import Concurrency, Prompt
from distillation.runs.execution_input import StartedRequest
from distillation.runs.request import Defaults, resolve
from tests.support.builders import any_limits, any_run, converse_response, image_names
from tests.support.fakes import bucket

IMAGES = image_names(1)
LITE, PRO = "amazon.nova-lite-v1:0", "amazon.nova-pro-v1:0"


def test_question_that_the_teacher_is_asked_too_has_the_teachers_id() -> None:
    defaults = Defaults(
        stage="dev",
        teachers=[PRO],
        students=[LITE],
        concurrency=Concurrency(resize=1, label=1, predict=1),
        region="us-east-1",
        account="000000000000",
    )
    run = resolve(StartedRequest("holiday/"), "arn:e", bucket(), defaults)

    assert untuned_labeler(run, PRO, run.prompt).id == run.teacher.id
    assert untuned_labeler(run, f"us.{PRO}", run.prompt).id == run.teacher.id


def test_model_prompt_and_settings_are_part_of_the_id() -> None:
    run = any_run()
    other_prompt = Prompt(system="Other.", user="Write keywords.")
    other_settings = run.model_copy(update={"teacher": run.teacher.model_copy(update={"max_tokens": 200})})
    ids = [
        untuned_labeler(run, LITE, run.prompt).id,
        untuned_labeler(run, PRO, run.prompt).id,
        untuned_labeler(run, LITE, other_prompt).id,
        untuned_labeler(other_settings, LITE, run.prompt).id,
    ]

    assert len(set(ids)) == len(ids)


def test_untuned_model_has_the_lowest_temperature_that_its_family_accepts() -> None:
    run = any_run()
    run = run.model_copy(update={"teacher": run.teacher.model_copy(update={"temperature": 0.0})})

    assert untuned_labeler(run, LITE, run.prompt).temperature == 0.00001


def test_answer_of_an_untuned_model_is_stored_as_a_label_and_never_asked_for_again() -> None:
    run = any_run()
    target = untuned_target(run, "base", run.student, run.student_prompt)

    assert target.answer_key(IMAGES[0]) == keys.label_key(target.labeler.id, IMAGES[0], 0)
    assert target.retry_key is None
    assert (target.model, target.billed_as) == (LITE, LITE)


def test_second_run_over_the_same_image_pays_for_neither_base_nor_ceiling(client: Any, bedrock: Stubber) -> None:
    data = bucket()
    for _ in range(2):
        bedrock.add_response("converse", converse_response())
    first = predict_batch(any_run(), [], IMAGES, data, client, any_limits())
    second_run = any_run().model_copy(update={"name": "holiday-2"})
    second = predict_batch(second_run, [], IMAGES, data, client, any_limits())

    assert [line.reused for line in first] == [False, False]
    assert [(line.answerer, line.reused) for line in second] == [("base", True), ("ceiling", True)]
