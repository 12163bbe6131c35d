"""A run on a deployed stage, which the checks examine after it has ended."""

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
from distillation.documents import Report
from distillation.records import Run, TrainedModel
from distillation.run_documents import find_run
from distillation.serving.resources import delete, deployments_and_models, running_jobs, stop
from distillation.serving.tags import RUN_TAG
from tests.support.stored import read_lines

REQUEST = {"train_sizes": [12, 14], "hyperparameters": {"epochCount": 1}, "keep": "all", "max_usd": 1}
"""Request for two jobs of one epoch: about $0.11 on 24 photos by ``distill estimate``, plus the calls of the checks."""
_POLL_SECONDS = 60
_EVENTS_WAIT_SECONDS = 20


@dataclass(frozen=True)
class ObservedRun:
    """A run that has ended, with its execution and events."""

    stage: Stage
    run: Run
    execution: Mapping[str, Any]
    """Response of DescribeExecution."""
    events: Sequence[Mapping[str, Any]]
    """EventBridge events of customization jobs in the account during the run."""

    @property
    def models(self) -> list[TrainedModel]:
        """Deployed models."""
        report = self.stage.data.read_document(keys.report_json_key(self.run.name), Report)
        return [model for model in report.models if model.status == "Active"]

    @property
    def test_image(self) -> str:
        """Hash of a test image."""
        line = next(read_lines(self.stage.data, keys.split_key(self.run.name, "test")))
        return line["image"]


@contextmanager
def observed_run(stage: Stage, photos: Sequence[Path]) -> Iterator[ObservedRun]:
    """Run the pipeline on photos in a new collection; at the end delete the photos, jobs, deployments and models."""
    collection = f"verify-aws-{int(time.time())}/"
    states = stage.client("stepfunctions")
    with uploaded(stage, photos, collection), job_event_queue(stage) as queue_url:
        start = json.dumps({"collection": collection, **REQUEST})
        execution = states.start_execution(stateMachineArn=stage.state_machine, input=start)["executionArn"]
        name = keys.run_name(collection, execution)
        try:
            while (description := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
                time.sleep(_POLL_SECONDS)
            run = find_run(name, stage.data)
            assert run, f"Prepare refused the run: {description.get('cause')}"
            yield ObservedRun(stage, run, description, list(_received_events(stage, queue_url)))
        finally:
            _clean_up(stage, name, execution)


@contextmanager
def uploaded(stage: Stage, photos: Sequence[Path], collection: str) -> Iterator[None]:
    """Upload photos, and delete them on exit."""
    try:
        for photo in photos:
            stage.photos.write(collection + photo.name, photo.read_bytes(), "image/jpeg")
        yield
    finally:
        for key in list(stage.photos.keys(collection)):
            stage.photos.client.delete_object(Bucket=stage.photos.name, Key=key)


def _clean_up(stage: Stage, run: str, execution: str) -> None:
    states = stage.client("stepfunctions")
    if states.describe_execution(executionArn=execution)["status"] == "RUNNING":
        states.stop_execution(executionArn=execution)
    bedrock, tag = stage.client("bedrock"), (RUN_TAG, run)
    stop(running_jobs(tag, run, bedrock), bedrock)
    delete(deployments_and_models(tag, run, bedrock), bedrock)


@contextmanager
def job_event_queue(stage: Stage) -> Iterator[str]:
    """Send Bedrock's events of jobs to a new queue; yield its URL."""
    events, queues, name = stage.client("events"), stage.client("sqs"), f"verify-aws-{int(time.time())}"
    pattern = {"source": ["aws.bedrock"], "detail-type": ["Model Customization Job State Change"]}
    with ExitStack() as cleanup:
        url = queues.create_queue(QueueName=name)["QueueUrl"]
        cleanup.callback(queues.delete_queue, QueueUrl=url)
        arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        rule = events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
        cleanup.callback(events.delete_rule, Name=name)
        queues.set_queue_attributes(QueueUrl=url, Attributes={"Policy": _send_policy(arn, rule)})
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
        cleanup.callback(events.remove_targets, Rule=name, Ids=["queue"])
        yield url


def _send_policy(queue: str, rule: str) -> str:
    """Return a queue policy that allows EventBridge to send the events of a rule."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _received_events(stage: Stage, queue_url: str) -> Iterator[Mapping[str, Any]]:
    queues = stage.client("sqs")
    while messages := queues.receive_message(
        QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=_EVENTS_WAIT_SECONDS
    ).get("Messages"):
        for message in messages:
            yield json.loads(message["Body"])
            queues.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
