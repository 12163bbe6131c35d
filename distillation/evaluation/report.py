"""Write the report of a run: report.json, scores.csv, report.html, and the documents beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from distillation import keys, ledger
from distillation.answers.formats import format_of
from distillation.costs.calibration import calibrate
from distillation.costs.rounds import cost_of_round, cost_to_first_verdict
from distillation.documents import Bounds, EvaluationFigures, Growth, Manifest, Report, Rounds
from distillation.errors import AccessDenied, InvalidRequest, ObjectDamaged, ObjectMissing, TooFewImages
from distillation.evaluation.evaluation import Evaluation, evaluate
from distillation.evaluation.gallery import MAXIMUM_PICTURES, Picture, thumbnail
from distillation.evaluation.growth import NextRound, decide_growth, expectation, grown_rounds
from distillation.evaluation.html_report import Page, render
from distillation.evaluation.manifest import build_manifest
from distillation.evaluation.recommendation import recommend
from distillation.evaluation.review import write_first_page
from distillation.evaluation.run_data import RunData, read_run, write_predictions
from distillation.evaluation.spending import doubling, money, student_prompt
from distillation.evaluation.verdict import reuse_note, run_verdict, stopped_verdict
from distillation.events import EvaluateResult
from distillation.models import catalog
from distillation.photos.rounds import grows
from distillation.plain_text import csv_table
from distillation.records import Run, TrainedModel
from distillation.run_documents import read_report
from distillation.storage import Bucket

_PARALLEL_READS = 8
"""Images that are read and made smaller at the same time."""
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
    review_key = _write_review(run_data)
    report = _report(run_data, evaluation, _growth(run_data, round_number, evaluation))
    report = report.model_copy(update={"review_key": review_key})
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
    return EvaluateResult(verdict=report.verdict, promoted=promoted, report_key=html_key, grow=not report.is_final)


def _write_review(run_data: RunData) -> str | None:
    """Write the first page to review the labels if the run ends with them, and return its key."""
    if run_data.run.request.until != "LabelImages":
        return None
    return write_first_page(run_data.run, run_data.inventory, run_data.answers, run_data.data)


def scores_table(evaluation: Evaluation | None) -> bytes:
    """Return scores.csv: the agreement of each test image, one column for each answerer."""
    columns: dict[str, Sequence[object]] = {}
    if evaluation:
        columns["image"] = evaluation.images
        columns |= {
            name: ["" if math.isnan(score) else score for score in column]
            for name, column in evaluation.per_image.items()
        }
    return csv_table([columns, *zip(*columns.values(), strict=True)])


def _growth(run_data: RunData, round_number: int, evaluation: Evaluation | None) -> Growth | None:
    """Return the rounds of a run with ``grow`` and whether it continues; None for another run or without a model."""
    run, data = run_data.run, run_data.data
    rounds = data.read_document(keys.rounds_key(run.name), Rounds).rounds if evaluation else []
    sizes = [round_.sizes for round_ in rounds if round_.kind == "training"]
    if evaluation is None or not (len(sizes) > 1 or grows(run, 0)):
        return None
    is_first = sum(round_.kind == "training" for round_ in rounds[: round_number + 1]) == 1
    earlier_usd = {} if is_first else _earlier_usd(run_data)
    grown = grown_rounds(rounds[: round_number + 1], evaluation.figures, earlier_usd, run_data.ledger.usd)
    following = expected = None
    if round_number + 1 < len(rounds):
        size = max(rounds[round_number + 1].sizes)
        planned, daily_quotas = cost_of_round(run, round_number + 1, data)
        paid_usd = sum(ledger.paid_and_reserved_usd(run.name, data))
        following = NextRound(size, planned.usd, paid_usd, daily_quotas)
        trained = [round_.size for round_ in grown if round_.agreement]
        expected = expectation(trained, size, evaluation.resampled, evaluation.on_ceiling)
    return decide_growth(run.request, grown, expected, following)


def _earlier_usd(run_data: RunData) -> dict[int, float | None]:
    """Return the cost of the earlier rounds by size, from the report of the round before; empty with a note if lost."""
    try:
        report = read_report(run_data.run.name, run_data.data)
    except (ObjectDamaged, ObjectMissing) as error:
        run_data.notes.append(f"The cost of each earlier round is left out: {error}")
        return {}
    growth = report.growth if isinstance(report, Report) else None
    return {round_.size: round_.usd for round_ in growth.rounds} if growth else {}


def _report(run_data: RunData, evaluation: Evaluation | None, growth: Growth | None) -> Report:
    run, spent, estimate = run_data.run, run_data.ledger, run_data.estimate
    if note := served_note(run):
        run_data.notes.append(note)
    first_verdict = _first_verdict_usd(run_data)
    if evaluation is None:
        verdict, figures, more = stopped_verdict(run.request.until, run_data.baseline), None, None
    else:
        continues = growth is not None and growth.stopped is None
        figures = evaluation.figures if continues else _with_promotion(run, evaluation.figures, run_data.models)
        notes = (served_base_note(run), reuse_note(run_data.models))
        verdict = " ".join(filter(None, (run_verdict(figures, growth), *notes)))
        more = doubling(run, figures, run_data.models, spent)
    report = run_data.report(verdict, figures, more, money(run, estimate, spent, figures))
    report = report.model_copy(update={"student_prompt": student_prompt(run)})
    if growth is not None:
        status = report.status if growth.stopped else f"growing: trained on {growth.rounds[-1].size:,} images so far"
        report = report.model_copy(update={"growth": growth, "status": status})
    recommendation = recommend(run, report, first_verdict) if report.is_final else None
    return report.model_copy(update={"recommendation": recommendation})


def _first_verdict_usd(run_data: RunData) -> Bounds | None:
    """Return the cost up to the first verdict if a run is started again without ``until``; None with a note if unknown.

    The run's own estimate has only the steps up to ``until``.
    """
    run = run_data.run
    if run.request.until not in ("Estimate", "LabelImages", "ValidateDataset"):
        return None
    try:
        return cost_to_first_verdict(run, run_data.data)
    except (InvalidRequest, ObjectDamaged, ObjectMissing, TooFewImages) as error:
        run_data.notes.append(f"The price of training is left out: {error}")
        return None


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
        answer_format=format_of(run_data.run),
        title=run.name,
        subtitle=f"{run.collection.rstrip('/') or 'all photos'} · {run.created[:10]} · {report.status}",
        teacher=teacher.display_name,
        student=student.tuned_name,
        verdict=report.verdict,
        local=run.is_local,
        served=served_note(run),
        ceiling_temperature=run.request.ceiling_temperature,
        report=report,
        manifest=manifest,
        not_verified=_NOT_VERIFIED,
        evaluation=evaluation,
    )


def served_note(run: Run) -> str | None:
    """Return which models of the run answered from the user's own server, and what was trained; None without one."""
    teacher, base = catalog.served_name(run.teacher.model), catalog.served_name(run.student)
    if not teacher and not base:
        return None
    student = catalog.get_model(run.student)
    servers = [f"{name} ({role})" for name, role in ((teacher, "the teacher"), (base, "base")) if name]
    return (
        f"Your own server answered as {' and '.join(servers)}, with the prompt. The tuned models are the "
        f"{student.tuned_name}, which is trained on the labels and reads no instructions."
    )


def served_base_note(run: Run) -> str | None:
    """Return a sentence that base is another model than the one that was trained; None if it is the same."""
    base = catalog.served_name(run.student)
    if base is None:
        return None
    return (
        f"Before training means {base}; the trained model is another one, the "
        f"{catalog.get_model(run.student).tuned_name}, so the difference is not the effect of training alone."
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
    photo_names, flags = run_data.photo_names(), run_data.flags()
    labels = run_data.answers.get("teacher", {})
    images = (evaluation.images if evaluation else list(labels))[:MAXIMUM_PICTURES]
    with ThreadPoolExecutor(_PARALLEL_READS) as pool:
        pictures = list(pool.map(lambda image: _picture(run_data, image, len(images)), images))
    run_data.notes.extend(f"A picture is left out: {note}" for _, note in pictures if note)
    return [
        Picture(image, photo_names.get(image, image), source, labels[image], tuple(flags.get(image, [])))
        for image, (source, _) in zip(images, pictures, strict=True)
    ]


def _picture(run_data: RunData, image: str, pictures: int) -> tuple[str | None, str | None]:
    """Return the picture of an image as a ``data:`` URI; if it is missing or damaged, None and why."""
    key = keys.image_key(run_data.run.image_side, image)
    try:
        source = thumbnail(run_data.data.read(key), pictures)
    except (AccessDenied, InvalidRequest, ObjectMissing) as error:
        return None, str(error)
    if source is None:
        return None, f"s3://{run_data.data.name}/{key} is damaged. A new run writes it again from the photo."
    return source, None
