"""Arguments of ``make demo``."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from local.demo import parse_arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rpm", "0"), "RPM must be a whole number of at least 1"),
        (("--rpm", "-5"), "RPM must be a whole number of at least 1"),
        (("--rpm", "1.5"), "RPM must be a whole number of at least 1"),
        (("--faults", "x"), "FAULTS must be a share from 0 to below 1"),
        (("--faults", "nan"), "FAULTS must be a share from 0 to below 1"),
        (("--train-sizes", "a"), "TRAIN_SIZES must be like 12,30"),
    ],
)
def test_invalid_value_is_refused_with_the_values_that_are_allowed(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(argparse.ArgumentError, match=message):
        parse_arguments(arguments)


def test_tilde_in_the_photos_folder_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert parse_arguments(["--photos", "~/holiday"]).photos == tmp_path / "holiday"


def test_folder_with_files_that_the_demo_did_not_write_is_not_replaced(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()

    assert parse_arguments(["--out", str(mine)]).out == mine
    assert parse_arguments(["--out", str(tmp_path / "new")]).out == tmp_path / "new"

    (mine / "thesis.tex").write_text("years of work")
    for path in (mine, mine / "thesis.tex"):
        with pytest.raises(argparse.ArgumentError, match="has files that the demo did not write"):
            parse_arguments(["--out", str(path)])
    (mine / "summary.json").write_text("{}")

    assert parse_arguments(["--out", str(mine)]).out == mine
