"""Estimate the cost of a run line by line, with bounds; the state Estimate and ``distill estimate`` share it.

Tokens follow the family's rule, or were measured in earlier runs. No estimate was compared with a bill of AWS.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from distillation import ledger
from distillation.costs.aws_services import monthly_costs, service_costs
from distillation.costs.calibration import Calibration
from distillation.costs.daily_quota import daily_quota_uses, daily_quota_warnings
from distillation.costs.lines import CostLine, exactly, format_usd, rounded, total
from distillation.costs.tokens import Tokens, question_tokens
from distillation.costs.workload import Workload
from distillation.documents import (
    ApplyEstimate,
    Bounds,
    DailyQuotaUse,
    Estimate,
    MonthlyCost,
    ProvisionedCost,
    StepCost,
)
from distillation.inference.rate_limit import calls_per_minute
from distillation.models import catalog, prices
from distillation.models.hyperparameters import job_hyperparameters, repeats_per_image
from distillation.models.service_tier import first_tier
from distillation.records import Dimensions, Run, ServiceTier
from distillation.statistical_power import TYPICAL_SD, minimum_detectable_difference

_BILLED_RECORD = 700
"""Tokens per record and epoch in a published bill (Nova Lite, 300 photos, 5 epochs, $2.1); fewer than by the rule."""
_CALLS_PER_ANSWER = Bounds(low=1.0, expected=1.05, high=1.25)
"""Teacher calls per answer: a rejected answer is asked for once more. Not measured."""
_PROVISIONED_HOURS = Bounds(low=1, expected=1, high=3)
"""Hours per tuned model; AWS bills at least one."""


def estimate_run(run: Run, work: Workload, calibrations: Mapping[str, Calibration], today: datetime.date) -> Estimate:
    """Return the estimate of a run; ``calibrations`` are by model id.

    Raises ``InvalidRequest`` for a model without a price.
    """
    teacher = question_tokens(run, run.teacher.model, calibrations.get(run.teacher.model))
    student = question_tokens(run, run.student, calibrations.get(run.student))
    model_lines = [line for line in _model_lines(run, work, teacher, student) if line.step in _paid_steps(run)]
    lines = [*model_lines, *service_costs(run, work, _answers_by_step(run, work))]
    monthly = monthly_costs(run, work)
    gain_sd = calibrations[run.student].gain_sd if run.student in calibrations else None
    daily_quotas = daily_quota_uses(run, _tokens_by_model(run, work, teacher, student))
    budget = _against_budget(run, lines, daily_quotas)
    return Estimate(
        **dict(budget),
        by_step=_by_step(lines),
        lines=[line.as_document() for line in lines],
        monthly=MonthlyCost(range=rounded(total(monthly)), lines=[line.as_document() for line in monthly]),
        photos=work.photos,
        images=work.images,
        test=len(work.test),
        sizes=work.sizes,
        labels_to_ask=len(work.to_label),
        labels_reused=work.labels_reused,
        label_minutes=round(len(work.to_label) / calls_per_minute(run, run.teacher.model), 1),
        range_from=_assumptions(work, [teacher, student]),
        warnings=[
            *prices.warnings((line.price for line in [*lines, *monthly]), today),
            *daily_quota_warnings(daily_quotas),
        ],
        detectable=minimum_detectable_difference(len(work.test), TYPICAL_SD if gain_sd is None else gain_sd),
        gain_sd=gain_sd,
        plan=[],
        break_even=None,
        provisioned=_provisioned_cost(run, work),
    )


def estimate_apply(run: Run, images: Sequence[Dimensions], calibration: Calibration | None) -> ApplyEstimate:
    """Return the estimate of a tuned model's answers about images."""
    student = question_tokens(run, run.student, calibration)
    lines = _answer_lines("PredictImages", run.student, images, student, exactly(1))
    tokens = _answer_tokens(images, student, exactly(1)).expected
    return _against_budget(run, lines, daily_quota_uses(run, {run.student: tokens}))


def dataset_tokens(images: Sequence[Dimensions], student: Tokens, teacher: Tokens) -> Bounds:
    """Return the tokens of one training record per image: question, image and answer."""
    by_rule = student.questions(images) + teacher.answer.times(len(images))
    return by_rule.model_copy(update={"low": min(by_rule.low, _BILLED_RECORD * len(images))})


def _paid_steps(run: Run) -> set[str]:
    """Return the steps with a model cost that the run reaches."""
    reached = {"Estimate": 0, "LabelImages": 1, "ValidateDataset": 1}
    return set(("LabelImages", "TrainModels", "PredictTestImages")[: reached.get(run.request.until or "", 3)])


def _model_lines(run: Run, work: Workload, teacher: Tokens, student: Tokens) -> list[CostLine]:
    """Return the lines of all calls and jobs, whether or not the run reaches them."""
    tier = first_tier(run.teacher.model, run.request.service_tier)
    return [
        *_label_lines(run, work, teacher, tier),
        *_training_lines(run, work, student, teacher),
        *_answer_lines("PredictTestImages", run.student, _student_questions(work), student, exactly(1)),
        *_ceiling_lines(run, work, teacher, tier),
    ]


def _label_lines(run: Run, work: Workload, teacher: Tokens, tier: ServiceTier) -> list[CostLine]:
    return _answer_lines("LabelImages", run.teacher.model, work.to_label, teacher, _CALLS_PER_ANSWER, tier)


def _ceiling_lines(run: Run, work: Workload, teacher: Tokens, tier: ServiceTier) -> list[CostLine]:
    return _answer_lines(
        "PredictTestImages", run.ceiling.model, work.to_ask_for_ceiling, teacher, _CALLS_PER_ANSWER, tier
    )


def _training_lines(run: Run, work: Workload, student: Tokens, teacher: Tokens) -> list[CostLine]:
    model = catalog.get_model(run.student)
    epochs = int(job_hyperparameters(run, work.sizes[0])["epochCount"])
    return [
        CostLine(
            "TrainModels",
            f"{model.display_name}, {size} images, {epochs} epochs",
            dataset_tokens(work.train[:size], student, teacher).times(epochs * repeats_per_image(run.request, size)),
            model.price("training"),
        )
        for size in work.sizes
    ]


def _student_questions(work: Workload) -> list[Dimensions]:
    """Return the images of PredictTestImages, one entry for each time that base or a tuned model is asked."""
    return [*work.test] * (1 + len(work.sizes)) + [*work.validation] * len(work.sizes)


def _answer_lines(
    step: str,
    model_id: str,
    images: Sequence[Dimensions],
    tokens: Tokens,
    calls: Bounds,
    tier: ServiceTier = "default",
) -> list[CostLine]:
    """Return the lines of input and output tokens; ``calls`` is the number of calls per image."""
    model, suffix = catalog.get_model(model_id), ledger.tier_suffix(tier)
    input_tokens = tokens.questions(images).times_bounds(calls)
    output_tokens = tokens.answer.times(len(images)).times_bounds(calls)
    return [
        CostLine(step, f"{model.display_name}, input", input_tokens, model.price(f"input{suffix}")),
        CostLine(step, f"{model.display_name}, output", output_tokens, model.price(f"output{suffix}")),
    ]


def _answer_tokens(images: Sequence[Dimensions], tokens: Tokens, calls: Bounds) -> Bounds:
    """Return the input and output tokens of one answer about each image."""
    return (tokens.questions(images) + tokens.answer.times(len(images))).times_bounds(calls)


def _tokens_by_model(run: Run, work: Workload, teacher: Tokens, student: Tokens) -> dict[str, float]:
    """Return the expected tokens of questions in the steps that the run reaches, by model id."""
    paid = _paid_steps(run)
    by_model = dict.fromkeys((run.teacher.model, run.student), 0.0)
    if "LabelImages" in paid:
        by_model[run.teacher.model] += _answer_tokens(work.to_label, teacher, _CALLS_PER_ANSWER).expected
    if "PredictTestImages" in paid:
        by_model[run.teacher.model] += _answer_tokens(work.to_ask_for_ceiling, teacher, _CALLS_PER_ANSWER).expected
        by_model[run.student] += _answer_tokens(work.test, student, exactly(1)).expected
    return by_model


def _answers_by_step(run: Run, work: Workload) -> dict[str, int]:
    answers = {
        "LabelImages": len(work.to_label),
        "PredictTestImages": len(work.to_ask_for_ceiling) + len(_student_questions(work)),
    }
    return {step: count for step, count in answers.items() if step in _paid_steps(run)}


def _by_step(lines: Sequence[CostLine]) -> dict[str, StepCost]:
    steps: dict[str, list[CostLine]] = {}
    for line in lines:
        steps.setdefault(line.step, []).append(line)
    return {
        step: StepCost(**rounded(total(of_step)).model_dump(), confirmed=all(line.price.confirmed for line in of_step))
        for step, of_step in steps.items()
    }


def _against_budget(run: Run, lines: Sequence[CostLine], daily_quotas: list[DailyQuotaUse]) -> ApplyEstimate:
    """Return the total of the lines, compared with the budget."""
    usd, limit = total(lines), run.request.max_usd
    within = usd.expected <= limit
    doubt = "" if all(line.price.confirmed for line in lines) else "; not all prices are confirmed"
    text = f"about {format_usd(usd.expected)} ({format_usd(usd.low)} to {format_usd(usd.high)}{doubt})"
    if not within:
        text += f", over max_usd ${limit:,.2f}. Raise max_usd, or use fewer images, and start again."
    elif usd.high > limit:
        text += f", within max_usd ${limit:,.2f}. The run stops before it spends more."
    else:
        text += f", within max_usd ${limit:,.2f}."
    return ApplyEstimate(
        usd=round(usd.expected, 6),
        range=rounded(usd),
        max_usd=limit,
        within_budget=within,
        verdict=text,
        daily_quotas=daily_quotas,
    )


def _assumptions(work: Workload, tokens: Sequence[Tokens]) -> list[str]:
    """Return the assumptions behind the bounds."""
    assumptions = [f"tokens of {counts.source}" for counts in tokens]
    assumptions.append(f"rejected answers of the teacher, asked for again: at most {_CALLS_PER_ANSWER.high - 1:.0%}")
    assumptions.append(f"training: at least {_BILLED_RECORD} tokens per record and epoch, as in one published bill")
    assumptions.append("training: paid for by this run; it costs nothing if a model of an earlier run is reused")
    assumptions.append("Lambda, Step Functions and S3: seconds and requests per photo, not measured on AWS")
    if work.predicted:
        assumptions.append("split: predicted from the number of photos")
        assumptions.append("not subtracted: duplicates, labels of earlier runs and own labels, which cost nothing")
    return assumptions


def _provisioned_cost(run: Run, work: Workload) -> ProvisionedCost | None:
    """Return the additional cost of provisioned throughput; None if its price is unknown or nothing is trained."""
    model = catalog.get_model(run.student)
    if "TrainModels" not in _paid_steps(run) or not model.has_price("provisioned"):
        return None
    price = model.price("provisioned")
    hours = _PROVISIONED_HOURS.times(len(work.sizes))
    usd = CostLine("", "", hours, price).usd
    return ProvisionedCost(usd=rounded(usd), hours=rounded(hours), price=price.as_row())
