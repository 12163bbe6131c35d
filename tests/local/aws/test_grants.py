"""Grants that requests to the emulator need, and requests that no grant allows."""

from __future__ import annotations

from local.aws.grants import Denial, Grant, role_grants, usage
from local.aws.identity import CallerIdentity
from tests.local.aws.conftest import BUCKET, OBJECTS, Account

MODELS = "arn:aws:bedrock:us-east-1::foundation-model/*"


def allow(action: str, resource: str, **fields: object) -> dict[str, object]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **fields}


def test_grant_is_needed_if_no_other_grant_of_the_role_allows_the_request(account: Account) -> None:
    account.put("here", b"x")
    account.make_function("one", allow("s3:GetObject", OBJECTS), allow("s3:PutObject", OBJECTS))
    account.make_function("two", allow("s3:GetObject", OBJECTS), allow("s3:Get*", f"arn:aws:s3:::{BUCKET}/h*"))
    for function in ("one", "two"):
        assert "errorType" not in account.invoke(function, {"get": {"Bucket": BUCKET, "Key": "here"}})

    assert {grant for grant in usage.needed if grant.role in ("one", "two")} == {
        Grant("one", "s3:GetObject", OBJECTS, "{}")
    }
    assert role_grants("one") == {Grant("one", f"s3:{action}Object", OBJECTS, "{}") for action in ("Get", "Put")}


def test_denied_request_is_recorded(account: Account) -> None:
    account.make_function("none")
    assert "AccessDenied" in account.invoke("none", {"put": BUCKET})["errorMessage"]

    assert usage.denied[-1] == Denial("none", "s3:PutObject", f"arn:aws:s3:::{BUCKET}/written")


def test_requests_to_bedrock_are_recorded_with_their_conditions(account: Account) -> None:
    through = {"StringEquals": {"bedrock:InferenceProfileArn": "profile"}}
    account.make_function("asking", allow("bedrock:InvokeModel", MODELS, Condition=through))
    role, model = "arn:aws:iam::000000000000:role/asking", MODELS.replace("*", "m")

    assert CallerIdentity().allowed(role, "bedrock:InvokeModel", model, profile="profile")
    assert not CallerIdentity().allowed(role, "bedrock:InvokeModel", model)
    (grant,) = (grant for grant in usage.needed if grant.role == "asking")
    assert grant.conditions == '{"StringEquals": {"bedrock:InferenceProfileArn": "profile"}}'
    assert usage.denied[-1] == Denial("asking", "bedrock:InvokeModel", model)
