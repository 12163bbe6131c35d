"""Evaluate answers against the teacher's labels: scores, intervals, tests, promotion gate and scaling curve.

The answers may come from a run or from two files (``distill evaluate``).
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from distillation import ledger
from distillation.answers.formats.base import Compared, Format, Value
from distillation.documents import (
    Curve,
    EvaluationFigures,
    Gate,
    GoldScores,
    Headlines,
    Interval,
    ScoresByRole,
    ServingCost,
    SizeChoice,
    SizeTest,
    Table,
)
from distillation.evaluation import intervals, scores
from distillation.evaluation.scores import AGREEMENT, label_values, value_of
from distillation.models import catalog
from distillation.records import AnswerLine, ServiceTier, Usage, size_of
from distillation.statistical_power import MINIMUM_VALIDATION_IMAGES, TYPICAL_SD, minimum_detectable_difference

SIGNIFICANCE = 0.05
"""Largest p value with which the gate promotes a model."""

AnswersByImage = Mapping[str, AnswerLine]


@dataclass(frozen=True)
class Evidence:
    """Answers about the test images, and what they are compared with."""

    answer_format: Format
    """Format of all answers."""
    labels: AnswersByImage
    """The teacher's labels of the test images."""
    tuned: Mapping[str, AnswersByImage]
    """Answers of the tuned models by name; ``n<size>`` in a run."""
    base: AnswersByImage | None = None
    """Answers of the student before training."""
    ceiling: AnswersByImage | None = None
    """Second answers of the teacher."""
    ceiling_images: Collection[str] | None = None
    """Test images that the teacher was asked about a second time; None for all."""
    training: AnswersByImage = field(default_factory=dict)
    """Labels that the models were trained on, for the control. If empty, ``labels`` are used, which favours it."""
    validation: AnswersByImage = field(default_factory=dict)
    """Labels of the validation images, to choose a size; empty if the tuned models were not asked about them."""
    gold: AnswersByImage = field(default_factory=dict)
    """The owner's labels, which no model was trained on."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Group of near-duplicates by image; an image without an entry is its own group."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Perceptual hashes of test and training images by image, in hexadecimal; empty if they are not known."""
    models: Mapping[str, str] = field(default_factory=dict)
    """Model ids by answerer, for prices."""
    tier: ServiceTier = "default"
    """Service tier of the teacher."""
    gate_margin: float = 0.0
    """Gain in agreement that the gate requires the interval to exceed."""
    gate_validity: float = 0.98
    """Share of valid answers, 0-1, that the gate requires."""

    @property
    def answerers(self) -> dict[str, AnswersByImage]:
        """Answers of all but the teacher, in the order of the report."""
        base = {"base": self.base} if self.base is not None else {}
        ceiling = {"ceiling": self.ceiling} if self.ceiling is not None else {}
        return {**base, **self.tuned, **ceiling}


@dataclass(frozen=True)
class Evaluation:
    """Figures of an evaluation with the scores behind them."""

    figures: EvaluationFigures
    """Figures for report.json."""
    images: list[str]
    """Test images that have a label."""
    per_image: dict[str, list[float]]
    """Agreement by answerer, one value for each of ``images``; the columns of scores.csv.

    NaN where the ceiling was not asked.
    """
    answers: dict[str, AnswersByImage]
    """Answers by answerer."""
    resampled: intervals.Resampled
    """Agreement by answerer on all test images, resampled."""
    on_ceiling: intervals.Resampled
    """The same on the images of the ceiling."""


@dataclass(frozen=True)
class _Scores:
    """Scores of all answerers on the same images."""

    best: str
    """Chosen tuned model."""
    choice: SizeChoice | None
    """How it was chosen; None if it is the only one."""
    labels: dict[str, Value]
    """Labels by image."""
    groups: list[str]
    """Group of each image."""
    metrics: Mapping[str, Mapping[str, list[float]]]
    """Values by answerer and metric."""
    control: Value
    """Answer of the control."""
    per_image: dict[str, list[float]]
    """Agreement by answerer and reference value. The ceiling has NaN where it was not asked."""
    resampled: intervals.Resampled
    """All series on all images; without the ceiling if it was not asked about all of them."""
    on_ceiling: intervals.Resampled
    """Series on the images of the ceiling, the ceiling included; the same as ``resampled`` if it has all images."""
    ceiling_images: int
    """Images of the ceiling."""

    @property
    def images(self) -> list[str]:
        """Test images that have a label."""
        return list(self.labels)

    def mean(self, answerer: str, metric: str | None = None) -> Interval:
        """Return the mean of an answerer's metric on its images; without ``metric``, of its agreement."""
        resampled = self.on_ceiling if answerer == "ceiling" else self.resampled
        return resampled.mean(f"{answerer} {metric}" if metric else answerer)

    def gains(self, answerer: str, reference: str = "base") -> list[float]:
        """Return the gain of an answerer over base, or over ``reference``, for each image."""
        pairs = zip(self.per_image[answerer], self.per_image[reference], strict=True)
        return [score - before for score, before in pairs]

    def p_values(self, answerers: Iterable[str], reference: str) -> dict[str, float]:
        """Return the permutation test's p value of each answerer's gain over ``reference``, not corrected."""
        return {name: intervals.permutation_p(self.gains(name, reference), self.groups) for name in answerers}

    @property
    def gain_sd(self) -> float | None:
        """Standard deviation of the best model's gains over base.

        None without base, with a single image, or if all gains are equal: such gains do not show how much they vary.
        """
        if "base" not in self.per_image or len(self.images) < 2:
            return None
        return statistics.stdev(self.gains(self.best)) or None


def evaluate(evidence: Evidence) -> Evaluation:
    """Compare every answerer with the teacher's labels.

    The ceiling may have answers about some of the test images only. Then its mean and the shares of a gap are measured
    on these images. All other figures are measured on all test images.
    """
    if evidence.ceiling is not None and not _images_of_ceiling(evidence):
        evidence = replace(evidence, ceiling=None)
    measured = _score(evidence)
    tests = _tests(evidence, measured)
    answers = evidence.answerers
    figures = EvaluationFigures(
        best=measured.best,
        format=evidence.answer_format.format,
        similarity=evidence.answer_format.similarity_name,
        agreement=_by_role(evidence, {name: measured.mean(name) for name in measured.per_image}),
        metrics={
            name: {metric: measured.mean(name, metric) for metric in values if metric != AGREEMENT}
            for name, values in measured.metrics.items()
        },
        headlines=_headlines(measured),
        gate=_gate(evidence, measured, tests),
        tests=tests,
        detectable=_detectable(measured),
        gain_sd=measured.gain_sd,
        curve=_curve(evidence, measured.resampled),
        tables=_tables(evidence, measured),
        gold=_gold(evidence, measured),
        serving=_serving(evidence),
        test_images=len(measured.images),
        test_groups=len(set(measured.groups)),
        size_choice=measured.choice,
        ceiling_images=measured.ceiling_images if evidence.ceiling is not None else None,
        over_nearest=measured.resampled.difference(measured.best, "nearest")
        if "nearest" in measured.per_image
        else None,
    )
    return Evaluation(figures, measured.images, measured.per_image, answers, measured.resampled, measured.on_ceiling)


def _images_of_ceiling(evidence: Evidence) -> list[str]:
    """Return the labelled test images that the ceiling was asked about."""
    asked = evidence.ceiling_images
    return [image for image in evidence.labels if asked is None or image in asked]


def _score(evidence: Evidence) -> _Scores:
    answer_format = evidence.answer_format
    labels = label_values(answer_format, evidence.labels)
    groups = {image: evidence.groups.get(image, image) for image in labels}
    answers = evidence.answerers
    of_ceiling = {image: labels[image] for image in _images_of_ceiling(evidence) if image in labels}
    metrics = {
        name: scores.measure(answer_format, lines, of_ceiling if name == "ceiling" else labels)
        for name, lines in answers.items()
    }
    choice = _size_choice(evidence, metrics)
    best = max(choice.agreement, key=lambda name: choice.agreement[name]) if choice else next(iter(evidence.tuned))
    per_image = {name: values[AGREEMENT] for name, values in metrics.items()}
    per_image["floor"] = scores.floor(answer_format, answers[best], labels, groups)
    training = label_values(answer_format, evidence.training)
    control = answer_format.control(list((training or labels).values()))
    per_image["control"] = [answer_format.similarity(control, label) for label in labels.values()]
    nearest = scores.nearest(answer_format, labels, training, evidence.hashes)
    per_image |= {} if nearest is None else {"nearest": nearest}
    # Resampling dominates the run time, so all series are resampled together.
    series = per_image | {
        f"{name} {metric}": column for name, values in metrics.items() for metric, column in values.items()
    }
    on_ceiling: intervals.Resampled | None = None
    if "ceiling" in answers and len(of_ceiling) < len(labels):
        series, on_ceiling = _apart_from_ceiling(series, labels, of_ceiling, groups)
        scores_of_ceiling = dict(zip(of_ceiling, per_image["ceiling"], strict=True))
        per_image["ceiling"] = [scores_of_ceiling.get(image, math.nan) for image in labels]
    resampled = intervals.resample(series, list(groups.values()))
    return _Scores(
        best,
        choice,
        labels,
        list(groups.values()),
        metrics,
        control,
        per_image,
        resampled,
        on_ceiling or resampled,
        len(of_ceiling),
    )


def _apart_from_ceiling(
    series: Mapping[str, list[float]], images: Iterable[str], of_ceiling: Collection[str], groups: Mapping[str, str]
) -> tuple[dict[str, list[float]], intervals.Resampled]:
    """Return the series of all images, and all series resampled on the images of the ceiling."""
    among_ceiling = [image in of_ceiling for image in images]
    whole = {name: column for name, column in series.items() if name.partition(" ")[0] != "ceiling"}
    paired = {
        name: list(itertools.compress(column, among_ceiling)) if name in whole else column
        for name, column in series.items()
    }
    return whole, intervals.resample(paired, [groups[image] for image in of_ceiling])


def _size_choice(evidence: Evidence, metrics: Mapping[str, Mapping[str, list[float]]]) -> SizeChoice | None:
    """Return the scores that the best size is chosen by; None with one size.

    Those of the validation images leave the test images for a single comparison, which needs no correction.
    """
    if len(evidence.tuned) < 2:
        return None
    columns = {name: metrics[name][AGREEMENT] for name in evidence.tuned}
    on_validation = len(evidence.validation) >= MINIMUM_VALIDATION_IMAGES
    if on_validation:
        labels = label_values(evidence.answer_format, evidence.validation)
        columns = {
            name: scores.agreement(evidence.answer_format, lines, labels) for name, lines in evidence.tuned.items()
        }
    return SizeChoice(
        set="validation" if on_validation else "test",
        images=len(next(iter(columns.values()))),
        agreement={name: statistics.fmean(values) for name, values in columns.items()},
    )


def _by_role(evidence: Evidence, means: Mapping[str, Interval]) -> ScoresByRole:
    untuned = {name: mean for name, mean in means.items() if name not in evidence.tuned}
    return ScoresByRole(**untuned, tuned={name: means[name] for name in evidence.tuned})


def _headlines(measured: _Scores) -> Headlines:
    """Return the shares of the gaps that the best tuned model closes; fields without both ends of a gap are None."""
    best, share = measured.best, measured.on_ceiling.share
    if "ceiling" not in measured.per_image:
        return Headlines()
    beyond_control = share(best, "control", "ceiling")
    if "base" not in measured.per_image:
        return Headlines(beyond_control=beyond_control)
    return Headlines(
        gap_closed=share(best, "base", "ceiling"),
        gap_closed_unnormalised=share(*(f"{name} unnormalised" for name in (best, "base", "ceiling")))
        if "unnormalised" in measured.metrics[best]
        else None,
        beyond_control=beyond_control,
    )


def _tests(evidence: Evidence, measured: _Scores) -> dict[str, SizeTest]:
    """Return each tuned model's comparison with base; empty without base."""
    if evidence.base is None:
        return {}
    p_values = measured.p_values(evidence.tuned, "base")
    corrected = intervals.holm(p_values)
    return {
        name: SizeTest(gain=measured.resampled.difference(name, "base"), p=p, p_holm=corrected[name])
        for name, p in p_values.items()
    }


def _gate(evidence: Evidence, measured: _Scores, tests: Mapping[str, SizeTest]) -> Gate | None:
    """Return the promotion decision about the best model; None without base.

    The gate passes if enough answers are valid, the gain is significant, and the model is better than the control.
    """
    if not tests:
        return None
    best, test = measured.best, tests[measured.best]
    # A size that was chosen on the test images may be best by chance: correct both p values for the number of sizes.
    on_validation = measured.choice is not None and measured.choice.set == "validation"
    p = test.p if on_validation else test.p_holm
    control_p = measured.p_values(evidence.tuned, "control")
    p_over_control = control_p[best] if on_validation else intervals.holm(control_p)[best]
    reasons = []
    valid = measured.metrics[best]["valid"]
    if statistics.fmean(valid) < evidence.gate_validity:
        # Counts, because a share just below the requirement would be rounded up to it.
        reasons.append(
            f"{sum(valid):.0f} of {len(valid)} answers are valid (base: {sum(measured.metrics['base']['valid']):.0f}), "
            f"fewer than the {100 * evidence.gate_validity:.4g} % that gate_validity requires"
        )
    if test.gain.low <= evidence.gate_margin:
        reasons.append(
            f"the 95 % interval of the gain starts at {test.gain.low:+.3f}, not above {evidence.gate_margin:+.3f}"
        )
    if p > SIGNIFICANCE:
        reasons.append(f"the gain is not statistically significant (p = {p:.4f})")
    over_control = measured.resampled.difference(best, "control")
    if over_control.low <= 0 or p_over_control > SIGNIFICANCE:
        reasons.append(
            f"it is not significantly better than always answering with {evidence.answer_format.control_name}"
        )
    return Gate(
        best=best,
        gain=test.gain,
        passed=not reasons,
        promoted=None,
        reasons=reasons,
        p=p,
        disagreement=_disagreement(test, p, len(set(measured.groups)), len(tests)),
        over_control=over_control,
    )


def _disagreement(test: SizeTest, p: float, groups: int, sizes: int) -> str | None:
    """Return why the interval of the gain and the permutation test disagree, in a sentence; None if they agree."""
    excludes_zero = test.gain.low > 0 or test.gain.high < 0
    if excludes_zero == (p <= SIGNIFICANCE):
        return None
    if not excludes_zero:
        return (
            f"The permutation test is significant (p = {p:.4f}) although the interval includes 0: the test set is "
            f"small ({groups} independent groups of images) and both are approximate, so the gate requires both."
        )
    if test.p <= SIGNIFICANCE:
        return (
            f"The interval excludes 0 although the permutation test is not significant (p = {p:.4f}): the p value is "
            f"corrected for {sizes} sizes and the interval is not, so the gate requires both."
        )
    return (
        f"The interval excludes 0 although the permutation test is not significant (p = {p:.4f}): the test set is "
        f"small ({groups} independent groups of images) and the interval too narrow for it, so the gate requires both."
    )


def _detectable(measured: _Scores) -> float:
    return minimum_detectable_difference(len(measured.images), measured.gain_sd or TYPICAL_SD)


def _curve(evidence: Evidence, resampled: intervals.Resampled) -> Curve | None:
    names = {size: name for name in evidence.tuned if (size := size_of(name)) is not None}
    return intervals.fit_curve(sorted(names), resampled, [names[size] for size in sorted(names)])


def _tables(evidence: Evidence, measured: _Scores) -> list[Table]:
    """Return the tables of the answer format."""
    answer_format = evidence.answer_format
    of_ceiling = set(_images_of_ceiling(evidence))
    compared = [
        Compared(
            label,
            {
                name: value_of(answer_format, lines.get(image))
                for name, lines in evidence.answerers.items()
                if name != "ceiling" or image in of_ceiling
            }
            | {"control": measured.control},
        )
        for image, label in measured.labels.items()
    ]
    labelled = (line for line in {**evidence.labels, **evidence.training}.values() if line.status == "ok")
    texts = {
        "teacher": [text for line in labelled for text in line.answered or [line.text or ""]],
        measured.best: [line.text or "" for line in evidence.tuned[measured.best].values() if line.status == "ok"],
    }
    return answer_format.tables(compared, measured.best) + answer_format.tables_of_texts(texts)


def _gold(evidence: Evidence, measured: _Scores) -> GoldScores | None:
    """Return every answerer's agreement with the owner's labels; None without such labels."""
    of_test = {image: evidence.gold[image] for image in measured.images if image in evidence.gold}
    gold = label_values(evidence.answer_format, of_test)
    if not gold:
        return None
    group_of = dict(zip(measured.images, measured.groups, strict=True))
    of_ceiling = {image: gold[image] for image in _images_of_ceiling(evidence) if image in gold}
    agreement: dict[str, Interval] = {}
    for name, lines in {"teacher": evidence.labels, **evidence.answerers}.items():
        labels = of_ceiling if name == "ceiling" else gold
        if labels:
            values = scores.agreement(evidence.answer_format, lines, labels)
            agreement[name] = intervals.resample({name: values}, [group_of[image] for image in labels]).mean(name)
    return GoldScores(images=len(gold), agreement=agreement)


def _serving(evidence: Evidence) -> dict[str, ServingCost]:
    """Return latency, tokens and price of every answerer whose answers have a token count, without the ceiling."""
    costs: dict[str, ServingCost] = {}
    for name, lines in {"teacher": evidence.labels, **evidence.answerers}.items():
        usages = [line.usage for line in lines.values() if line.usage]
        latencies = [line.latency_ms for line in lines.values() if line.latency_ms is not None]
        if name != "ceiling" and usages:
            tier = evidence.tier if name == "teacher" else "default"
            latency = statistics.median(latencies) if latencies else None
            costs[name] = _serving_cost(usages, latency, evidence.models.get(name), tier)
    return costs


def _serving_cost(
    usages: Sequence[Usage], latency_ms: float | None, model: str | None, tier: ServiceTier
) -> ServingCost:
    input_tokens = statistics.fmean(usage.input_tokens for usage in usages)
    output_tokens = statistics.fmean(usage.output_tokens for usage in usages)
    usd = None
    if model and catalog.find_model(model):
        usd = ledger.usd_per_1000_answers(model, input_tokens, output_tokens, tier)
    return ServingCost(latency_ms=latency_ms, input_tokens=input_tokens, output_tokens=output_tokens, usd_per_1000=usd)
