"""What ``make demo`` takes; that it runs is seen by running it."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from local.demo import arguments_of


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--rpm", "0"), "RPM must be a whole number of at least 1"),
        (("--rpm", "-5"), "RPM must be a whole number of at least 1"),
        (("--rpm", "1.5"), "RPM must be a whole number of at least 1"),
        (("--faults", "x"), "FAULTS must be a share from 0 to below 1"),
        (("--faults", "nan"), "FAULTS must be a share from 0 to below 1"),
        (("--train-sizes", "a"), "TRAIN_SIZES must be like 12,30"),
    ],
)
def test_value_that_cannot_be_taken_is_told_with_what_it_must_be(given: tuple[str, ...], words: str) -> None:
    with pytest.raises(argparse.ArgumentError, match=words):
        arguments_of(given)


def test_home_is_found_in_the_name_of_the_photos_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert arguments_of(["--photos", "~/holiday"]).photos == tmp_path / "holiday"


def test_folder_that_no_demo_has_made_is_not_replaced(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()

    assert arguments_of(["--out", str(mine)]).out == mine
    assert arguments_of(["--out", str(tmp_path / "new")]).out == tmp_path / "new"

    (mine / "thesis.tex").write_text("years of work")
    for path in (mine, mine / "thesis.tex"):
        with pytest.raises(argparse.ArgumentError, match="holds what no demo has written"):
            arguments_of(["--out", str(path)])
    (mine / "summary.json").write_text("{}")

    assert arguments_of(["--out", str(mine)]).out == mine
