"""What a job is billed: the tokens of its records, once per epoch. Bedrock tells them nowhere but on the bill.

And what has to be left for its model to be worth it: the answers about the test images.
"""

from __future__ import annotations

from distillation import keys
from distillation.costs import calibration
from distillation.costs.estimate import dataset_tokens
from distillation.costs.tokens import question_tokens
from distillation.costs.workload import read_split
from distillation.dataset.labels import read_labels
from distillation.inference.budget import maximum_usd
from distillation.models import catalog
from distillation.models.hyperparameters import copies, hyperparameters
from distillation.records import LedgerPart, Run, SplitLine
from distillation.storage import Bucket


def job_cost(run: Run, size: int, data: Bucket, *, trained: bool = True) -> LedgerPart:
    """Return the ledger part of the job of a size; one that failed is not billed.

    Where student and teacher are of one family, a record has the tokens that its label was billed with. Others, and
    labels that nobody was billed for, are counted by the student's rule.
    """
    labels = {image: line.usage for image, line in read_labels(run, data).items() if line.status == "ok"}
    images = [line for line in read_split(data, run, "train") if line.image in labels][:size]
    alike = catalog.get_model(run.teacher.model).family is catalog.get_model(run.student).family
    measured = [usage for line in images if alike and (usage := labels[line.image])]
    others = [line for line in images if not (alike and labels[line.image])]
    once = sum(usage.input_tokens + usage.output_tokens for usage in measured) + _by_rule(run, others, data)
    student = catalog.get_model(run.student)
    tokens = once * copies(run.request, size) * int(hyperparameters(run, size)["epochCount"]) if trained else 0
    return LedgerPart(
        step="TrainModels",
        model=run.student,
        calls=1,
        reused=0,
        input_tokens=0,
        output_tokens=0,
        training_tokens=tokens,
        usd=student.price("training").cost(tokens),
    )


def maximum_prediction_usd(run: Run, data: Bucket) -> float:
    """Return the most that base, a model of each size and ceiling may cost, in US dollars, asked about the test set."""
    images = len(read_split(data, run, "test"))
    sizes = sum(1 for _ in data.keys(f"{keys.dataset_prefix(run.name)}train-"))
    students = maximum_usd(run, run.student, run.teacher, images * (1 + sizes))
    return students + maximum_usd(run, run.ceiling.model, run.ceiling, images, run.request.service_tier)


def _by_rule(run: Run, images: list[SplitLine], data: Bucket) -> int:
    if not images:
        return 0
    student, teacher = (
        question_tokens(run, model, calibration.load(model, data)) for model in (run.student, run.teacher.model)
    )
    sizes = [(line.width, line.height) for line in images]
    return round(dataset_tokens(sizes, student, teacher).expected)
