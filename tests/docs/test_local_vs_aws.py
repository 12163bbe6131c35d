from __future__ import annotations

import re
from datetime import date
from typing import Literal

import pytest

from docs.assumptions import HEADER, assumption_rows
from docs.generate import ASSUMPTIONS_PAGE, generate_page
from tests.aws.assumptions import ASSUMPTIONS, Assumption, checks
from tests.aws.free_checks import FREE_CHECKS
from tests.aws.paid_checks import PAID_CHECKS
from tests.aws.receipt import Outcome, Receipt


def page() -> str:
    return ASSUMPTIONS_PAGE.read_text("utf-8")


def receipt(day: int, outcome: Literal["confirmed", "refuted", "error"], observation: str = "seen") -> Receipt:
    return Receipt(
        date=date(2026, 12, day),
        region="us-east-1",
        code="0123456789",
        teacher="amazon.nova-pro-v1:0",
        student="amazon.nova-lite-v1:0",
        checks={"absent_names": Outcome(outcome=outcome, observation=observation)},
    )


def test_page_matches_checks_and_receipts() -> None:
    assert page() == generate_page(page()), "docs/local-vs-aws.md is out of date: run make docs"


def test_table_has_a_row_for_each_check_and_each_name_once() -> None:
    names = re.findall(r"^\| `(\w+)` \|", page(), re.MULTILINE)

    assert names == [assumption.name for assumption in ASSUMPTIONS]
    assert len(set(names)) == len(names)
    assert [assumption.name for assumption in checks("free")] == list(FREE_CHECKS)
    assert [assumption.name for assumption in checks("paid")] == list(PAID_CHECKS)


@pytest.mark.parametrize("assumption", ASSUMPTIONS, ids=lambda assumption: assumption.name)
def test_assumption_is_a_sentence_with_its_source_and_where_it_runs(assumption: Assumption) -> None:
    assert re.fullmatch(r"[A-Z`\"].*[.]", assumption.statement)
    assert re.match(r"(yes|partly|no)\b", assumption.documented)
    assert re.match(r"(yes|no: .)", assumption.emulator)
    assert (assumption.cost == "none") == (assumption.check is None)


@pytest.mark.parametrize(
    ("receipts", "result"),
    [
        ([], "not yet"),
        ([receipt(1, "error")], "not yet"),
        ([receipt(1, "confirmed")], "confirmed 2026-12-01 (1 of 1 receipts): seen"),
        ([receipt(1, "confirmed"), receipt(2, "error")], "confirmed 2026-12-01 (1 of 1 receipts): seen"),
        ([receipt(1, "confirmed"), receipt(2, "refuted")], "**refuted** 2026-12-02 (1 of 2 receipts): seen"),
        ([receipt(3, "confirmed", "<name> a|b")], "confirmed 2026-12-03 (1 of 1 receipts): &lt;name> a\\|b"),
    ],
)
def test_column_run_on_aws_is_the_newest_outcome_of_the_receipts(receipts: list[Receipt], result: str) -> None:
    (row,) = assumption_rows(checks("free")[8:9], receipts)

    assert dict(zip(HEADER, row, strict=True))["name"] == "`absent_names`"
    assert dict(zip(HEADER, row, strict=True))["run on AWS"] == result


def test_assumption_without_a_check_has_no_result() -> None:
    (row,) = assumption_rows([Assumption("a", "A is true.", "no")], [])

    assert row[-1] == "–"
