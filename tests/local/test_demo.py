"""``make demo``: its arguments, its request, and the folders that it writes."""

from __future__ import annotations

import argparse
import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from cli.console import CommandError
from cli.requests import resolve_request
from distillation.answers.formats import FORMATS, format_of
from distillation.errors import InvalidRequest
from distillation.evaluation.evaluation import evaluate
from local import ROOT, demo
from local.models import ModelPair
from tests.distillation.evaluation.answers import any_evidence

SAMPLES = sorted((ROOT / "samples" / "photos").glob("*.jpg"))
PAIR = ModelPair("local.teacher-pixels-v1:0", "local.student-pixels-v1:0", None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--photos", ""), "PHOTOS is empty"),
        (("--photos", " "), "PHOTOS is empty"),
        (("--rpm", "0"), "RPM must be a whole number of at least 1"),
        (("--rpm", "-5"), "RPM must be a whole number of at least 1"),
        (("--rpm", "1.5"), "RPM must be a whole number of at least 1"),
        (("--faults", "x"), "FAULTS must be a share from 0 to below 1"),
        (("--faults", "nan"), "FAULTS must be a share from 0 to below 1"),
        (("--train-sizes", "a"), "TRAIN_SIZES must be like 12,30"),
        (("--format", "tags"), "FORMAT must be one of keywords, class, fields, caption"),
    ],
)
def test_invalid_value_is_refused_with_the_values_that_are_allowed(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()

    assert len(lines) == 1
    assert lines[0].startswith(f"demo: {message}")


def test_other_empty_values_are_the_defaults() -> None:
    arguments = [
        part for name in ("format", "train-sizes", "faults", "rpm", "request", "out") for part in (f"--{name}", "")
    ]

    assert demo.parse_arguments(arguments) == demo.parse_arguments([])


def test_tilde_in_a_path_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    options = demo.parse_arguments(["--photos", "~/holiday", "--request", "~/r.json", "--out", "~/out"])

    assert (options.photos, options.request, options.out) == tuple(
        tmp_path / name for name in ("holiday", "r.json", "out")
    )


def test_folder_with_files_that_the_demo_did_not_write_is_refused(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()

    assert demo.parse_arguments(["--out", str(mine)]).out == mine
    assert demo.parse_arguments(["--out", str(tmp_path / "new")]).out == tmp_path / "new"

    (mine / "thesis.tex").write_text("years of work")
    for path in (mine, mine / "thesis.tex"):
        with pytest.raises(argparse.ArgumentError, match="has files that the demo did not write"):
            demo.parse_arguments(["--out", str(path)])
    (mine / "summary.json").write_text("{}")

    assert demo.parse_arguments(["--out", str(mine)]).out == mine


def inputs(*arguments: str) -> dict[str, Any]:
    """Return the request of a demo with these arguments."""
    return demo.check_inputs(demo.parse_arguments(arguments), PAIR).request


def request_file(folder: Path, text: str) -> str:
    path = folder / "my request.json"
    path.write_text(text)
    return str(path)


def test_request_has_the_fields_of_the_file_and_those_of_the_command_line_win(tmp_path: Path) -> None:
    fields = {"train_sizes": [9], "until": "LabelImages", "tolerance": 0.1, "prompt": "alt_text"}
    path = request_file(tmp_path, json.dumps(fields))
    plain, with_file = inputs(), inputs("--request", path)
    both = inputs("--request", path, "--train-sizes", "12,14", "--rpm", "60", "--format", "class")

    assert plain == {
        "teacher": PAIR.teacher_id,
        "student": PAIR.student_id,
        "tolerance": 0.5,
        "train_sizes": [12, 30],
    }
    assert with_file == plain | fields
    assert both == with_file | {
        "train_sizes": [12, 14],
        "quotas": {PAIR.teacher_id: {"requests_per_minute": 60}},
        "prompt": "category",
    }


@pytest.mark.parametrize("fields", ['{"grow": true}', '{"until": "LabelImages"}'])
def test_request_that_says_how_to_train_has_no_other_sizes(fields: str, tmp_path: Path) -> None:
    assert "train_sizes" not in inputs("--request", request_file(tmp_path, fields))


@pytest.mark.parametrize(
    ("arguments", "request_text", "message"),
    [
        (("--train-sizes", "3"), None, "train_sizes: 3 is outside"),
        ((), '{"teacher": "gpt"}', "teacher 'gpt' is not allowed"),
        ((), '{"tain_sizes": [8]}', "tain_sizes"),
        ((), "[]", "^REQUEST=.*my request.json does not contain a JSON object"),
        ((), "{", "^REQUEST=.*my request.json cannot be read"),
        ((), '{"apply": "photos-1"}', "has 'apply', which names an earlier run.*make local"),
        ((), '{"replace": "photos-1"}', "has 'replace', which names an earlier run"),
        ((), '{"min_images": 46}', "has 45 photos; training and testing need at least 46"),
    ],
    ids=["size", "teacher", "field", "list", "syntax", "apply", "replace", "photos"],
)
def test_request_that_cannot_work_is_refused_before_anything_starts(
    arguments: tuple[str, ...], request_text: str | None, message: str, tmp_path: Path
) -> None:
    if request_text is not None:
        arguments = (*arguments, "--request", request_file(tmp_path, request_text))
    with pytest.raises((CommandError, InvalidRequest), match=message):
        inputs(*arguments)


def test_quota_of_the_command_line_joins_those_of_the_file(tmp_path: Path) -> None:
    path = request_file(
        tmp_path, '{"teacher": null, "quotas": {"local.student-pixels-v1:0": {"tokens_per_minute": 9}}}'
    )

    assert inputs("--request", path, "--rpm", "5")["quotas"] == {
        "local.student-pixels-v1:0": {"tokens_per_minute": 9},
        "local.teacher-efficientnet-v1:0": {"requests_per_minute": 5},
    }


def test_folder_with_too_few_photos_or_none_is_refused(tmp_path: Path) -> None:
    for photo in SAMPLES[:19]:
        shutil.copy(photo, tmp_path)

    with pytest.raises(CommandError, match="has 19 photos; training and testing need at least 20"):
        inputs("--photos", str(tmp_path))
    with pytest.raises(CommandError, match=r"^PHOTOS: .*absent"):
        inputs("--photos", str(tmp_path / "absent"))


def test_out_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(CommandError, match=f"OUT={file}/out cannot be written: Not a directory"):
        inputs("--out", str(file / "out"))

    def read_only(**_: Any) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(demo.tempfile, "TemporaryFile", read_only)
    with pytest.raises(CommandError, match=f"OUT={tmp_path}/out cannot be written: Read-only file system"):
        inputs("--out", str(tmp_path / "out"))


def test_out_is_not_the_link_to_the_last_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "BUILD", tmp_path)
    for is_made in (False, True):
        if is_made:
            demo.save(summary("SUCCEEDED"), {}, "one", None)
        with pytest.raises(argparse.ArgumentError, match="latest is the link to the last run's folder"):
            demo.parse_arguments(["--out", str(tmp_path / "demo" / "latest")])


def test_latest_leads_to_an_out_folder_among_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "BUILD", tmp_path)
    demo.save(summary("SUCCEEDED"), {"report.html": b"mine"}, "one", tmp_path / "demo" / "mine")

    assert (tmp_path / "demo" / "latest" / "report.html").read_text() == "mine"


def summary(status: str) -> dict[str, Any]:
    models = {"teacher": "a", "base": "b", "tuned": "b"}
    fields = {"verdict": "fine", "agreement": None, "rejected": [], "seconds": 1, "models": models}
    return {"execution_status": status, **fields}


def test_each_run_has_its_own_folder_and_latest_is_the_last_one_that_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "BUILD", tmp_path)
    latest = tmp_path / "demo" / "latest"
    for run, status in (("one", "SUCCEEDED"), ("two", "SUCCEEDED"), ("three", "FAILED")):
        files = {"report.html": run.encode()} if status == "SUCCEEDED" else {}
        folder = demo.save(summary(status), files, run, None)

        assert folder == tmp_path / "demo" / run
        assert json.loads((folder / "summary.json").read_text())["execution_status"] == status

    assert latest.readlink() == Path("two")
    assert (latest / "report.html").read_text() == "two"
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == ["latest", "one", "three", "two"]


def test_only_a_run_that_finished_writes_to_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "BUILD", tmp_path / "build")
    out = tmp_path / "my reports"
    demo.save(summary("SUCCEEDED"), {"report.html": b"good"}, "one", out)
    demo.save(summary("FAILED"), {}, "two", out)

    assert (out / "report.html").read_text() == "good"
    assert json.loads((out / "summary.json").read_text())["report"] == str(out / "report.html")
    assert (tmp_path / "build" / "demo" / "latest").resolve() == out
    assert json.loads((tmp_path / "build/demo/two/summary.json").read_text())["execution_status"] == "FAILED"


@pytest.mark.parametrize(("status", "code"), [("FAILED", 1), ("TIMED_OUT", 1), ("SUCCEEDED", 0)])
def test_outcome_does_not_repeat_the_cause(status: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    failed = summary(status) | {"error": "Broken", "cause": "the cause", "report": None}

    assert demo.print_result(failed, Path("folder")) == code
    assert "the cause" not in capsys.readouterr().out


def test_each_answer_format_has_a_prompt() -> None:
    for name, prompt in demo.PROMPTS.items():
        run = resolve_request("photos/", {"prompt": prompt}, "local", "us-east-1")

        assert format_of(run).format == name
    assert set(demo.PROMPTS) == set(FORMATS)


def test_summary_has_scores_by_size_and_the_paired_gain_over_base_and_control() -> None:
    figures = evaluate(any_evidence("cat, sofa, thing {}")).figures
    agreement = demo.agreement_of(figures)

    assert figures.gate is not None
    assert set(agreement) >= {"base", "tuned", "control", "floor", "ceiling", "gain_over_base", "gain_over_control"}
    assert list(agreement["tuned"]) == [name.removeprefix("n") for name in figures.agreement.tuned]
    assert agreement["gain_over_control"] == json.loads(figures.gate.model_dump_json())["over_control"]
    assert agreement["gain_over_control"]["ci95"][0] < agreement["gain_over_control"]["mean"]


def test_server_without_a_model_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo.models, "available_pair", lambda cache: PAIR)
    monkeypatch.setenv("LOCAL_VLM", "http://127.0.0.1:9/v1")
    for name in ("TEACHER_MODEL", "STUDENT_MODEL"):
        monkeypatch.delenv(name, raising=False)

    assert demo.main(["--out", str(tmp_path / "out")]) == 2
    assert "demo: LOCAL_VLM is set without a model" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
