"""Write the report of a run: report.json, scores.csv, report.html, and the documents beside them."""

from __future__ import annotations

from distillation import keys
from distillation.costs.calibration import calibrate
from distillation.documents import EvaluationFigures, Manifest, Report
from distillation.errors import AccessDenied, InvalidRequest, ObjectMissing
from distillation.evaluation.evaluation import Evaluation, evaluate
from distillation.evaluation.html_report import Page, Picture, render, thumbnail
from distillation.evaluation.manifest import build_manifest
from distillation.evaluation.run_data import RunData, read_run, write_predictions
from distillation.evaluation.verdict import doubling, money, reuse_note, run_verdict, stopped_verdict
from distillation.events import EvaluateResult
from distillation.models import catalog
from distillation.plain_text import csv_table
from distillation.records import Run, TrainedModel
from distillation.storage import Bucket

MAXIMUM_PICTURES = 100
"""Images in the gallery of report.html."""
_NOT_VERIFIED = (
    "Prices are list prices, each with source and date. The account's bill decides.",
    "Agreement with the teacher is not correctness: the student repeats the teacher's errors.",
)


def write_report(run: Run, round_number: int, models: list[TrainedModel], data: Bucket, code: str) -> EvaluateResult:
    """Write report, predictions, calibration, ledger and manifest of a run.

    ``round_number`` is the last round, ``models`` are the trained sizes, ``code`` is the version of the deployed code.
    """
    run_data = read_run(run, round_number, models, data)
    evidence = run_data.evidence()
    evaluation = evaluate(evidence) if evidence else None
    pictures = _pictures(run_data, evaluation)
    _calibrate(run_data, evaluation)
    report = _report(run_data, evaluation)
    write_predictions(run, run_data.answers, data)
    manifest = build_manifest(run, report, data, code)
    data.write_document(keys.ledger_key(run.name), report.ledger)
    data.write_document(keys.manifest_key(run.name), manifest)
    data.write_document(keys.report_json_key(run.name), report)
    data.write(keys.report_key(run.name, "scores.csv"), scores_table(evaluation), "text/csv; charset=utf-8")
    page = render(_page(run_data, report, manifest, evaluation), pictures)
    html_key = keys.report_key(run.name, "report.html")
    data.write(html_key, page.encode(), "text/html; charset=utf-8")
    promoted = report.promoted.model_name if report.promoted else None
    return EvaluateResult(verdict=report.verdict, promoted=promoted, report_key=html_key, grow=False)


def scores_table(evaluation: Evaluation | None) -> bytes:
    """Return scores.csv: the Jaccard index of each test image, one column for each answerer."""
    columns = {"image": evaluation.images, **evaluation.per_image} if evaluation else {}
    return csv_table([columns, *zip(*columns.values(), strict=True)])


def _report(run_data: RunData, evaluation: Evaluation | None) -> Report:
    run, ledger, estimate = run_data.run, run_data.ledger, run_data.estimate
    if evaluation is None:
        verdict, figures, more = stopped_verdict(run.request.until), None, None
    else:
        figures = _with_promotion(run, evaluation.figures, run_data.models)
        verdict = " ".join(filter(None, (run_verdict(figures), reuse_note(run_data.models))))
        more = doubling(figures, run_data.models, ledger, run.request.samples_per_image)
    return run_data.report(verdict, figures, more, money(estimate, ledger, figures))


def _with_promotion(run: Run, figures: EvaluationFigures, models: list[TrainedModel]) -> EvaluationFigures:
    """Return the figures with the name of the promoted model, if the gate passed it and the run keeps models."""
    gate = figures.gate
    if gate is None or not gate.passed or run.request.keep == "none":
        return figures
    promoted = next(model.model_name for model in models if model.answerer == figures.best)
    return figures.model_copy(update={"gate": gate.model_copy(update={"promoted": promoted})})


def _page(run_data: RunData, report: Report, manifest: Manifest, evaluation: Evaluation | None) -> Page:
    run = run_data.run
    teacher, student = catalog.get_model(run.teacher.model), catalog.get_model(run.student)
    return Page(
        title=run.name,
        subtitle=f"{run.collection.rstrip('/') or 'all photos'} · {run.created[:10]} · {report.status}",
        teacher=teacher.display_name,
        student=student.display_name,
        verdict=report.verdict,
        local=run.student.startswith("local.") or run.teacher.model.startswith("local."),
        ceiling_temperature=run.request.ceiling_temperature,
        report=report,
        manifest=manifest,
        not_verified=_NOT_VERIFIED,
        evaluation=evaluation,
    )


def _calibrate(run_data: RunData, evaluation: Evaluation | None) -> None:
    """Save what the answers were billed, for the next estimate."""
    gain_sd = evaluation.figures.gain_sd if evaluation else None
    try:
        calibrate(run_data.run, run_data.image_dimensions(), run_data.answers, run_data.data, gain_sd)
    except (AccessDenied, InvalidRequest) as error:
        run_data.notes.append(f"The calibration of the next estimate is left out: {error}")


def _pictures(run_data: RunData, evaluation: Evaluation | None) -> list[Picture]:
    """Return the test images; if nothing was trained, images with their labels, to check before paying for more."""
    photo_names = run_data.photo_names()
    labels = run_data.answers.get("teacher", {})
    return [
        Picture(image=image, name=photo_names.get(image, image), jpeg=_jpeg(run_data, image), label=labels[image])
        for image in (evaluation.images if evaluation else list(labels))[:MAXIMUM_PICTURES]
    ]


def _jpeg(run_data: RunData, image: str) -> bytes | None:
    """Return the bytes of an image; None with a note if it is missing or damaged."""
    key = keys.image_key(run_data.run.image_side, image)
    try:
        jpeg = run_data.data.read(key)
    except (AccessDenied, InvalidRequest, ObjectMissing) as error:
        run_data.notes.append(f"A picture is left out: {error}")
        return None
    if thumbnail(jpeg) is None:
        uri = f"s3://{run_data.data.name}/{key}"
        run_data.notes.append(f"A picture is left out: {uri} is damaged. A new run writes it again from the photo.")
        return None
    return jpeg
