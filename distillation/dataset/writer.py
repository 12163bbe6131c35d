"""Write one dataset file per training size, and one for validation, in bedrock-conversation-2024.

Format: "Preparing data for fine-tuning understanding models", Amazon Nova user guide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from distillation import keys
from distillation.dataset.labels import iter_labels, require_labels
from distillation.errors import LABELS_ARE_REUSED, TooFewImages, excerpt
from distillation.events import DatasetResult
from distillation.models import catalog
from distillation.models.hyperparameters import repeats_per_image
from distillation.photos.inventory import iter_inventory
from distillation.photos.splits import read_checked_images
from distillation.records import AnswerLine, Run
from distillation.storage import Bucket
from distillation.tolerance import check_tolerance

_SPOOLED_BYTES = 1 << 20


def write_dataset(run: Run, round_number: int, sizes: list[int], data: Bucket) -> DatasetResult:
    """Write one training file per size of a round, and the validation file.

    A file has a record for each of the first ``size`` training images that has a label, so it may be smaller than its
    size. A later round writes the same file again. With ``duplicate_records``, each record of a small dataset is
    written that many times.

    Raises ``ToleranceExceeded`` if more labels were set aside than the request tolerates, and ``TooFewImages`` if fewer
    records remain than Bedrock requires. Raises ``ObjectMissing`` or ``ObjectDamaged`` if a label or an image that an
    earlier step wrote is missing.
    """
    with SpooledTemporaryFile(_SPOOLED_BYTES) as file:
        texts = _LabelTexts(file)
        reasons = _collect_texts(run, round_number, texts, data)
        train = read_checked_images(run, "train", iter_inventory(run, data), data)
        validation = _labelled(read_checked_images(run, "validation", iter_inventory(run, data), data), texts)
        records = {size: _labelled(train[:size], texts) for size in sizes}
        _check_record_counts(run, records)
        for size, images in records.items():
            _write_file(run, f"train-{size}", images * repeats_per_image(run.request, size), texts, data)
        if validation:
            _write_file(run, "validation", validation, texts, data)
    return DatasetResult(
        sizes=sizes,
        records=[len(records[size]) * repeats_per_image(run.request, size) for size in sizes],
        validation=len(validation),
        set_aside=len(reasons),
    )


def training_record(run: Run, bucket: str, image: str, text: str) -> dict[str, Any]:
    """Return the training record of one image: the student's prompt, the image and its label ``text``."""
    location = {
        "uri": f"s3://{bucket}/{keys.image_key(run.image_side, image)}",
        "bucketOwner": run.account,
    }
    question = [
        {"text": run.student_prompt.user},
        {"image": {"format": "jpeg", "source": {"s3Location": location}}},
    ]
    return {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": run.student_prompt.system}],
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": [{"text": text}]},
        ],
    }


class _LabelTexts:
    """Label texts in a temporary file, keyed by image. Only the byte range of each text is kept in memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._ranges: dict[str, tuple[int, int]] = {}

    def add(self, image: str, text: str) -> None:
        self._ranges[image] = (self._file.tell(), self._file.write(text.encode()))

    def __contains__(self, image: str) -> bool:
        return image in self._ranges

    def __getitem__(self, image: str) -> str:
        start, length = self._ranges[image]
        self._file.seek(start)
        return self._file.read(length).decode()


def _collect_texts(run: Run, round_number: int, texts: _LabelTexts, data: Bucket) -> list[str]:
    """Add the text of every valid label to ``texts``; return the reasons of those set aside."""
    labelled: set[str] = set()
    refused: list[AnswerLine] = []
    for line in iter_labels(run, data):
        labelled.add(line.image)
        if line.status == "refused":
            refused.append(line)
        elif line.text:
            texts.add(line.image, line.text)
    require_labels(run, round_number, iter_inventory(run, data), labelled, data)
    photo_of = _photo_names(run, {line.image for line in refused}, data)
    reasons = [f"{excerpt(photo_of.get(line.image, line.image))}: {line.reason}" for line in refused]
    remedy = f"Upload distill.json again with a higher 'tolerance'. {LABELS_ARE_REUSED}"
    check_tolerance(run, "labels", len(labelled), reasons, remedy)
    return reasons


def _photo_names(run: Run, images: set[str], data: Bucket) -> dict[str, str]:
    """Return the key of the first photo of some images."""
    if not images:
        return {}
    lines = iter_inventory(run, data)
    return {line.image: line.photo for line in lines if line.image in images and line.status == "ok"}


def _labelled(images: Iterable[str], texts: _LabelTexts) -> list[str]:
    return [image for image in images if image in texts]


def _check_record_counts(run: Run, images_by_size: Mapping[int, Sequence[str]]) -> None:
    minimum = catalog.get_model(run.student).family.minimum_records
    for size, images in images_by_size.items():
        if len(images) * repeats_per_image(run.request, size) < minimum:
            raise TooFewImages(
                f"{len(images)} of the first {size} training images have a label, but {run.student!r} requires at "
                f"least {minimum} records. Add photos to the collection or raise 'duplicate_records'."
            )


def _write_file(run: Run, name: str, images: Iterable[str], texts: _LabelTexts, data: Bucket) -> None:
    lines = (training_record(run, data.name, image, texts[image]) for image in images)
    data.write_lines(keys.dataset_key(run.name, name), lines)
