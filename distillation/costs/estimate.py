"""What a run will cost, line by line, with the bounds it lies between; one calculation for state and command.

Tokens are counted by rule, or as measured in earlier runs; the bill of AWS decides and was not verified.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from distillation import ledger
from distillation.costs.calibration import Calibration
from distillation.costs.range import CostRange, Line, exactly, format_usd, total
from distillation.costs.services import monthly_costs, service_costs
from distillation.costs.tokens import Tokens, question_tokens
from distillation.costs.workload import Size, Workload
from distillation.inference.rate_limit import calls_per_minute
from distillation.models import catalog, prices
from distillation.models.hyperparameters import copies, hyperparameters
from distillation.power import minimum_detectable_difference
from distillation.records import Run, ServiceTier

_BILLED_RECORD = 700
"""Tokens of a record and epoch in a published bill (Nova Lite, 300 photos, 5 epochs, $2.1), fewer than by the rule."""
_ASKED = CostRange(1.0, 1.05, 1.25)
"""Calls of the teacher for an answer: one that does not count is asked for once more. A guess."""
_PROVISIONED_HOURS = CostRange(1, 1, 3)
"""An hour is the least that is billed of each tuned model."""


def estimate_run(
    run: Run, work: Workload, calibrations: Mapping[str, Calibration], today: datetime.date
) -> dict[str, Any]:
    """Return ``report/estimate.json``: US dollars by line and step, in all, by the month, and against the budget.

    ``calibrations`` by model. Raises ``InvalidRequest`` for a model without a price.
    """
    teacher = question_tokens(run, run.teacher.model, calibrations.get(run.teacher.model))
    student = question_tokens(run, run.student, calibrations.get(run.student))
    tier = run.request.service_tier
    every = [
        *_labelling(run, work, teacher, tier),
        *_training(run, work, student, teacher),
        *_asking(run, work, student),
        *_sampling(run, work, teacher, tier),
    ]
    models = [line for line in every if line.step in _steps(run)]
    lines = [*models, *service_costs(run, work, _calls(run, work))]
    usd = total(lines)
    kept = monthly_costs(run, work)
    return {
        "usd": round(usd.expected, 6),
        "range": usd.as_json(),
        "by_step": _by_step(lines),
        "lines": [line.as_json() for line in lines],
        "monthly": {"range": total(kept).as_json(), "lines": [line.as_json() for line in kept]},
        "photos": work.photos,
        "images": work.images,
        "test": len(work.test),
        "sizes": work.sizes,
        "labels_to_ask": len(work.to_label),
        "labels_kept": work.labels_reused,
        "label_minutes": round(len(work.to_label) / calls_per_minute(run, run.teacher.model), 1),
        **_verdict(run, lines),
        "range_from": _sources(work, [teacher, student]),
        "warnings": prices.warnings((line.price for line in [*lines, *kept]), today),
        "detectable": minimum_detectable_difference(len(work.test)),
        "break_even_images": _break_even(run, work, teacher, student, usd),
        "flex": _flex(run, work, teacher, lines),
        "provisioned": _provisioned(run, work),
    }


def estimate_apply(run: Run, images: Sequence[Size], calibration: Calibration | None) -> dict[str, Any]:
    """Return what a tuned model's answers about images will cost, and how that meets the budget."""
    student = question_tokens(run, run.student, calibration)
    lines = _answers("PredictImages", run.student, images, student, exactly(1))
    return {"usd": round(total(lines).expected, 6), "range": total(lines).as_json(), **_verdict(run, lines)}


def dataset_tokens(images: Sequence[Size], student: Tokens, teacher: Tokens) -> CostRange:
    """Return the tokens of the records of these images, each written once: question, image and answer."""
    once = student.questions(images) + teacher.answer.times(len(images))
    return CostRange(min(once.low, _BILLED_RECORD * len(images)), once.expected, once.high)


def _steps(run: Run) -> set[str]:
    """Return the steps that a run comes to."""
    paying = {"Estimate": 0, "LabelImages": 1, "ValidateDataset": 1}
    return set(("LabelImages", "TrainModels", "PredictTestImages")[: paying.get(run.request.until or "", 3)])


def _labelling(run: Run, work: Workload, teacher: Tokens, tier: ServiceTier) -> list[Line]:
    return _answers("LabelImages", run.teacher.model, work.to_label, teacher, _ASKED, tier)


def _training(run: Run, work: Workload, student: Tokens, teacher: Tokens) -> list[Line]:
    model = catalog.get_model(run.student)
    epochs = int(hyperparameters(run, work.sizes[0])["epochCount"])
    return [
        Line(
            "TrainModels",
            f"{model.display_name}, {size} images, {epochs} epochs",
            dataset_tokens(work.train[:size], student, teacher).times(epochs * copies(run.request, size)),
            model.price("training"),
        )
        for size in work.sizes
    ]


def _asking(run: Run, work: Workload, student: Tokens) -> list[Line]:
    return _answers("PredictTestImages", run.student, work.test, student, exactly(1 + len(work.sizes)))


def _sampling(run: Run, work: Workload, teacher: Tokens, tier: ServiceTier) -> list[Line]:
    return _answers("PredictTestImages", run.ceiling.model, work.to_sample, teacher, _ASKED, tier)


def _answers(
    step: str, id: str, images: Sequence[Size], tokens: Tokens, times: CostRange, tier: ServiceTier = "default"
) -> list[Line]:
    model, suffix = catalog.get_model(id), ledger.suffix(tier)
    asked, answered = tokens.questions(images).for_each(times), tokens.answer.times(len(images)).for_each(times)
    return [
        Line(step, f"{model.display_name}, input", asked, model.price(f"input{suffix}")),
        Line(step, f"{model.display_name}, output", answered, model.price(f"output{suffix}")),
    ]


def _calls(run: Run, work: Workload) -> dict[str, int]:
    """Return how many answers are asked for, by step."""
    asked = len(work.to_sample) + len(work.test) * (1 + len(work.sizes))
    calls = {"LabelImages": len(work.to_label), "PredictTestImages": asked}
    return {step: count for step, count in calls.items() if step in _steps(run)}


def _by_step(lines: Sequence[Line]) -> dict[str, dict[str, Any]]:
    steps: dict[str, list[Line]] = {}
    for line in lines:
        steps.setdefault(line.step, []).append(line)
    return {
        step: total(of_step).as_json() | {"confirmed": all(line.price.confirmed for line in of_step)}
        for step, of_step in steps.items()
    }


def _verdict(run: Run, lines: Sequence[Line]) -> dict[str, Any]:
    usd, limit = total(lines), run.request.max_usd
    within = usd.expected <= limit
    doubt = "" if all(line.price.confirmed for line in lines) else "; not all prices are confirmed"
    text = f"about {format_usd(usd.expected)} ({format_usd(usd.low)} to {format_usd(usd.high)}{doubt})"
    if not within:
        text += f", over max_usd ${limit:,.2f}; raise max_usd, or take fewer images, and start again"
    elif usd.high > limit:
        text += f", within max_usd ${limit:,.2f}; nothing more is asked where going on could pass it"
    else:
        text += f", within max_usd ${limit:,.2f}"
    return {"max_usd": limit, "within_budget": within, "verdict": text}


def _sources(work: Workload, tokens: Sequence[Tokens]) -> list[str]:
    found = [f"tokens of {one.source}" for one in tokens]
    found.append(f"answers of the teacher that do not count and are asked for again: {_ASKED.high - 1:.0%} at most")
    found.append(f"training: from {_BILLED_RECORD} tokens a record and epoch, as one published bill had it")
    found.append("Lambda, Step Functions and S3: seconds and requests a photo, not measured on AWS")
    if work.predicted:
        found.append("split: predicted from the number of photos")
        found.append("not known before: duplicates, labels of earlier runs, and your own, all of which cost nothing")
    return found


def _break_even(run: Run, work: Workload, teacher: Tokens, student: Tokens, usd: CostRange) -> dict[str, int] | None:
    """Return after how many images the run has paid for itself against asking the teacher.

    None if it never does, or nothing is trained.
    """
    if "TrainModels" not in _steps(run):
        return None
    images = work.test
    each = {
        id: total(_answers("", id, images, tokens, exactly(1))).times(1 / len(images))
        for id, tokens in ((run.teacher.model, teacher), (run.student, student))
    }
    saved = each[run.teacher.model].expected - each[run.student].expected
    if saved <= 0:
        return None
    return {name: ceil(value / saved) for name, value in usd.__dict__.items()}


def _flex(run: Run, work: Workload, teacher: Tokens, lines: list[Line]) -> dict[str, float] | None:
    """Return what all would cost on the slower flex tier; None where the teacher has none, or is asked on it."""
    if run.request.service_tier == "flex" or not catalog.get_model(run.teacher.model).has_price("input-flex"):
        return None

    def asked(tier: ServiceTier) -> float:
        both = [*_labelling(run, work, teacher, tier), *_sampling(run, work, teacher, tier)]
        return total([line for line in both if line.step in _steps(run)]).expected

    return {"usd": round(total(lines).expected - asked("default") + asked("flex"), 6)}


def _provisioned(run: Run, work: Workload) -> dict[str, Any] | None:
    """Return what the tuned models would have cost on provisioned throughput; None where its price is not known."""
    model = catalog.get_model(run.student)
    if "TrainModels" not in _steps(run) or not model.has_price("provisioned"):
        return None
    row = model.price("provisioned")
    hours = _PROVISIONED_HOURS.times(len(work.sizes))
    return {"usd": Line("", "", hours, row).usd.as_json(), "hours": hours.as_json(), "price": row.as_json()}
