from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from distillation import keys
from distillation.errors import InvalidRequest, Throttled, ToleranceExceeded, TooFewImages
from distillation.inference.predictions import answerers
from distillation.records import Prompt, Request, Run
from distillation.runs.existing_model import check_beside_apply, with_tuned_model
from distillation.runs.image_list import list_images
from distillation.runs.notification import run_message
from distillation.runs.result_tables import write_results
from distillation.storage import Bucket
from tests.support.builders import any_run
from tests.support.fakes import bucket

DEPLOYMENT = "arn:aws:bedrock:us-east-1:000000000000:custom-model-deployment/abcdefghijkl"
ARN = "arn:aws:bedrock:us-east-1:000000000000:custom-model/amazon.nova-lite-v1:0:300k/abcdefghijkl"
MODEL = {"size": 12, "status": "Active", "model_name": "tuned-1-n12-a1", "model_arn": ARN, "deployment_arn": DEPLOYMENT}


def trained(promoted: str | None = "tuned-1-n12-a1", **request: Any) -> Bucket:
    """Return what a run named tuned-1 has left."""
    tuned = any_run(**request).model_copy(update={"name": "tuned-1", "prompt": Prompt(system="s", user="its own")})
    data = bucket()
    data.write(keys.request_key("tuned-1"), tuned.model_dump_json().encode())
    gate = {"best": "n12", "promoted": promoted}
    data.write_json(keys.report_key("tuned-1", "report.json"), {"models": [MODEL], "gate": gate, "verdict": "no gain."})
    return data


@pytest.fixture
def bedrock() -> Iterator[Stubber]:
    with Stubber(boto3.client("bedrock")) as stubber:
        yield stubber


def deployed(bedrock: Stubber, status: str = "Active") -> Any:
    found = {"customModelDeploymentArn": DEPLOYMENT, "modelDeploymentName": "n", "modelArn": ARN}
    described = {**found, "createdAt": datetime(2026, 11, 1, tzinfo=UTC), "status": status}
    bedrock.add_response("get_custom_model_deployment", described, {"customModelDeploymentIdentifier": DEPLOYMENT})
    return bedrock.client


def applying() -> Run:
    return any_run(apply="tuned-1")


def test_tuned_model_is_asked_as_it_was_trained_and_nobody_else_is(bedrock: Stubber) -> None:
    run = with_tuned_model(applying(), trained(), deployed(bedrock))

    assert run.prompt.user == "its own"
    assert [(one.name, one.model, one.billed_as) for one in answerers(run, [])] == [
        ("tuned", DEPLOYMENT, "amazon.nova-lite-v1:0")
    ]


def test_best_model_serves_where_all_were_kept_and_none_promoted(bedrock: Stubber) -> None:
    run = with_tuned_model(applying(), trained(None, keep="all"), deployed(bedrock))

    assert run.applies
    assert run.applies.deployment_arn == DEPLOYMENT


def test_each_reason_not_to_apply_is_told_before_anything_is_paid(bedrock: Stubber) -> None:
    client: Any = bedrock.client
    with pytest.raises(InvalidRequest, match="no run 'tuned-1'"):
        with_tuned_model(applying(), bucket(), client)
    with pytest.raises(InvalidRequest, match="has promoted no model: no gain"):
        with_tuned_model(applying(), trained(None), client)
    unfinished = bucket(**{keys.request_key("tuned-1"): any_run().model_dump_json().encode()})
    with pytest.raises(InvalidRequest, match="has no report"):
        with_tuned_model(applying(), unfinished, client)
    with pytest.raises(InvalidRequest, match="is Creating, not Active"):
        with_tuned_model(applying(), trained(), deployed(bedrock, "Creating"))
    bedrock.add_client_error("get_custom_model_deployment", "ResourceNotFoundException")
    with pytest.raises(InvalidRequest, match="is gone; train again"):
        with_tuned_model(applying(), trained(), client)


def test_throttled_look_at_the_deployment_is_for_the_machine_to_try_again(bedrock: Stubber) -> None:
    bedrock.add_client_error("get_custom_model_deployment", "ThrottlingException")
    client: Any = bedrock.client
    with pytest.raises(Throttled, match="run 'tuned-1'"):
        with_tuned_model(applying(), trained(), client)


def test_fields_that_only_training_has_are_refused_beside_apply() -> None:
    check_beside_apply(Request(apply="r", max_usd=1, tolerance=0.1))
    with pytest.raises(InvalidRequest, match="prompt, train_sizes cannot be given"):
        check_beside_apply(Request(apply="r", prompt="keywords", train_sizes=[12]))


def listed(*photos: dict[str, Any], **request: Any) -> tuple[Run, Bucket]:
    """Return a run with an inventory of these photos."""
    run, data = any_run(apply="tuned-1", **request), bucket()
    sized = {"status": "ok", "width": 900, "height": 600}
    data.write_lines(keys.part_key(run.name, "resize", "b"), [sized | photo for photo in photos])
    return run, data


REFUSED = {"photo": "holiday/c.jpg", "status": "refused", "reason": "damaged", "width": None, "height": None}


def test_each_distinct_image_is_listed_and_priced_once() -> None:
    run, data = listed({"photo": "holiday/a.jpg", "image": "aa"}, {"photo": "holiday/b.jpg", "image": "aa"}, REFUSED)
    found = list_images(run, data)

    assert (found["photos"], found["refused"], found["images"]) == (3, 1, 1)
    assert [line["image"] for line in data.read_lines(found["images_key"])] == ["aa"]
    statuses = [line.get("status", "ok") for line in data.read_lines(keys.inventory_key(run.name))]
    assert statuses == ["ok", "duplicate", "refused"]
    assert 0 < found["usd"] < 0.001
    assert list_images(run.model_copy(update={"request": Request(apply="r", max_usd=0)}), data)["verdict"].endswith(
        "raise max_usd, or take fewer images, and start again"
    )
    with pytest.raises(TooFewImages):
        list_images(*listed(REFUSED, tolerance=1))


def answer(image: str, text: str, status: str = "ok") -> dict[str, Any]:
    reason = None if status == "ok" else "no list"
    return {"image": image, "answerer": "tuned", "status": status, "text": text, "reason": reason}


def test_every_photo_has_a_line_with_its_keywords_or_the_reason_why_not() -> None:
    run, data = listed(
        {"photo": "holiday/a.jpg", "image": "aa"},
        {"photo": "holiday/b.jpg", "image": "aa"},
        {"photo": "holiday/d.jpg", "image": "dd"},
        REFUSED,
    )
    list_images(run, data)
    parts = [answer("aa", "cat, sofa"), answer("dd", "I cannot", "refused")]
    data.write_lines(keys.part_key(run.name, "predict", "b"), parts)
    written = write_results(run, data)
    table = list(csv.DictReader(io.StringIO(data.read(written["results_key"]).decode())))
    lines = [json.loads(line) for line in data.iter_lines(keys.results_key(run.name, "jsonl"))]

    assert [(row["photo"], row["keywords"], row["reason"]) for row in table] == [
        ("a.jpg", "cat, sofa", ""),
        ("b.jpg", "cat, sofa", ""),
        ("c.jpg", "", "damaged"),
        ("d.jpg", "", "no list"),
    ]
    assert lines[0]["keywords"] == ["cat", "sofa"]
    assert written["verdict"].endswith("wrote keywords for 2 of 4 photos.")
    subject, text = run_message(run.name, data)
    assert "2 set aside" in subject
    assert "results.csv" in text


def test_more_refused_answers_than_are_tolerated_fail_the_run() -> None:
    run, data = listed(*({"photo": f"holiday/{n}.jpg", "image": f"{n}"} for n in range(3)))
    list_images(run, data)
    data.write_lines(keys.part_key(run.name, "predict", "b"), [answer(f"{n}", "no", "refused") for n in range(3)])
    with pytest.raises(ToleranceExceeded, match="no list"):
        write_results(run, data)
