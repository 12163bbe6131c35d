from __future__ import annotations

from pathlib import Path

from docs.generate import ROOT
from tests.support.command import distill

README = (ROOT / "README.md").read_text("utf-8")


def test_prompt_of_the_readme_is_a_valid_request(tmp_path: Path) -> None:
    example = README.partition('```\n{"prompt"')
    (tmp_path / "request.json").write_text('{"prompt"' + example[2].partition("```")[0], "utf-8")
    result = distill("estimate", "1000x900x600", "--request", tmp_path / "request.json")

    assert result.exit_code == 0, result.output
