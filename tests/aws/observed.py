"""A run of a deployed stage, looked at afterwards: what the checks look for their evidence in."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.stage import Stage
from distillation import keys
from distillation.records import Run
from distillation.serving.resources import deployments_and_models, remove, running_jobs, stop
from distillation.serving.tags import RUN_TAG

REQUEST = {"train_sizes": [12, 14], "hyperparameters": {"epochCount": 1}, "keep": "all", "max_usd": 1}
"""24 photos, two jobs of an epoch: about $0.11 by `distill estimate`, and the checks' own calls."""
_POLL_SECONDS = 60
_EVENTS_WAIT_SECONDS = 20


@dataclass(frozen=True)
class Observed:
    """``execution`` is what DescribeExecution says; ``events`` are Bedrock's, of any job, while the run went on."""

    stage: Stage
    run: Run
    execution: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]

    @property
    def output(self) -> dict[str, Any]:
        """What the execution put out."""
        return json.loads(self.execution.get("output") or "{}")

    @property
    def models(self) -> list[dict[str, Any]]:
        """The sizes that were trained: name, arn, job, deployment."""
        return [model for model in self.report["models"] if model["status"] == "Active"]

    @property
    def report(self) -> dict[str, Any]:
        """What report.json holds."""
        return self.stage.data.read_json(keys.report_key(self.run.name, "report.json"))

    def image(self) -> tuple[str, int, int]:
        """Return an image of the run: its name, width and height."""
        line = next(iter(self.stage.data.read_lines(keys.split_key(self.run.name, "test"))))
        return line["image"], line["width"], line["height"]


@contextmanager
def observed_run(stage: Stage, photos: Sequence[Path]) -> Iterator[Observed]:
    """Run the pipeline over some photos in a collection of its own; take all down again whatever happens."""
    collection = f"verify-aws-{int(time.time())}/"
    states = stage.client("stepfunctions")
    with _uploaded(stage, photos, collection), _job_events(stage) as events:
        start = json.dumps({"collection": collection, **REQUEST})
        execution = states.start_execution(stateMachineArn=stage.state_machine, input=start)["executionArn"]
        name = keys.run_name(collection, execution)
        try:
            while (ended := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
                time.sleep(_POLL_SECONDS)
            request = stage.data.get_or_none(keys.request_key(name))
            assert request, f"Prepare refused the run: {ended.get('cause')}"
            run = Run.model_validate_json(request)
            yield Observed(stage, run, ended, list(_received(stage, events)))
        finally:
            _take_down(stage, name, execution)


@contextmanager
def _uploaded(stage: Stage, photos: Sequence[Path], collection: str) -> Iterator[None]:
    try:
        for photo in photos:
            stage.photos.write(collection + photo.name, photo.read_bytes(), "image/jpeg")
        yield
    finally:
        for key in list(stage.photos.keys(collection)):
            stage.photos.client.delete_object(Bucket=stage.photos.name, Key=key)


def _take_down(stage: Stage, run: str, execution: str) -> None:
    states = stage.client("stepfunctions")
    if states.describe_execution(executionArn=execution)["status"] == "RUNNING":
        states.stop_execution(executionArn=execution)
    bedrock, tag = stage.client("bedrock"), (RUN_TAG, run)
    stop(running_jobs(tag, run, bedrock), bedrock)
    remove(deployments_and_models(tag, run, bedrock), bedrock)


@contextmanager
def _job_events(stage: Stage) -> Iterator[str]:
    """Catch Bedrock's events about jobs in a queue of its own; yield its URL."""
    events, queues, name = stage.client("events"), stage.client("sqs"), f"verify-aws-{int(time.time())}"
    pattern = {"source": ["aws.bedrock"], "detail-type": ["Model Customization Job State Change"]}
    with ExitStack() as made:
        url = queues.create_queue(QueueName=name)["QueueUrl"]
        made.callback(queues.delete_queue, QueueUrl=url)
        arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        rule = events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
        made.callback(events.delete_rule, Name=name)
        queues.set_queue_attributes(QueueUrl=url, Attributes={"Policy": _let_send(arn, rule)})
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
        made.callback(events.remove_targets, Rule=name, Ids=["queue"])
        yield url


def _let_send(queue: str, rule: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _received(stage: Stage, queue: str) -> Iterator[Mapping[str, Any]]:
    queues = stage.client("sqs")
    while found := queues.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=_EVENTS_WAIT_SECONDS
    ).get("Messages"):
        for message in found:
            yield json.loads(message["Body"])
            queues.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
