"""Cost and duration of each round of a run, in the order in which they are paid for."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from distillation import keys
from distillation.costs import calibration
from distillation.costs.answers import CALLS_PER_ANSWER, answer_lines, answer_tokens
from distillation.costs.aws_services import service_costs
from distillation.costs.daily_quota import daily_quota_uses
from distillation.costs.lines import CostLine, exactly, merged, rounded, total
from distillation.costs.tokens import RunTokens, Tokens
from distillation.costs.workload import CEILING, EXAMPLES, Questions, RoundWork, measure_without_until, measure_workload
from distillation.documents import Bounds, DailyQuotaUse, PlannedRound, Rounds
from distillation.inference.rate_limit import calls_per_minute
from distillation.inference.text_examples import MAXIMUM_EXAMPLES
from distillation.models import catalog
from distillation.models.hyperparameters import job_hyperparameters, repeats_per_image
from distillation.photos.rounds import has_baseline
from distillation.records import Run, size_of
from distillation.storage import Bucket

_HOURS_PER_JOB = Bounds(low=0.25, expected=0.5, high=1.5)
"""Hours of a job apart from its tokens.

Both rates are extrapolated from two published jobs of 5 epochs: 300 photos took one hour, 900 photos two. With the
tokens that this project expects of them, that is half an hour and 0.43 hours per million tokens. The low bound is half
of that, the high bound three times as much; neither was measured.
"""
_HOURS_PER_MILLION_TOKENS = Bounds(low=0.215, expected=0.43, high=1.29)
"""Hours of a job per million training tokens, see ``_HOURS_PER_JOB``."""
_DEPLOYMENT_HOURS = Bounds(low=0.1, expected=1 / 6, high=0.5)
"""Hours until a tuned model answers. Not measured on AWS."""
_STEP_HOURS = Bounds(low=0.02, expected=0.05, high=0.2)
"""Hours of a round apart from answers and jobs: steps start, read lists and write results. Not measured on AWS."""
_PAID_STEPS = ("LabelImages", "PredictTestImages", "TrainModels")


def paid_steps(run: Run, kind: str) -> tuple[str, ...]:
    """Return the steps with a model cost that a round reaches."""
    if run.request.until == "Estimate":
        return ()
    if run.request.until in ("LabelImages", "ValidateDataset"):
        return _PAID_STEPS[:1]
    return _PAID_STEPS if kind == "training" else _PAID_STEPS[:2]


def cost_of_round(run: Run, number: int, data: Bucket) -> tuple[PlannedRound, list[DailyQuotaUse]]:
    """Return cost and duration of the round ``number``, and the daily quotas that it needs.

    Both are without what earlier rounds and runs have paid for.
    """
    round_ = data.read_document(keys.rounds_key(run.name), Rounds).rounds[number]
    work = measure_workload(run, round_, data).rounds[0]
    tokens = RunTokens(run, calibration.load_for(run, data))
    return planned_round(run, work, tokens), daily_quota_uses(run, tokens_by_model(run, work, tokens))


def cost_to_first_verdict(run: Run, data: Bucket) -> Bounds:
    """Return the cost in US dollars of a run started again without ``until``, up to its first verdict.

    Raises the errors of ``measure_without_until``.
    """
    whole, work = measure_without_until(run, data)
    tokens = RunTokens(whole, calibration.load_for(whole, data))
    return rounded(sum((planned_round(whole, round_, tokens).usd for round_ in work.current), exactly(0)))


def planned_round(run: Run, work: RoundWork, tokens: RunTokens) -> PlannedRound:
    """Return cost, duration and result of a round."""
    return PlannedRound(
        number=work.number,
        kind=work.kind,
        sizes=work.sizes,
        labels_to_ask=len(work.to_label),
        usd=rounded(total(round_lines(run, work, tokens))),
        hours=rounded(_hours(run, work, tokens)),
        result=_result(run, work),
    )


def round_lines(run: Run, work: RoundWork, tokens: RunTokens) -> list[CostLine]:
    """Return the lines of a round: models, then AWS services. Raises ``InvalidRequest`` for a model without a price."""
    paid, tier = paid_steps(run, work.kind), run.request.service_tier
    lines = answer_lines("LabelImages", run.teacher.model, work.to_label, tokens.teacher, CALLS_PER_ANSWER, tier)
    lines += [_training_line(run, work, size, tokens) for size in work.sizes]
    lines += [line for asked in work.predictions for line in _prediction_lines(run, asked, tokens)]
    answers = {
        "LabelImages": len(work.to_label),
        "PredictTestImages": sum(len(asked.images) for asked in work.predictions),
    }
    answers = {step: count for step, count in answers.items() if step in paid}
    jobs = len(work.sizes) if "TrainModels" in paid else 0
    models = [line for line in merged(lines) if line.step in paid and line.quantity.high]
    return [*models, *service_costs(run, work.photos, answers, jobs)]


def tokens_by_model(run: Run, work: RoundWork, tokens: RunTokens) -> dict[str, float]:
    """Return the expected tokens of a round's questions and answers by model id.

    Tuned models are left out, because each deployment has a daily quota of its own.
    """
    paid, by_model = paid_steps(run, work.kind), defaultdict[str, float](float)
    if "LabelImages" in paid:
        by_model[run.teacher.model] += answer_tokens(work.to_label, tokens.teacher, CALLS_PER_ANSWER).expected
    for asked in work.predictions if "PredictTestImages" in paid else []:
        if size_of(asked.answerer) is None:
            by_model[asked.model] += answer_tokens(asked.images, *_tokens_and_calls(asked, tokens)).expected
    return dict(by_model)


def label_minutes(run: Run, work: RoundWork) -> float:
    """Return the minutes that the labels of a round take at the teacher's rate limit."""
    return len(work.to_label) / calls_per_minute(run, run.teacher.model)


def _tokens_and_calls(asked: Questions, tokens: RunTokens) -> tuple[Tokens, Bounds]:
    """Return the token counts of questions and the number of calls per answer."""
    if asked.answerer == CEILING:
        return tokens.teacher, CALLS_PER_ANSWER
    counts = tokens.of(asked.model, asked.prompt)
    if asked.answerer == EXAMPLES:
        counts = replace(counts, text=counts.text + tokens.teacher.answer.times(MAXIMUM_EXAMPLES))
    return counts, exactly(1)


def _prediction_lines(run: Run, asked: Questions, tokens: RunTokens) -> list[CostLine]:
    counts, calls = _tokens_and_calls(asked, tokens)
    tier = run.request.service_tier if asked.answerer == CEILING else "default"
    return answer_lines("PredictTestImages", asked.model, asked.images, counts, calls, tier)


def _training_line(run: Run, work: RoundWork, size: int, tokens: RunTokens) -> CostLine:
    model, epochs = catalog.get_model(run.student), _epochs(run, size)
    what = f"{model.tuned_name}, {size} images, {epochs} {'epoch' if epochs == 1 else 'epochs'}"
    return CostLine("TrainModels", what, _training_tokens(run, work, size, tokens), model.price("training"))


def _training_tokens(run: Run, work: RoundWork, size: int, tokens: RunTokens) -> Bounds:
    """Return the tokens of a job: each record once per repeat and epoch."""
    records = tokens.student.training_records(work.train[:size], tokens.teacher.answer)
    return records.times(repeats_per_image(run.request, size) * _epochs(run, size))


def _epochs(run: Run, size: int) -> int:
    return int(job_hyperparameters(run, size)["epochCount"])


def _hours(run: Run, work: RoundWork, tokens: RunTokens) -> Bounds:
    """Return the hours of a round: answers at the rate limits, the longest job, and its deployment.

    Sizes of the same round train side by side. Throttling may double the time of the answers.
    """
    paid = paid_steps(run, work.kind)
    minutes = label_minutes(run, work) if "LabelImages" in paid else 0.0
    if "PredictTestImages" in paid:
        minutes += sum(len(asked.images) / calls_per_minute(run, asked.model) for asked in work.predictions)
    hours = Bounds(low=minutes, expected=minutes, high=2 * minutes).times(1 / 60) + _STEP_HOURS
    if "TrainModels" not in paid or not work.sizes:
        return hours
    million = max(_training_tokens(run, work, size, tokens).expected for size in work.sizes) / 1e6
    training = _HOURS_PER_JOB + _HOURS_PER_MILLION_TOKENS.times(million)
    return hours + training + _DEPLOYMENT_HOURS


def _result(run: Run, work: RoundWork) -> str:
    """Return what is known after a round, in a sentence."""
    if run.request.until in ("LabelImages", "ValidateDataset"):
        return "Labels. No model is trained, as requested."
    if work.kind == "baseline":
        return "Whether distilling is worth it."
    sizes = " and ".join(filter(None, (", ".join(f"{size:,}" for size in work.sizes[:-1]), f"{work.sizes[-1]:,}")))
    models = "a model" if len(work.sizes) == 1 else "models"
    if work.number == (1 if has_baseline(run) else 0):
        return f"First verdict: {models} trained on {sizes} images."
    return f"{models.capitalize()} trained on {sizes} images, if {run.request.grow_until:g} more is expected."
