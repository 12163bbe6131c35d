from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from botocore.stub import ANY, Stubber

from distillation import keys, ledger
from distillation.errors import (
    AccessDenied,
    DeploymentFailed,
    JobFailed,
    OverBudget,
    QuotaExceeded,
    ResourceBusy,
    Throttled,
)
from distillation.inference.budget import Reservation
from distillation.records import LedgerPart
from distillation.serving import deployment as deploy
from distillation.serving.cleanup import clean_up
from distillation.serving.promotion import promote
from distillation.serving.resources import BedrockResource, stop
from distillation.storage import Bucket
from distillation.telemetry import metrics
from distillation.training import job as customize
from distillation.training import stalled
from distillation.training.job_cost import job_cost, maximum_prediction_usd
from lambdas import runtime
from tests.support.builders import any_run
from tests.support.fakes import MemoryS3, bucket

ROLE = "arn:aws:iam::000000000000:role/bedrock"
ARN = "arn:aws:bedrock:us-east-1:000000000000"
MODEL = f"{ARN}:custom-model/amazon.nova-lite-v1:0:300k/abcdefghijkl"
JOB = f"{ARN}:model-customization-job/amazon.nova-lite-v1:0:300k/abcdefghijkl"
DEPLOYMENT = f"{ARN}:custom-model-deployment/abcdefghijkl"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
LATER = NOW + timedelta(hours=30)
SETTINGS = customize.Settings(role=ROLE, key=None, patience=timedelta(hours=24))


@pytest.fixture
def client() -> Any:
    return boto3.client("bedrock")


@pytest.fixture
def bedrock(client: Any) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def data(objects: Bucket | None = None) -> Bucket:
    objects = objects or bucket()
    line = {"image": "a" * 64, "photo": "p", "group": "a" * 64, "width": 900, "height": 600}
    objects.write_lines(keys.split_key("holiday-1", "train"), [line] * 12)
    objects.write_lines(keys.split_key("holiday-1", "test"), [line] * 3)
    return objects


def described(status: str, **more: Any) -> dict[str, Any]:
    return {
        "jobArn": JOB,
        "jobName": "holiday-1-n12-a1",
        "outputModelName": "holiday-1-n12-a1",
        "roleArn": ROLE,
        "creationTime": NOW,
        "baseModelArn": "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0:300k",
        "trainingDataConfig": {"s3Uri": "s3://data/t.jsonl"},
        "outputDataConfig": {"s3Uri": "s3://data/o/"},
        "validationDataConfig": {"validators": []},
        "status": status,
        **more,
    }


def look(client: Any, objects: Bucket | None = None, **request: Any) -> dict[str, Any]:
    return customize.create_or_describe(any_run(**request), 12, objects or data(), client, SETTINGS, LATER)


def test_first_call_creates_the_job_and_the_next_only_looks(client: Any, bedrock: Stubber) -> None:
    expected = {
        "jobName": "holiday-1-n12-a1",
        "customModelName": "holiday-1-n12-a1",
        "roleArn": ROLE,
        "clientRequestToken": "holiday-1-n12-a1",
        "baseModelIdentifier": "amazon.nova-lite-v1:0:300k",
        "customizationType": "FINE_TUNING",
        "hyperParameters": {"epochCount": "2", "learningRate": "0.00001", "learningRateWarmupSteps": "0"},
        "trainingDataConfig": {"s3Uri": "s3://data/runs/holiday-1/dataset/train-12.jsonl"},
        "outputDataConfig": {"s3Uri": "s3://data/runs/holiday-1/training/n12/"},
        "jobTags": ANY,
        "customModelTags": ANY,
    }
    bedrock.add_client_error("get_model_customization_job", "ResourceNotFoundException")
    bedrock.add_response("create_model_customization_job", {"jobArn": JOB}, expected)
    bedrock.add_response("get_model_customization_job", described("InProgress"))

    assert look(client)["status"] == "InProgress"
    assert look(client)["status"] == "InProgress"


def test_finished_job_is_on_the_ledger_once(client: Any, bedrock: Stubber) -> None:
    objects = data()
    for _ in range(2):
        bedrock.add_response("get_model_customization_job", described("Completed", outputModelArn=MODEL))
        found = {"status": "Completed", "model_name": "holiday-1-n12-a1", "job_arn": JOB, "model_arn": MODEL}
        assert look(client, objects) == found

    assert len(list(objects.keys(keys.ledger_prefix("holiday-1")))) == 1


@pytest.mark.parametrize(
    "message",
    [
        "Encountered an internal error when processing the request.",
        "Encountered an unexpected error when processing the request, please try again",
    ],
)
def test_internal_error_gets_one_more_attempt_and_another_failure_none(
    client: Any, bedrock: Stubber, message: str
) -> None:
    bedrock.add_response("get_model_customization_job", described("Failed", failureMessage=message))
    bedrock.add_response("get_model_customization_job", described("Failed", failureMessage=message))
    with pytest.raises(JobFailed, match=r"inside Bedrock, met twice; .* put distill.json again later"):
        look(client)
    bedrock.add_response("get_model_customization_job", described("Failed", failureMessage="bad data"))
    with pytest.raises(JobFailed, match="bad data"):
        look(client)


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("Could not validate GetObject permissions to access Amazon S3 bucket: b at key k", "deploy the stack again"),
        ("Amazon S3 perms missing (PutObject): b/k", "runs/\\*/training/"),
        ("Unable to parse Amazon S3 file: f.jsonl. Data files must conform to JSONL format.", "distill validate"),
        ("Input size exceeded in file f.jsonl for record starting with...", "shorten the prompt or lower max_tokens"),
        ("Something new", "Something new$"),
    ],
)
def test_failed_job_says_what_to_do_about_it(client: Any, bedrock: Stubber, message: str, remedy: str) -> None:
    bedrock.add_response("get_model_customization_job", described("Failed", failureMessage=message))
    with pytest.raises(JobFailed, match=remedy) as error:
        look(client)
    assert message.rstrip(".") in str(error.value)


def waiting(training: str = "NotStarted") -> dict[str, Any]:
    details = {"validationDetails": {"status": "Completed"}, "trainingDetails": {"status": training}}
    return described("InProgress", statusDetails=details)


def jobs_stuck() -> list[float]:
    """Take what was counted since the last call."""
    found = metrics.metric_set.pop("JobsStuck", {"Value": []})
    return list(found["Value"])  # type: ignore[arg-type, call-overload]


def test_job_that_does_not_start_is_told_and_goes_on(client: Any, bedrock: Stubber) -> None:
    jobs_stuck()
    bedrock.add_response("get_model_customization_job", waiting())
    bedrock.add_response("get_model_customization_job", waiting("InProgress"))

    assert look(client)["status"] == look(client)["status"] == "InProgress"
    assert jobs_stuck() == [1, 0]


def test_job_that_waits_no_longer_than_the_stage_says_is_left_alone(client: Any, bedrock: Stubber) -> None:
    jobs_stuck()
    bedrock.add_response("get_model_customization_job", waiting())
    patient = replace(SETTINGS, patience=timedelta(hours=31))
    run = any_run(stop_stuck_jobs=True)

    assert customize.create_or_describe(run, 12, data(), client, patient, LATER)["status"] == "InProgress"
    assert jobs_stuck() == [0]


def test_stuck_job_is_stopped_if_the_request_says_so_and_is_not_billed(client: Any, bedrock: Stubber) -> None:
    objects = data()
    bedrock.add_response("get_model_customization_job", waiting())
    bedrock.add_response("stop_model_customization_job", {}, {"jobIdentifier": JOB})
    with pytest.raises(JobFailed, match="had not started after 30 h, and stop_stuck_jobs asks to stop"):
        look(client, objects, stop_stuck_jobs=True)
    assert ledger.total_usd(objects, "holiday-1") == 0
    bedrock.add_response("get_model_customization_job", waiting())
    bedrock.add_client_error("stop_model_customization_job", "ConflictException")

    assert look(client, objects, stop_stuck_jobs=True)["status"] == "InProgress"


@pytest.mark.parametrize("patience", [timedelta(hours=24), timedelta(days=30)])
def test_job_that_has_waited_for_three_days_is_stopped_whatever_the_request_says(
    client: Any, bedrock: Stubber, patience: timedelta
) -> None:
    objects, settings = data(), replace(SETTINGS, patience=patience)
    bedrock.add_response("get_model_customization_job", waiting())
    bedrock.add_response("get_model_customization_job", waiting("InProgress"))
    bedrock.add_response("get_model_customization_job", waiting())
    bedrock.add_response("stop_model_customization_job", {}, {"jobIdentifier": JOB})
    limit = NOW + stalled.LONGEST_WAIT
    for when in (limit, limit + timedelta(hours=1)):
        found = customize.create_or_describe(any_run(), 12, objects, client, settings, when)
        assert found["status"] == "InProgress"
    with pytest.raises(JobFailed, match="had not started after 73 h, and no job is waited for longer than 3 days"):
        customize.create_or_describe(any_run(), 12, objects, client, settings, limit + timedelta(hours=1))
    assert ledger.committed_usd(objects, "holiday-1") == (0, 0)


def test_tuned_model_is_encrypted_with_the_key_of_the_stage(client: Any, bedrock: Stubber) -> None:
    key = "arn:aws:kms:us-east-1:000000000000:key/1"
    asked: dict[str, Any] = {}
    client.meta.events.register(
        "provide-client-params.bedrock.CreateModelCustomizationJob", lambda params, **_: asked.update(params)
    )
    bedrock.add_client_error("get_model_customization_job", "ResourceNotFoundException")
    bedrock.add_response("create_model_customization_job", {"jobArn": JOB})
    customize.create_or_describe(any_run(), 12, data(), client, replace(SETTINGS, key=key), LATER)

    assert asked["customModelKmsKeyId"] == key


def test_quota_is_named_so_that_the_machine_waits(client: Any, bedrock: Stubber) -> None:
    bedrock.add_client_error("get_model_customization_job", "ResourceNotFoundException")
    bedrock.add_client_error("create_model_customization_job", "ServiceQuotaExceededException")
    with pytest.raises(QuotaExceeded):
        look(client)


UNANSWERED = [
    EndpointConnectionError(endpoint_url="https://bedrock"),
    ReadTimeoutError(endpoint_url="https://bedrock"),
    ClientError({"Error": {"Code": "502"}, "ResponseMetadata": {"HTTPStatusCode": 502}}, "Any"),  # type: ignore[typeddict-item]
]


@pytest.mark.parametrize("fault", UNANSWERED)
def test_look_that_gets_no_answer_abandons_no_job_and_is_tried_again(fault: Exception) -> None:
    client: Any = boto3.client("bedrock", config=Config(retries={"total_max_attempts": 1}))
    report = {"models": [{"model_name": "n", "model_arn": MODEL}], "gate": {"promoted": "n"}}
    decided = bucket(**{keys.report_key("holiday-1", "report.json"): json.dumps(report).encode()})
    replacing = any_run().model_copy(update={"replaces": DEPLOYMENT})

    def fail(**_: Any) -> None:
        raise fault

    client.meta.events.register("before-send.bedrock", fail)
    looks: list[Callable[[], Any]] = [
        lambda: look(client),
        lambda: deploy.create_or_describe(any_run(), "n", MODEL, client),
        lambda: promote(replacing, decided, client),
        lambda: clean_up(any_run(), bucket(), client, NOW),
        lambda: stop([BedrockResource("job", "n", JOB, "InProgress", NOW, {})], client),
    ]
    for one in looks:
        with pytest.raises(Throttled):
            one()


def test_client_that_polls_gives_up_before_its_function_does() -> None:
    config: Any = runtime.bedrock.__wrapped__().meta.config
    attempts = config.retries["total_max_attempts"]

    assert attempts * (config.connect_timeout + config.read_timeout) < 60


def test_deployment_is_created_then_described_and_a_failed_one_says_why(client: Any, bedrock: Stubber) -> None:
    found = {
        "customModelDeploymentArn": DEPLOYMENT,
        "modelDeploymentName": "n",
        "modelArn": MODEL,
        "createdAt": NOW,
    }
    bedrock.add_client_error("get_custom_model_deployment", "ResourceNotFoundException")
    bedrock.add_response("create_custom_model_deployment", {"customModelDeploymentArn": DEPLOYMENT})
    bedrock.add_response("get_custom_model_deployment", found | {"status": "Active"})
    bedrock.add_response("get_custom_model_deployment", found | {"status": "Failed", "failureMessage": "no room"})

    for status in ("Creating", "Active"):
        assert deploy.create_or_describe(any_run(), "n", MODEL, client) == {
            "status": status,
            "deployment_arn": DEPLOYMENT,
        }
    with pytest.raises(DeploymentFailed, match="no room"):
        deploy.create_or_describe(any_run(), "n", MODEL, client)


def tagged(bedrock: Stubber, run: str) -> None:
    tags = [{"key": "vision-distillation:run", "value": run}]
    bedrock.add_response("list_tags_for_resource", {"tags": tags})


def listed(bedrock: Stubber, *, job: str = "Completed", owner: str = "holiday-1") -> None:
    """Script what CleanUp finds: one job, one deployment, one model."""
    summary = {
        "jobArn": JOB,
        "baseModelArn": described("x")["baseModelArn"],
        "jobName": "holiday-1-n12-a1",
        "status": job,
        "creationTime": NOW,
    }
    bedrock.add_response("list_model_customization_jobs", {"modelCustomizationJobSummaries": [summary]})
    if job == "InProgress":
        tagged(bedrock, owner)
        if owner == "holiday-1":
            bedrock.add_response("stop_model_customization_job", {}, {"jobIdentifier": JOB})
            bedrock.add_response("get_model_customization_job", described("Stopping"))
            bedrock.add_response("get_model_customization_job", described("Stopped"))
    deployments = [
        {
            "customModelDeploymentArn": DEPLOYMENT,
            "customModelDeploymentName": "holiday-1-n12-a1",
            "modelArn": MODEL,
            "createdAt": NOW,
            "status": "Active",
        }
    ]
    bedrock.add_response("list_custom_model_deployments", {"modelDeploymentSummaries": deployments})
    tagged(bedrock, owner)
    model = {
        "modelArn": MODEL,
        "modelName": "holiday-1-n12-a1",
        "creationTime": NOW,
        "baseModelArn": described("x")["baseModelArn"],
        "baseModelName": "Nova Lite",
    }
    bedrock.add_response("list_custom_models", {"modelSummaries": [model]})
    tagged(bedrock, owner)


def test_failed_run_leaves_no_job_deployment_or_model(client: Any, bedrock: Stubber) -> None:
    listed(bedrock, job="InProgress")
    bedrock.add_response("delete_custom_model_deployment", {}, {"customModelDeploymentIdentifier": DEPLOYMENT})
    bedrock.add_client_error("delete_custom_model", "ConflictException")
    bedrock.add_response("delete_custom_model", {}, {"modelIdentifier": MODEL})

    result = clean_up(any_run(), bucket(), client, NOW, pause=lambda _: None)

    assert result["stopped"] == ["holiday-1-n12-a1"]
    assert result["deleted"] == ["deployment holiday-1-n12-a1", "model holiday-1-n12-a1"]


def test_promoted_model_and_its_deployment_stay(client: Any, bedrock: Stubber) -> None:
    objects = bucket()
    name = "holiday-1-n12-a1"
    report = {"models": [{"model_name": name}], "gate": {"promoted": name}}
    objects.write_json(keys.report_key("holiday-1", "report.json"), report)
    listed(bedrock)

    assert clean_up(any_run(), objects, client, NOW)["kept"] == [f"deployment {name}", f"model {name}"]


def test_nothing_without_our_tag_is_touched(client: Any, bedrock: Stubber) -> None:
    listed(bedrock, job="InProgress", owner="somebody-else")

    assert clean_up(any_run(), bucket(), client, NOW, pause=lambda _: None)["deleted"] == []


def test_model_that_stays_deployed_is_an_error_and_no_false_success(client: Any, bedrock: Stubber) -> None:
    listed(bedrock)
    bedrock.add_response("delete_custom_model_deployment", {})
    for _ in range(49):
        bedrock.add_client_error("delete_custom_model", "ConflictException")
    with pytest.raises(ResourceBusy):
        clean_up(any_run(), bucket(), client, NOW, pause=lambda _: None)


def labelled(objects: Bucket | None = None) -> Bucket:
    """Return data in which all images are labelled, so that jobs have a price."""
    objects = objects or data()
    labels = [{"image": "a" * 64, "answerer": "teacher", "status": "ok", "text": "a, b, c"}]
    objects.write_lines(keys.part_key("holiday-1", "label", "1"), labels)
    for size in (6, 12):
        objects.write(keys.dataset_key("holiday-1", f"train-{size}"), b"")
    return objects


def priced(objects: Bucket, size: int = 12) -> float:
    return job_cost(any_run(), size, objects).usd


def create(bedrock: Stubber) -> None:
    bedrock.add_client_error("get_model_customization_job", "ResourceNotFoundException")
    bedrock.add_response("create_model_customization_job", {"jobArn": JOB})


def test_job_that_the_budget_does_not_hold_is_not_created(client: Any, bedrock: Stubber) -> None:
    bedrock.add_client_error("get_model_customization_job", "ResourceNotFoundException")
    objects = labelled()

    with pytest.raises(OverBudget, match="may cost up to"):
        look(client, objects, max_usd=0.001)
    assert ledger.committed_usd(objects, "holiday-1") == (0, 0)


def test_job_is_created_only_if_the_budget_leaves_room_for_its_predictions(client: Any, bedrock: Stubber) -> None:
    objects = labelled()
    paid, job, predictions = 1.0, priced(objects), maximum_prediction_usd(any_run(), objects)
    ledger.record(objects, "holiday-1", any_part(paid), "labels")
    bedrock.add_client_error("get_model_customization_job", "ResourceNotFoundException")
    with pytest.raises(OverBudget, match=r"and later steps may cost up to \$0\.0"):
        look(client, objects, max_usd=paid + job + predictions * 0.9)
    create(bedrock)

    assert predictions > 0
    assert look(client, objects, max_usd=paid + job + predictions * 1.1)["status"] == "InProgress"
    assert ledger.committed_usd(objects, "holiday-1") == pytest.approx((paid, job), abs=1e-6)


def test_size_that_is_refused_holds_nothing_and_the_other_is_asked(client: Any, bedrock: Stubber) -> None:
    objects = labelled()
    small, large, predictions = priced(objects, 6), priced(objects), maximum_prediction_usd(any_run(), objects)
    run = any_run(max_usd=large + predictions + small / 2)
    ledger.reserve(objects, "holiday-1", "TrainModels", "holiday-1-n6-a1", small)
    for _ in range(8):
        bedrock.add_client_error("get_model_customization_job", "ResourceNotFoundException")
        with pytest.raises(Throttled, match="jobs that have not settled, and later steps"):
            customize.create_or_describe(run, 12, objects, client, SETTINGS, LATER)
    for code, failure in (("ThrottlingException", Throttled), ("AccessDeniedException", AccessDenied)):
        bedrock.add_client_error("get_model_customization_job", "ResourceNotFoundException")
        bedrock.add_client_error("create_model_customization_job", code)
        with pytest.raises(failure):
            look(client, objects)

    assert ledger.committed_usd(objects, "holiday-1") == pytest.approx((0, small), abs=1e-6)
    Reservation(run, "PredictTestImages", predictions, objects).reserve()


class AskedAtOnce(MemoryS3):
    """Nobody reads the ledger before two have reserved; after that it is as any."""

    def __init__(self) -> None:
        super().__init__()
        self.together, self.met = threading.Barrier(2), 0

    def paginate(self, *, Prefix: str, **_: Any) -> list[dict[str, Any]]:  # noqa: N803 - boto3's names
        if Prefix == keys.ledger_prefix("holiday-1") and self.met < 2:
            self.together.wait()
            found = super().paginate(Prefix=Prefix)
            self.met += 1
            self.together.wait()
            return found
        return super().paginate(Prefix=Prefix)


def test_two_sizes_that_ask_at_once_both_let_go_and_the_next_to_come_is_trained() -> None:
    store: Any = AskedAtOnce()
    objects = labelled(data(Bucket(store, "data")))
    clients: list[Any] = [boto3.client("bedrock") for _ in range(2)]
    stubs = [Stubber(client) for client in clients]
    small, large = priced(objects, 6), priced(objects)
    run = any_run(max_usd=large + small / 2 + maximum_prediction_usd(any_run(), objects))

    def train(number: int) -> str:
        size = (6, 12)[number]
        try:
            return customize.create_or_describe(run, size, objects, clients[number], SETTINGS, LATER)["status"]
        except Throttled:
            return "Throttled"

    for stub in stubs:
        stub.add_client_error("get_model_customization_job", "ResourceNotFoundException")
        create(stub)
        stub.activate()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(train, range(2))) == ["Throttled", "Throttled"]
    assert ledger.committed_usd(objects, "holiday-1") == (0, 0)
    assert [train(0), train(1)] == ["InProgress", "Throttled"]
    assert ledger.committed_usd(objects, "holiday-1") == pytest.approx((0, small), abs=1e-6)


def test_job_whose_creation_was_not_answered_holds_its_price_once_it_is_found(client: Any, bedrock: Stubber) -> None:
    objects = labelled()
    bedrock.add_client_error("get_model_customization_job", "ResourceNotFoundException")
    bedrock.add_client_error("create_model_customization_job", "InternalServerException")
    with pytest.raises(Throttled):
        look(client, objects)
    bedrock.add_response("get_model_customization_job", described("InProgress"))
    look(client, objects)

    assert ledger.committed_usd(objects, "holiday-1") == pytest.approx((0, priced(objects)), abs=1e-6)


@pytest.mark.parametrize(("training", "share"), [("NotStarted", 0), ("Stopped", 1)])
def test_job_that_somebody_stopped_holds_nothing_and_is_paid_if_it_trained(
    client: Any, bedrock: Stubber, training: str, share: int
) -> None:
    objects = labelled()
    create(bedrock)
    look(client, objects)
    bedrock.add_response("get_model_customization_job", waiting(training) | {"status": "Stopped"})
    with pytest.raises(JobFailed):
        look(client, objects)

    assert ledger.committed_usd(objects, "holiday-1") == pytest.approx((share * priced(objects), 0), abs=1e-6)


def any_part(usd: float) -> LedgerPart:
    return LedgerPart(step="LabelImages", model="m", calls=1, reused=0, input_tokens=1, output_tokens=1, usd=usd)
