from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from distillation import keys
from distillation.errors import InvalidRequest
from distillation.evaluation.manifest import build_manifest, request_again
from distillation.evaluation.verdict import doubling, verdict
from distillation.records import Request
from tests.support.builders import any_run
from tests.support.fakes import bucket

MODEL = {
    "size": 12,
    "status": "Active",
    "model_name": "n",
    "job_arn": "arn:j",
    "model_arn": "arn:m",
    "deployment_arn": "arn:d",
}
REPORT: dict[str, Any] = {"models": [MODEL | {"reason": None}], "jaccard": None, "gate": {}, "usd": 1.5}


def lineage(**request: Any) -> dict[str, Any]:
    data = bucket()
    data.write(keys.dataset_key("holiday-1", "train-12"), b"{}\n")
    return json.loads(json.dumps(build_manifest(any_run(**request), REPORT, data, "abc sha256:1")))


def test_manifest_says_from_what_and_by_what_each_model_was_made() -> None:
    found = lineage()

    assert found["datasets_sha256"] == {"runs/holiday-1/dataset/train-12.jsonl": hashlib.sha256(b"{}\n").hexdigest()}
    assert found["models"] == [MODEL]
    assert found["code"] == "abc sha256:1"
    assert found["model_ids"]["tuned_as"] == "amazon.nova-lite-v1:0:300k"
    assert all(row["date"] for row in found["prices"])


def test_prices_are_those_of_the_tier_that_the_teacher_was_asked_on() -> None:
    prices = {(row["product"], row["use"]): row["usd"] for row in lineage(service_tier="flex")["prices"]}

    assert prices["amazon.nova-pro-v1:0", "input-flex"] == pytest.approx(0.40)
    assert ("amazon.nova-pro-v1:0", "input") not in prices
    assert ("amazon.nova-lite-v1:0", "input") in prices


def test_run_is_repeated_with_what_the_stage_had_chosen_for_it() -> None:
    assert lineage()["hyperparameters"]["12"]["epochCount"] == "2"
    again = Request.model_validate(request_again(lineage(train_sizes=[12], max_usd=3), "manifest.json"))

    assert (again.teacher, again.student) == ("amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0")
    assert again.prompt == any_run().prompt
    assert (again.keywords_min, again.keywords_max) == (any_run().limits.minimum, any_run().limits.maximum)
    assert again.hyperparameters["epochCount"] == 2
    assert (again.train_sizes, again.max_usd) == ([12], 3)


def test_price_of_twice_the_images_counts_only_sizes_that_were_trained_and_billed() -> None:
    entries = [{"step": "TrainModels", "usd": 3.0}, {"step": "LabelImages", "usd": 9.0}]
    models = [{"size": size, "status": "Active"} for size in (10, 20)] + [{"size": 40, "status": "Failed"}]
    curve = {"next_size": 40, "gain": 0.01}
    report = {"curve": curve, "models": models, "ledger": {"entries": entries}, "samples_per_image": 1}

    assert doubling(report) == {"size": 40, "gain": 0.01, "usd": pytest.approx(4.0)}


@pytest.mark.parametrize("value", [[], {}, {"run": {"name": "x"}}])
def test_what_is_no_manifest_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"m\.json"):
        request_again(value, "m.json")


@pytest.mark.parametrize(
    ("promoted", "models", "words"),
    [("n", [MODEL], "promoted."), (None, [MODEL], "nothing is kept, as asked."), (None, None, "passes the gate.")],
)
def test_verdict_never_says_promoted_of_a_model_that_is_not_kept(promoted: Any, models: Any, words: str) -> None:
    score = {"mean": 0.5, "ci95": [0.4, 0.6]}
    gate = {"best": "n12", "gain": score, "passed": True, "promoted": promoted, "reasons": []}

    assert verdict({"jaccard": {"base": score, "tuned": {"12": score}}, "gate": gate, "models": models}).endswith(words)
