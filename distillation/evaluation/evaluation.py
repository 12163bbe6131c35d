"""What is compared, whoever gathered it (a run, or two files of answers), and all that follows from it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from distillation import ledger
from distillation.evaluation import intervals, scores
from distillation.evaluation.parsed_answers import ParsedAnswer, parse_answer, parse_answers
from distillation.models import catalog
from distillation.power import minimum_detectable_difference
from distillation.records import AnswerLine, ServiceTier, Usage

Lines = Mapping[str, AnswerLine]
"""Answers by image."""


@dataclass(frozen=True)
class Evidence:
    """Answers about the test images, and what they are measured against.

    ``labels``: the teacher's. ``tuned``: by answerer, ``n<size>`` in a run. ``training``: the labels that were
    trained on, for the control; without them it is taken from ``labels`` themselves, which flatters it.
    ``groups``: each image's near-duplicate group. ``models``: ids by answerer, for prices; ``tier``: the teacher's.
    """

    labels: Lines
    tuned: Mapping[str, Lines]
    base: Lines | None = None
    ceiling: Lines | None = None
    training: Lines = field(default_factory=dict)
    gold: Lines = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    tier: ServiceTier = "default"
    gate_margin: float = 0.0

    @property
    def answerers(self) -> dict[str, Lines]:
        """All but the teacher, in the order of the report."""
        base = {"base": self.base} if self.base is not None else {}
        ceiling = {"ceiling": self.ceiling} if self.ceiling is not None else {}
        return {**base, **self.tuned, **ceiling}


@dataclass(frozen=True)
class Evaluation:
    """``figures`` go into report.json; ``per_image`` into scores.csv, a column each, as long as ``images``."""

    figures: dict[str, Any]
    images: list[str]
    per_image: dict[str, list[float]]
    answers: dict[str, Lines]


def evaluate(evidence: Evidence) -> Evaluation:
    """Measure every answerer against the teacher, with intervals, test, gate and curve."""
    labels = parse_answers(evidence.labels)
    images = list(labels)
    groups = {image: evidence.groups.get(image, image) for image in images}
    answers = evidence.answerers
    measured = {name: scores.agreement(lines, labels) for name, lines in answers.items()}
    best = max(evidence.tuned, key=lambda name: statistics.fmean(measured[name]["jaccard"]))
    per_image = {name: metrics["jaccard"] for name, metrics in measured.items()}
    per_image["floor"] = scores.floor(answers[best], labels, groups)
    training = [parse_answer(line).keywords for line in evidence.training.values()] or [
        r.keywords for r in labels.values()
    ]
    commonest = ParsedAnswer(scores.control(training), frozenset(), valid=True)
    per_image["control"] = [scores.jaccard(commonest.keywords, label.keywords) for label in labels.values()]
    names = list(groups.values())
    # Drawing is what costs: all series are drawn at once.
    every = {f"{name} {metric}": values for name, found in measured.items() for metric, values in found.items()}
    drawn = intervals.resample({**per_image, **every}, names)
    tests = _tests(evidence, per_image, drawn, names)
    figures = {
        "jaccard": _by_role(evidence, {name: drawn.mean(name).as_json() for name in per_image}),
        "jaccard_as_written": _by_role(evidence, _means(measured, drawn, "jaccard_as_written")),
        "metrics": {
            name: {metric: drawn.mean(f"{name} {metric}").as_json() for metric in found}
            for name, found in measured.items()
        },
        "headlines": _headlines(best, drawn, per_image),
        "gate": _gate(evidence, best, drawn, tests),
        "tests": tests,
        "detectable": _detectable(best, per_image, images),
        "curve": _curve(evidence, drawn),
        "keywords": scores.keyword_changes(answers["base"], answers[best], labels) if "base" in answers else None,
        "gold": _gold(evidence, names, images),
        "serving": _serving(evidence),
        "test_images": len(images),
        "test_groups": len(set(names)),
    }
    return Evaluation(figures, images, per_image, answers)


def _by_role(evidence: Evidence, means: Mapping[str, Any]) -> dict[str, Any]:
    others = {name: mean for name, mean in means.items() if name not in evidence.tuned}
    return {**others, "tuned": {name.removeprefix("n"): means[name] for name in evidence.tuned}}


def _means(measured: Mapping[str, Any], drawn: intervals.Resampled, metric: str) -> dict[str, Any]:
    return {name: drawn.mean(f"{name} {metric}").as_json() for name in measured}


def _headlines(
    best: str,
    drawn: intervals.Resampled,
    per_image: Mapping[str, Any],
) -> dict[str, Any]:
    """Gap closed, under both readings, and seen, not learnt by heart; None where they have no meaning."""
    found: dict[str, Any] = dict.fromkeys(("gap_closed", "gap_closed_as_written", "seen"))
    if "ceiling" not in per_image:
        return found
    if "base" in per_image:
        found["gap_closed"] = drawn.share(best, "base", "ceiling")
        bottom, top = "base jaccard_as_written", "ceiling jaccard_as_written"
        found["gap_closed_as_written"] = drawn.share(f"{best} jaccard_as_written", bottom, top)
    found["seen"] = drawn.share(best, "control", "ceiling")
    return {name: share.as_json() if share else None for name, share in found.items()}


def _tests(
    evidence: Evidence, per_image: Mapping[str, list[float]], drawn: intervals.Resampled, groups: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return gain over base, p, and p corrected for the number of sizes; empty without base."""
    if evidence.base is None:
        return {}
    raw = {
        name: intervals.permutation_p(
            [tuned - base for tuned, base in zip(per_image[name], per_image["base"], strict=True)], groups
        )
        for name in evidence.tuned
    }
    corrected = intervals.holm(raw)
    return {
        name: {"gain": drawn.difference(name, "base").as_json(), "p": raw[name], "p_holm": corrected[name]}
        for name in raw
    }


def _gate(evidence: Evidence, best: str, drawn: intervals.Resampled, tests: Mapping[str, Any]) -> dict[str, Any] | None:
    """Pass the best model only if its gain is sure and more than the commonest keywords give; None without base."""
    if not tests:
        return None
    gain = tests[best]["gain"]
    reasons = []
    if gain["ci95"][0] <= evidence.gate_margin:
        reasons.append(f"the gain's interval starts at {gain['ci95'][0]:+.3f}, not above {evidence.gate_margin:+.3f}")
    if tests[best]["p_holm"] > 0.05:
        reasons.append(f"chance alone gives such a gain with p = {tests[best]['p_holm']:.3f}")
    if drawn.difference(best, "control").low <= 0:
        reasons.append("it does not surely beat the commonest keywords")
    return {"best": best, "gain": gain, "passed": not reasons, "promoted": None, "reasons": reasons}


def _detectable(best: str, per_image: Mapping[str, list[float]], images: Sequence[str]) -> float:
    if "base" not in per_image or len(images) < 2:
        return minimum_detectable_difference(len(images))
    differences = [tuned - base for tuned, base in zip(per_image[best], per_image["base"], strict=True)]
    return minimum_detectable_difference(len(images), statistics.stdev(differences))


def _curve(evidence: Evidence, drawn: intervals.Resampled) -> dict[str, object] | None:
    sized = {int(name[1:]): name for name in evidence.tuned if name[1:].isdigit()}
    return intervals.fit_curve(sorted(sized), drawn, [sized[size] for size in sorted(sized)])


def _gold(evidence: Evidence, groups: Sequence[str], images: Sequence[str]) -> dict[str, Any] | None:
    """Return everybody's Jaccard index against the owner's own labels, where they were given."""
    gold = {image: parse_answer(evidence.gold[image]) for image in images if image in evidence.gold}
    if not gold:
        return None
    group_of = dict(zip(images, groups, strict=True))
    answerers = {"teacher": evidence.labels, **evidence.answerers}
    series = {
        name: [scores.jaccard(parse_answer(lines.get(image)).keywords, label.keywords) for image, label in gold.items()]
        for name, lines in answerers.items()
    }
    drawn = intervals.resample(series, [group_of[image] for image in gold])
    return {"images": len(gold), "jaccard": {name: drawn.mean(name).as_json() for name in series}}


def _serving(evidence: Evidence) -> dict[str, dict[str, float | None]]:
    """Return per answerer the median latency, mean tokens and dollars per 1,000 images, where they are known."""
    found: dict[str, dict[str, float | None]] = {}
    for name, lines in {"teacher": evidence.labels, **evidence.answerers}.items():
        used = [line.usage for line in lines.values() if line.usage]
        waits = [line.latency_ms for line in lines.values() if line.latency_ms is not None]
        if name != "ceiling" and used:
            found[name] = {
                "latency_ms": statistics.median(waits) if waits else None,
                **_per_thousand(used, evidence.models.get(name), evidence.tier if name == "teacher" else "default"),
            }
    return found


def _per_thousand(used: Sequence[Usage], model: str | None, tier: ServiceTier) -> dict[str, float | None]:
    tokens_in = statistics.fmean(usage.input_tokens for usage in used)
    tokens_out = statistics.fmean(usage.output_tokens for usage in used)
    usd = None
    if model and catalog.find_model(model):
        usd = ledger.inference_usd(model, round(1000 * tokens_in), round(1000 * tokens_out), tier)
    return {"input_tokens": tokens_in, "output_tokens": tokens_out, "usd_per_1000": usd}
