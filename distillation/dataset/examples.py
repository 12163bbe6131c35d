"""Write one dataset file per training size, and one for validation, in bedrock-conversation-2024.

Format: "Preparing data for fine-tuning understanding models", Amazon Nova user guide.
"""

from __future__ import annotations

from collections.abc import Iterable
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from distillation import keys
from distillation.dataset.labels import iter_labels
from distillation.errors import TooFewImages
from distillation.models import catalog
from distillation.models.hyperparameters import copies, records
from distillation.records import AnswerLine, Run
from distillation.storage import Bucket
from distillation.tolerance import check_tolerance

_SPOOLED_BYTES = 1 << 20


def write_dataset(run: Run, sizes: list[int], data: Bucket) -> dict[str, Any]:
    """Write the dataset of every size; a size shrinks by the images whose labels were set aside.

    With ``duplicate_records`` a small dataset is written that many times over.

    Raises ``ToleranceExceeded`` over the request's tolerance and ``TooFewImages`` when a size is left
    with fewer records than Bedrock takes.
    """
    with SpooledTemporaryFile(_SPOOLED_BYTES) as file:
        texts = _Texts(file)
        reasons = _read(run, data, texts)
        train = _labelled(data, run, "train", texts)
        validation = _labelled(data, run, "validation", texts)
        written = _sizes(run, sizes, len(train))
        for size in written:
            _write(run, data, f"train-{size}", train[:size] * copies(run.request, size), texts)
        if validation:
            _write(run, data, "validation", validation, texts)
    return {
        "sizes": written,
        "records": records(run.request, max(written)),
        "validation": len(validation),
        "set_aside": len(reasons),
    }


def training_record(run: Run, bucket: str, image: str, text: str) -> dict[str, Any]:
    """Return the training record of one image: the question as it was asked, and the label."""
    location = {
        "uri": f"s3://{bucket}/{keys.image_key(run.side, image)}",
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


class _Texts:
    """The labels' texts by image, in a file: in memory is only where each of them lies."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._spans: dict[str, tuple[int, int]] = {}

    def add(self, image: str, text: str) -> None:
        self._spans[image] = (self._file.tell(), self._file.write(text.encode()))

    def __contains__(self, image: str) -> bool:
        return image in self._spans

    def __getitem__(self, image: str) -> str:
        start, length = self._spans[image]
        self._file.seek(start)
        return self._file.read(length).decode()


def _read(run: Run, data: Bucket, texts: _Texts) -> list[str]:
    """Keep the text of every label that counts; return the reasons of those that do not."""
    labels = 0
    refused: list[AnswerLine] = []
    for line in iter_labels(run, data):
        labels += 1
        if line.status == "refused":
            refused.append(line)
        elif line.text:
            texts.add(line.image, line.text)
    reasons = _refusals(run, refused, data)
    remedy = "Put distill.json again with a higher 'tolerance' to go on: no label is paid for twice"
    check_tolerance(run, "labels", labels, reasons, remedy)
    return reasons


def _refusals(run: Run, refused: list[AnswerLine], data: Bucket) -> list[str]:
    """Say of which photo each label was refused, and why."""
    lines = data.read_lines(keys.split_key(run.name, "to-label")) if refused else ()
    photo_of = {line["image"]: line["photo"] for line in lines}
    return [f"{photo_of[line.image]}: {line.reason}" for line in refused]


def _labelled(data: Bucket, run: Run, name: str, texts: _Texts) -> list[str]:
    return [line["image"] for line in data.read_lines(keys.split_key(run.name, name)) if line["image"] in texts]


def _sizes(run: Run, sizes: list[int], available: int) -> list[int]:
    minimum = catalog.get_model(run.student).family.minimum_records
    if records(run.request, available) < minimum:
        raise TooFewImages(
            f"{available} training images have a label; {run.student!r} takes no fewer than {minimum} records"
        )
    return sorted({min(size, available) for size in sizes})


def _write(run: Run, data: Bucket, name: str, images: Iterable[str], texts: _Texts) -> None:
    lines = (training_record(run, data.name, image, texts[image]) for image in images)
    data.write_lines(keys.dataset_key(run.name, name), lines)
