from __future__ import annotations

import re

from docs.generate import ROOT

FOLDER = ROOT / "docs" / "decisions"
RECORDS = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")


def test_every_record_has_its_number_and_context_decision_and_consequences() -> None:
    assert [record.name[:4] for record in RECORDS] == [f"{number:04}" for number in range(1, len(RECORDS) + 1)]
    for record in RECORDS:
        titles = re.findall(r"^## (.*)$", record.read_text("utf-8"), re.MULTILINE)
        assert titles == ["Context", "Decision", "Consequences"], record.name


def test_list_of_decisions_has_every_record_with_its_title() -> None:
    rows = re.findall(r"^\| (\d{4}) \| \[(.*)\]\((.*)\) \|$", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE)
    titles = [record.read_text("utf-8").partition("\n")[0].removeprefix("# ") for record in RECORDS]

    assert rows == [(record.name[:4], title, record.name) for record, title in zip(RECORDS, titles, strict=True)]
