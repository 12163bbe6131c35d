from __future__ import annotations

import inspect
import re

from distillation import errors
from docs.generate import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")


def test_every_error_that_ends_a_run_has_a_cause_and_a_remedy() -> None:
    table = PAGE.partition("\n## Errors of a run\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| [^|]+ \|$", table, re.MULTILINE)
    named = {name.strip() for row in rows for name in row.replace(" in Prepare", "").split(",")}
    raised = {
        name
        for name, error in vars(errors).items()
        if inspect.isclass(error) and issubclass(error, errors.DistillationError)
    }

    assert raised - {"DistillationError"} <= named
