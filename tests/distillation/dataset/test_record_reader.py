from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillation.dataset.validator import DatasetValidator
from tests.distillation.dataset.generated_records import NOVA_1, UNREADABLE_LINES, damage, errors, lines, records

VALID = lines([{"messages": [{"role": role, "content": [{"text": role}]} for role in ("user", "assistant")]}])


@pytest.mark.parametrize("rule", UNREADABLE_LINES)
def test_unreadable_line_is_reported_by_its_rule(rule: str) -> None:
    assert [error.rule for error in errors([*VALID * 8, UNREADABLE_LINES[rule]], NOVA_1, None)] == [rule]


@pytest.mark.parametrize("line", [b"\n", b"not json\n", b"[]\n", b"\xff\xfe\n", b"[" * 100_000])
def test_line_without_a_record_is_a_problem_and_not_a_crash(line: bytes) -> None:
    problem = next(DatasetValidator(NOVA_1, "data").problems([line, *VALID * 9]))

    assert problem.line == 1


@given(st.data())
def test_damaged_files_are_checked_without_a_crash(data: st.DataObject) -> None:
    body = damage(b"".join(lines([data.draw(records("image", NOVA_1)) for _ in range(2)])), data.draw)
    problems = DatasetValidator(NOVA_1, None).problems(body.splitlines(keepends=True))

    assert {"too_few_records", "file_form"} & {problem.rule for problem in problems}
