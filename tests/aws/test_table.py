from __future__ import annotations

import re

from local.synthesis import ROOT
from tests.aws.checks import CHECKS


def test_every_check_has_its_row_in_the_table_and_every_row_its_check() -> None:
    text = (ROOT / "docs/local-vs-aws.md").read_text()

    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(CHECKS)
    assert all(check.__doc__ for check in CHECKS.values())
