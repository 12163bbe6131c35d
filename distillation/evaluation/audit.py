"""Audit of an applied model: agreement with the teacher on a random share of the images, beside its evaluation."""

from __future__ import annotations

from collections import defaultdict

from distillation import keys
from distillation.answers.formats import format_of
from distillation.dataset.labels import combine_samples
from distillation.documents import Audit, Interval, Report
from distillation.errors import ObjectDamaged
from distillation.evaluation.intervals import resample
from distillation.evaluation.scores import agreement, label_values
from distillation.inference.missing_answers import AnswerParts, require_lines
from distillation.records import AnswerLine, Run, SplitLine
from distillation.run_documents import find_report
from distillation.storage import Bucket

MINIMUM_IMAGES = 10
"""Smallest number of labelled images of an audit that can tell whether the photos have drifted."""


def measure_audit(run: Run, data: Bucket) -> Audit | None:
    """Return the audit of a run with ``apply``, or None without ``audit_share``.

    The photos have drifted if the whole interval of the audit is below that of the evaluation. The mean alone would
    be below the evaluation's lower bound in about every third audit of 20 images without any drift.

    Raises ``ObjectMissing`` if an audited image has no line.
    """
    list_key = keys.split_key(run.name, "images")
    asked = [line.image for line in data.read_records(list_key, SplitLine) if line.audit]
    if not asked:
        return None
    tuned, samples = _read_lines(run, set(asked), data)
    require_lines(run, "the audit", asked, samples, AnswerParts("predict", list_key), data)
    lines = {image: combine_samples(run, samples[image]) for image in asked}
    answer_format = format_of(run)
    labels = label_values(answer_format, {image: line for image, line in lines.items() if line.status == "ok"})
    measured = None
    if labels:
        values = agreement(answer_format, tuned, labels)
        measured = resample({"tuned": values}, list(labels)).mean("tuned")
    evaluation = _evaluated(run, data)
    drifted = len(labels) >= MINIMUM_IMAGES and bool(measured and evaluation and measured.high < evaluation.low)
    return Audit(
        asked=len(asked),
        images=len(labels),
        agreement=measured,
        evaluation=evaluation,
        drifted=drifted,
        reason=next((line.reason for line in lines.values() if line.status == "refused"), None),
    )


def _read_lines(run: Run, audited: set[str], data: Bucket) -> tuple[dict[str, AnswerLine], dict[str, list[AnswerLine]]]:
    """Return the tuned model's answers about audited images, and the teacher's samples, both keyed by image."""
    tuned: dict[str, AnswerLine] = {}
    samples: dict[str, list[AnswerLine]] = defaultdict(list)
    for line in data.read_parts(keys.parts_prefix(run.name, "predict"), AnswerLine):
        if line.answerer == "audit":
            samples[line.image].append(line)
        elif line.answerer == "tuned" and line.image in audited:
            tuned[line.image] = line
    return tuned, samples


def _evaluated(run: Run, data: Bucket) -> Interval | None:
    """Return the agreement that the model's own run measured.

    None if its report cannot be read, or if it was compared with the owner's labels instead of the teacher's alone.
    """
    try:
        report = find_report(run.request.apply or "", data)
    except ObjectDamaged:
        return None
    if not isinstance(report, Report) or report.evaluation is None or report.own_test_labels or run.applies is None:
        return None
    return report.evaluation.agreement.tuned.get(run.applies.answerer)
