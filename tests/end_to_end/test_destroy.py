from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from cli.destroy import confirm_and_delete_bucket, stage_buckets
from tests.end_to_end.conftest import PipelineDriver

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
