"""Builders of records whose details do not matter to a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from distillation import keys
from distillation.documents import (
    Alternative,
    ApplyEstimate,
    ApplyReport,
    Baseline,
    Bounds,
    Estimate,
    EvaluationFigures,
    Gate,
    GrownRound,
    Growth,
    Headlines,
    Interval,
    Ledger,
    Manifest,
    Money,
    MonthlyCost,
    Recommendation,
    Report,
    ScoresByRole,
    SplitFacts,
)
from distillation.inference.rate_limit import BatchLimits, Clock
from distillation.photos.rounds import plan_rounds
from distillation.photos.splits import write_rounds
from distillation.records import Labeler, Prompt, Request, Run, SetName, SplitLine, TrainedModel
from distillation.storage import Bucket
from tests.support.fakes import bucket


def image_names(count: int) -> list[str]:
    """Return ``count`` distinct names of images: hashes that stand for their bytes."""
    return [f"{number:064x}" for number in range(count)]


def any_run(**request: Any) -> Run:
    """Return a run of the Nova pair; keywords are fields of its request."""
    labeler = Labeler(id="labeler", model="amazon.nova-pro-v1:0", max_tokens=400, temperature=0.00001)
    return Run(
        name="holiday-1",
        stage="test",
        collection="holiday/",
        execution="arn:aws:states:us-east-1:000000000000:execution:m:e",
        created="2026-11-24T00:00:00+00:00",
        account="000000000000",
        teacher=labeler,
        ceiling=labeler.model_copy(update={"id": "ceiling", "temperature": 0.5}),
        student="amazon.nova-lite-v1:0",
        prompt=Prompt(system="You index photographs.", user="Write keywords."),
        student_prompt=Prompt(system="You index photographs.", user="Write keywords."),
        image_side=900,
        request=Request(**request),
    )


def run_with_limits(minimum: int, maximum: int, **request: Any) -> Run:
    """Return a run whose answers must have ``minimum`` to ``maximum`` items; keywords are fields of its request."""
    answers = {"format": "keywords", "keywords_min": minimum, "keywords_max": maximum}
    return any_run(**request).model_copy(update={"answers": answers})


def any_limits(clock: Clock | None = None, seconds: float = 600, batches: int = 1) -> BatchLimits:
    """Return limits of one of ``batches`` concurrent batches, whose deadline is in ``seconds``."""
    clock = clock or Clock()
    return BatchLimits(batches, clock.now() + seconds, clock)


def converse_response(text: str = "cat, sofa, window", stop_reason: str = "end_turn") -> dict[str, Any]:
    """Return a response of Converse with this text, for 1,000 input tokens and 100 output tokens."""
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": stop_reason,
        "usage": {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100},
        "metrics": {"latencyMs": 5},
    }


def any_interval(mean: float = 0.5) -> Interval:
    """Return an interval of 0.02 around ``mean``."""
    return Interval(mean=mean, ci95=(mean - 0.01, mean + 0.01))


def any_estimate(**fields: Any) -> Estimate:
    """Return an estimate of $1 within its budget; keywords replace its fields."""
    bounds = Bounds(low=0.5, expected=1.0, high=2.0)
    default: dict[str, Any] = {
        "usd": 1.0,
        "range": bounds,
        "max_usd": 25.0,
        "within_budget": True,
        "verdict": "about $1.00 ($0.5000 to $2.00), within max_usd $25.00",
        "by_step": {},
        "lines": [],
        "monthly": MonthlyCost(range=bounds, lines=[]),
        "photos": 60,
        "images": 60,
        "test": 15,
        "sizes": [45],
        "labels_to_ask": 60,
        "labels_reused": 0,
        "label_minutes": 0.5,
        "range_from": [],
        "warnings": [],
        "detectable": 0.072,
        "plan": [],
        "break_even": None,
        "provisioned": None,
    }
    return Estimate(**default | fields)


def any_baseline(**fields: Any) -> Baseline:
    """Return a baseline after which the run trains; keywords are its fields."""
    base = Alternative(
        name="base",
        label="Nova Lite",
        model="amazon.nova-lite-v1:0",
        agreement=any_interval(0.3),
        valid=any_interval(1.0),
        usd_per_1000=0.09,
    )
    default: dict[str, Any] = {
        "test_images": 200,
        "test_groups": 200,
        "alternatives": [base],
        "ceiling": any_interval(0.7),
        "ceiling_valid": any_interval(1.0),
        "teacher_usd_per_1000": 0.65,
        "best": "base",
        "gap": any_interval(0.4),
        "minimum_gap": 0.05,
        "worth_training": True,
        "recommendation": Recommendation(action="train", text="Train: something can be gained."),
    }
    return Baseline(**default | fields)


def any_apply_report(**fields: Any) -> ApplyReport:
    """Return a report of a run that applied the model of run ``old``; keywords replace its fields."""
    bounds = Bounds(low=0.5, expected=1.0, high=2.0)
    default: dict[str, Any] = {
        "run": "holiday-1",
        "applied": "old",
        "status": "complete",
        "verdict": "The model of run old answered about 2 of 2 photos.",
        "photos": 2,
        "set_aside": 0,
        "estimate": ApplyEstimate(usd=1.0, range=bounds, max_usd=25.0, within_budget=True, verdict="about $1.00"),
        "ledger": Ledger(usd=0.5, entries=[]),
        "usd": 0.5,
        "files": [],
    }
    return ApplyReport(**default | fields)


def any_manifest(run: Run, **fields: Any) -> Manifest:
    """Return the manifest of a run that trained nothing; keywords replace its fields."""
    default: dict[str, Any] = {
        "run": run,
        "code": "0123456789ab sha256:ab",
        "prompt_sha256": "ab",
        "labelers": {},
        "datasets_sha256": {},
        "hyperparameters": {},
        "model_ids": {},
        "models": [],
        "agreement": None,
        "gate": None,
        "usd": 0.5,
        "prices": [],
    }
    return Manifest(**default | fields)


def any_report(
    *, models: Iterable[TrainedModel] = (), promoted: str | None = None, best: str | None = None, **fields: Any
) -> Report:
    """Return a report of a run that trained ``models``; keywords replace its fields.

    The gate names ``best`` (by default the promoted model's size, else the first model's) and ``promoted``, the name
    of a model; it passed if there is one.
    """
    models = list(models)
    promoted_names = [model.answerer for model in models if promoted and model.model_name == promoted]
    best = best or next(iter([*promoted_names, *(model.answerer for model in models)]), "n45")
    names = {best, *(model.answerer for model in models)}
    scores = ScoresByRole(base=any_interval(0.3), tuned={name: any_interval(0.5) for name in sorted(names)})
    reasons = [] if promoted else ["the gain is not statistically significant (p = 0.500)"]
    figures = EvaluationFigures(
        format="keywords",
        similarity="Jaccard index",
        best=best,
        agreement=scores,
        metrics={},
        headlines=Headlines(),
        gate=Gate(best=best, gain=any_interval(0.2), passed=bool(promoted), promoted=promoted, reasons=reasons),
        tests={},
        detectable=0.072,
        curve=None,
        tables=[],
        gold=None,
        serving={},
        test_images=15,
        test_groups=15,
    )
    default: dict[str, Any] = {
        "run": "holiday-1",
        "status": "complete",
        "until": None,
        "verdict": "The student matches the teacher with an agreement of 0.50, up from 0.30 before training.",
        "photos": 60,
        "images": 60,
        "photos_set_aside": [],
        "labels_set_aside": [],
        "set_aside": 0,
        "train": 45,
        "validation": 0,
        "test": 15,
        "samples_per_image": 1,
        "labels_by": {"teacher": 60},
        "own_test_labels": 0,
        "disagreements": [],
        "labelled": 60,
        "split": None,
        "teacher": "amazon.nova-pro-v1:0",
        "student": "amazon.nova-lite-v1:0",
        "models": models,
        "training_loss": {},
        "validation_loss": {},
        "estimate": any_estimate(),
        "ledger": Ledger(usd=0.5, entries=[]),
        "usd": 0.5,
        "sizes_asked": None,
        "evaluation": figures,
        "doubling": None,
        "money": Money(by_step=[], break_even_images=None),
    }
    return Report(**default | fields)


def any_growth(**fields: Any) -> Growth:
    """Return the growth of a run after its first round, which continues; keywords replace its fields."""
    default: dict[str, Any] = {
        "rounds": [GrownRound(size=300, labels=400, usd=2.0, agreement=any_interval(0.5))],
        "next_size": 900,
        "next_gain": None,
        "next_usd": Bounds(low=2, expected=4, high=6),
        "stopped": None,
        "reason": "One size shows no trend, so the run trains on 900 images next, for about $4.00.",
    }
    return Growth(**default | fields)


def any_split_facts(**fields: Any) -> SplitFacts:
    """Return the facts of a split of 60 images without duplicates; keywords replace its fields."""
    default: dict[str, Any] = {
        "photos": 60,
        "refused": 0,
        "images": 60,
        "train": 45,
        "validation": 0,
        "test": 15,
        "excluded": 0,
        "exact_duplicates": 0,
        "near_duplicates": 0,
        "groups": 60,
        "leaked_by_random_split": 0.0,
        "flags": {},
        "own_labels": 0,
    }
    return SplitFacts(**default | fields)


def write_sets(run: Run, sets: Mapping[SetName, Sequence[SplitLine]], data: Bucket) -> None:
    """Write the sets of a run and its rounds as Split does."""
    for name, members in sets.items():
        data.write_lines(keys.split_key(run.name, name), [line.model_dump() for line in members])
    write_rounds(run, plan_rounds(run, sets), set(), data)


def bucket_after_split(train: int = 12, test: int = 8, labelled: int = 0, run: Run | None = None) -> Bucket:
    """Return a bucket as Split leaves it: images of 900 x 600 pixels, the first ``labelled`` of which have a label."""
    data = bucket()
    images = image_names(train + test)
    counts: dict[SetName, int] = {"train": train, "test": test, "validation": 0}
    names = iter(images)
    sets: dict[SetName, list[SplitLine]] = {
        name: [
            SplitLine(image=image, photo="p", group=image, width=900, height=600, set=name)
            for image in islice(names, count)
        ]
        for name, count in counts.items()
    }
    write_sets(run or any_run(), sets, data)
    facts = any_split_facts(photos=len(images) + 1, images=len(images), train=train, test=test)
    data.write_document(keys.split_facts_key("holiday-1"), facts)
    for image in images[:labelled]:
        data.write(keys.label_key("labeler", image, 0), b"{}")
    return data
