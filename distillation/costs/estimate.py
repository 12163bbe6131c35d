"""Estimate the cost of a run line by line, with bounds; the state Estimate and ``distill estimate`` share it.

Tokens follow the family's rule, or were measured in earlier runs. Tokens of training records follow the only published
bill. No estimate was compared with a bill of AWS.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from distillation.costs.answers import CALLS_PER_ANSWER, answer_lines
from distillation.costs.aws_services import monthly_costs
from distillation.costs.break_even import break_even
from distillation.costs.calibration import Calibration
from distillation.costs.daily_quota import daily_quota_uses, daily_quota_warnings
from distillation.costs.lines import CostLine, exactly, format_usd, rounded, total
from distillation.costs.rounds import label_minutes, planned_round, round_lines, tokens_by_model
from distillation.costs.tokens import RunTokens
from distillation.costs.workload import RoundWork, Workload
from distillation.documents import (
    ApplyEstimate,
    Bounds,
    BreakEven,
    DailyQuotaUse,
    Estimate,
    EstimateLine,
    MonthlyCost,
    PlannedRound,
    ProvisionedCost,
    StepCost,
)
from distillation.models import catalog, prices
from distillation.models.service_tier import cheapest_tier
from distillation.records import Run
from distillation.statistical_power import TYPICAL_SD, minimum_detectable_difference

_PROVISIONED_HOURS = Bounds(low=1, expected=1, high=3)
"""Hours per tuned model; AWS bills at least one."""


def estimate_run(
    run: Run,
    work: Workload,
    calibrations: Mapping[str, Calibration],
    today: datetime.date,
    earlier: Estimate | None = None,
    paid: float = 0.0,
) -> Estimate:
    """Return the estimate of a run up to its first verdict, or up to the round that starts next if that comes later.

    ``calibrations`` are by model id. ``earlier`` is the estimate of the round before: its figures for earlier rounds
    are kept. ``paid`` is what the run has paid so far, in US dollars. It counts toward the budget together with the
    rounds that start next. Raises ``InvalidRequest`` for a model without a price.
    """
    tokens, first, counted = RunTokens(run, calibrations), work.rounds[0].number, _counted_rounds(run, work)
    numbered = [(round_work.number, line) for round_work in counted for line in round_lines(run, round_work, tokens)]
    new = [line for _, line in numbered]
    before = [line for line in earlier.lines if line.round < first] if earlier else []
    documents = [*before, *(line.as_document(number) for number, line in numbered)]
    plan = [planned for planned in earlier.plan if planned.number < first] if earlier else []
    plan += _plan(work, tokens)
    to_verdict = _to_verdict(plan, first)
    monthly = monthly_costs(run, work)
    usd = _sum(documents)
    gain_sd = calibrations[run.student].gain_sd if run.student in calibrations else None
    daily_quotas = daily_quota_uses(run, _tokens_by_model(counted, tokens))
    budget = compare_with_budget(run, new, daily_quotas, paid)
    return Estimate(
        **{**dict(budget), "usd": round(usd.expected, 6), "range": rounded(usd)},
        by_step=_by_step(documents),
        lines=documents,
        monthly=MonthlyCost(range=rounded(total(monthly)), lines=[line.as_document(first) for line in monthly]),
        photos=work.photos,
        images=work.images,
        test=work.test,
        sizes=[size for planned in to_verdict for size in planned.sizes],
        labels_to_ask=sum(len(round_work.to_label) for round_work in counted),
        labels_reused=sum(round_work.labels_reused for round_work in counted),
        label_minutes=round(sum(label_minutes(run, round_work) for round_work in counted), 1),
        range_from=_assumptions(work, tokens),
        warnings=[
            *prices.warnings((line.price for line in [*new, *monthly]), today),
            *daily_quota_warnings(daily_quotas),
            *_reduced_sizes(run, work),
        ],
        detectable=minimum_detectable_difference(work.test, TYPICAL_SD if gain_sd is None else gain_sd),
        gain_sd=gain_sd,
        plan=plan,
        break_even=_break_even(work, tokens, to_verdict),
        provisioned=_provisioned_cost(run, counted),
    )


def compare_with_budget(
    run: Run, lines: Sequence[CostLine], daily_quotas: list[DailyQuotaUse], paid: float = 0.0
) -> ApplyEstimate:
    """Return the total of the lines. Together with ``paid``, in US dollars, it is compared with the budget."""
    usd, limit = total(lines), run.request.max_usd
    within = paid + usd.expected <= limit
    doubt = "" if all(line.price.confirmed for line in lines) else "; not all prices are confirmed"
    text = f"about {format_usd(usd.expected)} ({format_usd(usd.low)} to {format_usd(usd.high)}{doubt})"
    if paid:
        text += f" in addition to {format_usd(paid)} paid so far"
    if not within:
        text += f", over max_usd ${limit:,.2f}. Raise max_usd, or use fewer images, and start again."
    elif paid + usd.high > limit:
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


def _counted_rounds(run: Run, work: Workload) -> list[RoundWork]:
    """Return the rounds that the estimate counts: those up to the next verdict that the run reaches."""
    return work.current[:1] if run.request.until in ("Estimate", "Baseline") else work.current


def _plan(work: Workload, tokens: RunTokens) -> list[PlannedRound]:
    """Return the rounds from the next one on.

    A run that stops after Estimate or Baseline has the rounds that it would have if it continued. One that stops after
    its labels or its dataset has the first round only.
    """
    run, rounds = tokens.run, work.rounds
    if run.request.until in ("Estimate", "Baseline"):
        run = run.model_copy(update={"request": run.request.model_copy(update={"until": None})})
    elif run.request.until:
        rounds = rounds[:1]
    return [planned_round(run, round_work, tokens) for round_work in rounds]


def _to_verdict(plan: Sequence[PlannedRound], first: int) -> list[PlannedRound]:
    """Return the planned rounds up to the first verdict, or up to the round ``first`` if that comes later."""
    verdict = next(planned.number for planned in plan if planned.kind == "training")
    return [planned for planned in plan if planned.number <= max(first, verdict)]


def _tokens_by_model(rounds: Sequence[RoundWork], tokens: RunTokens) -> dict[str, float]:
    needed: dict[str, float] = {}
    for work in rounds:
        for model, count in tokens_by_model(tokens.run, work, tokens).items():
            needed[model] = needed.get(model, 0.0) + count
    return needed


def _sum(lines: Sequence[EstimateLine]) -> Bounds:
    return sum((line.usd for line in lines), exactly(0))


def _by_step(lines: Sequence[EstimateLine]) -> dict[str, StepCost]:
    steps: dict[str, list[EstimateLine]] = {}
    for line in lines:
        steps.setdefault(line.step, []).append(line)
    return {
        step: StepCost(**rounded(_sum(of_step)).model_dump(), confirmed=all(line.price.confirmed for line in of_step))
        for step, of_step in steps.items()
    }


def _break_even(work: Workload, tokens: RunTokens, plan: Sequence[PlannedRound]) -> BreakEven | None:
    """Return the break-even of the planned rounds; None if the run was asked to stop after its labels or dataset."""
    run, images = tokens.run, work.stored_images
    if run.request.until in ("LabelImages", "ValidateDataset"):
        return None
    tier = cheapest_tier(run.teacher.model)
    teacher, student = (
        total(lines).expected / len(images) * 1000
        for lines in (
            answer_lines("", run.teacher.model, images, tokens.teacher, CALLS_PER_ANSWER, tier),
            answer_lines("", run.student, images, tokens.student, exactly(1)),
        )
    )
    return break_even(run, teacher, student, sum((planned.usd for planned in plan), exactly(0)))


def _assumptions(work: Workload, tokens: RunTokens) -> list[str]:
    """Return the assumptions behind the bounds."""
    run, student = tokens.run, tokens.student
    assumptions = [f"tokens of {counts.source}" for counts in (tokens.teacher, student)]
    assumptions.append(f"rejected answers of the teacher, asked for again: at most {CALLS_PER_ANSWER.high - 1:.0%}")
    if run.request.service_tier == "auto" and cheapest_tier(run.teacher.model) == "flex":
        assumptions.append("teacher: asked on flex; the high bound is the standard tier, used where flex throttles")
    if billed := student.family.training_image_tokens:
        assumptions.append(
            f"training: {billed[1]:g} tokens per image, at least {billed[0]:g}, from one published bill ($2.1 for 300 "
            "photos, $7.5 for 900, 5 epochs); at most the family's rule"
        )
    assumptions.append("training: paid for by this run; it costs nothing if a model of an earlier run is reused")
    assumptions.append("hours of a job: extrapolated from two published jobs (300 photos 1 h, 900 photos 2 h)")
    assumptions.append("Lambda, Step Functions and S3: seconds and requests per photo, not measured on AWS")
    if work.predicted:
        assumptions.append("split: predicted from the number of photos")
        assumptions.append("not subtracted: duplicates, labels of earlier runs and own labels, which cost nothing")
    return assumptions


def _reduced_sizes(run: Run, work: Workload) -> list[str]:
    """Return a sentence for each requested training size for which there are not enough images."""
    largest = max(size for round_work in work.rounds for size in round_work.sizes)
    return [
        f"train_sizes: {size:,} is reduced to {largest:,}, because the run has no more images to train on."
        for size in run.request.train_sizes or []
        if size > largest
    ]


def _provisioned_cost(run: Run, rounds: Sequence[RoundWork]) -> ProvisionedCost | None:
    """Return the additional cost of provisioned throughput; None if its price is unknown or nothing is trained."""
    model, models = catalog.get_model(run.student), sum(len(work.sizes) for work in rounds)
    if run.request.until or not models or not model.has_price("provisioned"):
        return None
    price = model.price("provisioned")
    hours = _PROVISIONED_HOURS.times(models)
    return ProvisionedCost(usd=rounded(CostLine("", "", hours, price).usd), hours=rounded(hours), price=price.as_row())
