from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lambdas.prepare.request import Concurrency, Defaults, claim, resolve, run_of
from lambdas.shared.errors import BadRequest
from lambdas.shared.layout import model_name, run_name
from lambdas.shared.records import Run
from tests.support.stores import bucket

DEFAULTS = Defaults(
    teachers=["amazon.nova-pro-v1:0"],
    students=["amazon.nova-lite-v1:0"],
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

    assert first.run == again.run == run_of(event(), "arn:e3")
    assert resolve(event("v2"), "arn:e1", photos, DEFAULTS).run != first.run


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


def test_labeler_changes_with_prompt_and_settings_and_with_nothing_else() -> None:
    plain = from_console().teacher.id

    assert from_console(max_usd=1, train_sizes=[50], until="Estimate").teacher.id == plain
    assert from_console(max_tokens=300).teacher.id != plain
    assert from_console(prompt={"system": "a", "user": "b"}).teacher.id != plain


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
    ],
)
def test_bad_request_says_what_to_change(request_fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        from_console(**request_fields)


def test_student_without_a_price_of_training_is_refused_and_never_counted_as_free() -> None:
    pro = DEFAULTS.model_copy(update={"students": ["amazon.nova-pro-v1:0"]})
    with pytest.raises(BadRequest, match=r"no price for 'training' of 'amazon.nova-pro-v1:0'; add the row"):
        resolve({"collection": "holiday/"}, "arn:e1", bucket(), pro)


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_distill_json_that_is_no_object_is_refused_by_name(body: bytes) -> None:
    with pytest.raises(BadRequest, match=r"s3://data/holiday/distill\.json"):
        resolve(event(), "arn:e1", bucket(**{"holiday/distill.json": body}), DEFAULTS)


def test_empty_distill_json_is_enough() -> None:
    run = resolve(event(), "arn:e1", bucket(**{"holiday/distill.json": b""}), DEFAULTS)

    assert run.request.max_usd == 25
    assert "keywords" in run.prompt.user
    assert json.loads(run.model_dump_json())["side"] == 900
