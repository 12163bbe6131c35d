from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from cli.destroy import empty
from cli.stage import Stage
from distillation import keys
from distillation.records import Run
from local.aws.deploy import deploy
from local.aws.history import states_entered, status
from local.bedrock import Faults
from local.pipeline import LocalPipeline, local_pipeline
from local.synthesis import ROOT, synthesise
from tests.aws.observed import Observed

PIXELS = {"teacher": "local.teacher-pixels-v1:0", "student": "local.student-pixels-v1:0"}
PHOTOS = {path.name: path for path in sorted((ROOT / "samples" / "photos").glob("*.jpg"))[:24]}
DEADLINE = 90


@dataclass(frozen=True)
class Ended:
    """An execution that is over."""

    arn: str
    status: str
    error: str | None
    cause: str | None
    states: list[str]
    output: dict[str, Any]


class Pipeline:
    """The running pipeline in the words of a test."""

    def __init__(self, machine: LocalPipeline) -> None:
        self.machine = machine

    def upload(self, photos: dict[str, Path], collection: str = "holiday/") -> None:
        """Upload photos."""
        self.machine.upload(photos, collection)

    def start(self, collection: str = "holiday/", **request: Any) -> str:
        """Put distill.json; return the ARN of the execution that it started."""
        before = len(self.machine.executions())
        self.machine.request(collection, PIXELS | request)
        self.until(lambda: len(self.machine.executions()) > before)
        return self.machine.executions()[0]

    def start_from_console(self, **start: Any) -> str:
        """Start an execution with an input of one's own."""
        return self.machine.aws.client("stepfunctions").start_execution(
            stateMachineArn=self.machine.outputs["StateMachineArn"], input=json.dumps(start)
        )["executionArn"]

    def wait(self, execution: str) -> Ended:
        """Wait for an execution to end."""
        self.until(lambda: status(self.machine.aws, execution)["status"] != "RUNNING")
        found = status(self.machine.aws, execution)
        states = states_entered(self.machine.aws, execution)
        output = json.loads(found.get("output") or "{}")
        return Ended(execution, found["status"], found.get("error"), found.get("cause"), states, output)

    def run(self, collection: str = "holiday/", **request: Any) -> Ended:
        """Put distill.json and wait for the execution to end."""
        return self.wait(self.start(collection, **request))

    @contextmanager
    def without_pipeline_stack(self, assembly: Path) -> Iterator[None]:
        """Delete the pipeline's stack, and deploy it again afterwards."""
        cloudformation, name = self.machine.aws.client("cloudformation"), "Distill-local-Pipeline"
        stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
        cloudformation.delete_stack(StackName=name)

        def found() -> str:
            return cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]

        self.until(lambda: found() in ("DELETE_COMPLETE", "DELETE_FAILED"))
        assert found() == "DELETE_COMPLETE"
        yield
        for outputs in deploy(self.machine.aws, assembly).values():
            self.machine.outputs.update(outputs)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to become true."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.05)

    def report(self) -> dict[str, Any]:
        """Return the newest report.json."""
        reports = [key for key in self.machine.keys("runs/") if key.endswith("/report/report.json")]
        newest = max(reports, key=lambda key: json.loads(self.machine.read(self.request_key(key)))["created"])
        return json.loads(self.machine.read(newest))

    @staticmethod
    def request_key(key: str) -> str:
        """Return the key of the request of the run that an object belongs to."""
        return f"{'/'.join(key.split('/')[:2])}/request.json"

    @property
    def left_at_bedrock(self) -> tuple[list[str], list[str], list[str]]:
        """Names of running jobs, of models and of deployments."""
        service = self.machine.bedrock.service
        running = [job["jobName"] for job in service.jobs.values() if job["status"] in ("InProgress", "Stopping")]
        models = [model["modelName"] for model in service.custom_models.values()]
        return running, models, [one["modelDeploymentName"] for one in service.deployments.values()]

    def observed(self, ended: Ended) -> Observed:
        """Return a run as the checks of assumptions about AWS see it; jobs send no events here, so they are made up."""
        stage = Stage("local", "us-east-1")
        execution = stage.client("stepfunctions").describe_execution(executionArn=ended.arn)
        run = Run.model_validate_json(stage.data.read(keys.request_key(ended.output["run"])))
        names = [model["model_name"] for model in ended.output["trained"]["models"]]
        return Observed(stage, run, execution, [{"detail": {"jobName": n, "jobStatus": "Completed"}} for n in names])

    def asked(self, model: str) -> int:
        """Return how often a model was asked about an image."""
        return self.machine.bedrock.service.calls.count(("Converse", model))


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cdk.out")
    synthesise("local", out)[0].synth()
    return out


@pytest.fixture(scope="package")
def machine(assembly: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPipeline]:
    """One deployment for many tests, as its functions start slowly and then stay warm."""
    work, models = tmp_path_factory.mktemp("work"), ROOT / "build" / "models"
    with local_pipeline(assembly, work, models, wait_scale=0.001) as started:
        yield started


@pytest.fixture
def pipeline(
    machine: LocalPipeline, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AbstractContextManager[Pipeline]]:
    """Give the deployed pipeline, empty; keywords are what goes wrong at its Bedrock. It must be left as it was."""
    # boto3's own session remembers the credentials of whoever used it first.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)

    @contextmanager
    def started(**faults: Any) -> Iterator[Pipeline]:
        _empty(machine)
        machine.bedrock.service.faults = Faults(**faults)
        yield Pipeline(machine)

    return started


def _empty(machine: LocalPipeline) -> None:
    """End what still runs, and forget all photos, labels, runs and models."""
    states = machine.aws.client("stepfunctions")
    for execution in machine.executions():
        if status(machine.aws, execution)["status"] == "RUNNING":
            states.stop_execution(executionArn=execution)
    for bucket in (machine.photos_bucket, machine.data_bucket):
        empty(machine.aws.client("s3"), bucket)
    machine.bedrock.service.forget()
