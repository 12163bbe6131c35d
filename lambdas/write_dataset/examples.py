"""Write one dataset file per training size, and one for validation, in bedrock-conversation-2024.

Format: "Preparing data for fine-tuning understanding models", Amazon Nova user guide.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lambdas.shared import families, layout
from lambdas.shared.errors import TooFewImages
from lambdas.shared.labels import read_labels
from lambdas.shared.objects import Objects
from lambdas.shared.records import AnswerLine, Run
from lambdas.shared.tolerance import check_set_aside
from lambdas.shared.training import copies, records


def write(run: Run, sizes: list[int], data: Objects) -> dict[str, Any]:
    """Write the dataset of every size; a size shrinks by the images whose labels were set aside.

    With ``duplicate_records`` a small dataset is written that many times over.

    Raises ``TooManySetAside`` over the request's tolerance and ``TooFewImages`` when a size is left
    with fewer records than Bedrock takes.
    """
    labels = list(read_labels(run, data).values())
    reasons = _refusals(run, [line for line in labels if line.status == "refused"], data)
    remedy = "Put distill.json again with a higher 'tolerance' to go on: no label is paid for twice"
    check_set_aside(run, "labels", len(labels), reasons, remedy)
    texts = {line.image: line.text for line in labels if line.status == "ok" and line.text}
    train = _labelled(data, run, "train", texts)
    minimum = families.model(run.student).family.minimum_records
    if records(run.request, len(train)) < minimum:
        raise TooFewImages(
            f"{len(train)} training images have a label; {run.student!r} takes no fewer than {minimum} records"
        )
    written = sorted({min(size, len(train)) for size in sizes})
    for size in written:
        _write(run, data, f"train-{size}", train[:size] * copies(run.request, size), texts)
    validation = _labelled(data, run, "validation", texts)
    if validation:
        _write(run, data, "validation", validation, texts)
    return {
        "sizes": written,
        "records": records(run.request, max(written)),
        "validation": len(validation),
        "set_aside": len(reasons),
    }


def record(run: Run, bucket: str, image: str, text: str) -> dict[str, Any]:
    """Return the training record of one image: the question as it was asked, and the label."""
    location = {
        "uri": f"s3://{bucket}/{layout.image(run.side, image)}",
        "bucketOwner": run.account,
    }
    question = [
        {"text": run.prompt.user},
        {"image": {"format": "jpeg", "source": {"s3Location": location}}},
    ]
    return {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": run.prompt.system}],
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": [{"text": text}]},
        ],
    }


def _refusals(run: Run, refused: list[AnswerLine], data: Objects) -> list[str]:
    """Say of which photo each label was refused, and why."""
    lines = data.read_lines(layout.split(run.run, "to-label")) if refused else ()
    photo_of = {line["image"]: line["photo"] for line in lines}
    return [f"{photo_of[line.image]}: {line.reason}" for line in refused]


def _labelled(data: Objects, run: Run, name: str, texts: dict[str, str]) -> list[str]:
    images = [line["image"] for line in data.read_lines(layout.split(run.run, name))]
    return [image for image in images if image in texts]


def _write(run: Run, data: Objects, name: str, images: Iterable[str], texts: dict[str, str]) -> None:
    data.write_lines(
        layout.dataset(run.run, name),
        (record(run, data.bucket, image, texts[image]) for image in images),
    )
