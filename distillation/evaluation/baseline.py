"""Compare the alternatives to training with the teacher, before the training images are labelled."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from distillation import keys, ledger
from distillation.answers.formats import format_of
from distillation.documents import Alternative, Baseline, BaselineFigures, BreakEven, Estimate, Recommendation, Rounds
from distillation.errors import LABELS_ARE_REUSED, ToleranceExceeded, excerpt
from distillation.evaluation import intervals, scores
from distillation.evaluation.recommendation import LOW_CEILING, LOW_VALIDITY
from distillation.evaluation.run_data import RunData, read_run, write_predictions
from distillation.inference.alternatives import NOT_ASKED, alternative_targets
from distillation.inference.image_batch import Target
from distillation.inference.missing_answers import AnswerParts, require_lines
from distillation.models import catalog
from distillation.models.service_tier import cheapest_tier
from distillation.photos.rounds import CEILING_IMAGES
from distillation.photos.splits import read_checked_split
from distillation.records import AnswerLine, Run, ServiceTier, SplitLine
from distillation.storage import Bucket
from distillation.tolerance import check_tolerance

MINIMUM_GROUPS = 20
"""Independent test images below which no alternative is preferred to training.

With fewer images a bootstrap interval is too narrow.
"""
_ROUND = 0
"""Number of the baseline round."""


def write_baseline(run: Run, data: Bucket) -> Baseline:
    """Write ``baseline.json`` and the answers of the baseline round; return the baseline.

    Raises ``ObjectMissing`` or ``ObjectDamaged`` if an answer that was paid for is missing. Raises
    ``ToleranceExceeded`` if no test image has a usable label, or if WriteDataset would raise it whatever the other
    labels are.
    """
    run_data = read_run(run, _ROUND, [], data)
    test = read_checked_split(run, "test", run_data.inventory, data)[:CEILING_IMAGES]
    targets = alternative_targets(run, data)
    parts = AnswerParts("baseline", keys.split_key(run.name, f"to-predict-{_ROUND}"))
    for name in (*(target.name for target in targets), "ceiling"):
        require_lines(run, name, [line.image for line in test], run_data.answers.get(name, {}), parts, data)
    figures = measure(run_data, test, targets)
    estimate, facts = run_data.estimate, run_data.facts
    # Prices of local models mean nothing, so the recommendation names none.
    prices = None if run.is_local else estimate
    recommendation = baseline_recommendation(
        figures,
        _training_usd(prices),
        prices.break_even if prices else None,
        is_sample=bool(facts and facts.not_sampled),
    )
    baseline = Baseline(**figures.model_dump(), recommendation=recommendation)
    write_predictions(run, run_data.answers, data)
    data.write_document(keys.baseline_key(run.name), baseline)
    if baseline.worth_training and run.request.until != "Baseline":
        _check_refused_labels(run_data)
    return baseline


def _check_refused_labels(run_data: RunData) -> None:
    """Raise ``ToleranceExceeded`` if too many labels were refused already, before those of the first training round."""
    labels, photos = run_data.answers["teacher"], run_data.photo_names()
    to_come = run_data.data.read_document(keys.rounds_key(run_data.run.name), Rounds).rounds[_ROUND + 1].to_label
    refused = [line for line in labels.values() if line.status == "refused"]
    reasons = [f"{excerpt(photos.get(line.image, line.image))}: {line.reason}" for line in refused]
    remedy = f"Change the prompt, or start again with a higher 'tolerance'. {LABELS_ARE_REUSED}"
    check_tolerance(run_data.run, "labels", len(labels) + to_come, reasons, remedy)


def measure(run_data: RunData, test: Sequence[SplitLine], targets: Sequence[Target]) -> BaselineFigures:
    """Return the agreement of each target with the labels of ``test``, paired with that of the ceiling."""
    run, answers = run_data.run, run_data.answers
    lines = {line.image: answers["teacher"][line.image] for line in test}
    usable = {image: line for image, line in lines.items() if line.status == "ok"}
    if not usable:
        raise ToleranceExceeded(
            f"none of {len(test)} test images has a usable label. First: {next(iter(lines.values())).reason}. "
            f"Change the prompt and start again. {LABELS_ARE_REUSED}"
        )
    notes = [
        f"{_display_name(target)} is left out: {reason}"
        for target in targets
        if (reason := _reason_not_asked(answers, target))
    ]
    asked = [target for target in targets if not _reason_not_asked(answers, target)]
    answer_format = format_of(run)
    labels = scores.label_values(answer_format, usable)
    groups = [line.group for line in test if line.image in labels]
    series: dict[str, list[float]] = {}
    for name in (*(target.name for target in asked), "ceiling"):
        columns = scores.measure(answer_format, answers[name], labels)
        series |= {name: columns[scores.AGREEMENT], f"{name} valid": columns[scores.VALID]}
    resampled = intervals.resample(series, groups)
    best = max((target.name for target in asked), key=lambda name: resampled.means[name])
    # The best of several alternatives is partly the best by chance, which makes the gap look smaller than it is.
    gap = resampled.difference("ceiling", best, comparisons=len(asked))
    independent = len(set(groups))
    return BaselineFigures(
        test_images=len(usable),
        test_groups=independent,
        labels_refused=len(lines) - len(usable),
        alternatives=[
            Alternative(
                name=target.name,
                label=_display_name(target),
                model=target.billed_as,
                agreement=resampled.mean(target.name),
                valid=resampled.mean(f"{target.name} valid"),
                usd_per_1000=_usd_per_1000(answers[target.name], target.billed_as, "default"),
            )
            for target in asked
        ],
        ceiling=resampled.mean("ceiling"),
        ceiling_valid=resampled.mean("ceiling valid"),
        teacher_usd_per_1000=_usd_per_1000(answers["ceiling"], run.ceiling.model, cheapest_tier(run.ceiling.model)),
        best=best,
        gap=gap,
        minimum_gap=run.request.minimum_gap,
        worth_training=independent < MINIMUM_GROUPS or gap.high >= run.request.minimum_gap,
        notes=notes,
    )


def baseline_recommendation(
    figures: BaselineFigures,
    training_usd: float | None = None,
    break_even: BreakEven | None = None,
    *,
    is_sample: bool = False,
) -> Recommendation:
    """Return whether to distil, from the figures of a baseline.

    ``training_usd`` is the expected cost of the first training round, if it is known. ``is_sample`` is whether the
    collection has images that ``sample`` left out.
    """
    if problem := _prompt_problem(figures):
        return Recommendation(action="fix the prompt", text=f"Fix the prompt before you train: {problem}.")
    best, gap = figures.best_alternative, figures.gap
    if not figures.worth_training:
        return _without_training(figures)
    if break_even and break_even.never_pays:
        return Recommendation(action="use the teacher", text=f"Do not distil. {break_even.verdict}")
    if figures.test_groups < MINIMUM_GROUPS:
        return Recommendation(
            action="cannot tell",
            text=f"Cannot tell with {figures.test_groups} independent test images whether training is worth it: at "
            f"least {MINIMUM_GROUPS} are needed. {'Raise sample' if is_sample else 'Add photos'}, or train to find "
            "out.",
            usd=training_usd,
        )
    price = f" The first training round costs about ${training_usd:.2f}." if training_usd is not None else ""
    text = (
        f"Train: {best.label} is the best alternative, and training could still close up to {gap.mean:.2f} of "
        f"agreement (95 % CI {gap.low:.2f} to {gap.high:.2f}).{price}"
    )
    return Recommendation(action="train", text=text, usd=training_usd, effect=gap)


def _without_training(figures: BaselineFigures) -> Recommendation:
    """Return the recommendation if the best alternative is within ``minimum_gap`` of the ceiling."""
    best, teacher_usd = figures.best_alternative, figures.teacher_usd_per_1000
    text = f"Do not distil: {best.label} is within {max(figures.gap.high, 0):.2f} of the ceiling"
    if best.usd_per_1000 is None or teacher_usd is None:
        return Recommendation(action="use an alternative", text=f"{text}.")
    if best.usd_per_1000 < teacher_usd:
        prices = f"for ${best.usd_per_1000:.2f} instead of ${teacher_usd:.2f} per 1,000 images"
        return Recommendation(action="use an alternative", text=f"{text}, {prices}.")
    teacher = f"but the teacher costs no more (${teacher_usd:.2f} per 1,000 images)"
    return Recommendation(action="use the teacher", text=f"{text}, {teacher}.")


def _prompt_problem(figures: BaselineFigures) -> str | None:
    """Return why the teacher's prompt does not work, or None if it does."""
    asked = figures.test_images + figures.labels_refused
    if figures.test_images < LOW_VALIDITY * asked:
        return f"{figures.labels_refused} of {asked} labels of the teacher are not valid"
    if figures.ceiling_valid.high < LOW_VALIDITY:
        return f"only {100 * figures.ceiling_valid.mean:.0f} % of the teacher's second answers are valid"
    if figures.ceiling.high < LOW_CEILING:
        return f"the teacher agrees with itself with an agreement of {figures.ceiling.mean:.2f} only"
    return None


def _training_usd(estimate: Estimate | None) -> float | None:
    """Return the expected cost of the first training round in US dollars; None if it is unknown."""
    planned = estimate.plan if estimate else []
    return next((round_.usd.expected for round_ in planned if round_.kind == "training"), None)


def _reason_not_asked(answers: Mapping[str, Mapping[str, AnswerLine]], target: Target) -> str | None:
    """Return why a model could not be asked, or None if it was."""
    reasons = (line.reason or "" for line in answers[target.name].values())
    return next((reason.removeprefix(NOT_ASKED) for reason in reasons if reason.startswith(NOT_ASKED)), None)


def _display_name(target: Target) -> str:
    """Return the name of an alternative for people."""
    model = catalog.get_model(target.billed_as).display_name
    notes = {
        "base-teacher-prompt": " with the teacher's prompt",
        "examples": " with examples in its prompt",
    }
    return f"{model}{notes.get(target.name, '')}"


def _usd_per_1000(lines: Mapping[str, AnswerLine], model: str, tier: ServiceTier) -> float | None:
    """Return the price of 1,000 answers in US dollars; None without a token count, and for a local model."""
    usages = [line.usage for line in lines.values() if line.usage]
    if not usages or model.startswith("local."):
        return None
    input_tokens = statistics.fmean(usage.input_tokens for usage in usages)
    output_tokens = statistics.fmean(usage.output_tokens for usage in usages)
    return ledger.usd_per_1000_answers(model, input_tokens, output_tokens, tier)
