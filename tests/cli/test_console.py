from __future__ import annotations

import json

import pytest
from pydantic import BaseModel

from cli import console
from cli.console import (
    format_table,
    print_document,
    print_json,
    print_line,
    print_table,
    print_to_stderr,
    print_wrapped,
    quantity,
)

HOSTILE = "a\u202eb\x1b[2J\u200b\ufeff \u2066می\u200cخواهم"
CLEAN = "ab[2J می\u200cخواهم"


class Document(BaseModel):
    text: str


def test_lines_have_no_invisible_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(HOSTILE)
    print_wrapped(HOSTILE)
    print_to_stderr(HOSTILE)
    output = capsys.readouterr()

    assert (output.out, output.err) == (f"{CLEAN}\n" * 2, f"{CLEAN}\n")


@pytest.mark.parametrize("indent", [1, None])
def test_json_has_the_exact_value_without_raw_control_characters(
    capsys: pytest.CaptureFixture[str], indent: int | None
) -> None:
    value = {"text": f"{HOSTILE}\u2028\ud800é👩\u200d"}
    print_json(value, indent=indent)
    output = capsys.readouterr().out

    assert json.loads(output) == value
    assert not set(output) & set("\u202e\x1b\u200b\ufeff\u2028\u200d\ud800")
    assert "é👩" in output


def test_document_has_the_exact_value(capsys: pytest.CaptureFixture[str]) -> None:
    print_document(Document(text=HOSTILE))

    assert json.loads(capsys.readouterr().out) == {"text": HOSTILE}


def test_columns_are_aligned_by_what_is_shown_and_a_cell_adds_no_line() -> None:
    assert format_table([["a\u202e\nb", "c"], ["d", "e"]]) == "a b  c\nd    e"


@pytest.mark.parametrize("columns", [40, 200])
def test_table_that_is_wider_than_the_terminal_is_printed_as_a_list(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    print_table([["", "run", "settings"], ["*", "r1", "a" * 34], ["", "r2", "b"]])
    narrow = [f"          *\nrun       r1\nsettings  {'a' * 34}\n", "run       r2\nsettings  b\n"]
    wide = [f"   run  settings\n*  r1   {'a' * 34}", "   r2   b"]
    output = capsys.readouterr().out.rstrip()

    assert output == "\n".join(narrow if columns == 40 else wide).rstrip()


def test_noun_is_singular_only_for_one() -> None:
    assert [quantity(number, "error") for number in (0, 1, 2_000)] == ["0 errors", "1 error", "2,000 errors"]
