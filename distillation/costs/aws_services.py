"""Costs beside the models: Lambda, Step Functions and S3, and monthly storage.

Seconds and requests come from local runs and from the state machine. They were not measured on AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from distillation.costs.lines import CostLine, exactly
from distillation.costs.workload import Workload
from distillation.documents import Bounds
from distillation.models import catalog
from distillation.models.prices import price
from distillation.records import Run

_PHOTOS_PER_BATCH = 20
"""Photos of one batch of ResizePhotos, as in the state machine."""
_RESIZE_SECONDS = Bounds(low=0.05, expected=0.2, high=1.0)
"""Lambda seconds per photo."""
_RESIZE_GB = 1.769
"""Memory of Resize in GB."""
_ANSWER_SECONDS = Bounds(low=0.3, expected=2.4, high=5.0)
"""Lambda seconds per answer: a batch of 100 spreads its questions over minutes to stay within the rate limit."""
_ANSWER_GB = 0.5
"""Memory of Label and Predict in GB."""
_STEPS_GB_SECONDS = Bounds(low=20, expected=60, high=300)
"""GB-seconds of all steps that run once per round."""
_STEPS = Bounds(low=25, expected=30, high=60)
"""State transitions, and Lambda requests, of all steps that run once per round."""
_BATCH_TRANSITIONS = Bounds(low=2, expected=2, high=4)
"""State transitions per batch."""
_JOB_HOURS = Bounds(low=1, expected=2, high=12)
"""Hours until a job has ended."""
_POLLS_PER_HOUR = 12
"""Polls of a job per hour."""
_POLL_TRANSITIONS = 3
"""State transitions per poll."""
_BYTES_PER_PIXEL = 0.2
"""Stored bytes per pixel of an image."""
_GB = 1_000_000_000


def service_costs(run: Run, photos: int, calls: Mapping[str, int], jobs: int) -> list[CostLine]:
    """Return the lines of Lambda, Step Functions and S3 of a round.

    ``photos`` are resized, ``calls`` is the number of answers by step, and ``jobs`` are polled.
    """
    answers = sum(calls.values())
    batches = ceil(photos / _PHOTOS_PER_BATCH) + sum(ceil(count / run.images_per_batch) for count in calls.values())
    polls = _JOB_HOURS.times(_POLLS_PER_HOUR * jobs)
    compute = _RESIZE_SECONDS.times(photos * _RESIZE_GB) + _ANSWER_SECONDS.times(answers * _ANSWER_GB)
    transitions = _STEPS + _BATCH_TRANSITIONS.times(batches) + polls.times(_POLL_TRANSITIONS)
    return [
        CostLine("Lambda", "compute", compute + _STEPS_GB_SECONDS, price("lambda", "compute")),
        CostLine("Lambda", "requests", exactly(batches) + _STEPS + polls, price("lambda", "requests")),
        CostLine("Step Functions", "transitions", transitions, price("states", "transitions")),
        # One write per image, and two per answer (answer and lock). A batch writes its part, reservation and ledger
        # part, and lists twice.
        CostLine("S3", "writes", exactly(photos + 2 * answers + 5 * batches), price("s3", "writes")),
        CostLine("S3", "reads", exactly(photos + 2 * answers + 5 * batches), price("s3", "reads")),
    ]


def monthly_costs(run: Run, work: Workload) -> list[CostLine]:
    """Return the monthly lines: storage of photos and images, and of the tuned models that are kept."""
    student = catalog.get_model(run.student)
    pixels = sum(width * height for width, height in work.stored_images)
    sizes = sum(len(round_work.sizes) for round_work in work.current)
    models = {
        "none": Bounds(low=0, expected=0, high=0),
        "best": Bounds(low=0, expected=1, high=1),
        "all": exactly(sizes),
    }[run.request.keep]
    gigabytes = exactly((work.photo_bytes + pixels * _BYTES_PER_PIXEL) / _GB)
    lines = [CostLine("S3", "photos and images" if work.photo_bytes else "images", gigabytes, price("s3", "storage"))]
    if run.request.until is None:
        lines.append(CostLine("Bedrock", f"tuned {student.tuned_name}", models, student.price("storage")))
    return lines
