"""What the state machine relies on holds in the embedded AWS, above all where it had to be mended."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import queue
import socket
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.aws import patches
from local.aws.deploy import DeploymentFailed, deploy
from local.aws.emulator import AwsEmulator, aws_emulator
from local.aws.history import states_entered
from local.aws.identity import CallerIdentity, RoleNotUsable

HANDLER = """
import os, boto3

class Throttled(Exception):
    pass

calls = 0

def handler(event, context):
    global calls
    calls += 1
    if event.get("fail"):
        raise Throttled("slow down")
    if event.get("put"):
        boto3.client("s3").put_object(Bucket=event["put"], Key="written", Body=b"x")
    if event.get("detail-type"):
        boto3.client("s3").put_object(Bucket=os.environ["BUCKET"], Key="event", Body=b"x")
    credentials = boto3.Session().get_credentials()
    return {
        "calls": calls, "pid": os.getpid(), "event": event, "key": credentials.access_key,
        "environment": {name: value for name, value in os.environ.items() if name.startswith("AWS_")},
    }
"""
TRUST = {
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}]
}
SLOW = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 60}
PASS = {"StartAt": "Item", "States": {"Item": {"Type": "Pass", "End": True}}}


class Account:
    """The embedded AWS with a bucket, and a function whose role may write to that bucket."""

    def __init__(self, cloud: AwsEmulator) -> None:
        self.cloud = cloud
        self.bucket = "contract"
        cloud.client("s3").create_bucket(Bucket=self.bucket)
        allow = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{self.bucket}/*"}
        self.function = self.make_function("granted", [allow])

    def make_function(self, name: str, statements: list[dict[str, Any]]) -> str:
        iam = self.cloud.client("iam")
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        if statements:
            policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iam.put_role_policy(RoleName=name, PolicyName="step", PolicyDocument=policy)
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("index.py", HANDLER)
        made = self.cloud.client("lambda").create_function(
            FunctionName=name,
            Role=role,
            Handler="index.handler",
            Runtime="python3.14",
            Code={"ZipFile": code.getvalue()},
            Timeout=20,
            Environment={"Variables": {"BUCKET": self.bucket}},
        )
        return made["FunctionArn"]

    def invoke(self, name: str, event: dict[str, Any]) -> dict[str, Any]:
        answer = self.cloud.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
        return json.loads(answer["Payload"].read())

    def task(self, payload: dict[str, Any], **fields: Any) -> dict[str, Any]:
        return {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": self.function, "Payload": payload},
            "OutputPath": "$.Payload",
            "End": True,
            **fields,
        }

    def machine(self, states: dict[str, Any], **fields: Any) -> str:
        states_client = self.cloud.client("stepfunctions")
        name = f"machine-{len(states_client.list_state_machines()['stateMachines'])}"
        definition = {"StartAt": next(iter(states)), "States": states, **fields}
        made = states_client.create_state_machine(
            name=name, roleArn="arn:aws:iam::000000000000:role/granted", definition=json.dumps(definition)
        )
        return made["stateMachineArn"]

    def start(self, machine: str, given: Any) -> str:
        started = self.cloud.client("stepfunctions").start_execution(stateMachineArn=machine, input=json.dumps(given))
        return started["executionArn"]

    def ended(self, execution: str) -> dict[str, Any]:
        def described() -> dict[str, Any] | None:
            found = self.cloud.client("stepfunctions").describe_execution(executionArn=execution)
            return found if found["status"] != "RUNNING" else None

        return eventually(described)

    def run(self, states: dict[str, Any], given: Any = None, **fields: Any) -> dict[str, Any]:
        return self.ended(self.start(self.machine(states, **fields), given or {}))

    def output(self, states: dict[str, Any], given: Any = None) -> Any:
        ended = self.run(states, given)
        assert ended["status"] == "SUCCEEDED", (ended.get("error"), ended.get("cause"))
        return json.loads(ended["output"])

    def record_events(self, name: str, pattern: dict[str, Any]) -> Callable[[], list[dict[str, Any]]]:
        """Send matching events to a state machine; its executions' inputs are the events."""
        machine = self.machine({"Event": {"Type": "Pass", "End": True}})
        events = self.cloud.client("events")
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, Targets=[{"Id": "machine", "Arn": machine, "RoleArn": "x" * 20}])
        client = self.cloud.client("stepfunctions")

        def received() -> list[dict[str, Any]]:
            found = client.list_executions(stateMachineArn=machine)["executions"]
            arns = [execution["executionArn"] for execution in found]
            return [json.loads(client.describe_execution(executionArn=arn)["input"]) for arn in arns]

        return received


def eventually(probe: Callable[[], Any], seconds: float = 10) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := probe():
            return found
        time.sleep(0.03)
    pytest.fail(f"not within {seconds} s")


def distributed(processor: dict[str, Any], **fields: Any) -> dict[str, Any]:
    config = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    return {"Type": "Map", "ItemProcessor": config | processor, "End": True, **fields}


def workers() -> list[str]:
    listed = subprocess.run(["ps", "-o", "args", "--ppid", str(os.getpid())], capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if "_worker.py" in line]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_PROFILE", "mine")
        patch.setenv("AWS_SESSION_TOKEN", "secret")
        with aws_emulator(tmp_path_factory.mktemp("aws"), "http://127.0.0.1:9") as cloud:
            yield Account(cloud)
        assert os.environ["AWS_PROFILE"] == "mine"
    assert workers() == []
    port = int(cloud.url.rpartition(":")[2])
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 1):
        pytest.fail("the port is still open")


def test_a_second_one_in_the_same_process_starts_empty(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        with aws_emulator(tmp_path / folder, "http://127.0.0.1:9", enforce_roles=False) as cloud:
            assert Account(cloud).invoke("granted", {})["calls"] == 1
        assert workers() == []
        assert list((tmp_path / folder).iterdir()) == []


def test_leaving_ends_what_still_runs(tmp_path: Path) -> None:
    with aws_emulator(tmp_path, "http://127.0.0.1:9", wait_scale=1) as cloud:
        account = Account(cloud)
        pause = {"Type": "Wait", "Seconds": 60, "Next": "Ask"}
        processor = {"StartAt": "Wait", "States": {"Wait": pause, "Ask": account.task({})}}
        account.start(account.machine({"Map": distributed(processor)}), [1, 2])
        account.start(account.machine({"Ask": account.task({"fail": True}, Retry=[SLOW])}), {})
        time.sleep(1)
    assert workers() == []
    assert not patches._executing


def test_a_changed_patch_point_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = patches.Patch("why", "json", "dumps", ("moved",), lambda original: original)
    monkeypatch.setattr(patches, "PATCHES", [moved])
    monkeypatch.setattr(patches, "_applied", type(patches._applied)())
    with pytest.raises(patches.PatchPointMoved, match=r"ministack \d+\S+ has no json.dumps"):
        patches.apply()


def test_a_worker_sees_this_aws_and_nothing_of_the_users(account: Account) -> None:
    environment = account.invoke("granted", {})["environment"]
    assert environment["AWS_ENDPOINT_URL"] == account.cloud.url
    assert environment["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] == "http://127.0.0.1:9"
    assert "AWS_PROFILE" not in environment
    assert environment["AWS_SESSION_TOKEN"] != "secret"


def test_an_exception_is_reported_by_class_and_the_worker_lives_on(account: Account) -> None:
    before = account.invoke("granted", {})
    failed = account.invoke("granted", {"fail": True})
    assert (failed["errorType"], failed["errorMessage"]) == ("Throttled", "slow down")
    after = account.invoke("granted", {})
    assert (after["pid"], after["calls"]) == (before["pid"], before["calls"] + 2)


def test_warm_invocations_do_not_wait_for_logs(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime: Any = importlib.import_module("ministack.core.lambda_runtime")
    clock = [0.0]

    def advance(seconds: float) -> None:
        clock.append(clock[-1] + seconds)

    monkeypatch.setattr(runtime, "time", SimpleNamespace(time=lambda: clock[-1], sleep=advance))

    assert runtime.Worker._drain_stderr_bounded(SimpleNamespace(_stderr_queue=queue.Queue())) == ""
    assert clock[-1] < 0.01


def test_retry_and_catch_match_the_exceptions_class(account: Account) -> None:
    before = account.invoke("granted", {})["calls"]
    retry = [
        {"ErrorEquals": ["Other"], "MaxAttempts": 9},
        {"ErrorEquals": ["Throttled"], "IntervalSeconds": 1, "MaxAttempts": 2},
    ]
    catch = [{"ErrorEquals": ["Throttled"], "ResultPath": "$.error", "Next": "Caught"}]
    caught = {"Type": "Pass", "End": True}
    output = account.output(
        {"Ask": account.task({"fail": True}, Retry=retry, Catch=catch), "Caught": caught}, {"kept": 1}
    )
    assert output["kept"] == 1
    assert output["error"]["Error"] == "Throttled"
    assert json.loads(output["error"]["Cause"])["errorMessage"] == "slow down"
    assert account.invoke("granted", {})["calls"] == before + 4


def test_a_retry_waits_no_longer_than_told_and_jitters() -> None:
    retrier = {"IntervalSeconds": 10, "BackoffRate": 2, "MaxDelaySeconds": 30}
    assert [patches._delay(retrier, retries) for retries in range(4)] == [10, 20, 30, 30]
    jittered = {patches._delay(retrier | {"JitterStrategy": "FULL"}, 3) for _ in range(50)}
    assert len(jittered) > 40
    assert 0 <= min(jittered) <= max(jittered) <= 30


def test_a_distributed_map_batches_the_lines_of_a_file(account: Account) -> None:
    lines = "".join(json.dumps({"n": n}) + "\n" for n in range(5))
    account.cloud.client("s3").put_object(Bucket=account.bucket, Key="items.jsonl", Body=lines.encode())
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSONL"},
        "Parameters": {"Bucket": account.bucket, "Key.$": "$.key"},
    }
    state = distributed(
        PASS,
        ItemReader=reader,
        ItemSelector={"value.$": "$$.Map.Item.Value.n"},
        ItemBatcher={"MaxItemsPerBatch": 2, "BatchInput": {"run.$": "$.run"}},
        MaxConcurrencyPath="$.width",
        ToleratedFailurePercentage=0,
        ResultPath="$.result",
    )
    output = account.output({"Map": state}, {"key": "items.jsonl", "run": "r", "width": 1})
    sizes = [[item["value"] for item in child["Items"]] for child in output["result"]]
    assert sizes == [[0, 1], [2, 3], [4]]
    assert {child["BatchInput"]["run"] for child in output["result"]} == {"r"}


def test_a_distributed_map_lists_a_prefix_and_its_result_can_be_dropped(account: Account) -> None:
    for name in ("a", "b"):
        account.cloud.client("s3").put_object(Bucket=account.bucket, Key=f"listed/{name}", Body=b"12")
    listing = {
        "Resource": "arn:aws:states:::s3:listObjectsV2",
        "Parameters": {"Bucket": account.bucket, "Prefix.$": "$.prefix"},
    }
    state = distributed(PASS, ItemReader=listing, ResultPath="$.found")
    found = account.output({"Map": state}, {"prefix": "listed/"})["found"]
    assert [(item["Key"], item["Size"]) for item in found] == [("listed/a", 2), ("listed/b", 2)]
    dropped = distributed(PASS, ItemReader=listing, ResultPath=None)
    assert account.output({"Map": dropped}, {"prefix": "listed/"}) == {"prefix": "listed/"}


def test_a_distributed_map_without_items_succeeds(account: Account) -> None:
    state = distributed(PASS, ItemsPath="$.none", ItemBatcher={"MaxItemsPerBatch": 2})
    assert account.output({"Map": state}, {"none": []}) == []


def test_a_distributed_map_that_tolerates_nothing_fails_and_is_caught(account: Account) -> None:
    processor = {"StartAt": "Ask", "States": {"Ask": account.task({"fail": True})}}
    state = distributed(
        processor,
        ItemsPath="$.items",
        ItemBatcher={"MaxItemsPerBatch": 1},
        MaxConcurrency=1,
        ToleratedFailurePercentage=0,
        Catch=[{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Caught"}],
    )
    output = account.output({"Map": state, "Caught": {"Type": "Pass", "End": True}}, {"items": [1]})
    assert output["error"]["Error"] == "States.ExceedToleratedFailureThreshold"


def test_max_concurrency_path_bounds_the_children(account: Account) -> None:
    processor = {
        "StartAt": "Ask",
        "States": {"Ask": account.task({}, ResultSelector={"pid.$": "$.Payload.pid"})},
    }
    processor["States"]["Ask"] |= {"OutputPath": "$.pid"}
    before = len(workers())
    state = distributed(processor, ItemsPath="$.items", MaxConcurrencyPath="$.width")
    account.output({"Map": state}, {"items": list(range(6)), "width": 1})
    assert len(workers()) <= max(before, 1)


def test_what_a_distributed_map_would_ignore_is_refused(account: Account) -> None:
    state = distributed(PASS, ItemsPath="$.items", ResultWriter={"Resource": "x"})
    ended = account.run({"Map": state}, {"items": [1]})
    assert ended["status"] == "FAILED"
    assert "ResultWriter" in ended["cause"]


def test_an_inline_map_catches_within_each_item(account: Account) -> None:
    ask = account.task({"fail.$": "$.fail"}, OutputPath="$", ResultPath="$.answer")
    ask["Catch"] = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Failed"}]
    ask["Next"] = "Active"
    del ask["End"]
    outcome = {
        name: {"Type": "Pass", "Parameters": {"n.$": "$.n", "status": name}, "End": True}
        for name in ("Active", "Failed")
    }
    state = {
        "Type": "Map",
        "ItemsPath": "$.items",
        "ItemSelector": {"fail.$": "$$.Map.Item.Value.fail", "n.$": "$$.Map.Item.Value.n", "x.$": "$.x"},
        "MaxConcurrency": 2,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "INLINE"},
            "StartAt": "Ask",
            "States": {"Ask": ask, **outcome},
        },
        "ResultSelector": {"all.$": "$", "any.$": "States.ArrayContains($[*].status, 'Active')"},
        "ResultPath": "$.trained",
        "End": True,
    }
    items = [{"n": 1, "fail": True}, {"n": 2, "fail": False}]
    output = account.output({"Map": state}, {"items": items, "x": 0})
    assert output["trained"]["any"] is True
    assert [item["status"] for item in output["trained"]["all"]] == ["Failed", "Active"]
    assert account.output({"Map": state}, {"items": items[:1], "x": 0})["trained"]["any"] is False


def test_fail_takes_error_and_cause_from_paths_and_the_context_names_the_execution(account: Account) -> None:
    mark = {"Type": "Pass", "Parameters": {"id.$": "$$.Execution.Id", "error": "Odd"}, "Next": "Pause"}
    pause = {"Type": "Wait", "Seconds": 5, "Next": "End"}
    fail = {"Type": "Fail", "ErrorPath": "$.error", "CausePath": "$.id"}
    ended = account.run({"Mark": mark, "Pause": pause, "End": fail})
    assert (ended["error"], ended["cause"]) == ("Odd", ended["executionArn"])
    assert states_entered(account.cloud, ended["executionArn"]) == ["Mark", "Pause", "End"]


def test_a_machine_times_out_and_says_so(account: Account) -> None:
    events = account.record_events("timeouts", {"source": ["aws.states"], "detail": {"status": ["TIMED_OUT"]}})
    ended = account.run({"Pause": {"Type": "Wait", "Seconds": 200, "End": True}}, TimeoutSeconds=1)
    assert ended["status"] == "TIMED_OUT"
    assert eventually(events)[0]["detail"]["executionArn"] == ended["executionArn"]


def test_stopping_mid_map_stops_the_children_and_says_so(account: Account) -> None:
    events = account.record_events("aborts", {"source": ["aws.states"], "detail": {"status": ["ABORTED"]}})
    client = account.cloud.client("stepfunctions")
    wait = {"Type": "Wait", "Seconds": 50, "Next": "Ask"}
    processor = {"StartAt": "Wait", "States": {"Wait": wait, "Ask": account.task({})}}
    state = distributed(processor, ItemsPath="$.items", MaxConcurrency=2)
    state["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": "Never"}]
    machine = account.machine({"Map": state, "Never": {"Type": "Pass", "End": True}})
    before = account.invoke("granted", {})["calls"]
    execution = account.start(machine, {"items": [1, 2, 3, 4]})
    run = eventually(lambda: client.list_map_runs(executionArn=execution)["mapRuns"])[0]["mapRunArn"]
    client.stop_execution(executionArn=execution)
    children = client.list_executions(mapRunArn=run)["executions"]
    assert {child["status"] for child in children} == {"ABORTED"}
    event = eventually(events)[0]
    assert event["detail-type"] == "Step Functions Execution Status Change"
    assert json.loads(event["detail"]["input"]) == {"items": [1, 2, 3, 4]}
    assert event["detail"]["executionArn"] == execution
    time.sleep(1)
    assert account.ended(execution)["status"] == "ABORTED"
    assert {c["status"] for c in client.list_executions(mapRunArn=run)["executions"]} == {"ABORTED"}
    assert states_entered(account.cloud, execution) == ["Map"]
    history = client.get_execution_history(executionArn=execution)["events"]
    assert history[-1]["type"] == "ExecutionAborted"
    assert account.invoke("granted", {})["calls"] == before + 1


def test_an_object_is_created_once(account: Account) -> None:
    s3 = account.cloud.client("s3")
    s3.put_object(Bucket=account.bucket, Key="once", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError) as refusal:
        s3.put_object(Bucket=account.bucket, Key="once", Body=b"2", IfNoneMatch="*")
    assert refusal.value.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 412


def test_a_new_objects_event_names_its_version_and_reaches_machine_and_function(account: Account) -> None:
    s3, bucket = account.cloud.client("s3"), "versioned"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [bucket]}, "object": {"key": [{"suffix": "/distill.json"}]}},
    }
    events = account.record_events("created", pattern)
    account.cloud.client("events").put_targets(Rule="created", Targets=[{"Id": "function", "Arn": account.function}])
    s3.put_object(Bucket=bucket, Key="other.json", Body=b"{}")
    version = s3.put_object(Bucket=bucket, Key="set/distill.json", Body=b"{}")["VersionId"]
    received = eventually(events)
    assert [event["detail"]["object"]["key"] for event in received] == ["set/distill.json"]
    assert received[0]["detail"]["object"]["version-id"] == version
    eventually(lambda: s3.list_objects_v2(Bucket=account.bucket, Prefix="event").get("Contents"))


def test_a_topic_takes_a_message(account: Account) -> None:
    sns = account.cloud.client("sns")
    topic = sns.create_topic(Name="topic")["TopicArn"]
    assert sns.publish(TopicArn=topic, Subject="subject", Message="text")["MessageId"]


def test_roles_are_enforced_and_loopback_is_tls(account: Account) -> None:
    everyone = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:*"}
    everyone |= {
        "Resource": [f"arn:aws:s3:::{account.bucket}", f"arn:aws:s3:::{account.bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    account.cloud.client("s3").put_bucket_policy(
        Bucket=account.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [everyone]})
    )
    account.make_function("refused", [])
    assert "errorType" not in account.invoke("granted", {"put": account.bucket})
    refused = account.invoke("refused", {"put": account.bucket})
    assert "AccessDenied" in refused["errorMessage"]


def test_the_caller_is_known_by_its_role(account: Account) -> None:
    identity = CallerIdentity()
    header = f"AWS4-HMAC-SHA256 Credential={account.invoke('granted', {})['key']}/20260101/us-east-1/s3"
    role = identity.principal(header)
    assert role == "arn:aws:iam::000000000000:role/granted"
    assert identity.principal("AWS4-HMAC-SHA256 Credential=unknown/20260101/us-east-1/s3") is None
    administrator = identity.principal("AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3")
    assert administrator
    assert identity.allowed(administrator, "bedrock:InvokeModel", "arn:aws:bedrock:us-east-1::foundation-model/m")
    assert identity.allowed(role, "s3:PutObject", f"arn:aws:s3:::{account.bucket}/key")
    assert not identity.allowed(role, "s3:GetObject", f"arn:aws:s3:::{account.bucket}/key")
    assert not identity.allowed(role, "bedrock:InvokeModel", "arn:aws:bedrock:us-east-1::foundation-model/m")


def test_a_job_needs_a_role_that_trusts_bedrock(account: Account) -> None:
    identity, iam = CallerIdentity(), account.cloud.client("iam")
    conditions = {
        "ArnEquals": {"aws:SourceArn": "arn:aws:bedrock:us-east-1:000000000000:model-customization-job/*"},
        "StringEquals": {"aws:SourceAccount": "000000000000"},
    }
    statement = TRUST["Statement"][0] | {"Principal": {"Service": "bedrock.amazonaws.com"}}
    for name, condition in (("job", conditions), ("foreign", {"StringEquals": {"aws:SourceAccount": "1"}})):
        trust = {"Statement": [statement | {"Condition": condition}]}
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    identity.check_job_role("arn:aws:iam::000000000000:role/job")
    for name in ("granted", "foreign", "absent"):
        with pytest.raises(RoleNotUsable, match=name):
            identity.check_job_role(f"arn:aws:iam::000000000000:role/{name}")


def test_stacks_are_deployed_in_order_and_a_failure_names_its_resource(account: Account, tmp_path: Path) -> None:
    first = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"Name": {"Value": {"Fn::GetAtt": ["Topic", "TopicName"]}}},
    }
    weak = {"Fn::GetStackOutput": {"StackName": "First", "OutputName": "Name", "Region": "us-east-1"}}
    second = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {"Seen": {"Value": weak}},
    }
    write_assembly(tmp_path / "good", {"Second": (second, ["First"]), "First": (first, [])})
    outputs = deploy(account.cloud, tmp_path / "good")
    assert list(outputs) == ["First", "Second"]
    assert outputs["Second"]["Seen"] == outputs["First"]["Name"]
    absent = {"ServiceToken": "arn:aws:lambda:us-east-1:000000000000:function:absent"}
    taken = {"Odd": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": account.bucket}}}
    broken = {"Odd": {"Type": "AWS::CloudFormation::CustomResource", "Properties": absent}}
    for name, resources, reason in (("Taken", taken, "already exists"), ("Broken", broken, "not found")):
        write_assembly(tmp_path / name, {name: ({"Resources": resources}, [])})
        with pytest.raises(DeploymentFailed, match=f"{name}.*Odd: .*{reason}"):
            deploy(account.cloud, tmp_path / name)


def write_assembly(folder: Path, stacks: dict[str, tuple[dict[str, Any], list[str]]]) -> None:
    folder.mkdir()
    artifacts: dict[str, Any] = {}
    for name, (template, dependencies) in stacks.items():
        destination = {"here": {"bucketName": "assets-${AWS::AccountId}", "objectKey": f"{name}.json"}}
        source = {"path": f"{name}.template.json", "packaging": "file"}
        asset = {"files": {"template": {"source": source, "destinations": destination}}}
        (folder / f"{name}.template.json").write_text(json.dumps(template))
        (folder / f"{name}.assets.json").write_text(json.dumps(asset))
        artifacts[f"{name}.assets"] = {
            "type": "cdk:asset-manifest",
            "properties": {"file": f"{name}.assets.json"},
        }
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "properties": {"stackTemplateAssetObjectUrl": f"s3://assets-${{AWS::AccountId}}/{name}.json"},
            "dependencies": [f"{name}.assets", *dependencies],
        }
    (folder / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
