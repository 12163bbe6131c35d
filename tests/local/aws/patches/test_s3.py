from __future__ import annotations

import pytest

from tests.local.aws.conftest import BUCKET, OBJECTS, Account

MISSING = {"get": {"Bucket": BUCKET, "Key": "none"}}


def test_missing_key_is_no_such_key_for_a_role_that_may_list(account: Account) -> None:
    assert account.invoke("owner", MISSING)["errorType"] == "NoSuchKey"


def test_missing_key_is_access_denied_for_a_role_that_may_not_list(account: Account) -> None:
    account.make_function("reader", {"Effect": "Allow", "Action": "s3:GetObject", "Resource": OBJECTS})
    assert "AccessDenied" in account.invoke("reader", MISSING)["errorMessage"]


def test_object_of_an_encrypted_bucket_needs_permissions_on_its_key_through_s3(account: Account) -> None:
    key = account.client("kms").create_key()["KeyMetadata"]["Arn"]
    encrypt(account, "encrypted", key)
    account.client("s3").put_object(Bucket="encrypted", Key="read", Body=b"x")
    objects = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::encrypted/*"}
    reading, writing = {"get": {"Bucket": "encrypted", "Key": "read"}}, {"put": "encrypted"}
    for name, action, service, allowed in (
        ("decrypts", "kms:Decrypt", "s3", [True, False]),
        ("encrypts", "kms:GenerateDataKey", "s3", [False, True]),
        ("for-bedrock", "kms:*", "bedrock", [False, False]),
    ):
        through = {"StringEquals": {"kms:ViaService": f"{service}.us-east-1.amazonaws.com"}}
        statement = {"Effect": "Allow", "Action": action, "Resource": key, "Condition": through}
        account.make_function(name, objects, statement)
        answers = [account.invoke(name, event) for event in (reading, writing)]

        assert ["errorType" not in answer for answer in answers] == allowed, name
        denied = [answer["errorMessage"] for answer in answers if "errorType" in answer]
        assert all("is not authorized to perform: kms:" in message for message in denied)


def test_key_whose_policy_names_nobody_or_that_does_not_exist_cannot_be_used(account: Account) -> None:
    kms = account.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy='{"Version": "2012-10-17", "Statement": []}')
    account.make_function("unnamed", {"Effect": "Allow", "Action": ["s3:PutObject", "kms:*"], "Resource": "*"})
    for key_arn in (key, key[:-4] + "gone"):
        encrypt(account, "sealed", key_arn)

        assert "kms:GenerateDataKey" in account.invoke("unnamed", {"put": "sealed"})["errorMessage"]


def encrypt(account: Account, bucket: str, key: str) -> None:
    """Create a bucket, if it does not exist, and let it encrypt with a key by default."""
    s3 = account.client("s3")
    s3.create_bucket(Bucket=bucket)
    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [default]})


@pytest.mark.parametrize("name", ["line\nbreak.jpg", "end\n", "a\u2028b.jpg", "cr\r.jpg"])
def test_role_may_read_a_key_with_a_line_break(account: Account, name: str) -> None:
    account.put(name, b"x")
    listed = account.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=name)["Contents"]

    assert [item["Key"] for item in listed] == [name]
    assert "errorType" not in account.invoke("owner", {"get": {"Bucket": BUCKET, "Key": name}})


def test_object_that_is_encrypted_without_a_key_uses_the_key_of_aws(account: Account) -> None:
    s3 = account.client("s3")
    s3.put_object(Bucket=BUCKET, Key="aws", Body=b"x", ServerSideEncryption="aws:kms")

    assert s3.get_object(Bucket=BUCKET, Key="aws")["ServerSideEncryption"] == "aws:kms"
    assert "errorType" not in account.invoke("owner", {"get": {"Bucket": BUCKET, "Key": "aws"}})
