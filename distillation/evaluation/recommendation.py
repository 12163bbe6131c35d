"""Recommendation of a report: one next thing to do, with its price and its expected effect.

The first rule that applies decides. The order of the rules is the order of the questions that a person would ask:

1. Can the labels be trusted? Nothing else matters while the teacher refuses photos or contradicts itself.
2. Is a student cheaper than the teacher at all? If not, a better student does not help.
3. Is the measurement complete? A failed size, invalid answers or too few test images hide the answer to question 4.
4. Is the tuned model better than what costs less? Then an untuned model or a better prompt is the next step.
5. Would more images help? The round that budget or quota stopped comes first, then images that exist, then new ones.
6. Otherwise the run has ended as planned: use its model, or stop.

Effects are gains in agreement with their 95 % confidence interval. They are expected, not promised.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

from distillation import keys
from distillation.documents import (
    Alternative,
    Audit,
    Bounds,
    BreakEven,
    EvaluationFigures,
    Gate,
    Interval,
    Ledger,
    Recommendation,
    Report,
    SetAside,
)
from distillation.errors import excerpt
from distillation.evaluation.audit import MINIMUM_IMAGES
from distillation.evaluation.training_price import label_usd, training_usd
from distillation.models import catalog
from distillation.models.service_tier import cheapest_tier
from distillation.records import Run, size_of
from distillation.statistical_power import TYPICAL_SD, required_test_images

LOW_CEILING = 0.4
"""Agreement of the teacher with itself below which its prompt leaves too much open.

Two answers of ten keywords with an agreement of 0.4 share fewer than six.
"""
LOW_VALIDITY = 0.9
"""Share of valid answers or labels of the teacher, 0-1, below which its prompt does not work.

A request tolerates half as many invalid labels by default (``tolerance`` 0.05).
"""
_TRIAL_IMAGES = 50
"""Photos on which a prompt is tried, for a few cents: few enough to read all answers, and enough to see refusals."""
_CEILING_IMAGES = 200
"""Photos on which the ceiling is measured again: with the default ``test_share`` it has 50 test images."""
_GROWTH_FACTOR = 3
"""Training images to try next, in multiples of the largest size, where no curve predicts a gain (as with ``grow``)."""
_CENT = 0.01
_AUDIT_LABELS = 300
"""Newer photos to label after a drift, as many as the first round with ``grow`` trains on."""


def recommend(run: Run, report: Report, first_verdict: Bounds | None = None) -> Recommendation:
    """Return what to do after a run. ``report`` is complete except for its recommendation.

    ``first_verdict`` is the cost in US dollars up to the first verdict without ``until``, if that ended the run before.
    """
    if report.evaluation is None:
        return _first(_UNTRAINED_RULES, _Case(run, report, first_verdict))
    return _first(_TRAINED_RULES, _TrainedCase(run, report, None, report.evaluation))


def recommend_after_apply(run: Run, audit: Audit | None, ledger: Ledger) -> Recommendation:
    """Return what to do after a run with ``apply``."""
    model = f"the tuned model of run {run.request.apply}"
    if audit is None:
        return Recommendation(
            action="cannot tell",
            text=f"Nothing shows whether {model} still agrees with the teacher, because no photo was audited. "
            "Apply it with --audit-share 0.02 next time.",
        )
    if audit.agreement is None or audit.evaluation is None or audit.images < MINIMUM_IMAGES:
        return Recommendation(
            action="cannot tell",
            text=f"The audit cannot tell whether {model} still agrees with the teacher, "
            f"because {_audit_problem(audit)}.",
        )
    measured, before = _score(audit.agreement), f"the {audit.evaluation.mean:.2f} of its evaluation"
    if audit.drifted:
        usd = label_usd(run, ledger, None, "PredictImages")
        price = f" {_AUDIT_LABELS} labels are expected to cost {_usd(_AUDIT_LABELS * usd)}." if usd else ""
        return Recommendation(
            action="train",
            text=f"Label newer photos and train again: on {audit.images} audited photos {model} agrees with the "
            f"teacher with {measured}, below {before}.{price}",
            usd=_AUDIT_LABELS * usd if usd else None,
        )
    return Recommendation(
        action="use the tuned model",
        text=f"Keep using {model}: on {audit.images} audited photos it agrees with the teacher with {measured}, which "
        f"shows no drift from {before}.",
    )


def _audit_problem(audit: Audit) -> str:
    """Return why an audit cannot be compared with the evaluation."""
    if audit.images < MINIMUM_IMAGES:
        reason = f" ({excerpt(audit.reason)})" if audit.reason else ""
        return (
            f"{audit.images} of {audit.asked} photos have a label of the teacher{reason}; {MINIMUM_IMAGES} are needed"
        )
    return "the report of its evaluation cannot be read, or compares it with your own labels"


@dataclass(frozen=True)
class _Case:
    """A report, and the prices and sentences that several rules need."""

    run: Run
    report: Report
    first_verdict: Bounds | None
    """Cost up to the first verdict in US dollars, if ``until`` ended the run before; None if it is over or unknown."""

    @property
    def break_even(self) -> BreakEven | None:
        """Break-even at the measured prices; before there are any, at those of the estimate. None on local models."""
        if self.run.is_local:
            return None
        return self.report.money.break_even or (self.report.estimate.break_even if self.report.estimate else None)

    @property
    def label_usd(self) -> float | None:
        """US dollars for the label of one image, with all of its samples; None on local models."""
        return None if self.run.is_local else label_usd(self.run, self.report.ledger, self.report.evaluation)

    def training_usd(self, size: int) -> float | None:
        """Return the expected US dollars for training on ``size`` images; None on local models."""
        return None if self.run.is_local else training_usd(self.run, size, self.report.models, self.report.ledger)

    @property
    def teacher(self) -> str:
        """Name of the teacher with its cheapest service tier."""
        tier = "flex" if cheapest_tier(self.report.teacher) == "flex" else "standard"
        return f"{catalog.get_model(self.report.teacher).display_name} on the {tier} tier"

    @property
    def student(self) -> str:
        """Name of the tuned student."""
        return catalog.get_model(self.report.student).tuned_name

    def command(self, command: str) -> str:
        """Return a command of ``distill`` about the run."""
        return f"distill {command} --run {self.run.name} --stage {self.run.stage}"

    def trial(self, images: int, until: str) -> str:
        """Return the request that tries a prompt on ``images`` photos of the collection."""
        return _request(sample=self.trial_images(images), until=until)

    def trial_images(self, images: int) -> int:
        return max(16, min(images, self.report.images))

    @property
    def not_sampled(self) -> int:
        """Number of photos that ``sample`` left out."""
        return self.report.split.not_sampled if self.report.split else 0

    def more_photos(self, photos: int) -> str:
        """Return how to use about ``photos`` more photos: those that ``sample`` left out first, then new ones."""
        left_out = self.not_sampled
        if photos <= left_out:
            return f"Raise sample to {(self.run.request.sample or 0) + photos:,}"
        return f"Add about {photos - left_out:,} photos{', leave out sample' if left_out else ''}"

    def monthly_usd(self, usd_per_1000: float) -> float | None:
        """Return the US dollars a month for the answers about ``images_per_month``."""
        volume = self.run.request.images_per_month
        return None if volume is None else usd_per_1000 * volume / 1000


@dataclass(frozen=True)
class _TrainedCase(_Case):
    """The report of a run that trained a model."""

    figures: EvaluationFigures

    @property
    def gate(self) -> Gate | None:
        return self.figures.gate

    @property
    def tuned(self) -> Interval:
        """Agreement of the best tuned model with the teacher."""
        return self.figures.agreement.tuned[self.figures.best]

    @property
    def passed(self) -> bool:
        return self.gate is not None and self.gate.passed

    @property
    def largest(self) -> int:
        """Largest training size that has a model, in images."""
        return max((model.size for model in self.report.models if model.status == "Active"), default=0)

    @property
    def model(self) -> str:
        """Name of the best tuned model for people."""
        size = size_of(self.figures.best)
        return f"the tuned model ({size:,} images)" if size else "the tuned model"

    @property
    def until_then(self) -> str:
        """Sentence about the promoted model; empty without one."""
        return f" Until then, use {self.model}." if self.report.promoted else ""

    def training_on(self, size: int, **fields: Any) -> str:
        """Return the fields of a request that trains on ``size`` images; ``train_sizes`` excludes ``grow``."""
        without_growth = {"grow": False} if self.run.request.grow else {}
        return _request(train_sizes=[size], **without_growth, **fields)

    def larger(self, size: int) -> tuple[str, float | None]:
        """Return how to train on ``size`` images, and its expected cost in US dollars."""
        report = self.report
        if size <= report.train:
            how = f"Train on {size:,} of your {report.train:,} training images with {self.training_on(size)}"
        else:
            # New photos are divided into sets as those of the run were.
            photos = ceil((size - report.train) * (report.photos - self.not_sampled) / max(1, report.train))
            how = f"{self.more_photos(photos)} and train on {size:,} images"
        if report.doubling and report.doubling.size == size and not self.run.is_local:
            return how, report.doubling.usd
        label, training = self.label_usd, self.training_usd(size)
        return how, None if label is None or training is None else label * (size - self.largest) + training


Rule = Callable[[Any], Recommendation | None]


def _first(rules: tuple[Rule, ...], case: _Case) -> Recommendation:
    """Return the recommendation of the first rule that applies; the last rule always does."""
    return next(recommendation for rule in rules if (recommendation := rule(case)))


# ---- Rules of all runs -----------------------------------------------------------------------------------------------


def _labels_refused(case: _Case) -> Recommendation | None:
    """Fix the prompt: more labels were refused than a training run tolerates, or more than a tenth of them.

    This is reached with a higher ``tolerance`` than the default, or with ``until``.
    """
    refused, labelled = case.report.labels_set_aside, case.report.labelled
    tolerated = min(1 - LOW_VALIDITY, case.run.request.tolerance)
    if not refused or len(refused) <= tolerated * (len(refused) + labelled):
        return None
    images, label = case.trial_images(_TRIAL_IMAGES), case.label_usd
    return Recommendation(
        action="fix the prompt",
        text=f"Fix the prompt: {len(refused)} of {len(refused) + labelled} labels were refused, such as "
        f"{_reason(refused[0])}. State the answer format in the prompt and try it on {images} photos with "
        f"{case.trial(_TRIAL_IMAGES, 'LabelImages')}{_for(label and images * label)}.",
        usd=label and images * label,
    )


def _use_the_teacher(case: _Case) -> Recommendation | None:
    """Use the teacher: on its cheapest tier it costs no more than the student with its storage.

    Without ``images_per_month`` this is known only if the student's answers do not cost less.
    """
    costs = case.break_even
    if costs is None:
        return None
    promoted = case.report.promoted
    command = case.command("clean --yes")
    cleanup = f" Delete the tuned model to end its storage: {command}" if promoted else ""
    if costs.storage_images_per_month is None:
        return Recommendation(
            action="use the teacher",
            text=f"Use the teacher: 1,000 images cost {_usd(costs.teacher_usd_per_1000)} with {case.teacher} and "
            f"{_usd(costs.student_usd_per_1000)} with {case.student}, so training never pays for itself.{cleanup}",
            usd=costs.teacher_usd_per_1000,
        )
    teacher = case.monthly_usd(costs.teacher_usd_per_1000)
    answers = case.monthly_usd(costs.student_usd_per_1000)
    if teacher is None or answers is None or teacher > answers + costs.storage_usd_per_month:
        return None
    return Recommendation(
        action="use the teacher",
        text=f"Use the teacher: at {case.run.request.images_per_month:,} images a month {case.teacher} is expected to "
        f"cost {_usd(teacher)} a month, and a tuned {case.student} {_usd(answers + costs.storage_usd_per_month)}, "
        f"storage included. A tuned model costs less above {costs.storage_images_per_month:,} images a month.{cleanup}",
        usd=teacher,
    )


# ---- Rules of runs that trained nothing ------------------------------------------------------------------------------


def _baseline(case: _Case) -> Recommendation | None:
    """Follow the baseline, which compared the alternatives to training and ended the run."""
    return case.report.baseline.recommendation if case.report.baseline else None


def _start_without_until(case: _Case) -> Recommendation:
    """Train: the run was asked to stop after its estimate, or after labels that a person can check now."""
    usd, labelled = case.first_verdict, case.report.until in ("LabelImages", "ValidateDataset")
    check = "Check the labels in the report, then start" if labelled else "Start"
    price = (
        f"the first verdict is expected to cost {_usd(usd.expected)} ({_usd(usd.low)} to {_usd(usd.high)})."
        if usd
        else f"for the price: distill estimate {case.run.collection} --stage {case.run.stage}"
    )
    if case.run.is_local:
        return Recommendation(action="train", text=f"{check} the run again without 'until'.")
    again = "without 'until'. Labels are reused;" if labelled else "without 'until';"
    return Recommendation(
        action="train", text=f"{check} the run again {again} {price}", usd=usd.expected if usd else None
    )


# ---- Rules of runs that trained a model ------------------------------------------------------------------------------


def _low_ceiling(case: _TrainedCase) -> Recommendation | None:
    """Fix the prompt: the teacher's second answers differ so much that no student can learn from the first."""
    ceiling = case.figures.agreement.ceiling
    if ceiling is None or ceiling.high >= LOW_CEILING:
        return None
    return _fix_teacher_prompt(
        case,
        f"two answers of the teacher about a photo agree with {_score(ceiling)} only, which limits every student. "
        "State more exactly what to answer",
    )


def _failed_size(case: _TrainedCase) -> Recommendation | None:
    """Train again: the largest size failed, so the run does not show what it was started for."""
    failed = max((model for model in case.report.models if model.status == "Failed"), key=_size, default=None)
    if failed is None or failed.size < case.largest:
        return None
    keep_days = case.run.request.keep_on_failure_days
    if failed.model_arn and keep_days:
        return Recommendation(
            action="train",
            text=f"Deploy the model of {failed.size:,} images, which was trained but not deployed: "
            f"{_sentence(failed.reason)} Start the run with {case.training_on(failed.size)} within {keep_days} days; "
            f"labels and model are reused, so no training is paid for.{case.until_then}",
        )
    usd = case.training_usd(failed.size)
    return Recommendation(
        action="train",
        text=f"Train on {failed.size:,} images again, because that size failed: {_sentence(failed.reason)} Start the "
        f"run with {case.training_on(failed.size)}; labels are reused, so it is expected to cost "
        f"{_usd(usd) if usd else 'the training only'}.{case.until_then}",
        usd=usd,
    )


def _invalid_answers(case: _TrainedCase) -> Recommendation | None:
    """Fix the student's prompt: fewer answers are valid than ``gate_validity`` requires."""
    figures, required = case.figures, case.run.request.gate_validity
    valid = _valid(figures, figures.best)
    if valid is None or valid >= required:
        return None
    base, usd = _valid(figures, "base"), case.training_usd(case.largest)
    before = f" (before training: {_count(base, figures.test_images)})" if base is not None else ""
    return Recommendation(
        action="fix the prompt",
        text=f"Fix the student's prompt: only {_count(valid, figures.test_images)} of {figures.test_images} answers "
        f"are valid{before}, and gate_validity requires {100 * required:.4g} %. Read the invalid answers in the "
        f"report, state the format in student_prompt and train again; labels are reused"
        f"{f', so it is expected to cost {_usd(usd)}' if usd else ''}.",
        usd=usd,
    )


def _too_few_test_images(case: _TrainedCase) -> Recommendation | None:
    """Add test images: the interval of the gain includes zero, and the test set is too small to detect the gain.

    A gain smaller than ``minimum_gap`` would not matter, so nothing smaller has to be detected.
    """
    gate, figures, request = case.gate, case.figures, case.run.request
    if gate is None or case.passed or not gate.gain.low <= 0 <= gate.gain.high:
        return None
    difference = max(gate.gain.mean, request.minimum_gap)
    needed = required_test_images(difference, figures.gain_sd or TYPICAL_SD)
    # The interval rules out a gain that matters, or no allowed test set could show one.
    if gate.gain.high < request.minimum_gap or needed is None or not figures.test_images < needed <= 5000:
        return None
    photos = ceil((needed - figures.test_images) / request.test_share)
    label, training = case.label_usd, case.training_usd(case.largest)
    usd = None if label is None or training is None else photos * label + training
    cap = f" with {_request(test_images=needed)}" if needed > request.test_images else ""
    return Recommendation(
        action="cannot tell",
        text=f"{figures.test_images} test images cannot tell whether training helps: the gain is {_gain(gate.gain)}. "
        f"{case.more_photos(photos)} and start again{cap}{_for(usd)}; about {needed:,} test images can show a gain of "
        f"{difference:.2f}.",
        usd=usd,
        effect=gate.gain,
    )


def _use_an_alternative(case: _TrainedCase) -> Recommendation | None:
    """Use a model as it is: it agrees with the teacher at least as well as the tuned model, and costs less than both.

    If the gate refused the tuned model, its cost does not matter.
    """
    baseline, volume = case.report.baseline, case.run.request.images_per_month
    candidates = [
        alternative
        for alternative in (baseline.alternatives if baseline else [])
        if alternative.agreement.mean >= case.tuned.mean
        and alternative.valid.mean >= case.run.request.gate_validity
        and _below(alternative.usd_per_1000, baseline and baseline.teacher_usd_per_1000)
        and (not case.passed or _costs_less(case, alternative))
    ]
    if not candidates:
        return None
    best = max(candidates, key=lambda alternative: alternative.agreement.mean)
    usd, unit = best.usd_per_1000, "1,000 images are"
    if usd is not None and volume is not None:
        usd, unit = case.monthly_usd(usd), f"{volume:,} images a month are"
    price = f" {unit} expected to cost {_usd(usd)}, without storage." if usd is not None else ""
    return Recommendation(
        action="use an alternative",
        text=f"Use {best.label} without training: it agrees with the teacher with {_score(best.agreement)}, and the "
        f"tuned model with {_score(case.tuned)}.{price}",
        usd=usd,
    )


def _below(usd: float | None, limit: float | None) -> bool:
    return usd is None or limit is None or usd < limit


def _costs_less(case: _TrainedCase, alternative: Alternative) -> bool:
    costs, volume = case.break_even, case.run.request.images_per_month
    if costs is None or alternative.usd_per_1000 is None:
        return False
    return (alternative.usd_per_1000 - costs.student_usd_per_1000) * (volume or 1000) / 1000 <= (
        costs.storage_usd_per_month if volume is not None else 0
    )


def _not_above_control(case: _TrainedCase) -> Recommendation | None:
    """Train on more images, or fix the prompt: the tuned model is no better than the best constant answer.

    More images help only if the teacher's second answers are better than the constant one. Otherwise the teacher too
    says much the same about every photo.
    """
    gate, scores = case.gate, case.figures.agreement
    if gate is None or gate.over_control is None or gate.over_control.low > 0 or scores.control is None:
        return None
    finding = (
        f"the tuned model ({scores.tuned[gate.best].mean:.2f}) is not better than the best constant answer "
        f"({scores.control.mean:.2f})"
    )
    if case.figures.headlines.beyond_control is None or scores.ceiling is None:
        return _fix_teacher_prompt(
            case, f"{finding}, and the teacher agrees with itself no better. Ask for what differs between the photos"
        )
    how, usd = case.larger(_GROWTH_FACTOR * case.largest)
    return Recommendation(
        action="more photos",
        text=f"{how}{_for(usd)}: {finding}, but the teacher's second answers are ({scores.ceiling.mean:.2f}), so there "
        "is more to learn.",
        usd=usd,
    )


def _raise_the_limit(case: _TrainedCase) -> Recommendation | None:
    """Grow: the budget or the daily quotas stopped the next round."""
    growth = case.report.growth
    if growth is None or growth.stopped not in ("budget", "quota") or growth.next_size is None:
        return None
    usd, gain = growth.next_usd, growth.next_gain
    price = f" for about {_usd(usd.expected)} ({_usd(usd.low)} to {_usd(usd.high)})" if usd else ""
    effect = f"Expected gain: {_gain(gain)}." if gain else "Its gain cannot be predicted yet."
    if growth.stopped == "quota":
        text = f"Train on {growth.next_size:,} images{price}, once the daily quota allows it. {growth.reason} {effect}"
        return Recommendation(
            action="grow", text=f"{text}{case.until_then}", usd=usd.expected if usd else None, effect=gain
        )
    budget = {"max_usd": ceil(usd.high)} if usd else {}
    return Recommendation(
        action="grow",
        text=f"Train on {growth.next_size:,} images{price}; max_usd ended the run before that. Start it again with "
        f"{case.training_on(growth.next_size, **budget)}; labels are reused. {effect}{case.until_then}",
        usd=usd.expected if usd else None,
        effect=gain,
    )


def _growth_is_flat(case: _TrainedCase) -> Recommendation | None:
    """Stop: the run grew until the next round was not worth it, and its model passed the gate."""
    growth = case.report.growth
    if growth is None or growth.stopped != "flat" or not case.passed:
        return None
    next_usd = None if case.run.is_local else growth.next_usd
    price = f" The next round would cost{_about(next_usd.expected)}." if next_usd else ""
    return Recommendation(
        action="stop here",
        text=f"Stop here and use {case.model}. {growth.reason}{price}",
        effect=case.gate.gain if case.gate else None,
    )


def _curve_rises(case: _TrainedCase) -> Recommendation | None:
    """Train on twice as many images: the curve expects a gain that is worth a round of ``grow``."""
    curve = case.figures.curve
    # Growth that has stopped as flat has compared the same curve with the same limit, for its own next size.
    flat = case.report.growth is not None and case.report.growth.stopped == "flat"
    maximum = catalog.get_model(case.report.student).family.maximum_records
    if curve is None or flat or curve.gain.mean < case.run.request.grow_until or curve.next_size > maximum:
        return None
    how, usd = case.larger(curve.next_size)
    return Recommendation(
        action="more photos" if curve.next_size > case.report.train else "grow",
        text=f"{how}{_for(usd)}, labels included. Expected gain: {_gain(curve.gain)}.{case.until_then}",
        usd=usd,
        effect=curve.gain,
    )


def _gate_refused(case: _TrainedCase) -> Recommendation | None:
    """Stop: the gate refused the model, the test set is large enough, and more images are not expected to help."""
    gate, base = case.gate, case.figures.agreement.base
    if gate is None or gate.passed:
        return None
    untrained = catalog.get_model(case.report.student).display_name
    keep = f" {untrained} without training agrees with the teacher with {_score(base)}." if base else ""
    return Recommendation(
        action="stop here",
        text=f"Stop here and do not use the tuned model: {'; '.join(gate.reasons)}.{keep}",
        effect=gate.gain,
    )


def _nothing_kept(case: _TrainedCase) -> Recommendation | None:
    """Train again and keep the model: it passed the gate, and the request kept none."""
    if not case.passed or case.report.promoted:
        return None
    usd = case.training_usd(size_of(case.figures.best) or case.largest)
    return Recommendation(
        action="train",
        text=f"Start the run again with {_request(keep='best')} to use the model: it passes the gate, and none was "
        f"kept, as requested. Labels are reused{f', so it is expected to cost {_usd(usd)}' if usd else ''}.",
        usd=usd,
        effect=case.gate.gain if case.gate else None,
    )


def _use_the_tuned_model(case: _TrainedCase) -> Recommendation:
    """Use the tuned model: it passed the gate, and nothing above is worth more."""
    base, costs = case.figures.agreement.base, case.break_even
    before = f", up from {base.mean:.2f} before training" if base else ""
    usd, price = None, ""
    if costs:
        usd = case.monthly_usd(costs.student_usd_per_1000)
        price = (
            f" 1,000 images cost {_usd(costs.student_usd_per_1000)} plus {_usd(costs.storage_usd_per_month)} a month "
            f"for storage, against {_usd(costs.teacher_usd_per_1000)} with {case.teacher}."
        )
        if usd is None:
            usd = costs.student_usd_per_1000
        else:
            teacher, usd = case.monthly_usd(costs.teacher_usd_per_1000) or 0.0, usd + costs.storage_usd_per_month
            price = (
                f" {case.run.request.images_per_month:,} images a month are expected to cost {_usd(usd)}, storage "
                f"included, against {_usd(teacher)} with {case.teacher}."
            )
    return Recommendation(
        action="use the tuned model",
        text=f"Use {case.model}: it agrees with the teacher with {_score(case.tuned)}{before}.{price} Apply it with: "
        f"{case.command('apply COLLECTION')}",
        usd=usd,
        effect=case.gate.gain if case.gate else None,
    )


_UNTRAINED_RULES: tuple[Rule, ...] = (
    _baseline,
    _labels_refused,
    _use_the_teacher,
    _start_without_until,
)
_TRAINED_RULES: tuple[Rule, ...] = (
    _labels_refused,
    _low_ceiling,
    _use_the_teacher,
    _failed_size,
    _invalid_answers,
    _too_few_test_images,
    _use_an_alternative,
    _not_above_control,
    _raise_the_limit,
    _curve_rises,
    _gate_refused,
    _nothing_kept,
    _growth_is_flat,
    _use_the_tuned_model,
)


# ---- Texts -----------------------------------------------------------------------------------------------------------


def _fix_teacher_prompt(case: _TrainedCase, finding: str) -> Recommendation:
    """Return the recommendation to change the teacher's prompt and to measure its ceiling again."""
    images, label = case.trial_images(_CEILING_IMAGES), case.label_usd
    # The baseline asks the teacher twice about each test image; the students cost a small part of that.
    usd = label and 2 * images * case.run.request.test_share * label
    return Recommendation(
        action="fix the prompt",
        text=f"Fix the prompt: {finding}, then measure again on {images} photos with "
        f"{case.trial(_CEILING_IMAGES, 'Baseline')}{_for(usd)}.",
        usd=usd,
    )


def _request(**fields: Any) -> str:
    """Return fields as they are written in the request."""
    return f"{json.dumps(fields)} in {keys.REQUEST_FILE}"


def _for(usd: float | None) -> str:
    return "" if usd is None else f" for{_about(usd)}"


def _about(usd: float) -> str:
    return f" about {_usd(usd)}" if usd >= _CENT else f" {_usd(usd)}"


def _usd(usd: float) -> str:
    return f"${usd:,.2f}" if usd >= _CENT or usd == 0 else "less than $0.01"


def _gain(gain: Interval, digits: int = 2) -> str:
    return f"{gain.mean:+.{digits}f} (95 % CI {gain.low:+.{digits}f} to {gain.high:+.{digits}f})"


def _score(score: Interval) -> str:
    return f"an agreement of {score.mean:.2f} (95 % CI {score.low:.2f}-{score.high:.2f})"


def _count(share: float, images: int) -> int:
    return round(share * images)


def _valid(figures: EvaluationFigures, answerer: str) -> float | None:
    """Return the share of an answerer's valid answers; None if it was not measured."""
    valid = figures.metrics.get(answerer, {}).get("valid")
    return valid.mean if valid else None


def _reason(item: SetAside) -> str:
    return f"{excerpt(item.photo)} ({excerpt(item.reason)})"


def _sentence(reason: str | None) -> str:
    return f"{excerpt(reason or 'no reason was given').rstrip('.')}."


def _size(model: Any) -> int:
    return model.size
