from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from distillation.errors import InvalidRequest
from distillation.keys import model_name, run_name
from distillation.models.catalog import default_quota
from distillation.records import Limits, Quota, Run
from distillation.runs.request import Concurrency, Defaults, claim, resolve, run_name_of
from distillation.runs.specimen import check_specimen
from tests.support.fakes import bucket

DEFAULTS = Defaults(
    teachers=["amazon.nova-pro-v1:0", "local.teacher-pixels-v1:0"],
    students=["amazon.nova-lite-v1:0", "local.student-pixels-v1:0"],
    concurrency=Concurrency(resize=1, label=1, predict=1),
    region="us-east-1",
    account="000000000000",
)


def from_console(**request: Any) -> Run:
    return resolve({"collection": "holiday/", **request}, "arn:e1", bucket(), DEFAULTS)


def event(version: str = "v1") -> dict[str, Any]:
    return {"detail": {"object": {"key": "holiday/distill.json", "version-id": version, "etag": "e"}}}


def test_event_and_its_redelivery_name_one_run_and_a_new_upload_another() -> None:
    photos = bucket(**{"holiday/distill.json": b"{}"})
    first, again = (resolve(event(), arn, photos, DEFAULTS) for arn in ("arn:e1", "arn:e2"))

    assert first.name == again.name == run_name_of(event(), "arn:e3")
    assert resolve(event("v2"), "arn:e1", photos, DEFAULTS).name != first.name


def test_run_is_claimed_by_one_execution_and_goes_on_for_the_same() -> None:
    data = bucket()
    run = from_console()

    assert claim(run, data) is None
    assert claim(run, data) is None
    assert claim(run.model_copy(update={"execution": "arn:e2"}), data) == "arn:e1"


@pytest.mark.parametrize("collection", ["holiday/", "Ünïcode (1)/é+%/", "-/", "", "x" * 200 + "/"])
def test_names_fit_bedrock(collection: str) -> None:
    name = model_name(run_name(collection, "v"), 20_000, 2)

    assert len(name) <= 63
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)


OTHER_VALUES: dict[str, Any] = {
    "teacher": "local.teacher-pixels-v1:0",
    "student": "local.student-pixels-v1:0",
    "prompt": {"system": "a", "user": "b"},
    "keywords_min": 3,
    "keywords_max": 30,
    "samples_per_image": 1,
    "service_tier": "flex",
    "accept_teacher_terms": False,
    "own_labels": "gold",
    "max_tokens": 300,
    "temperature": 0.2,
    "ceiling_temperature": 0.3,
    "train_sizes": [50],
    "test_share": 0.3,
    "min_images": 30,
    "hyperparameters": {"epochCount": 3},
    "duplicate_records": 2,
    "stop_stuck_jobs": True,
    "tolerance": 0.2,
    "max_usd": 1,
    "until": "Estimate",
    "keep": "all",
    "gate_margin": 0.1,
    "exclude_flags": ["dark"],
}


@pytest.mark.parametrize("field", sorted(OTHER_VALUES))
def test_labeler_changes_with_teacher_prompt_and_inference_settings_and_with_nothing_else(field: str) -> None:
    mixed = {"accept_teacher_terms": True}
    changed = from_console(**{**mixed, field: OTHER_VALUES[field]}).teacher.id != from_console().teacher.id

    assert from_console(temperature=0.5, samples_per_image=3).teacher == from_console(temperature=0.5).teacher
    assert changed == (field in ("teacher", "prompt", "max_tokens", "temperature"))


def test_ceiling_is_another_answer_than_any_sample_of_the_label() -> None:
    same = from_console(samples_per_image=3, temperature=0.5)
    other = from_console(samples_per_image=3, temperature=0.4)

    assert (same.ceiling.id == same.teacher.id, same.ceiling_sample) == (True, 3)
    assert (other.ceiling.id == other.teacher.id, other.ceiling_sample) == (False, 1)


def test_keywords_asked_for_are_the_prompts_unless_the_request_says_otherwise() -> None:
    own = {"system": "You index.", "user": "Write five keywords."}

    assert from_console().limits == Limits(minimum=15, maximum=25)
    assert "15 to 25 keywords" in from_console().prompt.user
    assert from_console(keywords_min=10).limits == Limits(minimum=10, maximum=25)
    assert from_console(prompt=own, keywords_max=5).limits == Limits(minimum=1, maximum=5)


@pytest.mark.parametrize(
    ("request_fields", "message"),
    [
        ({"teachr": "x"}, "unknown field 'teachr'; known: .*teacher"),
        ({"teacher": "meta.llama"}, "'meta.llama' is not allowed in this stage; .*cdk.json"),
        ({"student": "amazon.nova-pro-v1:0"}, "not allowed"),
        ({"train_sizes": [4]}, "4 is outside 8 to 20000"),
        ({"hyperparameters": {"epochs": 3}}, "unknown 'epochs'; known: epochCount"),
        ({"hyperparameters": {"epochCount": 9}}, "epochCount must be a whole number from 1 to 5"),
        ({"prompt": "poems"}, "no shipped prompt 'poems'; shipped: keywords"),
        ({"prompt": {"system": "System: x", "user": "y"}}, "prompt.system: contains System:"),
        ({"collection": "holiday"}, "must be a prefix .* ends"),
        ({"until": "Lunch"}, "field 'until'"),
        ({"max_usd": float("inf")}, "field 'max_usd': Input should be a finite number"),
        ({"samples_per_image": 3}, "at temperature 0 would be the same answer.*raise temperature"),
        ({"keywords_min": 30}, "keywords_min: 30 is above keywords_max 25"),
    ],
)
def test_bad_request_says_what_to_change(request_fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        from_console(**request_fields)


def test_student_without_a_price_of_training_is_refused_and_never_counted_as_free() -> None:
    pro = DEFAULTS.model_copy(update={"students": ["amazon.nova-pro-v1:0"]})
    with pytest.raises(InvalidRequest, match=r"no price for 'training' of 'amazon.nova-pro-v1:0'; add the row"):
        resolve({"collection": "holiday/"}, "arn:e1", bucket(), pro)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('system = "a"\nuser = "b"\nanswer_format = "poems"', "unknown answer_format 'poems'; known: keywords"),
        ('system = "a"', "field 'user'"),
        ('system = "a"\nuser = "b"\nkeyword_min = 3', "unknown field 'keyword_min'"),
    ],
)
def test_prompt_file_that_is_wrong_is_refused_by_name(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.toml").write_text(text, "utf-8")
    monkeypatch.setattr("distillation.runs.request.PROMPTS", tmp_path)
    with pytest.raises(InvalidRequest, match=rf"samples/prompts/own\.toml: {message}"):
        from_console(prompt="own")


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_distill_json_that_is_no_object_is_refused_by_name(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"s3://data/holiday/distill\.json"):
        resolve(event(), "arn:e1", bucket(**{"holiday/distill.json": body}), DEFAULTS)


def test_empty_distill_json_is_enough() -> None:
    run = resolve(event(), "arn:e1", bucket(**{"holiday/distill.json": b""}), DEFAULTS)

    assert run.request.max_usd == 25
    assert "keywords" in run.prompt.user
    assert json.loads(run.model_dump_json())["side"] == 900


PRO, LITE = "amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"


def test_quotas_are_documented_ones_changed_by_the_stage_and_lowered_by_the_request() -> None:
    stage = DEFAULTS.model_copy(update={"quotas": {PRO: Quota(requests_per_minute=500)}})
    start = {"collection": "holiday/", "quotas": {PRO: {"tokens_per_minute": 100_000}}}
    run = resolve(start, "arn:e1", bucket(), stage)

    assert run.quota(PRO) == Quota(requests_per_minute=500, tokens_per_minute=100_000)
    assert run.quota(LITE) == Quota(requests_per_minute=2_000, tokens_per_minute=4_000_000)


def test_profile_has_the_quota_of_its_own_that_is_documented() -> None:
    asked = {id: default_quota(id).requests_per_minute for id in (PRO, f"us.{PRO}", "us.amazon.nova-2-lite-v1:0")}

    assert list(asked.values()) == [250, 500, 2_000]


@pytest.mark.parametrize(
    ("quotas", "message"),
    [
        ({PRO: {"requests_per_minute": 251}}, "is 250 in this stage .* change 'quotas' of the stage in cdk.json"),
        ({"local.teacher-pixels-v1:0": {"requests_per_minute": 1}}, f"this run calls {PRO}, {LITE}, not"),
        ({PRO: {"requests_per_minute": 0}}, "greater than 0"),
        ({PRO: {"requests": 5}}, "unknown field"),
    ],
)
def test_quota_that_would_not_be_heeded_is_refused(quotas: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        from_console(quotas=quotas)


def test_specimen_of_the_dataset_is_judged_before_anything_is_paid() -> None:
    run = from_console()
    check_specimen(run, "distill-data")

    with pytest.raises(InvalidRequest, match=r"every training record.*uri: must be a bucket and a key .*Data_Bucket"):
        check_specimen(run, "Data_Bucket")
    with pytest.raises(InvalidRequest, match="bucketOwner: must be an account number of 12 digits"):
        check_specimen(run.model_copy(update={"account": "me"}), "distill-data")
    long = run.prompt.model_copy(update={"system": "word " * 30_000})
    with pytest.raises(InvalidRequest, match="more than 32,000 tokens"):
        check_specimen(run.model_copy(update={"prompt": long}), "distill-data")


HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
APPLICATION_PROFILE = "arn:aws:bedrock:us-east-1:000000000000:application-inference-profile/abc123"
SYSTEM_PROFILE = f"arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.{PRO}"


def run_with_teacher(teacher: str, profiles: dict[str, str] | None = None, **request: Any) -> Run:
    defaults = DEFAULTS.model_copy(update={"teachers": [teacher], "profiles": profiles or {}})
    return resolve({"collection": "holiday/", **request}, "arn:e", bucket(), defaults)


def test_labeler_is_the_same_through_any_profile_of_the_model() -> None:
    through_application_profile = run_with_teacher(PRO, {PRO: APPLICATION_PROFILE}).teacher
    through_system_profile = run_with_teacher(SYSTEM_PROFILE).teacher
    labelers = [
        *(run_with_teacher(PRO).teacher, run_with_teacher(f"us.{PRO}").teacher),
        *(through_system_profile, through_application_profile),
    ]

    assert len({labeler.id for labeler in labelers}) == 1
    assert through_application_profile.invocation_id == APPLICATION_PROFILE
    assert through_system_profile.invocation_id == SYSTEM_PROFILE


def test_teacher_without_a_flex_tier_is_refused_by_name() -> None:
    assert run_with_teacher(PRO, service_tier="flex").request.service_tier == "flex"
    with pytest.raises(InvalidRequest, match=r"service_tier: .*haiku.* has no flex tier; leave service_tier out"):
        run_with_teacher(HAIKU, service_tier="flex", accept_teacher_terms=True)


def test_teacher_of_another_provider_needs_its_terms_accepted() -> None:
    with pytest.raises(InvalidRequest, match=r"by 'anthropic' .* may forbid training .* accept_teacher_terms: true"):
        run_with_teacher(HAIKU)

    assert run_with_teacher(HAIKU, accept_teacher_terms=True).teacher.model == HAIKU
