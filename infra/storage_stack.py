"""Stack of the buckets, which outlive the pipeline: photos, labels, reports."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct


class StorageStack(cdk.Stack):
    """The buckets of one stage. They are retained when the stack is deleted.

    ``kms_key_arn`` encrypts Photos and Data. S3 delivers access logs only to buckets whose keys it manages itself.
    Source: "Enabling Amazon S3 server access logging", Amazon S3 user guide.
    """

    def __init__(
        self, scope: Construct, id: str, *, env: cdk.Environment | None = None, kms_key_arn: str | None = None
    ) -> None:
        super().__init__(scope, id, env=env)
        key = kms.Key.from_key_arn(self, "BucketKey", kms_key_arn) if kms_key_arn else None
        self.access_logs = self._bucket(
            "AccessLogs", lifecycle=[_OLD_VERSIONS, s3.LifecycleRule(expiration=cdk.Duration.days(90))]
        )
        self.photos = self._bucket(
            "Photos", event_bridge_enabled=True, key=key, lifecycle=[_OLD_VERSIONS], logs_to=self.access_logs
        )
        self.data = self._bucket(
            "Data",
            key=key,
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
        key: kms.IKey | None = None,
        lifecycle: list[s3.LifecycleRule],
        logs_to: s3.IBucket | None = None,
    ) -> s3.Bucket:
        return s3.Bucket(
            self,
            id,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            bucket_key_enabled=True if key else None,
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
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
