from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from cli.destroy import confirm_and_delete_bucket, stage_buckets, stop_executions
from cli.stage import Stage
from tests.end_to_end.conftest import PHOTOS, PipelineDriver
from tests.support import command

Start = Callable[..., AbstractContextManager[PipelineDriver]]


def test_buckets_of_a_stage_are_found_access_logs_last(pipeline: Start) -> None:
    with pipeline() as running:
        cloudformation = running.pipeline.aws.client("cloudformation")
        buckets = stage_buckets(cloudformation, "local")

        assert {running.pipeline.photos.name, running.pipeline.data.name} < set(buckets)
        assert len(buckets) == 3
        assert "accesslogs" in buckets[-1]
        assert stage_buckets(cloudformation, "gone") == []


def test_bucket_goes_only_when_its_name_is_typed(pipeline: Start) -> None:
    with pipeline() as running:
        s3 = running.pipeline.aws.client("s3")
        s3.create_bucket(Bucket="doomed")
        s3.put_bucket_versioning(Bucket="doomed", VersioningConfiguration={"Status": "Enabled"})
        s3.put_object(Bucket="doomed", Key="photo.jpg", Body=b"old")
        s3.put_object(Bucket="doomed", Key="photo.jpg", Body=b"new")

        assert not confirm_and_delete_bucket(s3, "doomed", lambda _: "yes")
        assert confirm_and_delete_bucket(s3, "doomed", lambda _: "doomed")
        assert "doomed" not in {listed["Name"] for listed in s3.list_buckets()["Buckets"]}


def test_running_executions_of_a_stage_are_stopped(pipeline: Start) -> None:
    with pipeline(job_seconds=60) as running:
        running.upload(PHOTOS)
        executions = [running.start(train_sizes=[8]) for _ in range(2)]

        assert stop_executions(Stage("local", "us-east-1")) == 2
        assert [running.wait(execution).status for execution in executions] == ["ABORTED", "ABORTED"]
        assert stop_executions(Stage("local", "us-east-1")) == 0


def test_deleted_stacks_leave_no_job_and_a_retained_model_that_a_new_deployment_does_not_sweep(
    pipeline: Start, assembly: Path
) -> None:
    with pipeline() as running:
        running.upload(PHOTOS)
        ended = running.run(train_sizes=[14], keep="all")
        assert ended.status == "SUCCEEDED", ended.cause
        run = ended.output["run"]
        (deployment,) = running.pipeline.bedrock.service.deployments
        earlier_bucket, name = running.pipeline.data.name, f"{run}-n14-a1"
        tags = running.pipeline.aws.client("bedrock").list_tags_for_resource(resourceARN=deployment)["tags"]
        assert {"key": "vision-distillation:data-bucket", "value": earlier_bucket} in tags
        assert running.sweep()["kept"] == [f"deployment {name}", f"model {name}"]

        service = running.pipeline.bedrock.service
        service.faults = replace(service.faults, job_seconds=60)
        running.start(train_sizes=[8])
        running.until(lambda: len(running.bedrock_resources[0]) == 1)

        running.deploy_again(assembly)
        assert running.bedrock_resources == ([], [name], [name])
        swept = running.sweep()

        assert running.pipeline.data.name != earlier_bucket
        assert running.keys("") == []
        assert (swept["deleted"], swept["kept"]) == ([], [])
        assert swept["unknown"] == [f"deployment {name}", f"model {name}"]
        listed = json.loads(command.distill("clean", "--stage", "local", "--yes", "--json").stdout)
        assert {(row["retention"], row["data_bucket"]) for row in listed} == {("unknown", earlier_bucket)}
        assert "," in running.ask(deployment, next(iter(PHOTOS.values())))
