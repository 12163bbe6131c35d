"""The embedded Step Functions keeps the rules of the language where ministack is more lenient than AWS."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from cli.progress import map_counts
from local.aws.emulator import AwsEmulator, aws_emulator
from local.aws.history import states_entered

FUNCTION = """
import json, os, time

class Throttled(Exception):
    pass

def handler(event, context):
    todo = event.get("do") if isinstance(event, dict) else None
    if todo == "raise":
        raise Throttled("slow down")
    if todo == "raise-odd" and event["i"] % 2:
        raise Throttled(f"item {event['i']}")
    if todo == "flaky":
        import boto3
        s3 = boto3.client("s3")
        seen = s3.list_objects_v2(Bucket=event["bucket"], Prefix=event["key"])["KeyCount"]
        s3.put_object(Bucket=event["bucket"], Key=f"{event['key']}/{seen}", Body=b"x")
        if seen < event["failures"]:
            raise Throttled(f"attempt {seen}")
        return {"attempts": seen + 1}
    if todo == "sleep":
        time.sleep(event["seconds"])
    if todo == "call":
        import boto3
        client = boto3.client(event["service"])
        answer = getattr(client, event["operation"])(**event["arguments"])
        answer.pop("ResponseMetadata", None)
        return json.loads(json.dumps(answer, default=str))
    if todo == "environment":
        return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return {"event": event, "pid": os.getpid()}
"""
TRUST = {
    "Statement": {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": ["lambda.amazonaws.com", "states.amazonaws.com"]},
    }
}


@dataclass(frozen=True)
class Ending:
    """How an execution ended."""

    arn: str
    status: str
    output: Any
    error: str | None
    cause: str | None
    seconds: float


@dataclass(frozen=True)
class Stage:
    """The embedded AWS with a bucket and the Lambda above, whose role may use that bucket."""

    cloud: AwsEmulator
    bucket: str
    function: str
    role: str

    def start(self, definition: dict[str, Any], value: Any = None) -> str:
        """Start an execution of a new state machine and return its ARN."""
        states = self.cloud.client("stepfunctions")
        name = f"m{time.monotonic_ns()}"
        machine = states.create_state_machine(name=name, definition=json.dumps(definition), roleArn=self.role)[
            "stateMachineArn"
        ]
        value = json.dumps({} if value is None else value)
        return states.start_execution(stateMachineArn=machine, input=value)["executionArn"]

    def ending(self, arn: str, patience: float = 20) -> Ending:
        """Wait for the execution's end."""
        started, states = time.monotonic(), self.cloud.client("stepfunctions")
        while (found := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() - started < patience, "the execution does not end"
            time.sleep(0.02)
        output = json.loads(found["output"]) if found["status"] == "SUCCEEDED" else None
        seconds = time.monotonic() - started
        return Ending(arn, found["status"], output, found.get("error"), found.get("cause"), seconds)

    def run(self, definition: dict[str, Any], value: Any = None) -> Ending:
        """Start an execution and wait for its end."""
        return self.ending(self.start(definition, value))

    def task(self, payload: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """Return a Task that invokes the Lambda."""
        return {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": self.function, "Payload": payload},
            "End": True,
            **fields,
        }

    def put(self, key: str, body: str) -> None:
        """Write an object."""
        self.cloud.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body.encode())

    def role_with(self, name: str, *statements: dict[str, Any]) -> str:
        """Make a role and return its ARN."""
        iam = self.cloud.client("iam")
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        if statements:
            document = json.dumps({"Statement": list(statements)})
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document)
        return arn

    def make_function(self, name: str, role: str, **settings: Any) -> str:
        """Make the Lambda under a name and a role, and return its ARN."""
        lambda_ = self.cloud.client("lambda")
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("index.py", FUNCTION)
        arn = lambda_.create_function(
            FunctionName=name,
            Runtime="python3.14",
            Role=role,
            Handler="index.handler",
            Code={"ZipFile": buffer.getvalue()},
            Timeout=20,
            **settings,
        )["FunctionArn"]
        while lambda_.get_function_configuration(FunctionName=name)["State"] == "Pending":
            time.sleep(0.02)
        return arn

    def invoke(self, function: str, payload: dict[str, Any]) -> Any:
        """Invoke a Lambda and return what it returned or its error."""
        answer = self.cloud.client("lambda").invoke(FunctionName=function, Payload=json.dumps(payload))
        return json.loads(answer["Payload"].read())


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with aws_emulator(tmp_path_factory.mktemp("aws") / "work", "http://127.0.0.1:9/bedrock") as cloud:
        cloud.client("s3").create_bucket(Bucket="probe-bucket")
        stage = Stage(cloud, "probe-bucket", "", "")
        arn = "arn:aws:s3:::probe-bucket"
        role = stage.role_with(
            "probe",
            {"Effect": "Allow", "Action": "s3:*", "Resource": [arn, f"{arn}/*"]},
            {"Effect": "Allow", "Action": "sns:Publish", "Resource": "*"},
        )
        function = stage.make_function("probe", role)
        yield Stage(cloud, "probe-bucket", function, role)


def machine(states: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states, **fields}


def passing(**fields: Any) -> dict[str, Any]:
    return machine({"Only": {"Type": "Pass", "End": True, **fields}})


def inline_map(processor: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"Type": "Map", "ItemProcessor": processor, "End": True, **fields}


def distributed_map(processor: dict[str, Any], **fields: Any) -> dict[str, Any]:
    mode = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    return inline_map(processor | mode, **{"Label": "Work", "ToleratedFailurePercentage": 0, **fields})


def reader(stage: Stage, key: str) -> dict[str, Any]:
    return {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSONL"},
        "Parameters": {"Bucket": stage.bucket, "Key.$": key},
    }


def wait_for(condition: Any, patience: float = 10) -> Any:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it never came")


class TestErrors:
    def test_a_task_that_takes_too_long_is_a_timeout(self, stage: Stage) -> None:
        catch = [{"ErrorEquals": ["States.Timeout"], "Next": "After"}]
        task = stage.task({"do": "sleep", "seconds": 2}, TimeoutSeconds=1, Catch=catch)

        ending = stage.run(machine({"Work": task, "After": {"Type": "Succeed"}}))

        assert ending.output["Error"] == "States.Timeout"

    def test_a_missing_path_ends_the_execution_and_no_catch_sees_it(self, stage: Stage) -> None:
        catch = [{"ErrorEquals": ["States.ALL"], "Next": "After"}]
        task = stage.task({"x.$": "$.missing"}, Catch=catch)

        ending = stage.run(machine({"Work": task, "After": {"Type": "Succeed"}}), {"present": None})

        assert (ending.status, ending.error) == ("FAILED", "States.Runtime")
        assert "$.missing" in (ending.cause or "")

    def test_more_than_256_kib_cannot_be_passed_on(self, stage: Stage) -> None:
        big = passing(Parameters={"a.$": "$.a", "b.$": "$.a"})

        ending = stage.run(big, {"a": "x" * 200_000})

        assert (ending.status, ending.error) == ("FAILED", "States.DataLimitExceeded")


class TestLanguage:
    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            ("States.ArrayContains($.rows[*].status, 'Active')", True),
            ("States.ArrayContains($.rows[*].status, 'Gone')", False),
            ("States.Format('{} of {} is {}', $.n, $.text, $.nothing)", "3 of t is null"),
            ("States.Format('{}', $.yes)", "true"),
            ("States.ArrayLength($.rows)", 2),
            ("$.rows[*].status", ["Active", "Failed"]),
        ],
    )
    def test_intrinsics_and_projections(self, stage: Stage, expression: str, expected: Any) -> None:
        value = {
            **{"n": 3, "text": "t", "nothing": None, "yes": True},
            "rows": [{"status": "Active"}, {"status": "Failed"}],
        }
        assert stage.run(passing(Parameters={"is.$": expression}), value).output == {"is": expected}

    def test_a_failing_intrinsic_has_its_own_name(self, stage: Stage) -> None:
        ending = stage.run(passing(Parameters={"x.$": "States.StringToJson($.text)"}), {"text": "{"})
        assert (ending.status, ending.error) == ("FAILED", "States.IntrinsicFailure")

    def test_result_selector_sees_the_result(self, stage: Stage) -> None:
        task = stage.task(
            {"rows": [{"s": "a"}, {"s": "b"}]},
            ResultSelector={
                "found.$": "States.ArrayContains($.Payload.event.rows[*].s, 'b')",
                "all.$": "$.Payload.event.rows[*].s",
            },
            ResultPath="$.seen",
        )
        ending = stage.run(machine({"Work": task}), {"kept": 1})
        assert ending.output == {"kept": 1, "seen": {"found": True, "all": ["a", "b"]}}

    def test_the_context_object(self, stage: Stage) -> None:
        ending = stage.run(passing(Parameters={"id.$": "$$.Execution.Id", "state.$": "$$.State.Name"}))
        assert ending.output == {"id": ending.arn, "state": "Only"}

    @pytest.mark.parametrize(
        ("rule", "taken"),
        [
            ({"Variable": "$.s", "StringEquals": "a"}, True),
            ({"Variable": "$.null", "StringEquals": "a"}, False),
            ({"Variable": "$.null", "IsNull": True}, True),
            ({"Variable": "$.s", "IsNull": True}, False),
            ({"Variable": "$.null", "IsPresent": True}, True),
            ({"Variable": "$.gone", "IsPresent": False}, True),
            ({"Variable": "$.b", "BooleanEquals": False}, True),
            ({"Not": {"Variable": "$.b", "BooleanEquals": False}}, False),
            ({"Variable": "$.n", "NumericGreaterThanPath": "$.m"}, True),
            (
                {"And": [{"Variable": "$.gone", "IsPresent": True}, {"Variable": "$.gone", "IsNull": True}]},
                False,
            ),
            (
                {
                    "Or": [
                        {"Variable": "$.b", "BooleanEquals": True},
                        {"Variable": "$.s", "StringEquals": "a"},
                    ]
                },
                True,
            ),
        ],
    )
    def test_choices(self, stage: Stage, rule: dict[str, Any], taken: bool) -> None:
        states = {
            "Choose": {"Type": "Choice", "Choices": [rule | {"Next": "Yes"}], "Default": "No"},
            "Yes": {"Type": "Pass", "Result": True, "End": True},
            "No": {"Type": "Pass", "Result": False, "End": True},
        }
        value = {"s": "a", "null": None, "b": False, "n": 2, "m": 1}
        assert stage.run(machine(states), value).output is taken

    def test_a_choice_about_what_is_missing_ends_the_execution(self, stage: Stage) -> None:
        choices = [{"Variable": "$.gone", "IsNull": True, "Next": "End"}]
        states = {
            "Choose": {"Type": "Choice", "Choices": choices, "Default": "End"},
            "End": {"Type": "Succeed"},
        }
        assert stage.run(machine(states)).error == "States.Runtime"

    def test_waits_are_scaled(self, stage: Stage) -> None:
        states = {
            "Fixed": {"Type": "Wait", "Seconds": 30, "Next": "Told"},
            "Told": {"Type": "Wait", "SecondsPath": "$.seconds", "End": True},
        }
        ending = stage.run(machine(states), {"seconds": 20})
        assert ending.status == "SUCCEEDED"
        assert ending.seconds > 0.4


class TestInlineMap:
    def test_an_iteration_catches_its_own_failure(self, stage: Stage) -> None:
        catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Caught"}]
        payload = {"do": "raise-odd", "i.$": "$.i"}
        select = {"i.$": "$.Payload.event.i"}
        processor = machine(
            {
                "Work": stage.task(payload, Catch=catch, ResultSelector=select),
                "Caught": {"Type": "Pass", "Parameters": {"failed.$": "$.error.Error"}, "End": True},
            }
        )
        state = inline_map(
            processor,
            ItemsPath="$.numbers",
            ItemSelector={"i.$": "$$.Map.Item.Value", "at.$": "$$.Map.Item.Index", "all.$": "$.numbers"},
            MaxConcurrencyPath="$.width",
            ResultPath="$.results",
        )

        ending = stage.run(machine({"Each": state}), {"numbers": [1, 2, 3], "width": 1})

        failed = {"failed": "Throttled"}
        assert ending.output == {"numbers": [1, 2, 3], "width": 1, "results": [failed, {"i": 2}, failed]}
        assert states_entered(stage.cloud, ending.arn) == ["Each"]
        nested = states_entered(stage.cloud, ending.arn, nested=True)
        assert sorted(nested) == ["Caught", "Caught", "Each", "Work", "Work", "Work"]

    def test_max_concurrency_path_is_obeyed(self, stage: Stage) -> None:
        work = machine({"Work": stage.task({"do": "sleep", "seconds": 0}, OutputPath="$.Payload")})
        state = inline_map(work, ItemsPath="$.numbers", MaxConcurrencyPath="$.width")
        ending = stage.run(machine({"Each": state}), {"numbers": list(range(6)), "width": 1})
        assert len({one["pid"] for one in ending.output}) == 1


class TestDistributedMap:
    def test_lines_come_in_batches_limited_by_bytes(self, stage: Stage) -> None:
        stage.put("lines.jsonl", "\n".join(json.dumps({"i": i, "pad": "x" * 80}) for i in range(6)))
        state = distributed_map(
            passing(),
            ItemReader=reader(stage, "$.key"),
            ItemBatcher={"MaxItemsPerBatch": 20, "MaxInputBytesPerBatch": 320},
        )
        ending = stage.run(machine({"Each": state}), {"key": "lines.jsonl"})
        assert [len(batch["Items"]) for batch in ending.output] == [3, 3]

    def test_one_failed_batch_fails_the_map_and_stops_the_others(self, stage: Stage) -> None:
        work = stage.task({"do": "raise-odd", "i.$": "$.Items[0]"})
        catch = [{"ErrorEquals": ["States.ExceedToleratedFailureThreshold"], "Next": "After"}]
        state = distributed_map(
            machine({"Work": work}),
            ItemsPath="$.numbers",
            ItemBatcher={"MaxItemsPerBatch": 1},
            MaxConcurrency=1,
            Catch=catch,
        )
        states = {"Each": state, "After": {"Type": "Pass", "End": True}}

        ending = stage.run(machine(states), {"numbers": list(range(10))})

        assert ending.output["Error"] == "States.ExceedToleratedFailureThreshold"
        run = stage.cloud.client("stepfunctions").list_map_runs(executionArn=ending.arn)["mapRuns"][0]
        found = stage.cloud.client("stepfunctions").describe_map_run(mapRunArn=run["mapRunArn"])
        counts = found["itemCounts"]
        assert (counts["failed"], counts["succeeded"], counts["aborted"]) == (1, 1, 8)

    def test_tolerance_counts_items_not_batches(self, stage: Stage) -> None:
        work = stage.task({"do": "raise-odd", "i.$": "$.Items[0]"}, ResultPath=None)
        state = distributed_map(
            machine({"Work": work}),
            ItemsPath="$.numbers",
            ItemBatcher={"MaxItemsPerBatch": 6},
            ToleratedFailurePercentage=40,
        )
        # Two batches, of six items and of one: only the small one fails, one item of seven.
        assert stage.run(machine({"Each": state}), {"numbers": [0] * 6 + [1]}).status == "SUCCEEDED"
        assert stage.run(machine({"Each": state}), {"numbers": [1] * 6 + [0]}).status == "FAILED"

    def test_a_child_sees_itself_and_not_the_parent(self, stage: Stage) -> None:
        state = distributed_map(passing(Parameters={"id.$": "$$.Execution.Id"}), ItemsPath="$.items")
        ending = stage.run(machine({"Each": state}), {"items": [1]})
        assert ending.output[0]["id"] != ending.arn
        assert "/Work:" in ending.output[0]["id"]

    def test_counts_move_while_it_runs(self, stage: Stage) -> None:
        work = stage.task({"do": "sleep", "seconds": 0.3})
        state = distributed_map(machine({"Work": work}), ItemsPath="$.items", MaxConcurrency=1)
        arn = stage.start(machine({"Each": state}), {"items": list(range(6))})
        seen = set()
        while stage.cloud.client("stepfunctions").describe_execution(executionArn=arn)["status"] == "RUNNING":
            seen |= {done for done, *_ in map_counts(stage.cloud.client("stepfunctions"), arn).values()}
            time.sleep(0.05)
        assert len(seen) >= 2


class TestEndings:
    def watcher(self, stage: Stage, status: str) -> str:
        """Send the machine's status events to a queue and return its URL."""
        sqs, events = stage.cloud.client("sqs"), stage.cloud.client("events")
        name = f"{status.lower().replace('_', '-')}-{time.monotonic_ns()}"
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pattern = {
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {"status": [status]},
        }
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": arn}])
        return url

    def details(self, stage: Stage, url: str) -> list[dict[str, Any]]:
        sqs = stage.cloud.client("sqs")
        found = wait_for(lambda: sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"))
        return [json.loads(message["Body"])["detail"] for message in found]

    def test_the_machines_timeout_ends_it_and_is_told(self, stage: Stage) -> None:
        url = self.watcher(stage, "TIMED_OUT")
        failed = self.watcher(stage, "FAILED")
        # The poll loop would go on for ever; the Lambda's failure after the end must not count.
        states = {
            "Poll": stage.task({"do": "sleep", "seconds": 0.2}, ResultPath=None, Next="Pause", End=False),
            "Pause": {"Type": "Wait", "Seconds": 10, "Next": "Poll"},
        }
        del states["Poll"]["End"]
        each = inline_map(machine(states), ItemsPath="$.items")

        ending = stage.run(machine({"Each": each}, TimeoutSeconds=1), {"items": [1, 2]})

        assert ending.status == "TIMED_OUT"
        (detail,) = self.details(stage, url)
        assert detail["executionArn"] == ending.arn
        assert json.loads(detail["input"]) == {"items": [1, 2]}
        time.sleep(0.7)
        assert stage.ending(ending.arn).status == "TIMED_OUT"
        assert "Messages" not in stage.cloud.client("sqs").receive_message(QueueUrl=failed)

    def test_a_stop_ends_children_and_iterations_and_is_told(self, stage: Stage) -> None:
        url = self.watcher(stage, "ABORTED")
        states = stage.cloud.client("stepfunctions")
        work = stage.task({"do": "sleep", "seconds": 0.3}, ResultPath=None)
        each = distributed_map(machine({"Work": work}), ItemsPath="$.items", MaxConcurrency=2)
        arn = stage.start(machine({"Each": each}), {"items": list(range(20))})
        wait_for(lambda: any(done for done, *_ in map_counts(stage.cloud.client("stepfunctions"), arn).values()))

        states.stop_execution(executionArn=arn)

        assert stage.ending(arn).status == "ABORTED"
        (detail,) = self.details(stage, url)
        assert (detail["executionArn"], json.loads(detail["input"])) == (arn, {"items": list(range(20))})
        run = states.list_map_runs(executionArn=arn)["mapRuns"][0]["mapRunArn"]
        wait_for(lambda: states.describe_map_run(mapRunArn=run)["status"] == "ABORTED")
        time.sleep(0.5)
        counts = states.describe_map_run(mapRunArn=run)["itemCounts"]
        assert counts["succeeded"] < 10
        assert counts["running"] == counts["pending"] == 0
        assert stage.ending(arn).status == "ABORTED"


class TestRoles:
    def call(self, stage: Stage, function: str, operation: str, **arguments: Any) -> Any:
        call = {"do": "call", "service": "s3", "operation": operation, "arguments": arguments}
        return stage.invoke(function, call)

    def test_a_missing_key_is_a_missing_key_for_who_may_list(self, stage: Stage) -> None:
        error = self.call(stage, "probe", "get_object", Bucket=stage.bucket, Key="none")
        assert error["errorType"] == "NoSuchKey"

    def test_a_missing_key_is_refused_to_who_may_not_list(self, stage: Stage) -> None:
        statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::probe-bucket/*"}
        stage.make_function("reader", stage.role_with("reader", statement))
        error = self.call(stage, "reader", "get_object", Bucket=stage.bucket, Key="none")
        assert "AccessDenied" in error["errorMessage"]
