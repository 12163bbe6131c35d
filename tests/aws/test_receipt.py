from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.aws.assumptions import ASSUMPTIONS
from tests.aws.receipt import RECEIPTS, Outcome, Receipt, Redactor, read_receipts

ACCOUNT = "123456789012"
BUCKET = "distill-dev-storage-data1a2b3c-xyz"
RUN = "verify-aws-1764204000-ab12cd34ef"
ARN = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:custom-model-deployment/abcdefabcdef"
NAMES = (ACCOUNT, BUCKET, RUN, "jane", "dev")


def receipt(observation: str = "yes", **fields: Any) -> Receipt:
    values = {
        "date": date(2026, 12, 1),
        "region": "us-east-1",
        "code": "0123456789",
        "teacher": "amazon.nova-pro-v1:0",
        "student": "amazon.nova-lite-v1:0",
        "checks": {"absent_names": Outcome(outcome="confirmed", observation=observation)},
    }
    return Receipt(**(values | fields))


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"User: arn:aws:sts::{ACCOUNT}:assumed-role/Admin/jane is not authorized", "User: <arn> is not authorized"),
        (f"{ARN} not found.", "<arn> not found."),
        (f"cannot read s3://{BUCKET}/runs/{RUN}/report.json", "cannot read <s3 location>"),
        (f"bucket {BUCKET} is empty", "bucket <name> is empty"),
        (f"job {RUN}-n12-a1\nfailed", "job <name>-n12-a1 failed"),
        ("stage dev on a device", "stage <name> on a device"),
        ("account 1234-5678-9012 or 210987654321", "account <number> or <number>"),
        ("stack Distill-other-Pipeline", "stack <stack>"),
        ("jane@example.com", "<name>@example.com"),
        ("joe@example.com", "<email>"),
        ("request 0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f", "request <id>"),
        ("812 input tokens", "812 input tokens"),
        ("amazon.nova-lite-v1:0:300k: ACTIVE", "amazon.nova-lite-v1:0:300k: ACTIVE"),
    ],
)
def test_private_parts_of_an_observation_are_replaced(text: str, redacted: str) -> None:
    assert Redactor(NAMES)(text) == redacted


private_parts = st.sampled_from([*NAMES[:3], ARN, f"s3://{BUCKET}/images/900/a.jpg", BUCKET.upper(), "jane@a.com"])
digits = st.from_regex(r"\d{12,14}", fullmatch=True)
texts = st.lists(st.one_of(private_parts, digits, st.text(max_size=8)), max_size=6).map("".join)


@given(texts, st.sampled_from(["", " ", "/", "-"]))
def test_no_account_arn_bucket_or_run_gets_into_a_receipt(text: str, separator: str) -> None:
    observation = Redactor(NAMES)(separator.join([text, text]))

    written = receipt(observation).model_dump_json().lower()

    assert not re.search(r"\d{12}|arn:aws|s3://", written)
    assert not [name for name in (ACCOUNT, BUCKET, RUN) if name in written]


@pytest.mark.parametrize(
    "private",
    [ACCOUNT, f"see {ARN}", f"s3://{BUCKET}", "joe@example.com", "Distill-dev-Storage", "https://example.com/x"],
)
def test_receipt_with_private_text_is_refused(private: str) -> None:
    with pytest.raises(ValidationError, match="private text"):
        receipt(private)
    with pytest.raises(ValidationError, match="private text"):
        receipt(teacher=private)
    with pytest.raises(ValidationError, match="private text"):
        receipt(problem=private)


def test_receipts_are_read_oldest_first(tmp_path: Path) -> None:
    for name, day in (("a", date(2026, 12, 2)), ("b", date(2026, 12, 1))):
        (tmp_path / f"{name}.json").write_text(receipt(date=day).model_dump_json())

    assert [receipt.date.day for receipt in read_receipts(tmp_path)] == [1, 2]


def test_receipts_of_the_repository_are_valid_and_name_known_checks() -> None:
    names = {assumption.name for assumption in ASSUMPTIONS if assumption.check}

    assert {name for receipt in read_receipts(RECEIPTS) for name in receipt.checks} <= names
