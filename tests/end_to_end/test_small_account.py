"""Accounts with few concurrent Lambda functions, and with a small quota of tokens per day."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager

from distillation import ledger
from distillation.records import Quota
from local.aws.history import states_entered
from local.bedrock import ConverseFaults
from tests.end_to_end.conftest import PHOTOS, PIXELS, PipelineDriver

Start = Callable[..., AbstractContextManager[PipelineDriver]]
TEACHER = PIXELS["teacher"]
TOKENS_PER_DAY = 20_000
"""Fewer tokens than the labels of all photos need."""
DAY_SECONDS = 8.0
"""Length of a day; the emulator shortens the hour before a retry to 3.6 seconds."""


def throttled_invocations(running: PipelineDriver, executions: list[str]) -> int:
    """Return how often Lambda refused an invocation of executions and of the batches of their Maps."""
    states = running.pipeline.aws.client("stepfunctions")
    for execution in list(executions):
        for map_run in states.list_map_runs(executionArn=execution)["mapRuns"]:
            children = states.list_executions(mapRunArn=map_run["mapRunArn"])["executions"]
            executions = [*executions, *(child["executionArn"] for child in children)]
    histories = [states.get_execution_history(executionArn=execution)["events"] for execution in executions]
    return sum("Lambda.TooManyRequestsException" in str(event) for events in histories for event in events)


def notification_subjects(running: PipelineDriver) -> Callable[[], list[str]]:
    """Subscribe to the stage's topic; return a function that returns the subjects received so far."""
    aws, subjects = running.pipeline.aws, list[str]()
    allow = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    queue = aws.client("sqs").create_queue(QueueName="notifications", Attributes={"Policy": policy})["QueueUrl"]
    arn = aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws.client("sns").subscribe(TopicArn=running.pipeline.outputs["TopicArn"], Protocol="sqs", Endpoint=arn)

    def received() -> list[str]:
        while messages := aws.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                subjects.append(json.loads(message["Body"])["Subject"])
                aws.client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return subjects

    return received


def test_run_waits_for_its_daily_quota_and_pays_nothing_twice(pipeline: Start) -> None:
    quotas = {TEACHER: Quota(tokens_per_day=TOKENS_PER_DAY)}
    with pipeline(converse=ConverseFaults(quotas=quotas, day_seconds=DAY_SECONDS)) as running:
        subjects = notification_subjects(running)
        running.upload(PHOTOS)
        ended = running.run(until="LabelImages")
        run, service = ended.output["run"], running.pipeline.bedrock.service

        assert ended.status == "SUCCEEDED", ended.cause
        answers = [count for (model, _), count in service.answered.items() if model == TEACHER]
        labels = sum(
            entry.calls for entry in ledger.summary(run, running.pipeline.data).entries if entry.step != "Prepare"
        )
        assert len(running.keys("labels/")) == labels == len(PHOTOS)
        assert sorted(answers)[: len(PHOTOS)] == [1] * len(PHOTOS)
        assert running.image_calls(TEACHER) > len(answers)
        assert running.keys(f"work/{run}/daily-quota.json")
        ends = [f"Vision Distillation {run}: waits for its daily quota", f"Vision Distillation {run}: complete"]
        running.until(lambda: [subject for subject in subjects() if run in subject] == ends)


def test_probe_refused_for_the_day_ends_the_run_with_both_causes_unless_the_quota_is_known(pipeline: Start) -> None:
    quotas = {TEACHER: Quota(tokens_per_day=TOKENS_PER_DAY)}
    with pipeline(converse=ConverseFaults(quotas=quotas)) as running:
        running.upload(PHOTOS)
        running.start(until="LabelImages")
        running.until(lambda: bool([key for key in running.keys("work/") if key.endswith("/daily-quota.json")]))
        refused = running.run(until="LabelImages")

        assert (refused.status, refused.error) == ("FAILED", "QuotaExceeded")
        for words in (
            "tokens per day for this model are used up",
            "or the quota is 0",
            "could not be read",
            "AWS Support",
        ):
            assert words in (refused.cause or "")

        waiting = running.start(until="LabelImages", quotas={TEACHER: {"tokens_per_day": TOKENS_PER_DAY}})
        running.until(lambda: "LabelImages" in states_entered(running.pipeline.aws, waiting))


def test_run_of_more_than_six_daily_quotas_is_refused_before_the_first_label(pipeline: Start) -> None:
    with pipeline() as running:
        running.upload(PHOTOS)
        ended = running.run(until="LabelImages", quotas={TEACHER: {"tokens_per_day": 3_000}})

        assert (ended.status, ended.error, ended.states[-2]) == ("FAILED", "QuotaExceeded", "RecordFailure")
        assert "days of the account's tokens per day, more than the 6" in (ended.cause or "")
        assert running.keys("labels/") == []


def test_run_in_an_account_with_three_concurrent_functions_succeeds(pipeline: Start) -> None:
    with pipeline() as running, running.pipeline.aws.lambda_concurrency(3):
        running.upload(PHOTOS)
        ended = running.run(train_sizes=[8])

        assert ended.status == "SUCCEEDED", ended.cause
        assert ended.output["concurrency"] == {"resize": 1, "label": 1, "predict": 1}


def test_runs_that_take_turns_at_one_function_succeed(pipeline: Start) -> None:
    with pipeline() as running, running.pipeline.aws.lambda_concurrency(1):
        running.upload(PHOTOS)
        executions = [running.start(until="Estimate") for _ in range(2)]
        ended = [running.wait(execution) for execution in executions]

        assert [end.status for end in ended] == ["SUCCEEDED"] * 2, [end.cause for end in ended]
        assert throttled_invocations(running, executions) > 0
