"""Arguments of ``make demo``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest

from cli.requests import resolve_request
from distillation.answers.formats import FORMATS, format_of
from distillation.evaluation.evaluation import evaluate
from local import models
from local.demo import PROMPTS, agreement_of, main, parse_arguments
from tests.distillation.evaluation.answers import any_evidence


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rpm", "0"), "RPM must be a whole number of at least 1"),
        (("--rpm", "-5"), "RPM must be a whole number of at least 1"),
        (("--rpm", "1.5"), "RPM must be a whole number of at least 1"),
        (("--faults", "x"), "FAULTS must be a share from 0 to below 1"),
        (("--faults", "nan"), "FAULTS must be a share from 0 to below 1"),
        (("--train-sizes", "a"), "TRAIN_SIZES must be like 12,30"),
        (("--format", "tags"), "FORMAT must be one of keywords, class, fields, caption"),
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


def test_each_answer_format_has_a_prompt() -> None:
    for name, prompt in PROMPTS.items():
        run = resolve_request("photos/", {"prompt": prompt}, "local", "us-east-1")

        assert format_of(run).format == name
    assert set(PROMPTS) == set(FORMATS)
    assert parse_arguments([]).format == "keywords"


def test_summary_has_scores_by_size_and_the_paired_gain_over_base_and_control() -> None:
    figures = evaluate(any_evidence("cat, sofa, thing {}")).figures
    agreement = agreement_of(figures)

    assert figures.gate is not None
    assert set(agreement) >= {"base", "tuned", "control", "floor", "ceiling", "gain_over_base", "gain_over_control"}
    assert list(agreement["tuned"]) == [name.removeprefix("n") for name in figures.agreement.tuned]
    assert agreement["gain_over_control"] == json.loads(figures.gate.model_dump_json())["over_control"]
    assert agreement["gain_over_control"]["ci95"][0] < agreement["gain_over_control"]["mean"]


def test_server_without_a_model_is_refused_before_an_earlier_report_is_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "summary.json").write_text("{}")
    monkeypatch.setattr(models, "available_pair", lambda cache: models.NETWORKS)
    monkeypatch.setattr(sys, "argv", ["demo", "--out", str(tmp_path)])
    monkeypatch.setenv("LOCAL_VLM", "http://127.0.0.1:9/v1")
    for name in ("TEACHER_MODEL", "STUDENT_MODEL"):
        monkeypatch.delenv(name, raising=False)

    assert main() == 2
    assert "demo: LOCAL_VLM is set without a model" in capsys.readouterr().out
    assert (tmp_path / "summary.json").exists()
