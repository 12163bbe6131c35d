"""Jobs, models and deployments of the local endpoint over their lives; every answer is checked by the endpoint itself
against botocore's service model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.bedrock import Endpoint
from local.bedrock.protocol import BedrockError, NotBedrock, check_answer, check_error, routes
from tests.support.local_bedrock import ROLE, STUDENT, client, code, ended, serving, train, trainable_bucket

NOVA_2 = "local.student-pixels-2-v1:0:256k"
TAG = {"key": "vision-distillation:run", "value": "run"}


def deploy(endpoint: Endpoint, model: str, name: str = "d") -> str:
    bedrock = client(endpoint, "bedrock")
    return bedrock.create_custom_model_deployment(modelDeploymentName=name, modelArn=model)["customModelDeploymentArn"]


def phases(job: Any) -> list[str]:
    order = ("validationDetails", "dataProcessingDetails", "trainingDetails")
    return [job["statusDetails"][phase]["status"] for phase in order]


def test_job_tells_how_far_it_is_and_ends_as_stopped_when_stopped(tmp_path: Path) -> None:
    with serving(trainable_bucket(), tmp_path, stuck_jobs="-n10-") as endpoint:
        bedrock = client(endpoint, "bedrock")
        arn = train(endpoint)
        while phases(found := bedrock.get_model_customization_job(jobIdentifier=arn))[1] != "Completed":
            pass

        assert (found["status"], phases(found)) == ("InProgress", ["Completed", "Completed", "NotStarted"])
        assert datetime.now(UTC) - found["creationTime"] > timedelta(hours=24)
        bedrock.stop_model_customization_job(jobIdentifier=arn)
        assert ended(endpoint, arn)["status"] == "Stopped"
        with pytest.raises(ClientError) as error:
            bedrock.stop_model_customization_job(jobIdentifier=arn)
        assert code(error) == "ConflictException"
        assert bedrock.list_custom_models()["modelSummaries"] == []


def test_job_fails_in_the_words_that_are_asked_for(tmp_path: Path) -> None:
    words = "Encountered an internal error when processing the request."
    with serving(trainable_bucket(), tmp_path, failing_jobs="-a1", failure_message=words) as endpoint:
        failed, trained = (ended(endpoint, train(endpoint, f"run-n10-a{attempt}")) for attempt in (1, 2))

        assert (failed["status"], failed["failureMessage"]) == ("Failed", words)
        assert phases(failed) == ["Failed", "NotStarted", "NotStarted"]
        assert (trained["status"], phases(trained)) == ("Completed", ["Completed"] * 3)


def test_legacy_model_is_described_as_such_and_takes_no_jobs(tmp_path: Path) -> None:
    with serving(trainable_bucket(), tmp_path, legacy_models=(f"{STUDENT}:300k",)) as endpoint:
        bedrock = client(endpoint, "bedrock")
        states = [
            bedrock.get_foundation_model(modelIdentifier=id_)["modelDetails"]["modelLifecycle"]["status"]
            for id_ in (f"{STUDENT}:300k", STUDENT, NOVA_2)
        ]

        assert states == ["LEGACY", "ACTIVE", "ACTIVE"]
        assert bedrock.get_foundation_model_availability(modelId=STUDENT)["authorizationStatus"] == "AUTHORIZED"
        with pytest.raises(ClientError, match="LEGACY"):
            train(endpoint)
        with pytest.raises(ClientError) as error:
            bedrock.get_foundation_model(modelIdentifier="amazon.nova-lite-v1:0:300k")
        assert code(error) == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hyperParameters": {"epochCount": "9"}}, "epochCount must be a whole number from 1 to 5"),
        ({"hyperParameters": {"epochs": "2"}}, "unknown 'epochs'"),
        ({"hyperParameters": {"epochCount": "two"}}, "Invalid hyperparameters"),
        (
            {
                "baseModelIdentifier": NOVA_2,
                "validationDataConfig": {"validators": [{"s3Uri": "s3://data/train.jsonl"}]},
            },
            "Nova 2.0 doesn't support validation set",
        ),
    ],
)
def test_job_that_the_family_does_not_take_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with serving(trainable_bucket(), tmp_path) as endpoint, pytest.raises(ClientError, match=words) as error:
        train(endpoint, **changes)
    assert code(error) == "ValidationException"


def test_deployment_keeps_its_arn_while_a_new_model_takes_over(tmp_path: Path) -> None:
    with serving(trainable_bucket(), tmp_path) as endpoint:
        bedrock = client(endpoint, "bedrock")
        first, second = (ended(endpoint, train(endpoint, f"run-n10-a{n}"))["outputModelArn"] for n in (1, 2))
        assert [one["modelArn"] for one in bedrock.list_custom_models()["modelSummaries"]] == [second, first]
        arn = deploy(endpoint, first)
        looks = [bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=arn) for _ in range(2)]
        bedrock.update_custom_model_deployment(customModelDeploymentIdentifier=arn, modelArn=second)
        looks += [bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=arn) for _ in range(2)]

        assert [look["status"] for look in looks] == ["Creating", "Active", "Active", "Active"]
        assert [look["modelArn"] for look in looks] == [first, first, first, second]
        assert [look["updateDetails"]["updateStatus"] for look in looks[2:]] == ["Updating", "UpdateCompleted"]
        bedrock.delete_custom_model(modelIdentifier=first)
        with pytest.raises(ClientError) as error:
            bedrock.delete_custom_model(modelIdentifier=second)
        assert code(error) == "ConflictException"


def test_only_two_deployments_are_in_progress_and_a_failed_one_says_so(tmp_path: Path) -> None:
    with serving(trainable_bucket(), tmp_path, failing_deployments="bad") as endpoint:
        bedrock = client(endpoint, "bedrock")
        model = ended(endpoint, train(endpoint))["outputModelArn"]
        for name in ("bad", "good"):
            deploy(endpoint, model, name)
        with pytest.raises(ClientError) as error:
            deploy(endpoint, model, "third")

        assert code(error) == "ServiceQuotaExceededException"
        bad = [bedrock.get_custom_model_deployment(customModelDeploymentIdentifier="bad") for _ in range(2)][1]
        assert (bad["status"], bool(bad["failureMessage"])) == ("Failed", True)
        deploy(endpoint, model, "third")


def test_tags_are_kept_changed_removed_and_gone_with_their_resource(tmp_path: Path) -> None:
    with serving(trainable_bucket(), tmp_path) as endpoint:
        bedrock = client(endpoint, "bedrock")
        job = ended(endpoint, train(endpoint, jobTags=[TAG], customModelTags=[TAG]))
        model = job["outputModelArn"]
        bedrock.tag_resource(resourceARN=model, tags=[TAG | {"value": "other"}, {"key": "more", "value": "1"}])
        bedrock.untag_resource(resourceARN=job["jobArn"], tagKeys=[TAG["key"]])

        tags = bedrock.list_tags_for_resource(resourceARN=model)["tags"]
        assert tags == [TAG | {"value": "other"}, {"key": "more", "value": "1"}]
        assert bedrock.list_tags_for_resource(resourceARN=job["jobArn"])["tags"] == []
        bedrock.delete_custom_model(modelIdentifier=model)
        with pytest.raises(ClientError) as error:
            bedrock.list_tags_for_resource(resourceARN=model)
        assert code(error) == "ResourceNotFoundException"


def test_lists_come_in_pages_by_name_state_and_time(tmp_path: Path) -> None:
    with serving(trainable_bucket(), tmp_path) as endpoint:
        bedrock = client(endpoint, "bedrock")
        model = ended(endpoint, train(endpoint))["outputModelArn"]
        for number in range(13):
            deploy(endpoint, model, f"d{number}")
            for _ in range(2):
                bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=f"d{number}")

        def names(**filters: Any) -> list[str]:
            pages = bedrock.get_paginator("list_custom_model_deployments").paginate(**filters)
            return [one["customModelDeploymentName"] for page in pages for one in page["modelDeploymentSummaries"]]

        first = bedrock.list_custom_model_deployments()
        assert (len(first["modelDeploymentSummaries"]), "nextToken" in first) == (10, True)
        assert sorted(names()) == sorted(names(maxResults=4)) == sorted(f"d{number}" for number in range(13))
        assert names(sortOrder="Ascending") == names()[::-1]
        assert sorted(names(nameContains="d1")) == ["d1", "d10", "d11", "d12"]
        assert names(statusEquals="Creating") == names(createdBefore=datetime(2026, 1, 1, tzinfo=UTC)) == []
        assert len(names(modelArnEquals=model, createdAfter=datetime(2026, 1, 1, tzinfo=UTC))) == 13
        with pytest.raises(ClientError) as error:
            bedrock.list_custom_model_deployments(nextToken="gone")
        assert code(error) == "ValidationException"


class Rights:
    """A caller who may do all but what is named."""

    def __init__(self, *denied: str) -> None:
        self.denied = denied

    def principal(self, authorization: str) -> str:
        return ROLE

    def allowed(self, principal: str, action: str, resource: str) -> bool:
        return action not in self.denied

    def check_job_role(self, role: str) -> None:
        pass


@pytest.mark.parametrize(
    ("denied", "words"),
    [
        (
            "s3:GetObject",
            "Could not validate GetObject permissions to access Amazon S3 bucket: data at key train.jsonl",
        ),
        ("s3:PutObject", "Amazon S3 perms missing (PutObject)"),
    ],
)
def test_job_whose_role_lacks_a_right_fails_in_bedrocks_words(tmp_path: Path, denied: str, words: str) -> None:
    with serving(trainable_bucket(), tmp_path, Rights(denied)) as endpoint:
        assert words in ended(endpoint, train(endpoint))["failureMessage"]


KEY = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def test_model_keeps_the_key_that_the_caller_may_use(tmp_path: Path) -> None:
    with serving(trainable_bucket(), tmp_path, Rights()) as endpoint:
        job = ended(endpoint, train(endpoint, customModelKmsKeyId=KEY))
        model = client(endpoint, "bedrock").get_custom_model(modelIdentifier=job["outputModelArn"])

        assert job["outputModelKmsKeyArn"] == model["modelKmsKeyArn"] == KEY
    denied = [("customModelKmsKeyId", KEY, "kms:CreateGrant"), ("jobTags", [TAG], "bedrock:TagResource")]
    for field, value, action in denied:
        with serving(trainable_bucket(), tmp_path, Rights(action)) as endpoint:
            with pytest.raises(ClientError, match=action) as error:
                train(endpoint, **{field: value})
            assert code(error) == "AccessDeniedException"


def test_endpoint_itself_cannot_answer_or_fail_as_bedrock_would_not() -> None:
    create = next(route for route in routes() if route.name == "CreateCustomModelDeployment")
    for answer in ({}, {"customModelDeploymentArn": "arn:x"}, {"customModelDeploymentArn": 1}):
        with pytest.raises(NotBedrock, match="CreateCustomModelDeployment"):
            check_answer(create, answer)
    with pytest.raises(NotBedrock, match="ConflictException"):
        check_error(create, BedrockError("ConflictException", "in use"))
