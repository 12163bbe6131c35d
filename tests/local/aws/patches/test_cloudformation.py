from __future__ import annotations

import json
from typing import Any

from tests.local.aws.conftest import Account, eventually

KEY = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def template(**encryption: str) -> str:
    """Return a template with one bucket, encrypted by default if there are keywords."""
    rule = {"BucketKeyEnabled": True, "ServerSideEncryptionByDefault": encryption}
    properties = {"BucketEncryption": {"ServerSideEncryptionConfiguration": [rule]}} if encryption else {}
    return json.dumps({"Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": properties}}})


def test_bucket_has_the_default_encryption_of_its_template(account: Account) -> None:
    cloudformation, s3 = account.client("cloudformation"), account.client("s3")

    def encryption() -> Any:
        stack = cloudformation.describe_stacks(StackName="encrypted")["Stacks"][0]
        if stack["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            return None
        resource = cloudformation.describe_stack_resource(StackName="encrypted", LogicalResourceId="Bucket")
        bucket = resource["StackResourceDetail"]["PhysicalResourceId"]
        return s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]

    cloudformation.create_stack(
        StackName="encrypted", TemplateBody=template(SSEAlgorithm="aws:kms", KMSMasterKeyID=KEY)
    )
    assert eventually(encryption) == {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY},
        "BucketKeyEnabled": True,
    }
    cloudformation.update_stack(StackName="encrypted", TemplateBody=template())
    assert eventually(encryption) == {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
        "BucketKeyEnabled": False,
    }


def test_short_operation_on_a_stack_has_ended_when_its_request_returns(account: Account) -> None:
    cloudformation = account.client("cloudformation")

    def status(stack: str) -> str:
        return cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]

    stack = cloudformation.create_stack(StackName="short", TemplateBody=template())["StackId"]
    assert status(stack) == "CREATE_COMPLETE"
    cloudformation.update_stack(StackName="short", TemplateBody=template(SSEAlgorithm="AES256"))
    assert status(stack) == "UPDATE_COMPLETE"
    cloudformation.delete_stack(StackName="short")
    assert status(stack) == "DELETE_COMPLETE"
