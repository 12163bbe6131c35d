from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from distillation import keys
from distillation.errors import AccessDenied, Throttled
from distillation.inference.alternatives import NOT_ASKED, alternative_targets, ask_alternatives
from distillation.inference.predictions import predict_batch
from distillation.inference.untuned import untuned_labeler
from distillation.records import Answer, AnswerLine, Prompt, Run, SplitLine, Usage
from distillation.storage import Bucket
from tests.support.builders import any_limits, any_run, converse_response, image_names
from tests.support.fakes import bucket
from tests.support.virtual_time import VirtualTime

TEST, *TRAIN = image_names(3)
LITE, LITE_2, PRO = "amazon.nova-lite-v1:0", "us.amazon.nova-2-lite-v1:0", "amazon.nova-pro-v1:0"
SHORT = Prompt(system="Index.", user="Keywords.")


def run_with(**fields: Any) -> Run:
    return any_run().model_copy(update={"alternatives": [LITE_2], **fields})


def after_labels(run: Run, labels: dict[str, str]) -> Bucket:
    """Return the bucket of a run with two training images, of which some have a label."""
    data = bucket()
    lines = [SplitLine(image=image, group=image, photo=image, width=60, height=40) for image in TRAIN]
    data.write_lines(keys.split_key(run.name, "train"), [line.model_dump() for line in lines])
    usage = Usage(input_tokens=1, output_tokens=1)
    for image, text in labels.items():
        answer = Answer(model=PRO, image=image, text=text, stop_reason="end_turn", usage=usage)
        data.write_document(keys.label_key(run.teacher.id, image, 0), answer)
    return data


def names(run: Run, labels: dict[str, str]) -> dict[str, tuple[str, Prompt]]:
    return {
        target.name: (target.model, target.prompt) for target in alternative_targets(run, after_labels(run, labels))
    }


def test_student_with_examples_and_the_stages_other_students_are_alternatives_to_base() -> None:
    run = run_with()
    targets = names(run, {TRAIN[0]: "cat, sofa"})

    assert list(targets) == ["base", "examples", "us.amazon.nova-2-lite-v1-0"]
    assert targets["base"] == (LITE, run.prompt)
    assert targets["us.amazon.nova-2-lite-v1-0"] == (LITE_2, run.prompt)
    model, prompt = targets["examples"]
    assert model == LITE
    assert prompt.system.startswith(run.prompt.system)
    assert prompt.system.endswith("cat, sofa")


def test_without_a_valid_training_label_there_are_no_examples() -> None:
    assert "examples" not in names(run_with(), {TRAIN[0]: "I cannot help with that."})


def test_student_with_its_own_prompt_is_also_asked_with_the_teachers() -> None:
    run = run_with(student_prompt=SHORT)
    targets = names(run, {TRAIN[0]: "cat, sofa"})

    assert targets["base"] == (LITE, SHORT)
    assert targets["base-teacher-prompt"] == (LITE, run.prompt)
    assert targets["examples"][1].system.startswith(run.prompt.system)


def test_model_that_would_answer_as_the_teacher_or_another_alternative_is_left_out() -> None:
    run = run_with(alternatives=[PRO, f"us.{PRO}", LITE_2, "global.amazon.nova-2-lite-v1:0"])
    labeler = run.teacher.model_copy(update={"id": untuned_labeler(run, PRO, run.prompt).id})

    assert list(names(run.model_copy(update={"teacher": labeler}), {})) == ["base", "us.amazon.nova-2-lite-v1-0"]


def test_names_of_alternatives_are_parts_of_keys_and_no_training_size() -> None:
    for name in names(run_with(student_prompt=SHORT), {TRAIN[0]: "cat, sofa"}):
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
        assert not name[1:].isdigit()


def test_baseline_asks_all_alternatives_and_a_whole_run_pays_neither_base_nor_ceiling_again(
    client: Any, bedrock: Stubber
) -> None:
    run = run_with()
    data = after_labels(run, {TRAIN[0]: "cat, sofa"})
    for _ in range(4):
        bedrock.add_response("converse", converse_response())
    lines = ask_alternatives(run, [TEST], data, client, any_limits())
    whole_run = run.model_copy(update={"name": "holiday-2"})
    reused = predict_batch(whole_run, [], [TEST], data, client, any_limits())

    assert [line.answerer for line in lines] == ["base", "examples", "us.amazon.nova-2-lite-v1-0", "ceiling"]
    assert [(line.answerer, line.reused) for line in reused] == [("base", True), ("ceiling", True)]
    bedrock.assert_no_pending_responses()


def test_answers_are_in_the_part_of_the_baseline_and_not_of_the_predictions(client: Any, bedrock: Stubber) -> None:
    run = run_with(alternatives=[])
    data = after_labels(run, {})
    for _ in range(2):
        bedrock.add_response("converse", converse_response())
    ask_alternatives(run, [TEST], data, client, any_limits())
    part = keys.part_key(run.name, "baseline", keys.batch_id([TEST]))

    assert [line.answerer for line in data.read_records(part, AnswerLine)] == ["base", "ceiling"]
    assert list(data.keys(keys.parts_prefix(run.name, "predict"))) == []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("AccessDeniedException", "no access"),
        ("AccessDeniedException", "Try again in 15 minutes"),
        ("ThrottlingException", "Too many tokens per day"),
        ("ValidationException", "on-demand throughput is not supported"),
    ],
)
def test_other_student_that_cannot_be_asked_is_left_out_with_the_reason(
    client: Any, bedrock: Stubber, code: str, message: str
) -> None:
    run = run_with()
    bedrock.add_response("converse", converse_response())
    bedrock.add_client_error("converse", code, message)
    bedrock.add_response("converse", converse_response())
    base, other, ceiling = ask_alternatives(run, [TEST], after_labels(run, {}), client, any_limits())

    assert (base.status, ceiling.status) == ("ok", "ok")
    assert (other.answerer, other.status, other.text) == ("us.amazon.nova-2-lite-v1-0", "refused", None)
    assert (other.reason or "").startswith(NOT_ASKED)
    assert message in (other.reason or "")


class Throttling:
    """Client of Bedrock that throttles the calls to one model, after ``answered`` of them."""

    def __init__(self, model: str, answered: int = 0) -> None:
        self._model, self._answered = model, answered

    def converse(self, **call: Any) -> dict[str, Any]:
        if call["modelId"] == self._model:
            if not self._answered:
                raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "Converse")
            self._answered -= 1
        return converse_response()


def test_other_student_that_is_throttled_all_the_time_is_left_out() -> None:
    client: Any = Throttling(LITE_2)
    limits, images = any_limits(VirtualTime().clock), [TEST, *TRAIN]
    lines = ask_alternatives(run_with(), images, after_labels(run_with(), {}), client, limits)

    of_other = [line for line in lines if line.answerer == "us.amazon.nova-2-lite-v1-0"]
    assert [line.image for line in of_other] == images
    assert all((line.reason or "").startswith(f"{NOT_ASKED}{LITE_2}: no answer in 2 minutes") for line in of_other)
    assert {line.status for line in lines if line not in of_other} == {"ok"}


def test_other_student_that_has_answered_once_is_asked_again_after_throttling() -> None:
    client: Any = Throttling(LITE_2, answered=1)
    with pytest.raises(Throttled, match="0 of 2 images have an answer"):
        ask_alternatives(
            run_with(),
            [TEST, *TRAIN],
            after_labels(run_with(), {}),
            client,
            any_limits(VirtualTime().clock),
        )


def test_other_student_is_not_left_out_because_the_function_ends() -> None:
    client: Any = Throttling(LITE_2)
    limits = any_limits(VirtualTime().clock, seconds=60)
    with pytest.raises(Throttled, match="0 of 1 images have an answer"):
        ask_alternatives(run_with(), [TEST], after_labels(run_with(), {}), client, limits)


def test_student_that_is_throttled_is_an_error() -> None:
    client: Any = Throttling(LITE)
    with pytest.raises(Throttled, match="0 of 1 images have an answer"):
        ask_alternatives(run_with(), [TEST], after_labels(run_with(), {}), client, any_limits(VirtualTime().clock))


def test_student_that_cannot_be_asked_is_an_error(client: Any, bedrock: Stubber) -> None:
    run = run_with()
    bedrock.add_client_error("converse", "AccessDeniedException", "no access")
    with pytest.raises(AccessDenied, match="no access"):
        ask_alternatives(run, [TEST], after_labels(run, {}), client, any_limits())
