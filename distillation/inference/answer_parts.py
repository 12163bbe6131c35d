"""Check that the parts of LabelImages, PredictTestImages and PredictImages have a line for every image."""

from __future__ import annotations

from collections.abc import Container, Sequence

from distillation import keys
from distillation.errors import LABELS_ARE_REUSED, ObjectMissing
from distillation.records import Run
from distillation.storage import Bucket


def require_lines(
    run: Run, step: str, answerer: str, images: Sequence[str], answered: Container[str], data: Bucket
) -> None:
    """Raise ``ObjectMissing`` that names the part if an image has no line.

    ``step`` is ``label`` or ``predict``. ``images`` are in the order of the list that the Map read, ``answered`` are
    those with a line of ``answerer``.
    """
    missing = [image for image in images if image not in answered]
    if missing:
        position = images.index(missing[0])
        start = position - position % run.images_per_batch
        batch = keys.batch_id(list(images[start : start + run.images_per_batch]))
        raise ObjectMissing(
            f"{len(missing)} of {len(images)} images have no line of {answerer}, first {missing[0]}: "
            f"s3://{data.name}/{keys.part_key(run.name, step, batch)} was deleted or cut off after it was written. A "
            f"redrive of the execution does not repeat it. Start the run again. {LABELS_ARE_REUSED}"
        )
