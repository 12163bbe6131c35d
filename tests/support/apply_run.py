"""A run with ``apply``, whose photos are resized, and answers of its tuned model."""

from __future__ import annotations

from typing import Any

from distillation import keys
from distillation.records import Run
from distillation.storage import Bucket
from tests.support.builders import any_run
from tests.support.fakes import bucket

REFUSED_PHOTO = {"photo": "holiday/c.jpg", "status": "refused", "reason": "damaged", "width": None, "height": None}


def resized_photos(*photos: dict[str, Any], **request: Any) -> tuple[Run, Bucket]:
    """Return a run with ``apply`` and a Data bucket with these photos of ResizePhotos, ``ok`` by default."""
    run, data = any_run(apply="tuned-1", **request), bucket()
    default = {"status": "ok", "width": 900, "height": 600}
    data.write_lines(keys.part_key(run.name, "resize", "b"), [default | photo for photo in photos])
    data.write_lines(keys.listing_key(run.name), [{"photo": photo["photo"]} for photo in photos])
    return run, data


def answer_line(image: str, text: str, status: str = "ok", answerer: str = "tuned", sample: int = 0) -> dict[str, Any]:
    """Return a line of PredictImages."""
    reason = None if status == "ok" else "not a list"
    line = {"image": image, "answerer": answerer, "status": status, "text": text, "reason": reason}
    return line | {"sample": sample}
