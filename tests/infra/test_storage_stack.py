from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk.assertions import Match, Template

from tests.infra.conftest import KEY


def buckets(storage: Template) -> Mapping[str, Mapping[str, Any]]:
    return storage.find_resources("AWS::S3::Bucket")


def test_every_bucket_is_retained_private_and_versioned(storage: Template) -> None:
    assert len(buckets(storage)) == 3
    for bucket in buckets(storage).values():
        assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
        assert bucket["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
        assert all(bucket["Properties"]["PublicAccessBlockConfiguration"].values())


def test_every_bucket_denies_requests_without_tls(storage: Template) -> None:
    policies = storage.find_resources("AWS::S3::BucketPolicy").values()
    denied = [
        policy["Properties"]["Bucket"]["Ref"]
        for policy in policies
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    ]
    assert sorted(denied) == sorted(buckets(storage))


def test_only_work_objects_and_old_versions_expire(storage: Template) -> None:
    storage.has_resource_properties(
        "AWS::S3::Bucket",
        {
            "LifecycleConfiguration": {
                "Rules": Match.array_with(
                    [
                        Match.object_like({"NoncurrentVersionExpiration": {"NoncurrentDays": 30}}),
                        Match.object_like({"ExpirationInDays": 30, "Prefix": "work/"}),
                    ]
                )
            }
        },
    )
    for name, bucket in buckets(storage).items():
        rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
        assert {"NoncurrentVersionExpiration": {"NoncurrentDays": 30}, "Status": "Enabled"} in rules, name
        for rule in rules:
            assert "ExpirationInDays" not in rule or rule.get("Prefix") == "work/" or name.startswith("AccessLogs")


def test_kms_key_of_the_stage_encrypts_photos_and_data(storage: Template, configured_storage: Template) -> None:
    def encryption(template: Template) -> dict[str, Any]:
        return {
            name[:-8]: bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
            for name, bucket in buckets(template).items()
        }

    by_s3 = [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    by_key = [
        {
            "BucketKeyEnabled": True,
            "ServerSideEncryptionByDefault": {"KMSMasterKeyID": KEY, "SSEAlgorithm": "aws:kms"},
        }
    ]
    assert encryption(storage) == {"AccessLogs": by_s3, "Photos": by_s3, "Data": by_s3}
    assert encryption(configured_storage) == {"AccessLogs": by_s3, "Photos": by_key, "Data": by_key}
