"""Any teacher: how it is called, what it is given, what it may be used for, what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from distillation import ledger
from distillation.dataset.examples import training_record
from distillation.errors import InvalidRequest
from distillation.inference.labelling import label_batch
from distillation.inference.predictions import predict_batch
from distillation.models import catalog
from distillation.records import Run, TrainedModel
from distillation.runs.request import Concurrency, Defaults, resolve
from tests.support.builders import any_limits, any_run
from tests.support.fakes import bucket

PRO = "amazon.nova-pro-v1:0"
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
APPLICATION = "arn:aws:bedrock:us-east-1:000000000000:application-inference-profile/abc123"
SYSTEM = f"arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.{PRO}"
DEPLOYMENT = "arn:aws:bedrock:us-east-1:000000000000:custom-model-deployment/abcdefghijkl"
IMAGE = f"{1:064x}"


@pytest.fixture
def client() -> Any:
    return boto3.client("bedrock-runtime")


@pytest.fixture
def asked(client: Any) -> Iterator[list[dict[str, Any]]]:
    """Answer every question with keywords, and collect what was asked."""
    questions: list[dict[str, Any]] = []
    client.meta.events.register(
        "provide-client-params.bedrock-runtime.Converse", lambda params, **_: questions.append(params)
    )
    answer = {
        "output": {"message": {"role": "assistant", "content": [{"text": "cat, sofa, window"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100},
        "metrics": {"latencyMs": 5},
    }
    with Stubber(client) as stubber:
        for _ in range(4):
            stubber.add_response("converse", answer)
        yield questions


def prepared(teachers: list[str], **request: Any) -> Run:
    defaults = Defaults(
        teachers=teachers,
        students=["amazon.nova-lite-v1:0"],
        profiles={PRO: APPLICATION} if request.pop("through", None) else {},
        concurrency=Concurrency(resize=1, label=1, predict=1),
        region="us-east-1",
        account="000000000000",
    )
    return resolve({"collection": "holiday/", **request}, "arn:e", bucket(), defaults)


def taught_by(model: str, **request: Any) -> Run:
    run = any_run(**request)
    return run.model_copy(update={"teacher": run.teacher.model_copy(update={"model": model})})


@pytest.mark.parametrize("id", [PRO, f"us.{PRO}", f"eu.{PRO}", SYSTEM])
def test_a_profile_leads_to_the_row_of_its_model(id: str) -> None:
    assert catalog.get_model(id) is catalog.MODELS[PRO]
    assert catalog.provider(id) == "amazon"


def test_profile_with_a_price_of_its_own_has_a_row_of_its_own() -> None:
    assert catalog.get_model(HAIKU).price("input").usd > catalog.get_model(f"global{HAIKU[2:]}").price("input").usd


@pytest.mark.parametrize("id", [APPLICATION, "us.meta.llama", "anthropic.claude-sonnet-4-6"])
def test_model_without_a_row_is_refused_with_those_that_have_one(id: str) -> None:
    with pytest.raises(InvalidRequest, match=f"unknown model .*known: .*{PRO}"):
        catalog.get_model(id)


def test_labels_are_the_models_whatever_profile_leads_to_it() -> None:
    ids = {
        prepared([PRO]).teacher.id,
        prepared([f"us.{PRO}"]).teacher.id,
        prepared([SYSTEM]).teacher.id,
        prepared([PRO], through=True).teacher.id,
    }
    assert len(ids) == 1
    assert prepared([PRO], through=True).teacher.invocation_id == APPLICATION
    assert prepared([SYSTEM]).teacher.invocation_id == SYSTEM


def test_nova_is_given_the_place_of_an_image_and_claude_its_bytes(client: Any, asked: list[dict[str, Any]]) -> None:
    data = bucket(**{f"images/900/{IMAGE}.jpg": b"jpeg"})
    label_batch(taught_by(PRO), [IMAGE], bucket(), client, any_limits())
    label_batch(taught_by(HAIKU), [IMAGE], data, client, any_limits())

    sources = [question["messages"][0]["content"][1]["image"]["source"] for question in asked]
    assert sources[0]["s3Location"]["uri"] == f"s3://data/images/900/{IMAGE}.jpg"
    assert sources[1] == {"bytes": b"jpeg"}
    assert [question["modelId"] for question in asked] == [PRO, HAIKU]


def test_image_too_large_for_a_request_is_set_aside_and_nothing_is_asked(
    client: Any, asked: list[dict[str, Any]]
) -> None:
    data = bucket(**{f"images/900/{IMAGE}.jpg": b"x" * 3_932_161})
    (line,) = label_batch(taught_by(HAIKU), [IMAGE], data, client, any_limits())

    assert line.status == "refused"
    assert "3,932,161 bytes, more than the 3,932,160" in (line.reason or "")
    assert asked == []


def test_flex_is_asked_for_and_paid_at_half_the_price_and_students_are_not(
    client: Any, asked: list[dict[str, Any]]
) -> None:
    data = bucket()
    run = any_run(service_tier="flex")
    label_batch(run, [IMAGE], data, client, any_limits())
    predict_batch(run, [], [IMAGE], data, client, any_limits())

    assert [question.get("serviceTier") for question in asked] == [{"type": "flex"}, None, {"type": "flex"}]
    usd = {(e["step"], e["model"]): e["usd"] for e in ledger.summary(data, run.name)["entries"]}
    assert usd["LabelImages", PRO] == pytest.approx((1000 * 0.8 + 100 * 3.2) / 1e6 / 2)


def test_teacher_without_a_flex_tier_is_refused_by_name() -> None:
    assert prepared([PRO], service_tier="flex").request.service_tier == "flex"
    with pytest.raises(InvalidRequest, match=r"service_tier: .*haiku.* has no flex tier; leave service_tier out"):
        prepared([HAIKU], service_tier="flex", accept_teacher_terms=True)


def test_teacher_of_another_provider_needs_its_terms_accepted() -> None:
    with pytest.raises(InvalidRequest, match=r"by 'anthropic' .* may forbid training .* accept_teacher_terms: true"):
        prepared([HAIKU])

    assert prepared([HAIKU], accept_teacher_terms=True).teacher.model == HAIKU


def test_profile_of_another_part_of_the_world_is_refused_with_where_it_is_asked() -> None:
    with pytest.raises(InvalidRequest, match=r"'eu\.amazon.* is asked in eu-central-1, .* not in 'us-east-1'"):
        catalog.check_region(f"eu.{PRO}", "us-east-1")
    for id in (PRO, f"us.{PRO}", "global.anthropic.claude-sonnet-4-6", SYSTEM):
        catalog.check_region(id, "us-east-1")


def test_student_is_trained_and_asked_with_the_teachers_question_word_for_word(
    client: Any, asked: list[dict[str, Any]]
) -> None:
    run = prepared([PRO], keywords_min=1)
    models = [TrainedModel(size=12, status="Active", model_name="m", deployment_arn=DEPLOYMENT)]
    data = bucket()
    label_batch(run, [IMAGE], data, client, any_limits())
    predict_batch(run, models, [IMAGE], data, client, any_limits())
    example = training_record(run, "data", IMAGE, "cat")

    questions = [(question["system"], question["messages"]) for question in asked]
    assert [question["modelId"] for question in asked] == [PRO, "amazon.nova-lite-v1:0", DEPLOYMENT, PRO]
    assert questions == [(example["system"], example["messages"][:1])] * 4
