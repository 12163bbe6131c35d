"""One emulated AWS account for the tests of a module, with a bucket and two functions."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.aws.emulator import AwsEmulator, aws_emulator
from tests.support.xdist_groups import mark_groups

HANDLER = """
import json, os, time, boto3

class Throttled(Exception):
    pass

calls = 0

def handler(event, context):
    global calls
    calls += 1
    event = event if isinstance(event, dict) else {}
    if event.get("fail"):
        raise Throttled("slow down")
    if event.get("exit"):
        os._exit(1)
    if event.get("fail_if_odd", 0) % 2:
        raise Throttled(f"item {event['fail_if_odd']}")
    if event.get("put"):
        boto3.client("s3").put_object(Bucket=event["put"], Key="written", Body=b"x")
    if event.get("detail-type"):
        boto3.client("s3").put_object(Bucket=os.environ["BUCKET"], Key="event", Body=b"x")
    if event.get("get"):
        boto3.client("s3").get_object(**event["get"])
    time.sleep(event.get("sleep", 0))
    credentials = boto3.Session().get_credentials()
    return {
        "calls": calls, "pid": os.getpid(), "event": event, "key": credentials.access_key,
        "environment": {name: value for name, value in os.environ.items() if name.startswith("AWS_")},
    }
"""
TRUST = {
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}]
}
BUCKET = "contract"
OBJECTS = f"arn:aws:s3:::{BUCKET}/*"


@dataclass(frozen=True)
class Ending:
    """An execution that has ended."""

    arn: str
    status: str
    output: Any
    error: str | None
    cause: str | None
    seconds: float


class Account:
    """The emulator with a bucket, the function ``writer`` that may write to it, and ``owner`` with full access."""

    def __init__(self, aws: AwsEmulator) -> None:
        self.aws = aws
        aws.client("s3").create_bucket(Bucket=BUCKET)
        put = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": OBJECTS}
        everything = {"Effect": "Allow", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{BUCKET}", OBJECTS]}
        self.function = self.make_function("writer", put)
        self.make_function("owner", everything)

    def client(self, service: str) -> Any:
        """Return the administrator's client of a service."""
        return self.aws.client(service)

    def put(self, key: str, body: bytes) -> None:
        """Write an object to the bucket."""
        self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)

    def make_function(self, name: str, *statements: dict[str, Any]) -> str:
        """Create the function and its role, both called ``name``; return the function's ARN."""
        iam = self.client("iam")
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        if statements:
            policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iam.put_role_policy(RoleName=name, PolicyName="step", PolicyDocument=policy)
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("index.py", HANDLER)
        function = self.client("lambda").create_function(
            FunctionName=name,
            Role=role,
            Handler="index.handler",
            Runtime="python3.14",
            Code={"ZipFile": code.getvalue()},
            Timeout=20,
            Environment={"Variables": {"BUCKET": BUCKET}},
        )
        return function["FunctionArn"]

    def invoke(self, name: str, event: dict[str, Any]) -> dict[str, Any]:
        """Invoke a function; return what it returned, or its error."""
        response = self.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
        return json.loads(response["Payload"].read())

    def task(self, payload: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """Return a Task state that invokes the function ``writer``."""
        return {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": self.function, "Payload": payload},
            "End": True,
            **fields,
        }

    def create_machine(self, definition: dict[str, Any]) -> str:
        """Create a state machine; return its ARN."""
        machine = self.client("stepfunctions").create_state_machine(
            name=f"machine-{time.monotonic_ns()}",
            roleArn="arn:aws:iam::000000000000:role/writer",
            definition=json.dumps(definition),
        )
        return machine["stateMachineArn"]

    def start(self, definition: dict[str, Any], value: Any = None) -> str:
        """Start an execution of a new state machine; return its ARN."""
        execution = self.client("stepfunctions").start_execution(
            stateMachineArn=self.create_machine(definition), input=json.dumps({} if value is None else value)
        )
        return execution["executionArn"]

    def ending(self, execution: str) -> Ending:
        """Wait for the end of an execution."""
        start, client = time.monotonic(), self.client("stepfunctions")

        def ended() -> dict[str, Any] | None:
            description = client.describe_execution(executionArn=execution)
            return description if description["status"] != "RUNNING" else None

        description = eventually(ended, seconds=20)
        output = json.loads(description["output"]) if description["status"] == "SUCCEEDED" else None
        error, cause = description.get("error"), description.get("cause")
        return Ending(execution, description["status"], output, error, cause, time.monotonic() - start)

    def run(self, definition: dict[str, Any], value: Any = None) -> Ending:
        """Start an execution of a new state machine and wait for its end."""
        return self.ending(self.start(definition, value))

    def output(self, definition: dict[str, Any], value: Any = None) -> Any:
        """Run a new state machine that must succeed; return its output."""
        ending = self.run(definition, value)
        assert ending.status == "SUCCEEDED", (ending.error, ending.cause)
        return ending.output

    def record_events(self, name: str, pattern: dict[str, Any]) -> Callable[[], list[dict[str, Any]]]:
        """Send matching events to a state machine; return a function that returns those received."""
        machine = self.create_machine(passing())
        events, states = self.client("events"), self.client("stepfunctions")
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, Targets=[{"Id": "machine", "Arn": machine, "RoleArn": "x" * 20}])

        def received() -> list[dict[str, Any]]:
            executions = states.list_executions(stateMachineArn=machine)["executions"]
            arns = [execution["executionArn"] for execution in executions]
            return [json.loads(states.describe_execution(executionArn=arn)["input"]) for arn in arns]

        return received

    def record_status(self, status: str) -> Callable[[], list[dict[str, Any]]]:
        """Record the events of executions that end with a status."""
        pattern = {
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {"status": [status]},
        }
        return self.record_events(f"{status.replace('_', '-')}-{time.monotonic_ns()}", pattern)


def eventually(probe: Callable[[], Any], seconds: float = 10) -> Any:
    """Return the first true result of ``probe``; fail after a number of seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := probe():
            return result
        time.sleep(0.02)
    pytest.fail(f"not within {seconds} s")


def machine(states: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the definition of a state machine that starts at its first state."""
    return {"StartAt": next(iter(states)), "States": states, **fields}


def passing(**fields: Any) -> dict[str, Any]:
    """Return the definition of a state machine with one Pass state."""
    return machine({"Only": {"Type": "Pass", "End": True, **fields}})


def inline_map(processor: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return an inline Map state."""
    mode = {"ProcessorConfig": {"Mode": "INLINE"}}
    return {"Type": "Map", "ItemProcessor": processor | mode, "End": True, **fields}


def distributed_map(processor: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a Distributed Map state."""
    mode = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    return {"Type": "Map", "ItemProcessor": processor | mode, "End": True, **fields}


def workers() -> list[str]:
    """Return the command lines of the Lambda worker processes of this process."""
    listing = subprocess.run(["ps", "-o", "args", "--ppid", str(os.getpid())], capture_output=True, text=True)
    return [line for line in listing.stdout.splitlines() if "_worker.py" in line]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a module in one process of pytest-xdist, because its account and functions start slowly."""
    mark_groups(items, Path(__file__).parent, lambda item: item.path.stem, {"account"})


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_PROFILE", "mine")
        patch.setenv("AWS_SESSION_TOKEN", "secret")
        with aws_emulator(tmp_path_factory.mktemp("aws"), "http://127.0.0.1:9") as aws:
            yield Account(aws)
        assert os.environ["AWS_PROFILE"] == "mine"
    assert workers() == []
    port = int(aws.url.rpartition(":")[2])
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 1):
        pytest.fail("the port is still open")
