from __future__ import annotations

import json

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
