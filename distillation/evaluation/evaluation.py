"""Evaluate answers against the teacher's labels: scores, intervals, tests, promotion gate and scaling curve.

The answers may come from a run or from two files (``distill evaluate``).
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from distillation import ledger
from distillation.documents import (
    Curve,
    EvaluationFigures,
    Gate,
    GoldScores,
    Headlines,
    Interval,
    KeywordChanges,
    ScoresByRole,
    ServingCost,
    SizeTest,
)
from distillation.evaluation import intervals, scores
from distillation.evaluation.parsed_answers import parse_answer, parse_answers
from distillation.models import catalog
from distillation.records import AnswerLine, ServiceTier, Usage, size_of
from distillation.statistical_power import minimum_detectable_difference

SIGNIFICANCE = 0.05
"""Largest corrected p value with which the gate promotes a model."""

AnswersByImage = Mapping[str, AnswerLine]


@dataclass(frozen=True)
class Evidence:
    """Answers about the test images, and what they are compared with."""

    labels: AnswersByImage
    """The teacher's labels of the test images."""
    tuned: Mapping[str, AnswersByImage]
    """Answers of the tuned models by name; ``n<size>`` in a run."""
    base: AnswersByImage | None = None
    """Answers of the student before training."""
    ceiling: AnswersByImage | None = None
    """Second answers of the teacher."""
    training: AnswersByImage = field(default_factory=dict)
    """Labels that the models were trained on, for the control. If empty, ``labels`` are used, which favours it."""
    gold: AnswersByImage = field(default_factory=dict)
    """The owner's labels, which no model was trained on."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Group of near-duplicates by image; an image without an entry is its own group."""
    models: Mapping[str, str] = field(default_factory=dict)
    """Model ids by answerer, for prices."""
    tier: ServiceTier = "default"
    """Service tier of the teacher."""
    gate_margin: float = 0.0
    """Gain in the Jaccard index that the gate requires the interval to exceed."""

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
    """Jaccard index by answerer, one value for each of ``images``; the columns of scores.csv."""
    answers: dict[str, AnswersByImage]
    """Answers by answerer."""


@dataclass(frozen=True)
class _Scores:
    """Scores of all answerers on the same images."""

    best: str
    """Tuned model with the highest mean Jaccard index."""
    images: list[str]
    groups: list[str]
    """Group of each image."""
    metrics: Mapping[str, Mapping[str, list[float]]]
    """Values by answerer and metric."""
    per_image: dict[str, list[float]]
    """Jaccard index by answerer, floor and control."""
    resampled: intervals.Resampled

    def mean(self, answerer: str, metric: str) -> Interval:
        return self.resampled.mean(f"{answerer} {metric}")

    def gains(self, answerer: str) -> list[float]:
        """Return the gain of an answerer over base for each image."""
        pairs = zip(self.per_image[answerer], self.per_image["base"], strict=True)
        return [score - base for score, base in pairs]


def evaluate(evidence: Evidence) -> Evaluation:
    """Compare every answerer with the teacher's labels."""
    measured = _score(evidence)
    tests = _tests(evidence, measured)
    answers = evidence.answerers
    figures = EvaluationFigures(
        best=measured.best,
        jaccard=_by_role(evidence, {name: measured.resampled.mean(name) for name in measured.per_image}),
        jaccard_unnormalised=_by_role(
            evidence, {name: measured.mean(name, "jaccard_unnormalised") for name in measured.metrics}
        ),
        metrics={
            name: {metric: measured.mean(name, metric) for metric in values}
            for name, values in measured.metrics.items()
        },
        headlines=_headlines(measured),
        gate=_gate(evidence, measured, tests),
        tests=tests,
        detectable=_detectable(measured),
        curve=_curve(evidence, measured.resampled),
        keywords=_keyword_changes(evidence, measured.best),
        gold=_gold(evidence, measured),
        serving=_serving(evidence),
        test_images=len(measured.images),
        test_groups=len(set(measured.groups)),
    )
    return Evaluation(figures, measured.images, measured.per_image, answers)


def _score(evidence: Evidence) -> _Scores:
    labels = parse_answers(evidence.labels)
    groups = {image: evidence.groups.get(image, image) for image in labels}
    answers = evidence.answerers
    metrics = {name: scores.agreement(lines, labels) for name, lines in answers.items()}
    best = max(evidence.tuned, key=lambda name: statistics.fmean(metrics[name]["jaccard"]))
    per_image = {name: values["jaccard"] for name, values in metrics.items()}
    per_image["floor"] = scores.floor(answers[best], labels, groups)
    training = [parse_answer(line).keywords for line in evidence.training.values()]
    control = scores.control(training or [label.keywords for label in labels.values()])
    per_image["control"] = [scores.jaccard(control, label.keywords) for label in labels.values()]
    # Resampling dominates the run time, so all series are resampled together.
    series = {f"{name} {metric}": column for name, values in metrics.items() for metric, column in values.items()}
    resampled = intervals.resample({**per_image, **series}, list(groups.values()))
    return _Scores(best, list(labels), list(groups.values()), metrics, per_image, resampled)


def _by_role(evidence: Evidence, means: Mapping[str, Interval]) -> ScoresByRole:
    untuned = {name: mean for name, mean in means.items() if name not in evidence.tuned}
    return ScoresByRole(**untuned, tuned={name: means[name] for name in evidence.tuned})


def _headlines(measured: _Scores) -> Headlines:
    """Return the shares of the gaps that the best tuned model closes; fields without both ends of a gap are None."""
    best, share = measured.best, measured.resampled.share
    if "ceiling" not in measured.per_image:
        return Headlines()
    beyond_control = share(best, "control", "ceiling")
    if "base" not in measured.per_image:
        return Headlines(beyond_control=beyond_control)
    return Headlines(
        gap_closed=share(best, "base", "ceiling"),
        gap_closed_unnormalised=share(
            *(f"{name} jaccard_unnormalised" for name in (best, "base", "ceiling")),
        ),
        beyond_control=beyond_control,
    )


def _tests(evidence: Evidence, measured: _Scores) -> dict[str, SizeTest]:
    """Return each tuned model's comparison with base; empty without base."""
    if evidence.base is None:
        return {}
    p_values = {name: intervals.permutation_p(measured.gains(name), measured.groups) for name in evidence.tuned}
    corrected = intervals.holm(p_values)
    return {
        name: SizeTest(gain=measured.resampled.difference(name, "base"), p=p, p_holm=corrected[name])
        for name, p in p_values.items()
    }


def _gate(evidence: Evidence, measured: _Scores, tests: Mapping[str, SizeTest]) -> Gate | None:
    """Pass the best model if its gain is significant and larger than the control's; None without base."""
    if not tests:
        return None
    best, test = measured.best, tests[measured.best]
    reasons = []
    if test.gain.low <= evidence.gate_margin:
        reasons.append(
            f"the 95 % interval of the gain starts at {test.gain.low:+.3f}, not above {evidence.gate_margin:+.3f}"
        )
    if test.p_holm > SIGNIFICANCE:
        reasons.append(f"the gain is not statistically significant (p = {test.p_holm:.3f})")
    if measured.resampled.difference(best, "control").low <= 0:
        reasons.append("it is not significantly better than always answering with the most common keywords")
    return Gate(best=best, gain=test.gain, passed=not reasons, promoted=None, reasons=reasons)


def _detectable(measured: _Scores) -> float:
    if "base" not in measured.per_image or len(measured.images) < 2:
        return minimum_detectable_difference(len(measured.images))
    return minimum_detectable_difference(len(measured.images), statistics.stdev(measured.gains(measured.best)))


def _curve(evidence: Evidence, resampled: intervals.Resampled) -> Curve | None:
    names = {size: name for name in evidence.tuned if (size := size_of(name)) is not None}
    return intervals.fit_curve(sorted(names), resampled, [names[size] for size in sorted(names)])


def _keyword_changes(evidence: Evidence, best: str) -> KeywordChanges | None:
    if evidence.base is None:
        return None
    return scores.keyword_changes(evidence.base, evidence.tuned[best], parse_answers(evidence.labels))


def _gold(evidence: Evidence, measured: _Scores) -> GoldScores | None:
    """Return every answerer's Jaccard index against the owner's labels; None without such labels."""
    gold = {image: parse_answer(evidence.gold[image]) for image in measured.images if image in evidence.gold}
    if not gold:
        return None
    group_of = dict(zip(measured.images, measured.groups, strict=True))
    answerers = {"teacher": evidence.labels, **evidence.answerers}
    series = {
        name: [scores.jaccard(parse_answer(lines.get(image)).keywords, label.keywords) for image, label in gold.items()]
        for name, lines in answerers.items()
    }
    resampled = intervals.resample(series, [group_of[image] for image in gold])
    return GoldScores(images=len(gold), jaccard={name: resampled.mean(name) for name in series})


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
        usd = ledger.inference_usd(model, round(1000 * input_tokens), round(1000 * output_tokens), tier)
    return ServingCost(latency_ms=latency_ms, input_tokens=input_tokens, output_tokens=output_tokens, usd_per_1000=usd)
