from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from distillation import keys
from distillation.documents import Manifest
from distillation.errors import InvalidRequest
from distillation.evaluation.manifest import build_manifest, repeated_request
from distillation.records import PromptFile, Request, TrainedModel
from distillation.runs.existing_model import check_fields_without_apply
from tests.support.builders import any_report, any_run
from tests.support.fakes import bucket

MODEL = TrainedModel(
    size=12, status="Active", model_name="n", job_arn="arn:j", model_arn="arn:m", deployment_arn="arn:d"
)


def any_manifest(**request: Any) -> Manifest:
    data = bucket()
    data.write(keys.dataset_key("holiday-1", "train-12"), b"{}\n")
    report = any_report(models=[MODEL], evaluation=None, usd=1.5)
    return build_manifest(any_run(**request), report, data, "abc sha256:1")


def as_json(manifest: Manifest) -> Any:
    return json.loads(manifest.model_dump_json())


def test_manifest_has_the_code_and_data_of_each_model() -> None:
    manifest = any_manifest()

    assert manifest.datasets_sha256 == {"runs/holiday-1/dataset/train-12.jsonl": hashlib.sha256(b"{}\n").hexdigest()}
    assert manifest.models == [MODEL]
    assert manifest.code == "abc sha256:1"
    assert manifest.model_ids["tuned_as"] == "amazon.nova-lite-v1:0:300k"
    assert all(row.date for row in manifest.prices)


def test_manifest_has_scores_and_gate_of_the_report() -> None:
    report = any_report(models=[MODEL], promoted="n")
    manifest = build_manifest(any_run(), report, bucket(), "abc")

    assert report.evaluation is not None
    assert (manifest.agreement, manifest.gate) == (report.evaluation.agreement, report.evaluation.gate)
    assert any_manifest().agreement is any_manifest().gate is None


def test_prices_are_those_of_the_service_tier_of_the_teacher() -> None:
    prices = {(row.product, row.use): row.usd for row in any_manifest(service_tier="flex").prices}

    assert prices["amazon.nova-pro-v1:0", "input-flex"] == pytest.approx(0.40)
    assert ("amazon.nova-pro-v1:0", "input") not in prices
    assert ("amazon.nova-lite-v1:0", "input") in prices


def test_prices_of_both_tiers_are_listed_if_both_may_have_answered() -> None:
    prices = {row.use for row in any_manifest(service_tier="auto").prices if row.product == "amazon.nova-pro-v1:0"}

    assert prices == {"input", "output", "input-flex", "output-flex"}


def test_repeated_run_has_the_choices_of_its_stage_written_out() -> None:
    manifest = any_manifest(train_sizes=[12], max_usd=3)
    assert manifest.hyperparameters["12"]["epochCount"] == "5"
    again = Request.model_validate(repeated_request(as_json(manifest), "manifest.json"))

    assert (again.teacher, again.student) == ("amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0")
    assert again.student_prompt == any_run().prompt
    # A training request may not set a field of apply.
    check_fields_without_apply(again)
    assert again.prompt == PromptFile(**any_run().prompt.model_dump(), answers=any_run().answers)
    assert again.hyperparameters["epochCount"] == 5
    assert (again.train_sizes, again.max_usd) == ([12], 3)


def test_hyperparameters_that_differ_by_size_are_not_written_out() -> None:
    manifest = as_json(any_manifest())
    manifest["hyperparameters"]["24"] = manifest["hyperparameters"]["12"] | {"learningRateWarmupSteps": "9"}
    again = repeated_request(manifest, "manifest.json")

    assert again["hyperparameters"] == {"epochCount": 5, "learningRate": 1e-5}


@pytest.mark.parametrize("value", [[], {}, {"run": {"name": "x"}}])
def test_file_that_is_not_a_manifest_is_an_error_with_its_name(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"m\.json"):
        repeated_request(value, "m.json")


def test_repeated_run_has_the_prompt_of_the_student() -> None:
    manifest = as_json(any_manifest())
    manifest["run"]["student_prompt"] = {"system": "short", "user": "Keywords."}

    assert repeated_request(manifest, "manifest.json")["student_prompt"] == {"system": "short", "user": "Keywords."}
