from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest

from distillation.records import StageLimits
from docs.generate import ROOT
from tests.infra.template_readers import ACCOUNT, REGION
from tests.infra.test_iam_policies import problems

PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
PHOTOS = "arn:aws:s3:::photos"


def policies() -> list[list[dict[str, Any]]]:
    """Return the statements of each policy on the page, for the bucket ``photos``."""
    names = {"PHOTOS_BUCKET": "photos", "STATE_MACHINE": "Machine", "ACCOUNT": ACCOUNT, "REGION": REGION, "ROLE": "up"}
    documents = []
    for text in re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        document = json.loads(re.sub("|".join(names), lambda match: names[match[0]], text))
        assert document["Version"] == "2012-10-17"
        documents.append(document["Statement"])
    return documents


OPERATOR, UPLOADER, PHOTOS_ONLY = policies()


def allowed(statements: list[dict[str, Any]], action: str, resource: str, prefix: str | None = None) -> bool:
    """Return whether the statements allow a request: one allows it and none denies it."""

    def applies(statement: dict[str, Any]) -> bool:
        actions, resources = (
            value if isinstance(value, list) else [value] for value in (statement["Action"], statement["Resource"])
        )
        pattern = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix")
        return (
            action in actions
            and any(fnmatchcase(resource, name) for name in resources)
            and (pattern is None or (prefix is not None and fnmatchcase(prefix, pattern)))
        )

    effects = {statement["Effect"] for statement in statements if applies(statement)}
    return effects == {"Allow"}


@pytest.mark.parametrize("policy", [OPERATOR, UPLOADER, PHOTOS_ONLY])
def test_actions_resources_and_condition_keys_of_the_policies_exist(policy: list[dict[str, Any]]) -> None:
    assert [problem for statement in policy for problem in problems(statement)] == []


@pytest.mark.parametrize(
    ("action", "resource", "prefix", "may"),
    [
        ("s3:PutObject", f"{PHOTOS}/holiday/a.jpg", None, True),
        ("s3:PutObject", f"{PHOTOS}/holiday/distill.json", None, True),
        ("s3:AbortMultipartUpload", f"{PHOTOS}/holiday/a.jpg", None, True),
        ("s3:PutObject", f"{PHOTOS}/other/distill.json", None, False),
        ("s3:PutObject", f"{PHOTOS}/holiday2/distill.json", None, False),
        ("s3:PutObject", f"{PHOTOS}/distill.json", None, False),
        ("s3:ListBucket", PHOTOS, "holiday/", True),
        ("s3:ListBucket", PHOTOS, "other/", False),
        ("s3:ListBucket", PHOTOS, None, False),
        ("s3:GetObject", f"{PHOTOS}/holiday/a.jpg", None, False),
        ("s3:DeleteObject", f"{PHOTOS}/holiday/a.jpg", None, False),
    ],
)
def test_uploader_may_write_and_list_one_collection_and_nothing_else(
    action: str, resource: str, prefix: str | None, may: bool
) -> None:
    assert allowed(UPLOADER, action, resource, prefix) == may


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("StartExecution", "stateMachine:Machine"),
        ("ListExecutions", "stateMachine:Machine"),
        ("DescribeExecution", "execution:Machine:e"),
        ("StopExecution", "execution:Machine:e"),
    ],
)
def test_operator_may_start_find_and_stop_runs(action: str, resource: str) -> None:
    assert allowed(OPERATOR, f"states:{action}", f"arn:aws:states:{REGION}:{ACCOUNT}:{resource}")


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("a.jpg", True),
        ("distill.json", False),
        ("labels.csv", False),
        ("vocabulary.csv", False),
        ("sub/labels.jsonl", False),
    ],
)
def test_uploader_of_photos_only_may_not_start_runs_or_write_labels(name: str, may: bool) -> None:
    assert allowed([*UPLOADER, *PHOTOS_ONLY], "s3:PutObject", f"{PHOTOS}/holiday/{name}") == may


def test_policies_name_one_principal() -> None:
    assert {json.dumps(statement["Principal"]) for statement in [*UPLOADER, *PHOTOS_ONLY]} == {
        f'{{"AWS": "arn:aws:iam::{ACCOUNT}:role/up"}}'
    }


def test_table_of_limits_has_the_defaults() -> None:
    rows = dict(re.findall(r"^\| (max_\w+) \| ([\d,]+) \|", PAGE, re.MULTILINE))

    assert {name: float(value.replace(",", "")) for name, value in rows.items()} == {
        name: field.default for name, field in StageLimits.model_fields.items()
    }
