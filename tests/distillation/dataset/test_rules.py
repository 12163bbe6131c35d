from __future__ import annotations

from distillation.dataset.other_formats import FOREIGN_RULES
from distillation.dataset.rules import RULES
from tests.distillation.dataset.generated_records import MUTATIONS, UNREADABLE_LINES

TESTED_ELSEWHERE = {
    # tests/cli/test_validate.py, test_validator.py and test_record_checks.py
    *("file_name", "too_few_records", "too_many_records", "validation_file", "tools_unsupported"),
    *("file_form", "line_length", *FOREIGN_RULES),
    *("image_missing", "image_bytes", "image_format", "image_small", "image_pixels", "image_unreadable"),
}


def test_every_error_rule_is_broken_by_a_test() -> None:
    broken = {rule for rule, _ in MUTATIONS} | UNREADABLE_LINES.keys() | TESTED_ELSEWHERE

    assert broken == {name for name, rule in RULES.items() if rule.severity == "error"}
