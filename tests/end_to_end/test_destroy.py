from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from cli.destroy import offer_to_delete, stage_buckets
from tests.end_to_end.conftest import Pipeline

Start = Callable[..., AbstractContextManager[Pipeline]]


def test_bucket_goes_only_when_its_name_is_typed(pipeline: Start) -> None:
    with pipeline() as running:
        cloud = running.machine.cloud
        running.machine.request("holiday/", {"until": "Estimate"})
        running.machine.request("holiday/", {})
        buckets = stage_buckets(cloud.client("cloudformation"), "local")
        bucket = running.machine.photos_bucket

        assert len(buckets) == 3
        assert bucket in buckets
        assert "accesslogs" in buckets[-1]
        assert not offer_to_delete(cloud.client("s3"), bucket, lambda _: "yes")
        assert offer_to_delete(cloud.client("s3"), bucket, lambda _: bucket)
        assert bucket not in {found["Name"] for found in cloud.client("s3").list_buckets()["Buckets"]}
        assert stage_buckets(cloud.client("cloudformation"), "gone") == []
