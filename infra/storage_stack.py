"""Stack of the buckets, which outlive the pipeline: photos, labels, reports."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct


class StorageStack(cdk.Stack):
    """The buckets of one stage. They are retained when the stack is deleted."""

    def __init__(self, scope: Construct, id: str, *, env: cdk.Environment | None = None) -> None:
        super().__init__(scope, id, env=env)
        self.access_logs = self._bucket("AccessLogs", lifecycle=[s3.LifecycleRule(expiration=cdk.Duration.days(90))])
        self.photos = self._bucket(
            "Photos", event_bridge_enabled=True, lifecycle=[_OLD_VERSIONS], logs_to=self.access_logs
        )
        self.data = self._bucket(
            "Data",
            lifecycle=[
                _OLD_VERSIONS,
                s3.LifecycleRule(expiration=cdk.Duration.days(30), prefix="work/"),
            ],
            logs_to=self.access_logs,
        )
        for bucket in (self.photos, self.data):
            cdk.CfnOutput(self, f"{bucket.node.id}Bucket", value=bucket.bucket_name)
        cdk.CfnOutput(
            self,
            "UploadCommand",
            value=f"aws s3 sync ./photos s3://{self.photos.bucket_name}/holiday/",
        )
        cdk.CfnOutput(
            self,
            "StartCommand",
            value=f"aws s3 cp distill.json s3://{self.photos.bucket_name}/holiday/distill.json",
        )

    def _bucket(
        self,
        id: str,
        *,
        event_bridge_enabled: bool = False,
        lifecycle: list[s3.LifecycleRule],
        logs_to: s3.IBucket | None = None,
    ) -> s3.Bucket:
        return s3.Bucket(
            self,
            id,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            event_bridge_enabled=event_bridge_enabled,
            lifecycle_rules=[
                *lifecycle,
                s3.LifecycleRule(abort_incomplete_multipart_upload_after=cdk.Duration.days(7)),
            ],
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=cdk.RemovalPolicy.RETAIN,
            server_access_logs_bucket=logs_to,
            server_access_logs_prefix=f"{id.lower()}/" if logs_to else None,
            versioned=True,
        )


_OLD_VERSIONS = s3.LifecycleRule(noncurrent_version_expiration=cdk.Duration.days(30))
