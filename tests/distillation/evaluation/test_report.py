from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from distillation import keys
from distillation.costs import calibration
from distillation.costs.rounds import cost_of_round, cost_to_first_verdict
from distillation.documents import Ledger, Manifest, Report, parse_report
from distillation.errors import ObjectDamaged, ObjectMissing
from distillation.evaluation.preferences import MARKER
from distillation.evaluation.report import write_report
from distillation.events import EvaluateResult
from distillation.models import catalog
from distillation.photos.inventory import read_inventory
from distillation.records import Prompt, TrainedModel
from distillation.storage import Bucket
from tests.distillation.evaluation.finished_run import IMAGES, LAST_ROUND, MODELS, TEST, TRAIN, finished_run
from tests.support.builders import any_baseline, any_run

Written = tuple[EvaluateResult, Report, Bucket]


@pytest.fixture(scope="module")
def promoted_run() -> Written:
    """Return what Evaluate wrote for a run whose model passes the gate."""
    return written(MODELS)


def written(models: list[TrainedModel], **request: Any) -> Written:
    run = any_run(**request)
    data = finished_run(run)
    result = write_report(run, LAST_ROUND, models, data, "abc")
    report = parse_report(data.read(keys.report_json_key(run.name)))
    assert isinstance(report, Report)
    return result, report, data


def test_model_that_passes_the_gate_is_promoted_by_name(promoted_run: Written) -> None:
    result, report, _ = promoted_run

    assert report.promoted == MODELS[0]
    assert result.promoted == "holiday-1-n12-a1"
    assert result.verdict == report.verdict
    assert report.verdict.endswith("Model promoted.")
    assert result.report_key == "runs/holiday-1/report/report.html"


def test_report_has_a_recommendation_that_its_page_shows(promoted_run: Written) -> None:
    result, report, data = promoted_run

    assert report.recommendation is not None
    # The second answers of the teacher are equal to its labels, but 24 images, the larger size, were not trained.
    assert report.recommendation.action == "train"
    assert "Train on 24 images again, because that size failed: AccessDenied: no." in report.recommendation.text
    assert "<strong>Next:</strong> Train on 24 images again" in data.read(result.report_key).decode()


def test_page_has_one_place_for_the_preferences_of_a_person(promoted_run: Written) -> None:
    result, _, data = promoted_run

    assert data.read(result.report_key).decode().count(MARKER) == 1


def test_run_that_keeps_nothing_promotes_nothing() -> None:
    result, report, _ = written(MODELS, keep="none")

    assert report.evaluation is not None
    assert report.evaluation.gate is not None
    assert report.evaluation.gate.passed
    assert result.promoted is report.promoted is None


def test_model_that_fails_the_gate_is_not_promoted() -> None:
    result, report, _ = written(MODELS, gate_margin=0.9)

    assert result.promoted is report.promoted is None
    assert "Model not promoted" in report.verdict


def test_scores_have_one_line_for_each_test_image(promoted_run: Written) -> None:
    _, report, data = promoted_run
    rows = list(csv.DictReader(io.StringIO(data.read("runs/holiday-1/report/scores.csv").decode())))

    assert [row["image"] for row in rows] == IMAGES[TRAIN:]
    assert list(rows[0]) == ["image", "base", "n12", "ceiling", "floor", "control"]
    assert report.evaluation is not None
    mean = sum(float(row["n12"]) for row in rows) / TEST
    assert mean == pytest.approx(report.evaluation.agreement.tuned["n12"].mean)


def test_ledger_manifest_and_calibration_are_written_beside_the_report(promoted_run: Written) -> None:
    _, report, data = promoted_run

    assert Ledger.model_validate_json(data.read("runs/holiday-1/ledger.json")) == report.ledger
    assert report.usd == 0.5
    manifest = Manifest.model_validate_json(data.read("runs/holiday-1/manifest.json"))
    assert (manifest.code, manifest.models) == ("abc", MODELS)
    measured = calibration.load_all(["amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"], data)
    assert {model: row.answers for model, row in measured.items()} == {
        "amazon.nova-pro-v1:0": TRAIN + TEST - 1,
        "amazon.nova-lite-v1:0": 2 * TEST,
    }


def test_report_of_a_run_that_stopped_early_shows_labels_and_no_figures() -> None:
    result, report, data = written([], until="LabelImages")

    assert report.evaluation is report.doubling is result.promoted is None
    assert report.verdict == "Stopped after LabelImages, as requested. No model was trained."
    assert data.read("runs/holiday-1/report/scores.csv") == b"\r\n"
    page = data.read(result.report_key).decode()
    assert "Labels to check before paying for more" in page
    assert page.count("data:image/jpeg;base64,") == TRAIN + TEST
    assert "<b>Set aside:</b> no list" in page


def test_run_that_ends_with_its_labels_has_a_page_to_review_them_that_the_report_names() -> None:
    result, report, data = written([], until="LabelImages")
    key = "runs/holiday-1/report/review-1.html"

    assert report.review_key == key
    assert data.read(key).decode().count("data:image/jpeg;base64,") == TRAIN + TEST
    assert key in data.read(result.report_key).decode()


@pytest.mark.parametrize("until", [None, "Estimate", "ValidateDataset"])
def test_other_runs_have_no_page_to_review_labels(until: Any) -> None:
    _, report, data = written([] if until else MODELS, until=until)

    assert report.review_key is None
    assert [key for key in data.keys("runs/holiday-1/report/") if "review" in key] == []


@pytest.mark.parametrize(("until", "start"), [("LabelImages", "Check the labels"), ("Estimate", "Start the run again")])
def test_price_of_training_is_recommended_to_a_run_that_was_asked_to_stop_before_it(until: Any, start: str) -> None:
    _, report, data = written([], until=until)

    assert report.recommendation is not None
    assert report.recommendation.text.startswith(start)
    usd = cost_to_first_verdict(any_run(until=until), data).expected
    assert report.recommendation.usd == pytest.approx(usd)
    # A round of the run itself has no training.
    assert usd > cost_of_round(any_run(until=until), 0, data)[0].usd.high


def test_price_of_training_that_cannot_be_known_is_left_out_with_a_note() -> None:
    run = any_run(until="LabelImages")
    data = finished_run(run)
    data.write(keys.split_facts_key(run.name), b"{")
    write_report(run, 0, [], data, "abc")
    report = parse_report(data.read(keys.report_json_key(run.name)))

    assert isinstance(report, Report)
    assert report.recommendation is not None
    assert report.recommendation.usd is None
    assert any(note.startswith("The price of training is left out: ") for note in report.notes)


@pytest.mark.parametrize(
    ("until", "verdict"),
    [("Baseline", "Stopped after Baseline, as requested. No model was trained. "), (None, "Not trained: ")],
)
def test_report_of_a_run_that_ended_with_its_baseline_compares_the_alternatives(until: Any, verdict: str) -> None:
    result, report, data = written([], until=until)
    page = data.read(result.report_key).decode()

    assert report.baseline == any_baseline()
    assert report.recommendation == any_baseline().recommendation
    assert report.verdict.startswith(verdict)
    assert (result.promoted, result.grow) == (None, False)
    assert "Is training worth it?" in page
    assert "Labels to check before paying for more" in page


def test_report_of_a_trained_run_has_the_alternatives_too(promoted_run: Written) -> None:
    result, report, data = promoted_run

    page = " ".join(data.read(result.report_key).decode().split())
    assert report.baseline == any_baseline()
    assert "Is training worth it?" in page
    assert f"The recommendation before training was: {any_baseline().recommendation.text}" in page


@pytest.mark.parametrize("damage", [None, b"{}"])
def test_run_that_trained_nothing_has_no_report_without_its_baseline(damage: bytes | None) -> None:
    run = any_run()
    data, key = finished_run(run), keys.baseline_key(run.name)
    if damage is None:
        del data.client.objects[key]  # type: ignore[attr-defined]
    else:
        data.write(key, damage)
    with pytest.raises((ObjectMissing, ObjectDamaged), match=key):
        write_report(run, LAST_ROUND, [], data, "abc")


def test_page_names_the_promoted_and_the_failed_model(promoted_run: Written) -> None:
    result, _, data = promoted_run
    page = data.read(result.report_key).decode()

    assert "Nova Pro teaches Nova Lite" in page
    assert "Active, promoted" in page
    assert "AccessDenied: no" in page
    assert "These figures say nothing about Amazon Nova" not in page


@pytest.fixture
def served_names() -> Iterator[None]:
    """Make a server of the user answer as the teacher and as the base student."""
    catalog.set_served_names(json.dumps({"amazon.nova-pro-v1:0": "qwen:7b", "amazon.nova-lite-v1:0": "moondream"}))
    yield
    catalog.set_served_names("{}")


@pytest.mark.usefixtures("served_names")
def test_report_names_the_models_of_the_users_server_and_what_was_trained() -> None:
    result, report, data = written(MODELS)
    page = " ".join(data.read(result.report_key).decode().split())

    assert "Qwen:7b teaches Nova Lite" in page
    assert "Before training means moondream; the trained model is another one, the Nova Lite" in report.verdict
    assert report.notes[-1] == (
        "Your own server answered as qwen:7b (the teacher) and moondream (base), with the prompt. The tuned models are "
        "the Nova Lite, which is trained on the labels and reads no instructions."
    )


@pytest.mark.usefixtures("served_names")
def test_report_of_a_run_without_training_says_nothing_about_a_trained_model() -> None:
    _, report, _ = written([], until="LabelImages")

    assert "Before training" not in report.verdict


def test_gallery_has_the_quality_flags_of_the_images() -> None:
    run = any_run()
    data = finished_run(run)
    lines = [
        line.model_copy(update={"flags": ["blurred", "odd_aspect"]}) if line.image == IMAGES[TRAIN] else line
        for line in read_inventory(run, data)
    ]
    data.write_lines(keys.inventory_key(run.name), [line.model_dump(exclude_none=True) for line in lines])
    page = data.read(write_report(run, LAST_ROUND, MODELS, data, "abc").report_key).decode()

    assert page.count("Flagged: blurred, odd aspect.") == 1
    assert ">Flagged 1</button>" in page


@pytest.mark.parametrize("damage", [None, b"", b"jpeg", "truncated"])
def test_picture_that_is_missing_or_damaged_is_left_out_with_a_note(damage: Any) -> None:
    run = any_run()
    data = finished_run(run)
    key = keys.image_key(run.image_side, IMAGES[TRAIN])
    jpeg = data.read(key)
    del data.client.objects[key]  # type: ignore[attr-defined]
    if damage is not None:
        data.write(key, jpeg[: len(jpeg) // 2] if damage == "truncated" else damage)

    result = write_report(run, LAST_ROUND, MODELS, data, "abc")
    report = parse_report(data.read(keys.report_json_key(run.name)))
    page = data.read(result.report_key).decode()

    assert result.promoted == "holiday-1-n12-a1"
    assert isinstance(report, Report)
    assert [key in note for note in report.notes] == [True]
    assert page.count("data:image/jpeg;base64,") == TEST - 1
    assert key in page


@pytest.mark.parametrize("prefix", ["runs/holiday-1/training/", "images/", "runs/holiday-1/report/estimate.json"])
def test_run_without_evidence_for_charts_has_the_same_verdict(prefix: str, promoted_run: Written) -> None:
    run = any_run()
    data = finished_run(run)
    for key in list(data.keys(prefix)):
        data.write(key, bytes(range(256)))

    assert write_report(run, LAST_ROUND, MODELS, data, "abc").verdict == promoted_run[0].verdict


def test_manifest_has_the_hashes_of_the_validated_files() -> None:
    run = any_run()
    data = finished_run(run)
    data.write_json(keys.dataset_hashes_key(run.name), {"sha256": {"runs/holiday-1/dataset/train-12.jsonl": "abc"}})
    write_report(run, LAST_ROUND, MODELS, data, "abc")

    manifest = data.read_document(keys.manifest_key(run.name), Manifest)
    assert manifest.datasets_sha256 == {"runs/holiday-1/dataset/train-12.jsonl": "abc"}


def test_report_says_what_the_prompt_of_the_student_saves() -> None:
    prompt = Prompt(system="s" * 2000, user="u" * 2000)
    run = any_run(max_usd=30).model_copy(update={"prompt": prompt})
    data = finished_run(run)
    write_report(run, LAST_ROUND, MODELS, data, "abc")
    page = data.read(keys.report_key(run.name, "report.html")).decode()

    assert "the teacher one of about 1010." in " ".join(page.split())
    assert "per 1,000 images at the price of the student's input." in " ".join(page.split())
