from __future__ import annotations

import importlib
import json
from typing import Any

from tests.local.aws.conftest import BUCKET, OBJECTS, Account


def test_loopback_satisfies_a_bucket_policy_that_requires_tls(account: Account) -> None:
    require_tls = {
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{BUCKET}", OBJECTS],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [require_tls]})
    account.client("s3").put_bucket_policy(Bucket=BUCKET, Policy=policy)
    account.make_function("powerless")
    assert "errorType" not in account.invoke("writer", {"put": BUCKET})
    assert "AccessDenied" in account.invoke("powerless", {"put": BUCKET})["errorMessage"]


def test_executions_of_a_map_run_are_listed_with_a_permission_on_the_map_run(account: Account) -> None:
    iam_actions: Any = importlib.import_module("ministack.core.iam_actions")
    map_run, machine = (f"arn:aws:states:us-east-1:000000000000:{name}" for name in ("mapRun:m/l:id", "stateMachine:m"))
    for field, arn in (("mapRunArn", map_run), ("stateMachineArn", machine), ("other", "*")):
        body = json.dumps({field: arn}).encode()
        found = iam_actions.extract_resource_arn("states", "POST", "/", {}, body, {}, "us-east-1", "000000000000")
        assert found == arn
