"""Tokens times prices: what labelling, training and evaluation of a run will cost.

Text tokens are taken as one per four characters, image tokens by the family's rule, and an answer as
120 tokens (25 keywords); a training record counts as its question, image and answer. What the real
bill counts was not verified against AWS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lambdas.shared import families, layout, ledger
from lambdas.shared.objects import Objects
from lambdas.shared.records import Run, SplitLine
from lambdas.shared.training import copies

ANSWER_TOKENS = 120
ASKED_AGAIN = 0.05
"""Share of a teacher's answers that are taken not to count and to be asked for once more; a guess."""
CHARACTERS_PER_TOKEN = 4
OVERHEAD_TOKENS = 10
"""Roles and separators around the texts of one question."""


def estimate(run: Run, sizes: list[int], data: Objects) -> dict[str, Any]:
    """Return and keep the estimate in US dollars: by step, in all, and against the budget.

    Labels and ceiling answers that are kept from earlier runs cost nothing and are counted out.
    """
    to_label = images_of(data, run, "to-label")
    test = images_of(data, run, "test")
    train = images_of(data, run, "train")[: max(sizes)]
    samples = range(run.request.samples_per_image)
    unlabelled = _unanswered(data, run.teacher.id, to_label, samples)
    unsampled = _unanswered(data, run.ceiling.id, test, [run.ceiling_sample])
    usd = {
        "LabelImages": _asking(run, run.teacher.model, unlabelled) * (1 + ASKED_AGAIN),
        "TrainModels": sum(_training(run, train[:size]) for size in sizes),
        "PredictTestImages": _asking(run, run.ceiling.model, unsampled) * (1 + ASKED_AGAIN)
        + _asking(run, run.student, test) * (1 + len(sizes)),
    }
    total = sum(usd.values())
    within = total <= run.request.max_usd
    relation = "within" if within else "over"
    remedy = "" if within else "; raise max_usd, or train on fewer images, and start again"
    result = {
        "usd": round(total, 6),
        "by_step": usd,
        "labels_to_ask": len(unlabelled),
        "labels_kept": len(to_label) * len(samples) - len(unlabelled),
        "within_budget": within,
        "verdict": f"about ${total:,.4f}, {relation} max_usd ${run.request.max_usd:,.2f}{remedy}",
    }
    data.write_json(layout.report(run.run, "estimate.json"), result)
    return result


def images_of(data: Objects, run: Run, name: str) -> list[SplitLine]:
    """Return a set of images of a run: ``train``, ``test``, ``validation`` or ``to-label``."""
    return [SplitLine.model_validate(line) for line in data.read_lines(layout.split(run.run, name))]


def _unanswered(data: Objects, labeler: str, lines: list[SplitLine], samples: Sequence[int]) -> list[SplitLine]:
    """Return a line for each answer that no run has paid for yet."""
    kept = set(data.keys(layout.labels(labeler)))
    wanted = ((line, layout.label(labeler, line.image, sample)) for line in lines for sample in samples)
    return [line for line, key in wanted if key not in kept]


def _question_tokens(run: Run, line: SplitLine) -> int:
    text = len(run.prompt.system) + len(run.prompt.user)
    image = families.model(run.student).family.image_tokens(line.width, line.height)
    return text // CHARACTERS_PER_TOKEN + OVERHEAD_TOKENS + image


def _asking(run: Run, model: str, lines: list[SplitLine]) -> float:
    tokens = sum(_question_tokens(run, line) for line in lines)
    return ledger.inference_usd(model, tokens, ANSWER_TOKENS * len(lines))


def _training(run: Run, lines: list[SplitLine]) -> float:
    return training_usd(run, dataset_tokens(run, lines))


def dataset_tokens(run: Run, lines: list[SplitLine]) -> int:
    """Tokens of the records of these images: question, image and answer, as often as each is written."""
    return sum(_question_tokens(run, line) + ANSWER_TOKENS for line in lines) * copies(run.request, len(lines))


def training_usd(run: Run, tokens: int) -> float:
    """Price of one job over a dataset of so many tokens: they are billed once per epoch."""
    model = families.model(run.student)
    epochs = int(model.family.resolve_hyperparameters(run.request.hyperparameters)["epochCount"])
    return model.price("training").of(tokens * epochs)
