from __future__ import annotations

import re

from local.synthesis import ROOT
from tests.aws.checks import CHECKS


def test_table_has_a_row_for_each_check_and_no_other() -> None:
    text = (ROOT / "docs/local-vs-aws.md").read_text()

    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(CHECKS)
    assert all(check.__doc__ for check in CHECKS.values())
