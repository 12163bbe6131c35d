"""Whole runs: the synthesised templates and the real definition on the AWS emulator."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from distillation import keys
from local import ROOT
from tests.aws.assumptions import checks
from tests.aws.free_checks import StageUnderTest
from tests.aws.verify import Verification
from tests.end_to_end.conftest import KEY, PHOTOS, PIXELS, TAGS, PipelineDriver
from tests.support.stored import read_json

Start = Callable[..., AbstractContextManager[PipelineDriver]]
ALL_STATES = [
    *("Prepare", "ClaimedByAnother", "AwaitUpload", "UploadSettled", "WaitForUpload", "AwaitUpload"),
    *(
        "UploadSettled",
        "ResizePhotos",
        "TuneOrApply",
        "Split",
        "Estimate",
        "WithinBudget",
        "LabelImages",
        "AfterLabels",
    ),
    *("PredictTestImages", "AfterPredictions", "Baseline", "WorthTraining"),
    *("Estimate", "WithinBudget", "LabelImages", "AfterLabels"),
    *("WriteDataset", "ValidateDataset", "AfterValidation", "TrainModels", "AnyModelTrained"),
    *("PredictTestImages", "AfterPredictions", "Evaluate", "GrowFurther"),
    *("Promote", "PromotionDone", "CleanUp", "Notify"),
]

EXAMPLE_DEPLOYMENT = "arn:aws:bedrock:us-east-1:ACCOUNT:custom-model-deployment/ID"
APPLY_STATES = [
    *ALL_STATES[:9],
    *("ListImages", "ApplyWithinBudget", "PredictImages", "WriteResults", "Notify"),
]


def test_photos_become_a_report_and_a_second_run_pays_for_no_label_again(
    pipeline: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "IMG (1) é+%.JPG"
    broken.write_bytes(b"no image")
    hidden = tmp_path / ".DS_Store"
    hidden.write_bytes(b"x")
    twin = next(iter(PHOTOS.values()))
    with pipeline() as running:
        photos = PHOTOS | {f"a/{broken.name}": broken, ".DS_Store": hidden, "copies/twin.jpg": twin}
        running.upload(photos)
        ended = running.run(train_sizes=[8, 14], baseline=True)

        assert (ended.status, ended.states) == ("SUCCEEDED", ALL_STATES), ended.cause
        report = running.report()
        assert (report["photos"], report["images"]) == (26, 24)
        assert [item["photo"] for item in report["photos_set_aside"]] == [f"holiday/a/{broken.name}"]
        assert report["status"] == "complete with 1 set aside"
        agreement = report["evaluation"]["agreement"]
        assert set(agreement["tuned"]) == {"n8", "n14"}
        assert agreement["tuned"]["n14"]["mean"] > agreement["base"]["mean"]
        assert report["training_loss"]["14"][0]["loss"] > report["training_loss"]["14"][-1]["loss"]
        promoted = report["evaluation"]["gate"]["promoted"]
        retained = [promoted] if promoted else []
        assert running.bedrock_resources == ([], retained, retained)
        teacher_calls = running.image_calls(PIXELS["teacher"])
        manifest = read_json(running.pipeline.data, keys.manifest_key(report["run"]))
        labelers = manifest["labelers"].values()
        assert teacher_calls == sum(len(running.keys(keys.labels_prefix(labeler))) for labeler in labelers)

        again = running.run(train_sizes=[8, 14], keep="all")

        assert again.status == "SUCCEEDED"
        assert_key_and_tags(running)
        assert running.image_calls(PIXELS["teacher"]) == teacher_calls
        assert running.report()["evaluation"]["agreement"] == agreement

        running.upload(dict(list(PHOTOS.items())[:4]) | {f"a/{broken.name}": broken}, "new/")
        applied = running.wait(running.start_from_console(collection="new/", apply=running.report()["run"]))
        table = running.pipeline.data.read(applied.output["applied"]["results_key"]).decode()

        assert (applied.status, applied.states) == ("SUCCEEDED", APPLY_STATES)
        verdict = applied.output["applied"]["verdict"]
        assert "answered about 4 of 5 photos. Audit: on 4 random images the model agrees with the teacher" in verdict
        assert f'a/{broken.name},set aside,,"not an image' in table
        # The audit reuses labels, and asks about an image that no training size had.
        stored = sum(len(running.keys(keys.labels_prefix(labeler))) for labeler in labelers)
        assert running.image_calls(PIXELS["teacher"]) == stored

        seen = running.observed(again)
        (tmp_path / "request.json").write_text(seen.run.model_dump_json())
        (tmp_path / "photo.jpg").write_bytes(
            running.pipeline.data.read(keys.image_key(seen.run.image_side, seen.test_image))
        )
        monkeypatch.chdir(tmp_path)
        snippet = (ROOT / "docs/calling.md").read_text().partition("```python\n")[2].partition("```")[0]
        exec(snippet.replace(EXAMPLE_DEPLOYMENT, seen.models[0].deployment_arn or ""), {})
        assert ", " in capsys.readouterr().out

        # `make verify-aws` confirms what can be checked on the emulator as well.
        verification = Verification(StageUnderTest(seen.stage, PIXELS["teacher"], PIXELS["student"]))
        free, paid = ([a for a in checks(cost) if a.runs_on_emulator] for cost in ("free", "paid"))
        verification.run(lambda: nullcontext(seen), lambda _: "yes", free=free, paid=paid)
        outcomes = {name: (outcome.outcome, outcome.observation) for name, outcome in verification.outcomes.items()}
        receipt = verification.receipt(date(2026, 12, 1)).model_dump_json()
        private_names = (running.pipeline.data.name, running.pipeline.photos.name, seen.run.name, seen.run.account)

        assert {name: found for name, found in outcomes.items() if found[0] != "confirmed"} == {}
        assert list(outcomes) == [assumption.name for assumption in (*free, *paid)]
        assert [name for name in private_names if name in receipt] == []


def assert_key_and_tags(running: PipelineDriver) -> None:
    """Check that all objects have the key of the stage, and all resources at Bedrock its tags."""
    s3, data, service = running.pipeline.aws.client("s3"), running.pipeline.data.name, running.pipeline.bedrock.service
    objects = [s3.head_object(Bucket=data, Key=key) for key in running.keys("runs/")]
    assert {(o["ServerSideEncryption"], o["SSEKMSKeyId"]) for o in objects} == {("aws:kms", KEY)}
    tagged = [*service.jobs, *service.custom_models, *service.deployments]
    assert len(tagged) >= 3
    for arn in tagged:
        assert {tag["key"]: tag["value"] for tag in service.tags[arn]}.items() >= TAGS.items()


def test_event_delivered_twice_is_one_run(pipeline: Start) -> None:
    with pipeline() as running:
        running.upload(PHOTOS)
        first = running.start(until="Estimate")
        event = json.loads(running.pipeline.aws.client("stepfunctions").describe_execution(executionArn=first)["input"])
        second = running.wait(running.start_from_console(**event))
        ended = running.wait(first)

        assert min(len(ended.states), len(second.states)) == 3
        assert min(ended.states, second.states, key=len)[-1] == "AlreadyRunning"
        assert len([key for key in running.keys("runs/") if key.endswith("/request.json")]) == 1


def test_until_ends_the_run_early_and_a_whole_run_pays_for_none_of_its_answers_again(pipeline: Start) -> None:
    with pipeline() as running:
        running.upload(PHOTOS)
        ended = running.run(until="LabelImages")
        assert ended.status == "SUCCEEDED", ended.cause
        report = running.report()

        assert ended.states[-7:-3] == ["AfterLabels", "Evaluate", "GrowFurther", "Promote"]
        assert report["labelled"] == len(running.keys("labels/")) > 0
        assert report["evaluation"] is None
        assert not running.pipeline.bedrock.service.jobs

        ended = running.run(until="Baseline")
        report = running.report()
        models = (PIXELS["teacher"], PIXELS["student"])
        calls = [running.image_calls(model) for model in models]

        assert ended.status == "SUCCEEDED", ended.cause
        assert ended.states[-8:-3] == ["Baseline", "WorthTraining", "Evaluate", "GrowFurther", "Promote"]
        assert report["verdict"].startswith("Stopped after Baseline, as requested. No model was trained.")
        assert [row["name"] for row in report["baseline"]["alternatives"]][:2] == ["base", "examples"]
        assert calls == [report["images"] + report["test"], 2 * report["test"]]
        assert report["recommendation"]["action"] == "cannot tell"

        ended = running.run(train_sizes=[8], baseline=True)

        assert ended.status == "SUCCEEDED", ended.cause
        assert ended.states.count("Estimate") == 2
        assert [running.image_calls(model) for model in models] == calls
        assert running.report()["baseline"]["alternatives"] == report["baseline"]["alternatives"]


def test_teacher_labels_only_photos_without_an_own_label(pipeline: Start, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    keywords = ", ".join(f"thing {number}" for number in range(15))
    labelled = ["photo,label", *(f'{name},"{keywords}"' for name in PHOTOS)]
    with pipeline() as running:
        running.upload(PHOTOS)
        table.write_text("\n".join([*labelled[:21], "nothing.jpg,cat"]), "utf-8")
        running.upload({"labels.csv": table})
        refused = running.run(until="LabelImages")
        assert (refused.status, refused.error) == ("FAILED", "InvalidRequest")
        assert "labels.csv line 22 names 'nothing.jpg', which is not a photo" in (refused.cause or "")

        table.write_text("\n".join(labelled[:21]), "utf-8")
        running.upload({"labels.csv": table})
        mixed = running.run(until="LabelImages", samples_per_image=2, temperature=0.5, service_tier="flex")
        assert mixed.status == "SUCCEEDED"
        assert running.report()["labels_by"] == {"owner": 20, "teacher": 4}
        assert running.image_calls(PIXELS["teacher"]) == 8
        assert len(running.report()["disagreements"]) > 0
        (page,) = [key for key in running.keys("runs/") if key.endswith("/report/report.html")]
        assert b"Labels to check" in running.pipeline.data.read(page)

        table.write_text("\n".join(labelled), "utf-8")
        running.upload({"labels.csv": table})
        owned = running.run(until="ValidateDataset")
        assert owned.status == "SUCCEEDED"
        assert "LabelImages" not in owned.states
        assert running.report()["labels_by"] == {"owner": 24}
        assert running.image_calls(PIXELS["teacher"]) == 8


def test_run_over_budget_labels_nothing_and_its_error_says_what_to_change(pipeline: Start) -> None:
    with pipeline() as running:
        running.upload(PHOTOS)
        ended = running.run(max_usd=0.0001)

        assert (ended.status, ended.error) == ("FAILED", "OverBudget")
        assert "Raise max_usd" in (ended.cause or "")
        assert running.image_calls(PIXELS["teacher"]) == 0


def test_invalid_request_fails_with_a_cause_that_says_what_to_change(pipeline: Start) -> None:
    with pipeline() as running:
        running.upload(PHOTOS)
        requests: list[tuple[dict[str, Any], str]] = [
            ({"teachr": "x"}, "holiday/distill.json: unknown field 'teachr'"),
            ({"teacher": "amazon.nova-pro-v1:0"}, "not allowed in this stage"),
            ({"train_sizes": [2]}, "train_sizes: 2 is outside"),
            ({"teachr": "x" * 300_000}, "distill.json is larger than the maximum"),
            ({"x" * 100_000: "y" * 100_000}, "unknown field 'xxx"),
        ]
        for request, words in requests:
            ended = running.run(**request)
            assert (ended.status, ended.error) == ("FAILED", "InvalidRequest")
            assert words in (ended.cause or "")
            assert len(ended.cause or "") < 2_000
        states = running.pipeline.aws.client("stepfunctions")
        largest = json.dumps({"collection": "holiday/", "teachr": ""})
        largest = largest.replace('""', f'"{"x" * (256 * 1024 - len(largest))}"')
        machine = running.pipeline.outputs["StateMachineArn"]
        arn = states.start_execution(stateMachineArn=machine, input=largest)["executionArn"]
        running.until(lambda: states.describe_execution(executionArn=arn)["status"] != "RUNNING")
        description = states.describe_execution(executionArn=arn)
        assert (description["status"], description.get("error")) == ("FAILED", "InvalidRequest")
        assert "Prepare: the execution's input: unknown field 'teachr'" in description["cause"]
        empty = running.run("nothing/")
        assert (empty.status, empty.error) == ("FAILED", "EmptyCollection")
        few = dict(list(PHOTOS.items())[:10])
        running.upload(few, "few/")
        ended = running.run("few/")
        assert (ended.status, ended.error) == ("FAILED", "TooFewImages")
        assert "10 usable images" in (ended.cause or "")


def test_legacy_student_is_refused_before_any_model_is_called(pipeline: Start) -> None:
    with pipeline(legacy_models=("local.student-pixels-v1:0:300k",)) as running:
        ended = running.run()

        assert (ended.status, ended.error, ended.states[0]) == ("FAILED", "InvalidRequest", "Prepare")
        assert "LEGACY" in (ended.cause or "")
        assert "Choose its successor 'local.student-pixels-2-v1:0' as student" in (ended.cause or "")
        assert running.pipeline.bedrock.service.calls == []
        # The operator calls as the administrator, whom no role policy limits.
        assert running.pipeline.aws.client("bedrock").list_custom_models()["modelSummaries"] == []
        assert running.keys("runs/") == [key for key in running.keys("runs/") if "failure" in key]


def test_run_that_grows_labels_and_trains_one_size_after_the_other(pipeline: Start) -> None:
    with pipeline() as running:
        running.upload(PHOTOS)
        ended = running.run(grow=True, grow_from=8, keep="all")

        assert ended.status == "SUCCEEDED", ended.cause
        service, report = running.pipeline.bedrock.service, running.report()
        growth = report["growth"]
        sizes = [round_["size"] for round_ in growth["rounds"]]
        assert sizes == [8, report["train"]]
        assert (growth["stopped"], growth["next_size"]) == ("all images", None)
        assert growth["reason"] in report["verdict"]
        assert sum(round_["usd"] for round_ in growth["rounds"]) == pytest.approx(report["usd"])
        # Each round labels what it needs, and no image twice. The ceiling is asked about the test images once.
        assert [round_["labels"] for round_ in growth["rounds"]] == [8 + report["test"], report["train"] - 8]
        assert running.image_calls(PIXELS["teacher"]) == report["images"] + report["test"]
        trained = [state for state in ended.states if state in ("LabelImages", "TrainModels", "Evaluate", "Promote")]
        assert trained == [*2 * ("LabelImages", "TrainModels", "Evaluate"), "Promote"]
        assert sorted(job["jobName"].rsplit("-", 2)[1] for job in service.jobs.values()) == sorted(
            f"n{size}" for size in sizes
        )
        assert len(service.deployments) == 2


def test_failure_of_one_size_is_reported_and_failure_of_all_fails_the_run(pipeline: Start) -> None:
    with pipeline(failing_jobs="-n8-") as running:
        running.upload(PHOTOS)
        ended = running.run(train_sizes=[8, 14])
        models = {model["size"]: model for model in running.report()["models"]}

        assert ended.status == "SUCCEEDED"
        assert (models[8]["status"], models[14]["status"]) == ("Failed", "Active")
        assert "JSONL" in models[8]["reason"]

        failed = running.run(train_sizes=[8])

        assert (failed.status, failed.error) == ("FAILED", "JobFailed")
        assert "no size was trained" in (failed.cause or "")


def test_model_of_a_failed_run_is_kept_and_the_next_run_reuses_it_without_paying_for_it(pipeline: Start) -> None:
    with pipeline(failing_deployments="-n8-") as running:
        running.upload(PHOTOS)
        failed = running.run(train_sizes=[8], keep="none")
        service = running.pipeline.bedrock.service
        running.pipeline.aws.wait_until_idle()
        (model,) = running.bedrock_resources[1]

        assert failed.status == "FAILED"
        assert f"Tuned model kept until {(datetime.now(UTC) + timedelta(days=3)).date()}: {model}. Storage costs" in (
            failed.cause or ""
        ), failed.cause
        assert running.bedrock_resources == ([], [model], [])

        service.faults = replace(service.faults, failing_deployments=None)
        again = running.run(train_sizes=[8], keep="best", gate_margin=0.0)
        report = running.report()
        (trained,) = report["models"]
        (spent,) = [row["spent"] for row in report["money"]["by_step"] if row["step"] == "TrainModels"]

        assert again.status == "SUCCEEDED", again.cause
        assert (trained["model_name"], f"{trained['trained_by']}-n8-a1", spent) == (model, model, 0)
        assert f"size 8 was trained by run {trained['trained_by']}" in report["verdict"]
        assert len(service.jobs) == 1
        promoted = report["evaluation"]["gate"]["promoted"]
        assert running.bedrock_resources == ([], [model], [f"{report['run']}-n8-a1"] if promoted else [])


def test_job_that_never_starts_is_stopped_on_request_and_the_others_are_trained(pipeline: Start) -> None:
    with pipeline(stuck_jobs="-n8-") as running:
        running.upload(PHOTOS)
        ended = running.run(train_sizes=[8, 14], stop_stuck_jobs=True, keep="none")
        models = {model["size"]: model for model in running.report()["models"]}

        assert ended.status == "SUCCEEDED"
        assert (models[8]["status"], models[14]["status"]) == ("Failed", "Active")
        assert "had not started after 25 h" in models[8]["reason"]
        assert running.bedrock_resources == ([], [], [])


def test_stopped_run_leaves_no_billed_resources(pipeline: Start) -> None:
    with pipeline(job_seconds=60) as running:
        running.upload(PHOTOS)
        execution = running.start(train_sizes=[8, 14])
        running.until(lambda: len(running.bedrock_resources[0]) == 2)
        running.pipeline.aws.client("stepfunctions").stop_execution(executionArn=execution)
        running.until(lambda: running.bedrock_resources == ([], [], []))

        assert running.wait(execution).status == "ABORTED"


def test_step_without_a_grant_fails_with_access_denied(pipeline: Start) -> None:
    with pipeline() as running:
        running.upload(PHOTOS)
        for role, action in (
            ("LabelRole", "bedrock:InvokeModel"),
            ("LabelRole", "kms:Decrypt"),
            ("SplitRole", "kms:GenerateDataKey"),
        ):
            with running.without_action(role, action):
                ended = running.run(until="LabelImages")

            assert (ended.status, ended.error) == ("FAILED", "AccessDenied"), ended.cause
            assert action in (ended.cause or "")
            assert running.denied_actions() == {(role, action)}
        assert running.keys("labels/") == []


def test_running_definition_is_the_one_in_the_template(pipeline: Start, assembly: Path) -> None:
    with pipeline() as running:
        definition = running.pipeline.aws.client("stepfunctions").describe_state_machine(
            stateMachineArn=running.pipeline.outputs["StateMachineArn"]
        )["definition"]
        template = json.loads((assembly / "Distill-local-Pipeline.template.json").read_text())
        machines = [r for r in template["Resources"].values() if r["Type"] == "AWS::StepFunctions::StateMachine"]
        (machine,) = [m for m in machines if "PrepareFunctionArn" in m["Properties"]["DefinitionSubstitutions"]]
        written, ran = json.loads(machine["Properties"]["DefinitionString"]), json.loads(definition)

        assert list(ran["States"]) == list(written["States"])
        assert "${" not in definition
