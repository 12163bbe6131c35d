from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3

from infra import access

PRO = "amazon.nova-pro-v1:0"
ACCOUNT = "111122223333"
APPLICATION = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:application-inference-profile/abc123"


def statements(models: list[str], profiles: dict[str, str] | None = None) -> list[dict[str, Any]]:
    stack = cdk.Stack(cdk.App(), "S", env=cdk.Environment(account=ACCOUNT, region="us-east-1"))
    documents = [statement.to_statement_json() for statement in access.invoke_models(stack, models, profiles or {})]
    return [{name: _plain(part) for name, part in stack.resolve(document).items()} for document in documents]


def _plain(value: Any) -> Any:
    """Return ``value`` with the ARNs that CDK joins at deployment as plain text."""
    if isinstance(value, dict) and "Fn::Join" in value:
        return "".join("aws" if isinstance(part, dict) else part for part in value["Fn::Join"][1])
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def foundation(model: str, region: str) -> str:
    return f"arn:aws:bedrock:{region}::foundation-model/{model}"


def test_model_without_a_profile_is_allowed_in_the_region_only() -> None:
    (statement,) = statements([PRO, PRO])

    assert (statement["Resource"], statement.get("Condition")) == (foundation(PRO, "us-east-1"), None)


def test_geographic_profile_allows_the_model_in_its_regions_through_the_profile_only() -> None:
    get_profile, profile, models = statements([f"us.{PRO}"])

    assert get_profile["Resource"] == profile["Resource"]
    assert get_profile["Action"] == "bedrock:GetInferenceProfile"
    assert profile["Resource"] == f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/us.{PRO}"
    assert models["Resource"] == [foundation(PRO, region) for region in ("us-east-1", "us-east-2", "us-west-2")]
    assert models["Condition"] == {"StringEquals": {"bedrock:InferenceProfileArn": profile["Resource"]}}
    assert statements([profile["Resource"]]) == [get_profile, profile, models]


def test_global_profile_allows_the_model_in_any_region_through_the_profile_only() -> None:
    name = "anthropic.claude-sonnet-4-6"
    _, profile, here, anywhere = statements([f"global.{name}"])

    through = {"bedrock:InferenceProfileArn": profile["Resource"]}
    assert (here["Resource"], here["Condition"]) == (foundation(name, "us-east-1"), {"StringEquals": through})
    assert anywhere["Resource"] == f"arn:aws:bedrock:::foundation-model/{name}"
    assert anywhere["Condition"] == {"StringEquals": {**through, "aws:RequestedRegion": "unspecified"}}


def test_application_profile_replaces_direct_access_to_its_model() -> None:
    get_profile, profile, models = statements([PRO], {PRO: APPLICATION})

    assert get_profile["Resource"] == profile["Resource"] == APPLICATION
    assert models["Resource"] == foundation(PRO, "us-east-1")
    assert models["Condition"] == {"StringEquals": {"bedrock:InferenceProfileArn": APPLICATION}}
    assert [len(statements([f"us.{PRO}"], {f"us.{PRO}": APPLICATION})[2]["Resource"])] == [3]


KEY = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def test_customer_managed_key_is_allowed_through_bedrock_only() -> None:
    stack = cdk.Stack(env=cdk.Environment(region="us-east-1"))
    (encrypt,), (decrypt,) = access.encrypt_models(stack, KEY), access.decrypt_models(stack, KEY)

    assert encrypt.to_statement_json() == {
        "Action": ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"],
        "Condition": {"StringEquals": {"kms:ViaService": "bedrock.us-east-1.amazonaws.com"}},
        "Effect": "Allow",
        "Resource": KEY,
    }
    assert decrypt.actions == ["kms:Decrypt"]
    assert access.encrypt_models(stack, None) == access.decrypt_models(stack, None) == []


def test_bucket_key_is_allowed_through_s3_for_what_the_statements_do_with_objects() -> None:
    stack = cdk.Stack(env=cdk.Environment(region="us-east-1"))
    bucket = s3.Bucket(stack, "Bucket")
    read, write = access.read_objects(bucket, "*"), access.write_objects(bucket, "*")
    (both,) = access.use_bucket_key(stack, KEY, [read, write])

    assert both.to_statement_json() == {
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Condition": {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}},
        "Effect": "Allow",
        "Resource": KEY,
    }
    assert [s.actions for s in access.use_bucket_key(stack, KEY, [read])] == [["kms:Decrypt"]]
    assert [s.actions for s in access.use_bucket_key(stack, KEY, [write])] == [["kms:GenerateDataKey"]]
    assert access.use_bucket_key(stack, KEY, [access.list_keys(bucket)]) == []
    assert access.use_bucket_key(stack, None, [read, write]) == []
