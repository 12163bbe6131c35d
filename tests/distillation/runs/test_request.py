from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distillation import keys
from distillation.answers.formats import Keywords, format_of
from distillation.errors import InvalidRequest
from distillation.records import Concurrency, Quota, Run
from distillation.run_documents import find_run
from distillation.runs.execution_input import StartedRequest, Upload
from distillation.runs.request import Defaults, claim, resolve
from tests.support.fakes import bucket

PRO, LITE = "amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
APPLICATION_PROFILE = "arn:aws:bedrock:us-east-1:000000000000:application-inference-profile/abc123"
SYSTEM_PROFILE = f"arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.{PRO}"
DEFAULTS = Defaults(
    stage="dev",
    teachers=[PRO, "local.teacher-pixels-v1:0"],
    students=[LITE, "local.student-pixels-v1:0"],
    concurrency=Concurrency(resize=1, label=1, predict=1),
    region="us-east-1",
    account="000000000000",
)


def from_console(**request: Any) -> Run:
    """Return the run of a request in the console; keywords are its fields."""
    return resolve(StartedRequest("holiday/", request), "arn:e1", bucket(), DEFAULTS)


UPLOAD = Upload("holiday/distill.json", "v1")


def test_redelivered_event_has_the_same_run_and_a_new_upload_has_another() -> None:
    photos = bucket(**{"holiday/distill.json": b"{}"})
    first, redelivered = (resolve(UPLOAD, arn, photos, DEFAULTS) for arn in ("arn:e1", "arn:e2"))

    assert first.name == redelivered.name == keys.run_name("holiday/", "v1")
    assert resolve(replace(UPLOAD, identity="v2"), "arn:e1", photos, DEFAULTS).name != first.name


@pytest.mark.parametrize("collection", ["holiday", "/holiday/", 3, None])
def test_collection_that_is_no_prefix_is_refused(collection: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"field 'collection' must be a prefix .* ends"):
        resolve(StartedRequest(collection), "arn:e1", bucket(), DEFAULTS)


def test_run_is_claimed_by_one_execution_which_may_claim_it_again() -> None:
    data = bucket()
    run = from_console()

    assert find_run(run.name, data) is None
    assert claim(run, data) is None
    assert claim(run, data) is None
    assert claim(run.model_copy(update={"execution": "arn:e2"}), data) == "arn:e1"
    assert find_run(run.name, data) == run


OTHER_VALUES: dict[str, Any] = {
    "teacher": "local.teacher-pixels-v1:0",
    "student": "local.student-pixels-v1:0",
    "prompt": {"system": "a", "user": "b"},
    "student_prompt": {"system": "c", "user": "d"},
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
def test_labeler_depends_on_teacher_prompt_and_inference_settings_only(field: str) -> None:
    request = {"accept_teacher_terms": True, field: OTHER_VALUES[field]}
    changed = from_console(**request).teacher.id != from_console().teacher.id

    assert from_console(temperature=0.5, samples_per_image=3).teacher == from_console(temperature=0.5).teacher
    assert changed == (field in ("teacher", "prompt", "max_tokens", "temperature"))


def test_temperature_below_the_minimum_of_the_family_is_raised_and_hashed() -> None:
    nova, claude = from_console(), run_with_teacher(HAIKU, accept_teacher_terms=True)

    assert nova.teacher == from_console(temperature=0.00001).teacher
    assert (nova.teacher.temperature, claude.teacher.temperature) == (0.00001, 0)
    assert (nova.request.temperature, nova.ceiling.temperature) == (0, 0.5)


def test_ceiling_is_never_one_of_the_samples_of_the_label() -> None:
    same_settings = from_console(samples_per_image=3, temperature=0.5)
    other_settings = from_console(samples_per_image=3, temperature=0.4)

    assert same_settings.ceiling.id == same_settings.teacher.id
    assert same_settings.ceiling_sample == 3
    assert other_settings.ceiling.id != other_settings.teacher.id
    assert other_settings.ceiling_sample == 1


def number_of_keywords(**request: Any) -> tuple[int, int]:
    """Return the smallest and the largest number of keywords that a request leads to."""
    answer_format = format_of(from_console(**request))
    assert isinstance(answer_format, Keywords)
    return answer_format.keywords_min, answer_format.keywords_max


def test_limits_of_the_request_replace_those_of_the_prompt_file() -> None:
    own_prompt = {"system": "You index.", "user": "Write five keywords."}

    assert number_of_keywords() == (15, 25)
    assert "15 to 25 keywords" in from_console().prompt.user
    assert number_of_keywords(keywords_min=10) == (10, 25)
    assert number_of_keywords(prompt=own_prompt, keywords_max=5) == (1, 5)


@pytest.mark.parametrize(
    ("request_fields", "message"),
    [
        ({"teachr": "x"}, "unknown field 'teachr' .known: .*teacher"),
        ({"teacher": "meta.llama"}, "'meta.llama' is not allowed in this stage .allowed: .*cdk.json"),
        ({"student": "amazon.nova-pro-v1:0"}, "not allowed"),
        ({"train_sizes": [4]}, "4 is outside 8 to 20000"),
        ({"grow_from": 20_001}, "grow_from: 20001 is outside 8 to 20000"),
        ({"sample": 19}, "sample: 19 images are fewer than min_images 20. Raise sample, or lower min_images"),
        (
            {"grow": True, "train_sizes": [50, 100]},
            r"grow: train_sizes .50, 100. are trained in one round, so the run cannot grow. Leave one of the two out",
        ),
        ({"hyperparameters": {"epochs": 3}}, "unknown 'epochs' .known: epochCount"),
        ({"hyperparameters": {"epochCount": 9}}, "epochCount must be a whole number from 1 to 5"),
        ({"prompt": "poems"}, "there is no prompt file 'poems' .shipped: .*keywords"),
        ({"prompt": {"system": "System: x", "user": "y"}}, "prompt.system: contains System:"),
        ({"student_prompt": "poems"}, "student_prompt: there is no prompt file 'poems'"),
        ({"student_prompt": {"system": "x", "user": "User: y"}}, "student_prompt.user: contains User:"),
        ({"fallback": "teacher"}, "fallback: only a request with 'apply' asks the teacher"),
        ({"audit_share": 0.02}, "audit_share: only a request with 'apply'"),
        ({"until": "Lunch"}, "field 'until'"),
        ({"max_usd": float("inf")}, "field 'max_usd': Input should be a finite number"),
        (
            {"prompt": "listing", "max_tokens": 30},
            "max_tokens: 30 would cut off every answer: a JSON object .* to 124 or",
        ),
        ({"samples_per_image": 3}, "at temperature 0 would be identical.*Raise temperature"),
        ({"keywords_min": 30}, "keywords_min: 30 is above keywords_max 25"),
        (
            {"prompt": {"system": "x", "user": "y", "answers": {"keywords_min": 30, "keywords_max": 10}}},
            "keywords_min: 30 is above keywords_max 10",
        ),
        (
            {
                "prompt": {
                    "system": "x",
                    "user": "y {answer_format}",
                    "answers": {"format": "class", "labels": ["a {answer_format}", "b"]},
                }
            },
            "prompt.answers: a label, .* has {answer_format}",
        ),
        ({"quotas": {PRO: {"requests_per_minute": 251}}}, "is 250 in this stage"),
        ({"quotas": {PRO: {"requests_per_minute": 0}}}, "greater than 0"),
        ({"quotas": {PRO: {"requests": 5}}}, "unknown field"),
    ],
)
def test_error_of_a_bad_request_says_what_to_change(request_fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        from_console(**request_fields)


def test_student_without_a_training_price_is_refused() -> None:
    pro = DEFAULTS.model_copy(update={"students": ["amazon.nova-pro-v1:0"]})
    with pytest.raises(InvalidRequest, match=r"no price for 'training' of 'amazon.nova-pro-v1:0'. Add the row"):
        resolve(StartedRequest("holiday/"), "arn:e1", bucket(), pro)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('system = "a"', r"samples/prompts/own\.toml: field 'user'"),
        ('system = "a"\nuser = "b"\nkeyword_min = 3', r"samples/prompts/own\.toml: .*unknown field 'keyword_min'"),
        ('system = "a"\nuser = "b"\nanswers.format = "poems"', "unknown answer format 'poems' .known: .*keywords"),
        ('system = "a"\nuser = "b"\nanswers.format = 3', "unknown answer format '3' .known: .*keywords"),
        ('system = "a"\nuser = "b"\nanswers.keyword_min = 3', "prompt.answers: unknown field 'keyword_min'"),
    ],
    ids=["no user", "unknown field", "unknown format", "format is no name", "unknown setting"],
)
def test_invalid_prompt_file_is_refused_by_name(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.toml").write_text(text, "utf-8")
    monkeypatch.setattr("distillation.runs.request.PROMPTS", tmp_path)
    with pytest.raises(InvalidRequest, match=message):
        from_console(prompt="own")


def test_student_has_its_own_prompt_or_that_of_the_teacher() -> None:
    own = from_console(student_prompt={"system": "You index.", "user": "Keywords."})

    assert (own.student_prompt.system, own.student_prompt.user) == ("You index.", "Keywords.")
    assert own.prompt == from_console().prompt == from_console().student_prompt


def test_prompt_file_of_the_student_must_have_the_answer_format_of_the_teachers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class_answers = 'answers = { format = "class", labels = ["cat", "dog"] }'
    for name, answers in (("long", ""), ("short", 'answers.format = "keywords"'), ("class", class_answers)):
        (tmp_path / f"{name}.toml").write_text(f'system = "{name}"\nuser = "b"\n{answers}', "utf-8")
    monkeypatch.setattr("distillation.runs.request.PROMPTS", tmp_path)

    assert from_console(prompt="long", student_prompt="short").student_prompt.system == "short"
    with pytest.raises(InvalidRequest, match="student_prompt: the answers to 'class' have the format 'class', but"):
        from_console(prompt="long", student_prompt="class")


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_distill_json_that_is_not_an_object_is_refused_by_name(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"s3://data/holiday/distill\.json"):
        resolve(UPLOAD, "arn:e1", bucket(**{"holiday/distill.json": body}), DEFAULTS)


def test_empty_distill_json_is_a_valid_request() -> None:
    run = resolve(UPLOAD, "arn:e1", bucket(**{"holiday/distill.json": b""}), DEFAULTS)

    assert run.request.max_usd == 25
    assert "keywords" in run.prompt.user
    assert json.loads(run.model_dump_json())["image_side"] == 900


def test_run_has_the_tags_of_its_stage() -> None:
    stage = DEFAULTS.model_copy(update={"tags": {"cost-center": "42"}})

    assert resolve(StartedRequest("holiday/"), "arn:e1", bucket(), stage).tags == {"cost-center": "42"}
    assert from_console().tags == {}


def test_run_has_the_quotas_of_its_two_models() -> None:
    stage = DEFAULTS.model_copy(update={"quotas": {PRO: Quota(requests_per_minute=500)}})
    run = resolve(
        StartedRequest("holiday/", {"quotas": {PRO: {"tokens_per_minute": 100_000}}}), "arn:e1", bucket(), stage
    )

    assert run.quota(PRO) == Quota(requests_per_minute=500, tokens_per_minute=100_000, tokens_per_day=1_440_000_000)
    assert run.quota(LITE) == Quota(
        requests_per_minute=2_000, tokens_per_minute=4_000_000, tokens_per_day=5_760_000_000
    )


def run_with_teacher(teacher: str, profiles: dict[str, str] | None = None, **request: Any) -> Run:
    defaults = DEFAULTS.model_copy(update={"teachers": [teacher], "profiles": profiles or {}})
    return resolve(StartedRequest("holiday/", request), "arn:e", bucket(), defaults)


def test_labeler_is_the_same_for_every_profile_of_the_model() -> None:
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
    with pytest.raises(InvalidRequest, match=r"service_tier: .*haiku.* has no flex tier. Leave service_tier out"):
        run_with_teacher(HAIKU, service_tier="flex", accept_teacher_terms=True)


def test_teacher_of_another_provider_needs_its_terms_accepted() -> None:
    message = r"by 'anthropic', .* may forbid training .* set accept_teacher_terms to true"
    with pytest.raises(InvalidRequest, match=message):
        run_with_teacher(HAIKU)

    assert run_with_teacher(HAIKU, accept_teacher_terms=True).teacher.model == HAIKU


def test_budget_above_the_limit_of_the_stage_is_refused() -> None:
    assert from_console(max_usd=200).request.max_usd == 200
    with pytest.raises(InvalidRequest, match=r"max_usd: 200.50 is above the stage's max_usd_per_run 200.00. Lower .*"):
        from_console(max_usd=200.5)


def test_limit_of_the_stage_bounds_the_default_budget() -> None:
    defaults = DEFAULTS.model_copy(update={"max_usd_per_run": 10.0})

    assert from_console().request.max_usd == 25
    assert resolve(StartedRequest("holiday/"), "arn:e1", bucket(), defaults).request.max_usd == 10


CLASS_PROMPT: dict[str, Any] = {
    "system": "You sort photos.",
    "user": "Choose. {answer_format} Look closely.",
    "answers": {"format": "class", "labels": ["cat", "dog"]},
}
CLASS_INSTRUCTION = "Answer with exactly one of these labels, as written, and nothing else:\n- cat\n- dog"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("Choose. {answer_format} Look closely.", f"Choose. {CLASS_INSTRUCTION} Look closely."),
        ("Choose.", f"Choose.\n\n{CLASS_INSTRUCTION}"),
        (f"Choose. {CLASS_INSTRUCTION}", f"Choose. {CLASS_INSTRUCTION}"),
    ],
    ids=["placeholder", "no placeholder", "instruction of an earlier run"],
)
def test_prompt_has_the_instruction_of_its_format_once(user: str, expected: str) -> None:
    run = from_console(prompt={**CLASS_PROMPT, "user": user})

    assert run.prompt.user == run.student_prompt.user == expected
    assert format_of(run).format == "class"


def test_student_prompt_of_your_own_has_the_instruction_of_the_teachers_format() -> None:
    run = from_console(prompt=CLASS_PROMPT, student_prompt={"system": "Sort.", "user": "Which?"})

    assert run.student_prompt.user == f"Which?\n\n{CLASS_INSTRUCTION}"


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        ({"user": "User: choose."}, "prompt.user: contains User:"),
        ({"system": "System: you sort."}, "prompt.system: contains System:"),
        ({"answers": {"format": "class", "labels": ["<image>", "dog"]}}, "prompt.answers: contains <image>"),
        (
            {"answers": {"format": "class", "labels": ["cat", "dog"], "descriptions": {"cat": "Bot: x"}}},
            "prompt.answers: contains Bot:",
        ),
        (
            {
                "user": "x" * 9_000 + "{answer_format}",
                "answers": {"format": "class", "labels": [f"{n:060}" for n in range(50)]},
            },
            "prompt with the answer format's instruction: field 'user': String should have at most 10000 characters",
        ),
    ],
    ids=["user", "system", "label", "description", "too long with the labels"],
)
def test_prompt_that_bedrock_would_refuse_with_its_answer_format_is_named(prompt: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{re.escape(problem)}"):
        from_console(prompt=CLASS_PROMPT | prompt)


VOCABULARY_FILE = b"preferred,synonyms\ncat,kitty\nsea,\n"
OWN_PROMPT = {"system": "You index.", "user": "Write keywords."}


def with_vocabulary(body: bytes = VOCABULARY_FILE, **request: Any) -> Run:
    """Return the run of a collection that has ``vocabulary.csv``; keywords are the fields of its request."""
    photos = bucket(**{"holiday/vocabulary.csv": body})
    return resolve(StartedRequest("holiday/", request), "arn:e1", photos, DEFAULTS)


def test_run_has_the_vocabulary_of_its_collection() -> None:
    run = with_vocabulary(closed_vocabulary=True)
    answer_format = format_of(run)

    assert run.answers["vocabulary"] == {"cat": ["kitty"], "sea": []}
    assert run.answers["vocabulary_file"] == "vocabulary.csv"
    assert answer_format.write(answer_format.parse("Kitties, dog")) == "cat"
    assert format_of(Run.model_validate_json(run.model_dump_json())) == answer_format


def test_vocabulary_is_part_of_the_labeler_only_if_the_prompt_shows_it() -> None:
    shown = OWN_PROMPT | {"user": "Write keywords.\n{answer_format}"}

    assert with_vocabulary().teacher == from_console().teacher
    assert with_vocabulary(prompt=OWN_PROMPT).prompt == from_console(prompt=OWN_PROMPT).prompt
    assert with_vocabulary(prompt=shown).prompt.user == (
        "Write keywords.\nWhere one of these keywords fits, use it, as written:\ncat, sea"
    )
    assert with_vocabulary(prompt=shown).student_prompt == with_vocabulary(prompt=shown).prompt
    assert from_console(prompt=shown).prompt.user == "Write keywords.\n"
    assert with_vocabulary(prompt=shown).teacher.id != with_vocabulary(b"preferred\ndog", prompt=shown).teacher.id
    assert with_vocabulary(prompt=shown).teacher.id != with_vocabulary(prompt=shown, closed_vocabulary=True).teacher.id


def test_vocabulary_that_is_too_long_to_be_shown_is_refused_and_used_without_being_shown() -> None:
    body = b"preferred\n" + b"".join(b"a long keyword x%d\n" % number for number in range(1000))
    with pytest.raises(InvalidRequest, match=r"prompt with the answer format's .*field 'user': .* at most 10"):
        with_vocabulary(body, prompt=OWN_PROMPT | {"user": "Keywords: {answer_format}"})

    assert len(with_vocabulary(body).answers["vocabulary"]) == 1000  # type: ignore[arg-type]


def test_terms_of_the_prompt_come_before_those_of_the_collection() -> None:
    answers = {"vocabulary": {"dog": ["puppy"]}, "vocabulary_file": "vocabulary.csv", "closed_vocabulary": True}
    run = with_vocabulary(prompt=OWN_PROMPT | {"answers": answers})

    assert run.answers["vocabulary"] == {"dog": ["puppy"]}
    assert (run.answers["vocabulary_file"], run.answers["closed_vocabulary"]) == (None, True)


def test_run_is_repeated_with_its_vocabulary() -> None:
    first = with_vocabulary(closed_vocabulary=True)
    again = with_vocabulary(b"preferred\nother\n", prompt={**first.prompt.model_dump(), "answers": first.answers})

    assert again.teacher == first.teacher
    assert again.answers == first.answers | {"vocabulary_file": None}


def test_prompt_names_a_vocabulary_that_is_shipped_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pets.csv").write_bytes(VOCABULARY_FILE)
    (tmp_path / "own.toml").write_text('system = "a"\nuser = "b"\nanswers.vocabulary = "pets"', "utf-8")
    monkeypatch.setattr("distillation.runs.request.PROMPTS", tmp_path)
    run = from_console(prompt="own", student_prompt="own")

    assert run.answers["vocabulary"] == {"cat": ["kitty"], "sea": []}
    assert run.answers["vocabulary_file"] == "pets.csv"
    with pytest.raises(InvalidRequest, match=r"prompt.answers.vocabulary: there is no file 'birds' .* .there: pets"):
        from_console(prompt=OWN_PROMPT | {"answers": {"vocabulary": "birds"}})


@pytest.mark.parametrize(
    ("request_fields", "message"),
    [
        (
            {"closed_vocabulary": True},
            r"closed_vocabulary: the collection has no vocabulary\.csv, and the prompt names",
        ),
        (
            {"prompt": OWN_PROMPT | {"answers": {"vocabulary": {"cat": ["dog"], "dog": []}}}},
            "prompt.answers: field 'vocabulary': .*'dog' stands for 'dog' here and for 'cat' in term 'cat'",
        ),
        (
            {"prompt": OWN_PROMPT | {"answers": {"vocabulary": ["cat"]}}},
            "prompt.answers: field 'vocabulary': Input should be a valid dictionary",
        ),
        (
            {"closed_vocabulary": True, "prompt": OWN_PROMPT | {"answers": {"format": "class", "labels": ["a", "b"]}}},
            "closed_vocabulary: the answers to this prompt have the format 'class', not 'keywords'. Leave out",
        ),
    ],
    ids=["no vocabulary", "ambiguous", "a list", "another format"],
)
def test_vocabulary_that_cannot_be_used_is_refused(request_fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        from_console(**request_fields)


def test_vocabulary_of_a_collection_is_not_read_for_other_formats_and_applied_models() -> None:
    class_prompt = OWN_PROMPT | {"answers": {"format": "class", "labels": ["a", "b"]}}

    assert with_vocabulary(b"damaged", prompt=class_prompt).answers["format"] == "class"
    assert with_vocabulary(b"damaged", apply="holiday-1").answers["vocabulary"] == {}
    with pytest.raises(InvalidRequest, match=r"vocabulary\.csv: line 1 must name the columns"):
        with_vocabulary(b"damaged")
