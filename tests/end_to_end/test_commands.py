"""The operator's commands, one after another, against the deployed pipeline."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from cli import watch
from tests.end_to_end.conftest import PHOTOS, PIXELS, PipelineDriver
from tests.support import command
from tests.support.stored import read_json, read_lines

Start = Callable[..., AbstractContextManager[PipelineDriver]]
OWN_PROMPT = {"system": "You index photographs.", "user": "Write 15 to 25 keywords, separated by commas."}


def distill(*arguments: object, code: int = 0) -> Any:
    result = command.distill(*map(str, arguments), "--stage", "local")
    assert result.exit_code == code, result.output[-2000:]
    assert "\x1b" not in result.output
    return result


def printed(*arguments: object) -> Any:
    return json.loads(distill(*arguments, "--json").stdout)


def request_file(folder: Path, **fields: Any) -> Path:
    path = folder / "request.json"
    path.write_text(json.dumps(PIXELS | fields), "utf-8")
    return path


def test_commands_take_photos_from_upload_to_report(
    pipeline: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.2)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, path in PHOTOS.items():
        shutil.copy(path, folder / name)
    with pipeline() as running:
        # The stage is ready, as far as the endpoint shows.
        findings = {finding["what"]: finding for finding in printed("doctor")}
        assert findings["stack Distill-local-Pipeline"]["state"] == "good"
        assert findings["CDK bootstrap"]["state"] == "good"
        assert findings["quota custom models in the account"]["state"] == "unknown"
        assert findings["budget of the month"]["detail"].startswith("$500.00 of $500.00 left in 20")

        # A second upload sends only the changed file.
        first = printed("upload", folder, "holiday")
        assert (first["uploaded"], first["unchanged"], first["failed"]) == (24, 0, [])
        changed = folder / next(iter(PHOTOS))
        changed.write_bytes(changed.read_bytes() + b"\0")
        again = printed("upload", folder, "holiday")
        assert (again["uploaded"], again["unchanged"]) == (1, 23)
        assert "0 uploaded" in distill("upload", folder, "holiday/").stdout

        # A folder and its collection have the same estimate.
        request = request_file(tmp_path, baseline=False, train_sizes=[8], keep="all")
        before = printed("estimate", "holiday/", "--request", request)
        assert before["by_step"] == printed("estimate", folder, "--request", request)["by_step"]

        # Start and watch.
        run = printed("start", "holiday/", "--request", request)["run"]
        lines = distill("watch", run, "--json").stdout.splitlines()
        seen = [json.loads(line) for line in lines]
        states = {state["name"]: state for state in seen[-1]["states"]}
        assert seen[-1]["status"] == "SUCCEEDED"
        assert states["LabelImages"]["done"] == states["LabelImages"]["total"] > 8
        assert states["TrainModels"]["training_tokens"] > 0
        assert states["TrainModels"]["inside"]["SizeTrained"] == 1
        assert len(seen) > 2

        # The report has estimate and ledger; the next estimate uses the measured tokens.
        report = printed("report", run, "--out", tmp_path / "report")
        assert (tmp_path / "report/report.html").exists()
        assert report["usd"] == pytest.approx(seen[-1]["usd"])
        spent = {row["step"]: row["spent"] for row in report["money"]["by_step"]}
        assert all(spent[step] > 0 for step in ("LabelImages", "TrainModels", "PredictTestImages"))
        assert spent["Lambda"] is None
        after = printed("estimate", "holiday/", "--request", request)
        assert f"answers of run {run}" in after["range_from"][0]

        # A person corrects the labels and judges the answers.
        reviewed = printed("review", run, "--limit", 20, "--out", tmp_path / "report")
        assert (reviewed["images"], len(reviewed["files"])) == (report["labelled"], -(-report["labelled"] // 20))
        assert "data:image/jpeg" in (tmp_path / "report/review-1.html").read_text("utf-8")
        assert 0 < printed("prefer", run, "--out", tmp_path / "report")["pairs"] <= 50
        (test_image, *_) = (
            line["image"] for line in read_lines(running.pipeline.data, f"runs/{run}/splits/test.jsonl")
        )
        judgement = {"image": test_image, "against": "teacher", "choice": "tie"}
        preferences = tmp_path / "preferences.json"
        judged = {"run": run, "tuned": "n8", "equal": {}, "images": 1, "judgements": [judgement]}
        preferences.write_text(json.dumps(judged), "utf-8")
        again = printed("report", run, "--out", tmp_path / "report", "--preferences", preferences)
        assert [(rate["against"], rate["rate"]) for rate in again["preferences"]] == [("teacher", 0.5)]
        assert "Preferences of a person" in (tmp_path / "report/report.html").read_text("utf-8")

        # Its dataset and images are valid for Bedrock.
        (dataset,) = running.keys(f"runs/{run}/dataset/train-")
        uri = f"s3://{running.pipeline.data.name}/{dataset}"
        checked = command.distill("validate", "-i", uri, "-m", "lite", "--images")
        assert checked.stdout.splitlines()[-1] == "Validation successful, all samples passed"

        # Its labels are exported with the images.
        exported = printed("export", run, "--out", tmp_path / "export")
        tasks = json.loads((tmp_path / "export/label-studio/tasks.json").read_text("utf-8"))
        assert exported["images"] == len(tasks) == len(list((tmp_path / "export/images").iterdir()))
        assert exported["labels"]["train"] == len((tmp_path / "export/trl/train.jsonl").read_text().splitlines()) >= 8

        # The run is listed, and its tuned model answers about a collection.
        assert [row["run"] for row in printed("runs")] == [run]
        tables = tmp_path / "keywords"
        options = ("--tolerance", 1, "--fallback", "--out", tables, "--xmp", folder)
        result = distill("apply", "holiday/", "--run", run, *options, "--json")
        applied = result.stdout.splitlines()
        assert json.loads(applied[-1])["files"] == [str(tables / f"results.{kind}") for kind in ("csv", "jsonl")]
        applied_run, audit = (json.loads(applied[-1])[field] for field in ("run", "audit"))
        assert audit["asked"] == 20
        assert 0 < audit["agreement"]["mean"] <= 1
        assert json.loads(applied[-2])["usd"] > 0
        assert len((tables / "results.jsonl").read_text("utf-8").splitlines()) == 24
        sidecars = json.loads(applied[-1])["xmp"]
        assert (sidecars["written"] + sidecars["without_answer"], sidecars["failed"]) == (24, [])
        assert len(list(folder.glob("*.xmp"))) == sidecars["written"] > 0
        assert "0 XMP sidecars written" in distill("report", applied_run, "--xmp", folder, "--out", tables).stdout
        assert running.bedrock_resources[1:] == ([f"{run}-n8-a1"], [f"{run}-n8-a1"])

        # Both runs count against the month's budget, with what they spent.
        findings = {finding["what"]: finding for finding in printed("doctor")}
        budget = findings["budget of the month"]["detail"]
        amounts = re.fullmatch(r"\$([\d.]+) of \$500\.00 left in \d{4}-\d\d: \$([\d.]+) spent", budget)
        assert amounts
        assert float(amounts[1]) + float(amounts[2]) == pytest.approx(500, abs=0.011)
        (key,) = running.keys("budget/")
        assert [entry["run"] for entry in read_json(running.pipeline.data, key)["runs"]] == [run, applied_run]

        # An upload to another collection may not name the run.
        executions = len(running.pipeline.executions())
        running.pipeline.start_run("other/", {"apply": run})
        running.until(lambda: len(running.pipeline.executions()) > executions)
        refused = running.wait(running.pipeline.executions()[0])
        assert (refused.status, refused.error) == ("FAILED", "InvalidRequest")
        assert "is neither a run of collection 'other/'" in (refused.cause or "")

        # The run's resources are listed, and deleted on request.
        assert [resource["kind"] for resource in printed("clean", "--run", run)] == ["deployment", "model"]
        assert "Deleted" in distill("clean", "--run", run, "--yes").stdout
        assert running.bedrock_resources == ([], [], [])


def test_run_that_is_started_with_options_is_stopped_with_what_it_has_begun(
    pipeline: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.2)
    archive = tmp_path / "photos of mine.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name, path in PHOTOS.items():
            file.write(path, name)
    with pipeline() as running:
        # The photos of an archive are shrunk, and those of the folder would be others.
        first = printed("upload", archive, "holiday/", "--shrink")
        assert (first["uploaded"], first["unchanged"], first["shrunk"], first["failed"]) == (24, 0, True, [])
        again = distill("upload", archive, "holiday/", "--shrink")
        assert "24 unchanged" in again.stdout
        assert "Warning" not in again.stderr

        request = request_file(tmp_path, baseline=False, train_sizes=[12])
        started = distill("start", "holiday/", "--request", request, "--train-sizes", "8", "--set", "keep=all")
        run = started.stdout.removesuffix("\n")
        assert "\n" not in run
        running.until(lambda: running.keys("images/") != [])
        stopped = printed("stop", run)
        assert (stopped["outcome"], stopped["kept"]) == ("stopped", [])
        assert running.pipeline.describe(running.pipeline.executions()[0])["status"] == "ABORTED"
        assert running.bedrock_resources == ([], [], [])
        assert "ABORTED: Stopped: distill stop" in distill("watch", run, code=1).stdout
        assert distill("stop", run).stdout.startswith(f"{run}: had already ended.\n")


def test_budget_stops_labelling_and_a_higher_budget_continues(
    pipeline: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.2)
    fields = {"prompt": OWN_PROMPT, "until": "LabelImages"}
    with pipeline() as running:
        running.upload(PHOTOS)
        usd = printed("estimate", "holiday/", "--request", request_file(tmp_path, **fields))["usd"]
        tight = request_file(tmp_path, **fields, max_usd=round(usd + 0.001, 4))
        run = printed("start", "holiday/", "--request", tight)["run"]
        stopped = distill("watch", run, code=1)
        assert "OverBudget" in stopped.stdout
        assert "Raise max_usd in distill.json" in stopped.stdout
        labels = len(running.keys("labels/"))
        assert running.image_calls(PIXELS["teacher"]) == labels < 24

        run = printed("start", "holiday/", "--request", request_file(tmp_path, **fields))["run"]
        distill("watch", run)
        assert running.image_calls(PIXELS["teacher"]) == len(running.keys("labels/")) >= 24


def test_error_is_one_line_with_a_remedy(pipeline: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "START_TIMEOUT_SECONDS", 0.1)
    with pipeline():
        (tmp_path / "bad.json").write_text('{"teachr": 1}', "utf-8")
        refusals = [
            (("watch", "nothing-1"), "no run 'nothing-1'"),
            (("start", "empty/"), "distill upload FOLDER empty/"),
            (("start", "empty/", "--request", tmp_path / "bad.json"), "unknown field 'teachr'"),
            (("start", "empty/", "--request", tmp_path / "none.json"), "Give a file with a JSON object"),
            (("upload", tmp_path / "nothing", "a/"), "no such folder or file"),
            (("upload", tmp_path, "/"), "is not a collection"),
            (("estimate", "empty/"), "no photos in s3://"),
        ]
        for arguments, words in refusals:
            result = distill(*arguments, code=2)
            (line,) = [line for line in result.stderr.splitlines() if not line.startswith("Waiting for")]
            assert words in line
        gone = command.distill("estimate", "holiday/", "--stage", "dev")
        assert gone.exit_code == 3
        assert "Deploy the stage (npx cdk deploy --all) or pass another one with --stage" in gone.stderr
