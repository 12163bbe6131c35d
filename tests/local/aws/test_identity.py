"""Roles of callers of the local Bedrock endpoint, as the emulator's IAM has them."""

from __future__ import annotations

import json

import pytest

from local.aws.identity import CallerIdentity, RoleNotUsable
from tests.local.aws.conftest import BUCKET, TRUST, Account

MODEL = "arn:aws:bedrock:us-east-1::foundation-model/m"


def header(access_key: str) -> str:
    return f"AWS4-HMAC-SHA256 Credential={access_key}/20260101/us-east-1/s3"


def test_caller_is_known_by_its_role_and_has_the_permissions_of_that_role(account: Account) -> None:
    identity = CallerIdentity()
    role = identity.principal(header(account.invoke("writer", {})["key"]))
    assert role == "arn:aws:iam::000000000000:role/writer"
    assert identity.principal(header("unknown")) is None
    administrator = identity.principal(header("test"))
    assert administrator
    assert identity.allowed(administrator, "bedrock:InvokeModel", MODEL)
    assert identity.allowed(role, "s3:PutObject", f"arn:aws:s3:::{BUCKET}/key")
    assert not identity.allowed(role, "s3:GetObject", f"arn:aws:s3:::{BUCKET}/key")
    assert not identity.allowed(role, "bedrock:InvokeModel", MODEL)


def test_job_needs_a_role_that_trusts_bedrock(account: Account) -> None:
    identity, iam = CallerIdentity(), account.client("iam")
    conditions = {
        "ArnEquals": {"aws:SourceArn": "arn:aws:bedrock:us-east-1:000000000000:model-customization-job/*"},
        "StringEquals": {"aws:SourceAccount": "000000000000"},
    }
    statement = TRUST["Statement"][0] | {"Principal": {"Service": "bedrock.amazonaws.com"}}
    for name, condition in (("job", conditions), ("foreign", {"StringEquals": {"aws:SourceAccount": "1"}})):
        trust = {"Statement": [statement | {"Condition": condition}]}
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    identity.check_job_role("arn:aws:iam::000000000000:role/job")
    for name in ("writer", "foreign", "absent"):
        with pytest.raises(RoleNotUsable, match=name):
            identity.check_job_role(f"arn:aws:iam::000000000000:role/{name}")
