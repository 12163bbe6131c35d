from __future__ import annotations

from tests.local.aws.conftest import BUCKET, OBJECTS, Account

MISSING = {"get": {"Bucket": BUCKET, "Key": "none"}}


def test_missing_key_is_no_such_key_for_a_role_that_may_list(account: Account) -> None:
    assert account.invoke("owner", MISSING)["errorType"] == "NoSuchKey"


def test_missing_key_is_access_denied_for_a_role_that_may_not_list(account: Account) -> None:
    account.make_function("reader", {"Effect": "Allow", "Action": "s3:GetObject", "Resource": OBJECTS})
    assert "AccessDenied" in account.invoke("reader", MISSING)["errorMessage"]
