from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from distillation import keys, ledger
from distillation.errors import AccessDenied, OverBudget
from distillation.inference.apply import apply_batch, audited_images
from distillation.inference.labelling import label_batch
from distillation.records import AnswerLine, Run, TrainedModel
from distillation.storage import Bucket
from tests.support.builders import any_limits, any_run, converse_response, image_names
from tests.support.fakes import bucket
from tests.support.training_jobs import DEPLOYMENT_ARN

IMAGES = image_names(3)
MODEL = TrainedModel(size=12, status="Active", deployment_arn=DEPLOYMENT_ARN)
TEACHER = "amazon.nova-pro-v1:0"


def applying(name: str = "holiday-1", **request: Any) -> Run:
    run = any_run(apply="tuned-1", **request)
    return run.model_copy(update={"name": name, "applies": MODEL})


def applied(
    run: Run, client: Any, images: list[str] = IMAGES, audited: list[str] | None = None, data: Bucket | None = None
) -> list[AnswerLine]:
    return apply_batch(run, images, audited or [], data or bucket(), client, any_limits())


def expect(bedrock: Stubber, *texts: str) -> None:
    """Expect these answers, one after the other."""
    for text in texts:
        bedrock.add_response("converse", converse_response(text))


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make batches ask one question after the other, in the order of the images."""
    monkeypatch.setattr("distillation.inference.rate_limit.MAX_CONCURRENT_CALLS", 1)


def models_asked(calls: list[dict[str, Any]]) -> list[str]:
    return ["tuned" if call["modelId"] == DEPLOYMENT_ARN else "teacher" for call in calls]


def test_teacher_is_asked_only_where_the_answer_of_the_tuned_model_is_not_valid(
    client: Any, bedrock: Stubber, converse_calls: list[dict[str, Any]]
) -> None:
    expect(bedrock, "cat, sofa", "I cannot help with this image.", "lamp, table", "dog, ball")
    lines = applied(applying(fallback="teacher"), client)

    assert [(line.answerer, line.status) for line in lines] == [
        ("tuned", "ok"),
        ("tuned", "refused"),
        ("tuned", "ok"),
        ("fallback", "ok"),
    ]
    assert (lines[-1].image, lines[-1].text) == (lines[1].image, "dog, ball")
    assert models_asked(converse_calls) == ["tuned"] * 3 + ["teacher"]


def test_without_fallback_the_teacher_is_not_asked(client: Any, bedrock: Stubber) -> None:
    expect(bedrock, "cat, sofa", "I cannot help with this image.", "lamp, table")

    assert [line.answerer for line in applied(applying(), client)] == ["tuned"] * 3


def test_image_that_has_a_label_already_costs_nothing_in_fallback_and_audit(
    client: Any, bedrock: Stubber, converse_calls: list[dict[str, Any]]
) -> None:
    data = bucket()
    expect(bedrock, "a label, of the teacher", "I cannot help with this image.")
    label_batch(any_run().model_copy(update={"name": "tuned-1"}), IMAGES[:1], data, client, any_limits())
    lines = applied(applying(fallback="teacher"), client, IMAGES[:1], IMAGES[:1], data)

    assert {line.answerer: (line.text, line.reused) for line in lines[1:]} == {
        "fallback": ("a label, of the teacher", True),
        "audit": ("a label, of the teacher", True),
    }
    assert models_asked(converse_calls) == ["teacher", "tuned"]
    entries = {entry.model: entry for entry in ledger.summary("holiday-1", data).entries}
    assert (entries[TEACHER].calls, entries[TEACHER].usd) == (0, 0)


def test_repeated_batch_pays_for_nothing_again(client: Any, bedrock: Stubber) -> None:
    data = bucket()
    expect(bedrock, "cat, sofa", "I cannot help with this image.", "lamp, table", "dog, ball", "boat, sea")
    first = applied(applying(fallback="teacher"), client, audited=IMAGES[2:], data=data)
    again = applied(applying(fallback="teacher"), client, audited=IMAGES[2:], data=data)

    assert [line.text for line in again] == [line.text for line in first]
    assert all(line.reused for line in again)
    assert list(data.read_parts(keys.parts_prefix("holiday-1", "predict"), AnswerLine)) == again


def test_audited_image_has_all_samples_of_a_label(client: Any, bedrock: Stubber) -> None:
    expect(bedrock, "cat, sofa", "cat, sofa", "cat, lamp", "cat, rug")
    run = applying(samples_per_image=3, temperature=0.5)
    lines = applied(run, client, IMAGES[:1], IMAGES[:1])

    assert [(line.answerer, line.sample) for line in lines] == [("tuned", 0), ("audit", 0), ("audit", 1), ("audit", 2)]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("AccessDeniedException", "You don't have access to the model."),
        ("ThrottlingException", "Too many tokens per day, please wait before trying again."),
        ("ResourceNotFoundException", "This model version has reached the end of its life."),
    ],
)
def test_teacher_that_cannot_be_asked_costs_the_audit_and_not_the_answers(
    client: Any, bedrock: Stubber, code: str, message: str
) -> None:
    expect(bedrock, "cat, sofa")
    bedrock.add_client_error("converse", code, message)
    tuned, audit = applied(applying(service_tier="default"), client, IMAGES[:1], IMAGES[:1])

    assert (tuned.status, tuned.text) == ("ok", "cat, sofa")
    assert (audit.answerer, audit.status) == ("audit", "refused")
    assert message.rstrip(".") in (audit.reason or "")


def test_teacher_that_cannot_be_asked_ends_a_run_that_falls_back_to_it(client: Any, bedrock: Stubber) -> None:
    expect(bedrock, "I cannot help with this image.")
    bedrock.add_client_error("converse", "AccessDeniedException")
    with pytest.raises(AccessDenied):
        applied(applying(fallback="teacher", service_tier="default"), client, IMAGES[:1])


def test_answers_of_the_teacher_are_within_the_budget(client: Any, bedrock: Stubber) -> None:
    expect(bedrock, "I cannot help with this image.")
    # One answer of the student costs at most $0.0002, one of the teacher at most $0.002.
    with pytest.raises(OverBudget):
        applied(applying(fallback="teacher", max_usd=0.001), client, IMAGES[:1])
    expect(bedrock, "cat, sofa")
    lines = applied(applying("other", max_usd=0.001), client, IMAGES[:1], IMAGES[:1])

    assert [(line.answerer, line.status) for line in lines] == [("tuned", "ok"), ("audit", "refused")]


@pytest.mark.parametrize(
    ("share", "images", "audited"), [(0.02, 5, 5), (0.02, 500, 20), (0.02, 2000, 40), (0.5, 100, 50), (0, 500, 0)]
)
def test_audit_has_its_share_of_the_images_and_at_least_20(share: float, images: int, audited: int) -> None:
    assert len(audited_images(applying(audit_share=share), image_names(images))) == audited


def test_audited_images_are_the_same_in_a_retry_and_others_in_another_run() -> None:
    names = image_names(500)
    chosen = audited_images(applying(), names)

    assert chosen == audited_images(applying(), names[::-1])
    # By chance 20 random images of 500 and 20 others share about one.
    assert len(chosen & audited_images(applying("holiday-2"), names)) < 10
    assert chosen != set(names[:20])
