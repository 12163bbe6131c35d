from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from filelock import FileLock

from cli.destroy import delete_all_versions
from cli.stage import Stage
from distillation import keys
from distillation.records import Run
from local import ROOT, cdk
from local.aws.grants import role_grants, usage
from local.aws.history import states_entered
from local.bedrock import Faults
from local.pipeline import LocalPipeline, local_pipeline
from tests.aws.observed_run import ObservedRun
from tests.support.grant_check import GrantCheck, logical_name
from tests.support.synthesis import synthesise
from tests.support.xdist_groups import mark_groups

PIXELS = {"teacher": "local.teacher-pixels-v1:0", "student": "local.student-pixels-v1:0"}
PHOTOS = {path.name: path for path in sorted((ROOT / "samples" / "photos").glob("*.jpg"))[:24]}
KEY = "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000000"
"""KMS key of the buckets."""
TAGS = {"cost-center": "42", "Owner": "photo team"}
"""Tags of the stage."""
TIMEOUT_SECONDS = 240
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Ended:
    """An execution that has ended."""

    arn: str
    status: str
    error: str | None
    cause: str | None
    states: list[str]
    output: dict[str, Any]


class PipelineDriver:
    """The operations of a test on the deployed pipeline, and what it left at Bedrock and in S3."""

    def __init__(self, pipeline: LocalPipeline) -> None:
        self.pipeline = pipeline

    def upload(self, photos: dict[str, Path], collection: str = "holiday/") -> None:
        """Upload photos."""
        self.pipeline.upload(photos, collection)

    def start(self, collection: str = "holiday/", **request: Any) -> str:
        """Write distill.json; return the ARN of the execution that it started.

        The run has no baseline round, which takes 5 seconds, unless ``request`` has ``baseline``.
        """
        before = len(self.pipeline.executions())
        self.pipeline.start_run(collection, PIXELS | {"baseline": False} | request)
        self.until(lambda: len(self.pipeline.executions()) > before)
        return self.pipeline.executions()[0]

    def start_from_console(self, **start: Any) -> str:
        """Start an execution with this input; return its ARN."""
        return self.pipeline.aws.client("stepfunctions").start_execution(
            stateMachineArn=self.pipeline.outputs["StateMachineArn"], input=json.dumps(start)
        )["executionArn"]

    def wait(self, execution: str) -> Ended:
        """Wait for an execution to end."""
        self.until(lambda: self.pipeline.describe(execution)["status"] != "RUNNING")
        description = self.pipeline.describe(execution)
        states = states_entered(self.pipeline.aws, execution)
        output = json.loads(description.get("output") or "{}")
        error, cause = description.get("error"), description.get("cause")
        return Ended(execution, description["status"], error, cause, states, output)

    def run(self, collection: str = "holiday/", **request: Any) -> Ended:
        """Write distill.json and wait for the execution to end."""
        return self.wait(self.start(collection, **request))

    @contextmanager
    def without_action(self, role: str, action: str) -> Iterator[None]:
        """Remove an action from the policy of the role whose name contains ``role``, and restore it afterwards."""
        iam = self.pipeline.aws.client("iam")
        (name,) = [r["RoleName"] for r in iam.list_roles()["Roles"] if role in r["RoleName"]]
        whole = iam.get_role_policy(RoleName=name, PolicyName="Step")["PolicyDocument"]
        text = json.dumps(whole)
        assert f'"{action}"' in text
        lacking = text.replace(f'"{action}"', '"kms:Verify"')
        iam.put_role_policy(RoleName=name, PolicyName="Step", PolicyDocument=lacking)
        try:
            yield
        finally:
            iam.put_role_policy(RoleName=name, PolicyName="Step", PolicyDocument=json.dumps(whole))

    def deploy_again(self, assembly: Path) -> None:
        """Delete both stacks, which keeps their buckets, and deploy the stage again with new buckets."""
        self._delete_stack("Distill-local-Pipeline")
        self._delete_stack("Distill-local-Storage")
        self.pipeline.outputs.update(cdk.deploy(assembly, self.pipeline.aws))

    def sweep(self) -> dict[str, Any]:
        """Invoke Sweep as the daily schedule does; return its result."""
        lambda_ = self.pipeline.aws.client("lambda")
        names = [function["FunctionName"] for function in lambda_.list_functions()["Functions"]]
        (name,) = [name for name in names if name.startswith("Distill-local-Pipeline-Sweep")]
        return json.loads(lambda_.invoke(FunctionName=name, Payload=b'{"source": "aws.events"}')["Payload"].read())

    def _delete_stack(self, name: str) -> None:
        cloudformation = self.pipeline.aws.client("cloudformation")
        stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
        cloudformation.delete_stack(StackName=name)

        def stack_status() -> str:
            return cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]

        self.until(lambda: stack_status() in ("DELETE_COMPLETE", "DELETE_FAILED"))
        assert stack_status() == "DELETE_COMPLETE"

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition is true."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"the condition is still false after {TIMEOUT_SECONDS} s"
            time.sleep(POLL_SECONDS)

    def keys(self, prefix: str) -> list[str]:
        """Return the keys in the Data bucket under a prefix."""
        return list(self.pipeline.data.keys(prefix))

    def report(self) -> dict[str, Any]:
        """Return the newest report.json."""
        reports = [key for key in self.keys("runs/") if key.endswith("/report/report.json")]
        newest = max(reports, key=lambda key: json.loads(self.pipeline.data.read(self.request_key(key)))["created"])
        return json.loads(self.pipeline.data.read(newest))

    @staticmethod
    def request_key(key: str) -> str:
        """Return the key of the request of the run that wrote an object."""
        return f"{'/'.join(key.split('/')[:2])}/request.json"

    @property
    def bedrock_resources(self) -> tuple[list[str], list[str], list[str]]:
        """Names of the running jobs, the models and the deployments."""
        service = self.pipeline.bedrock.service
        running = [job["jobName"] for job in service.jobs.values() if job["status"] in ("InProgress", "Stopping")]
        models = [model["modelName"] for model in service.custom_models.values()]
        deployments = [deployment["modelDeploymentName"] for deployment in service.deployments.values()]
        return running, models, deployments

    def observed(self, ended: Ended) -> ObservedRun:
        """Return a run for the checks of assumptions about AWS, with made-up job events, which do not exist here."""
        stage = Stage("local", "us-east-1")
        execution = stage.client("stepfunctions").describe_execution(executionArn=ended.arn)
        run = stage.data.read_document(keys.request_key(ended.output["run"]), Run)
        names = [model["model_name"] for model in ended.output["trained"]["models"]]
        return ObservedRun(stage, run, execution, [{"detail": {"jobName": n, "jobStatus": "Completed"}} for n in names])

    def ask(self, deployment: str, photo: Path) -> str:
        """Return the answer of a deployment about a photo, asked as its callers do."""
        image = {"image": {"format": "jpeg", "source": {"bytes": photo.read_bytes()}}}
        answer = self.pipeline.aws.client("bedrock-runtime").converse(
            modelId=deployment, messages=[{"role": "user", "content": [{"text": "Write keywords."}, image]}]
        )
        return answer["output"]["message"]["content"][0]["text"]

    def denied_actions(self) -> set[tuple[str, str]]:
        """Return and forget which roles were denied which actions, as ``PrepareRole``, ``s3:GetObject``.

        A request that is denied and not expected by the test makes the test fail.
        """
        denials = {(logical_name(denial.role), denial.action) for denial in usage.denied}
        usage.denied.clear()
        return denials

    def image_calls(self, model: str) -> int:
        """Return the number of calls of a model with an image."""
        return self.pipeline.bedrock.service.calls.count(("Converse", model))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep these tests in one process of pytest-xdist, and run them first, so that both processes end together.

    The functions of each deployment start slowly: the tests share one, and the test that deploys again is the last.
    The README's commands are run against an emulator of their own, so another process can run them.
    """
    folder = Path(__file__).parent
    mark_groups(items, folder, lambda item: "readme" if item.path.name == "test_readme.py" else "deployment")
    later = {"test_destroy.py": 1, "test_readme.py": 2}
    items.sort(key=lambda item: later.get(item.path.name, 0) if folder in item.path.parents else 3)


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the stage's templates, which the workers of pytest-xdist share."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    out = shared / "cdk.out"
    with FileLock(f"{out}.lock"):
        if not out.exists():
            synthesise("local", out, bucket_kms_key_arn=KEY, tags=TAGS)[0].synth()
    return out


@pytest.fixture(scope="package")
def deployed(assembly: Path, pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> Iterator[LocalPipeline]:
    """One deployment for all tests, because its functions start slowly and then stay warm."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert any(item.nodeid.endswith("@deployment") for item in request.session.items), "pytest-xdist has no groups"
    with local_pipeline(assembly, wait_scale=0.001) as pipeline:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ministack.services.kms.new_uuid", lambda: KEY.rpartition("/")[2])
            assert pipeline.aws.client("kms").create_key()["KeyMetadata"]["Arn"] == KEY
        yield pipeline
        roles = [role["RoleName"] for role in pipeline.aws.client("iam").list_roles()["Roles"]]
        grants = {grant for role in roles if role.startswith("Distill-") for grant in role_grants(role)}
        check = pytestconfig.pluginmanager.get_plugin("grant_check")
        assert isinstance(check, GrantCheck)
        check.add(grants, usage.needed)


@pytest.fixture
def pipeline(
    deployed: LocalPipeline, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AbstractContextManager[PipelineDriver]]:
    """Return a function that empties the deployed pipeline; its keywords are the faults of the Bedrock endpoint.

    A test must leave the deployment as it found it. It fails if a role was denied a request that it does not expect.
    """
    # boto3's default session remembers the credentials of its first user.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)

    @contextmanager
    def start(**faults: Any) -> Iterator[PipelineDriver]:
        # Functions that still run then end soon.
        deployed.bedrock.service.faults = Faults()
        _empty(deployed)
        deployed.bedrock.service.faults = Faults(**faults)
        usage.denied.clear()
        driver = PipelineDriver(deployed)
        yield driver
        assert driver.denied_actions() == set()

    return start


def _empty(pipeline: LocalPipeline) -> None:
    """Stop running executions and delete all photos, labels, runs and models."""
    states = pipeline.aws.client("stepfunctions")
    for execution in pipeline.executions():
        if pipeline.describe(execution)["status"] == "RUNNING":
            states.stop_execution(executionArn=execution)
    pipeline.aws.wait_until_idle()
    for bucket in (pipeline.photos.name, pipeline.data.name):
        delete_all_versions(pipeline.aws.client("s3"), bucket)
    pipeline.bedrock.service.reset()
