"""Reuse of tuned models, against the local Bedrock endpoint."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest

from distillation import keys, ledger
from distillation.documents import DatasetHashes
from distillation.errors import DatasetRejected, JobFailed
from distillation.events import JobResult
from distillation.records import Run
from distillation.serving.resources import delete, models
from distillation.serving.tags import DELETING_TAG, RUN_TAG, STAGE_TAG, TRAINING_TAG, USED_BY_PREFIX
from distillation.storage import Bucket
from distillation.training.job import JobSettings, create_or_describe
from distillation.training.reuse import checked_fingerprint, reuse_model
from local.bedrock import Endpoint
from local.bedrock.tags import MAXIMUM_TAGS
from tests.support.bedrock_state import ARN, BASE, add_resources
from tests.support.builders import any_run
from tests.support.local_bedrock import KEY as KEY_ARN
from tests.support.training_jobs import NOW, ROLE_ARN, describe_size, split_bucket

TRAINING = "f" * 64
STUDENT = "local.student-pixels-v1:0"
SETTINGS = JobSettings(role_arn=ROLE_ARN, model_kms_key_arn=None, start_timeout=timedelta(hours=24))


def later_run(**request: Any) -> Run:
    """Return a run of the local student, whose dataset is that of ``split_bucket``."""
    return any_run(**request).model_copy(update={"student": STUDENT})


def add_trained_model(endpoint: Endpoint, training: str, number: int = 12, stage: str = "test", **options: Any) -> str:
    """Add the model that the run ``earlier`` trained; return its ARN."""
    add_resources(endpoint, "earlier", number, stage, **options)
    arn = f"{ARN}:custom-model/{BASE}/{number:012x}"
    endpoint.service.tags[arn] = [*endpoint.service.tags[arn], {"key": TRAINING_TAG, "value": training}]
    return arn


def tags_of(endpoint: Endpoint, arn: str) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in endpoint.service.tags[arn]}


def reuse(client: Any, key_arn: str | None = None) -> JobResult | None:
    return reuse_model(later_run(), TRAINING, key_arn, split_bucket(), client, NOW)


def test_model_of_the_same_training_is_reused_without_cost_and_names_the_run(endpoint: Endpoint, client: Any) -> None:
    run, data = later_run(), split_bucket()
    arn = add_trained_model(endpoint, checked_fingerprint(run, 12, data))
    jobs = dict(endpoint.service.jobs)
    results = [describe_size(run, 12, data, client, SETTINGS) for _ in range(2)]

    assert results == 2 * [
        JobResult(status="Completed", model_name="earlier-n12-a1", job_arn=None, model_arn=arn, trained_by="earlier")
    ]
    assert tags_of(endpoint, arn)[f"{USED_BY_PREFIX}holiday-1"] == run.created
    assert tags_of(endpoint, arn)[RUN_TAG] == "earlier"
    assert endpoint.service.jobs == jobs
    (entry,) = ledger.summary(run.name, data).entries
    assert (entry.step, entry.calls, entry.reused, entry.usd) == ("TrainModels", 0, 1, 0.0)


def test_model_that_the_run_reuses_already_is_found_again_before_others(endpoint: Endpoint, client: Any) -> None:
    arns = {add_trained_model(endpoint, TRAINING, number) for number in (12, 13, 14)}
    for claimed in sorted(arns):
        for arn in arns:
            tags = [tag for tag in endpoint.service.tags[arn] if tag["key"] != f"{USED_BY_PREFIX}holiday-1"]
            endpoint.service.tags[arn] = tags
        endpoint.service.tags[claimed].append({"key": f"{USED_BY_PREFIX}holiday-1", "value": "2026"})
        found = reuse(client)
        assert found is not None
        assert found.model_arn == claimed


def test_job_and_model_of_another_training_are_tagged_with_its_fingerprint(endpoint: Endpoint, client: Any) -> None:
    run, data = later_run(), split_bucket()
    add_trained_model(endpoint, TRAINING)
    result = describe_size(run, 12, data, client, SETTINGS)

    assert (result.status, result.trained_by) == ("InProgress", None)
    assert tags_of(endpoint, result.job_arn or "")[TRAINING_TAG] == checked_fingerprint(run, 12, data)


@pytest.mark.parametrize(
    ("options", "key_arn"),
    [
        ({"stage": "prod"}, None),
        ({"data_bucket": "earlier-data"}, None),
        ({"data_bucket": None}, None),
        ({}, KEY_ARN),
    ],
    ids=["another stage", "another Data bucket", "no Data bucket", "another key"],
)
def test_model_of_another_stage_data_bucket_or_key_is_not_reused(
    endpoint: Endpoint, client: Any, options: dict[str, Any], key_arn: str | None
) -> None:
    arn = add_trained_model(endpoint, TRAINING, **options)

    assert reuse(client, key_arn) is None
    assert f"{USED_BY_PREFIX}holiday-1" not in tags_of(endpoint, arn)


def test_model_with_the_key_of_the_stage_is_reused_and_by_a_stage_without_a_key_it_is_not(
    endpoint: Endpoint, client: Any
) -> None:
    arn = add_trained_model(endpoint, TRAINING)
    endpoint.service.custom_models[arn]["modelKmsKeyArn"] = KEY_ARN

    assert reuse(client, None) is None
    assert reuse(client, KEY_ARN)


def test_model_that_is_not_active_or_accepts_no_more_tags_is_not_reused(endpoint: Endpoint, client: Any) -> None:
    creating, full = add_trained_model(endpoint, TRAINING, 1), add_trained_model(endpoint, TRAINING, 2)
    endpoint.service.custom_models[creating]["modelStatus"] = "Creating"
    tags = endpoint.service.tags[full]
    tags += [{"key": f"{USED_BY_PREFIX}{number}", "value": ""} for number in range(MAXIMUM_TAGS - len(tags))]

    assert reuse(client) is None


@pytest.mark.parametrize(("minutes", "is_reused"), [(1, False), (16, True)])
def test_model_is_not_reused_while_it_is_being_deleted(
    endpoint: Endpoint, client: Any, minutes: int, is_reused: bool
) -> None:
    arn, began = add_trained_model(endpoint, TRAINING), NOW - timedelta(minutes=minutes)
    endpoint.service.tags[arn].append({"key": DELETING_TAG, "value": began.isoformat()})

    assert bool(reuse(client)) == is_reused
    assert f"{USED_BY_PREFIX}holiday-1" in tags_of(endpoint, arn)  # The deletion sees it and stops.


def test_model_that_is_deleted_while_a_run_names_itself_in_its_tags_is_not_reused(
    endpoint: Endpoint, client: Any
) -> None:
    arn = add_trained_model(endpoint, TRAINING)

    def delete_model(**_: Any) -> None:
        del endpoint.service.custom_models[arn], endpoint.service.tags[arn]

    client.meta.events.register("after-call.bedrock.TagResource", delete_model)
    assert reuse(client) is None


def test_deletion_stops_if_a_run_begins_to_reuse_the_model_after_it_was_listed(endpoint: Endpoint, client: Any) -> None:
    arn = add_trained_model(endpoint, TRAINING)
    endpoint.service.deployments.clear()
    listed = models((STAGE_TAG, "test"), "", client)
    assert reuse(client)

    assert delete(listed, client, keeps=lambda model: "holiday-1" in model.runs) == []
    assert DELETING_TAG in tags_of(endpoint, arn)
    assert delete(listed, client, keeps=lambda model: "other" in model.runs) == ["model earlier-n12-a1"]


FILES = [keys.dataset_key("holiday-1", name) for name in ("train-12", "validation")]


@pytest.mark.parametrize("is_kept", [True, False])
def test_model_that_accepts_no_more_tags_is_deleted_unless_a_run_keeps_it(
    endpoint: Endpoint, client: Any, is_kept: bool
) -> None:
    arn = add_trained_model(endpoint, TRAINING)
    endpoint.service.deployments.clear()
    (model,) = models((TRAINING_TAG, TRAINING), "", client)
    users = [f"{USED_BY_PREFIX}{number}" for number in range(MAXIMUM_TAGS - len(model.tags))]
    endpoint.service.tags[arn] += [{"key": key, "value": ""} for key in users]

    deleted = delete([model], client, keeps=lambda resource: is_kept and len(resource.runs) > 1)
    assert deleted == ([] if is_kept else [str(model)])


def with_files(data: Bucket, *bodies: bytes) -> Bucket:
    """Return the bucket with these training and validation files, validated."""
    for file, body in zip(FILES, bodies, strict=False):
        data.write(file, body)
    hashes = {file: hashlib.sha256(body).hexdigest() for file, body in zip(FILES, bodies, strict=False)}
    data.write_document(keys.dataset_hashes_key("holiday-1"), DatasetHashes(sha256=hashes))
    return data


def test_fingerprint_depends_on_files_base_model_and_hyperparameters_only() -> None:
    run = later_run()
    other_student = any_run()
    fingerprints = {
        checked_fingerprint(run, 12, with_files(split_bucket(), b"a")),
        checked_fingerprint(run, 12, with_files(split_bucket(), b"b")),
        checked_fingerprint(run, 12, with_files(split_bucket(), b"a", b"c")),
        checked_fingerprint(other_student, 12, with_files(split_bucket(), b"a")),
        checked_fingerprint(later_run(hyperparameters={"epochCount": 3}), 12, with_files(split_bucket(), b"a")),
    }
    same = later_run(max_usd=3, keep="none", tolerance=0.5)

    assert len(fingerprints) == 5
    assert checked_fingerprint(same, 12, with_files(split_bucket(), b"a")) in fingerprints


@pytest.mark.parametrize("file", FILES)
def test_file_that_was_changed_after_its_validation_is_refused_before_a_job_is_created(
    endpoint: Endpoint, client: Any, file: str
) -> None:
    data = with_files(split_bucket(), b"a", b"c")
    data.write(file, b"changed")
    with pytest.raises(DatasetRejected, match="is not the file that ValidateDataset checked"):
        describe_size(later_run(), 12, data, client, SETTINGS)

    assert endpoint.service.jobs == {}


def test_job_that_bedrock_creates_after_the_execution_was_stopped_is_stopped_and_costs_nothing(
    endpoint: Endpoint, client: Any
) -> None:
    data, stopped = split_bucket(), []
    client.meta.events.register("after-call.bedrock.CreateModelCustomizationJob", lambda **_: stopped.append(True))
    with pytest.raises(JobFailed, match="the execution of the run has ended, so the job was stopped"):
        create_or_describe(later_run(), 12, data, client, SETTINGS, NOW, lambda: bool(stopped))
    (job,) = endpoint.service.jobs.values()

    assert job["status"] in ("Stopping", "Stopped", "Failed")
    assert ledger.paid_and_reserved_usd("holiday-1", data) == (0, 0)
