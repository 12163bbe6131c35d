"""Write the report of a run: report.json, scores.csv and report.html, and beside them what is kept."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from distillation import keys
from distillation.evaluation.calibrate import calibrate
from distillation.evaluation.evaluation import Evaluation, evaluate
from distillation.evaluation.html_report import Page, Picture, render
from distillation.evaluation.manifest import build_manifest
from distillation.evaluation.run_data import RunData, read_run, write_predictions
from distillation.evaluation.verdict import doubling, money, verdict
from distillation.models import catalog
from distillation.records import Run, TrainedModel
from distillation.storage import Bucket

PICTURES = 100
_NOT_VERIFIED = (
    "Prices are list prices written down with their source and date; the account's bill decides.",
    "Agreeing with the teacher is not the same as being right: where the teacher errs, so does the student.",
)


def write_report(run: Run, models: list[TrainedModel], data: Bucket, code: str) -> dict[str, str | None]:
    """Write all files of the report; return its verdict, the promoted model's name and the key of its page.

    ``code`` says which version of the pipeline ran.
    """
    files = read_run(run, models, data)
    evidence = files.evidence()
    evaluation = evaluate(evidence) if evidence else None
    report = {**files.facts(), **_figures(run, evaluation, models)}
    report["verdict"] = verdict(report, run.request.until)
    report["doubling"] = doubling(report)
    report["money"] = money(report)
    write_predictions(run, files.answers, data)
    calibrate(files)
    data.write_json(keys.ledger_key(run.name), report["ledger"])
    lineage = build_manifest(run, report, data, code)
    data.write_json(keys.manifest_key(run.name), lineage)
    data.write_json(keys.report_key(run.name, "report.json"), report)
    data.write(keys.report_key(run.name, "scores.csv"), scores_table(evaluation), "text/csv; charset=utf-8")
    page = render(_page(files, report, lineage, evaluation), _pictures(files, evaluation))
    key = keys.report_key(run.name, "report.html")
    data.write(key, page.encode(), "text/html; charset=utf-8")
    return {"verdict": report["verdict"], "promoted": report["gate"].get("promoted"), "report_key": key}


def scores_table(evaluation: Evaluation | None) -> bytes:
    """Return scores.csv: the Jaccard index of each test image, a column for each answerer."""
    columns = {"image": evaluation.images, **evaluation.per_image} if evaluation else {}
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def _figures(run: Run, evaluation: Evaluation | None, models: list[TrainedModel]) -> dict[str, Any]:
    if evaluation is None:
        return {"jaccard": None, "gate": {}}
    gate = evaluation.figures["gate"]
    if gate["passed"] and run.request.keep != "none":
        gate["promoted"] = next(model.model_name for model in models if f"n{model.size}" == gate["best"])
    return evaluation.figures


def _page(files: RunData, report: dict[str, Any], lineage: dict[str, Any], evaluation: Evaluation | None) -> Page:
    run = files.run
    teacher, student = catalog.get_model(run.teacher.model), catalog.get_model(run.student)
    return Page(
        title=run.name,
        subtitle=f"{run.collection.rstrip('/') or 'all photos'} · {run.created[:10]} · {report['status']}",
        teacher=teacher.display_name,
        student=student.display_name,
        local=run.student.startswith("local.") or run.teacher.model.startswith("local."),
        ceiling_temperature=run.request.ceiling_temperature,
        report=report,
        lineage=lineage,
        not_verified=_NOT_VERIFIED,
        evaluation=evaluation,
    )


def _pictures(files: RunData, evaluation: Evaluation | None) -> Iterator[Picture]:
    """Yield the test images, or, when nothing was trained, labels to look at before paying for more."""
    photo_of = files.photo_of()
    teacher = files.answers.get("teacher", {})
    for image in (evaluation.images if evaluation else list(teacher))[:PICTURES]:
        yield Picture(
            image=image,
            name=photo_of.get(image, image),
            jpeg=files.data.read(keys.image_key(files.run.side, image)),
            label=teacher[image],
        )
