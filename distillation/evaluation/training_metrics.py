"""Read the metrics that Bedrock writes for a job. They feed a chart only, so nothing in them ends a run."""

from __future__ import annotations

import csv
import io
import math

from distillation import keys
from distillation.documents import Loss
from distillation.errors import AccessDenied, InvalidRequest, ObjectMissing, excerpt
from distillation.storage import Bucket

_MAXIMUM_BYTES = 1024 * 1024
"""Largest metrics file that is read, in bytes: about 30,000 steps."""
_MAXIMUM_LOSS = 1e6
"""Largest loss that a chart can show beside others."""


def read_losses(run: str, size: int, column: str, data: Bucket, notes: list[str]) -> list[Loss]:
    """Return a job's losses from the first metrics file that has ``column``; empty if none has.

    What cannot be read is left out and described in ``notes``.
    """
    for key in data.keys(keys.training_prefix(run, size)):
        if key.endswith(".csv") and (losses := _read_file(key, column, data, notes)) is not None:
            return losses
    return []


def _read_file(key: str, column: str, data: Bucket, notes: list[str]) -> list[Loss] | None:
    """Return the losses of a file, or None if it has no such column."""
    uri = f"s3://{data.name}/{key}"
    try:
        body = data.read(key, _MAXIMUM_BYTES + 1)
        if len(body) > _MAXIMUM_BYTES:
            raise csv.Error(f"it has more than {_MAXIMUM_BYTES:,} bytes")
        # The columns are ASCII: other encodings can only damage fields that are not read.
        reader = csv.DictReader(io.StringIO(body.decode("utf-8-sig", errors="replace"), newline=""))
        names = {(name or "").strip(): name for name in reader.fieldnames or ()}
        rows = list(reader) if column in names else []
    except (csv.Error, ObjectMissing, AccessDenied, InvalidRequest) as error:
        notes.append(f"The losses in {uri} are left out: {excerpt(error)}.")
        return None
    if not rows:
        if "step_number" not in names:
            notes.append(f"The losses in {uri} are left out: it is not a table with the column step_number.")
        return None
    losses = [loss for row in rows if (loss := _loss(row.get(names.get("step_number")), row.get(names[column])))]
    if len(losses) < len(rows):
        notes.append(f"{len(rows) - len(losses)} of {len(rows)} rows of {uri} are left out: they have no {column}.")
    return losses


def _loss(step: str | None, loss: str | None) -> Loss | None:
    """Return the loss of a row, or None if one of its numbers is missing or cannot be drawn."""
    try:
        numbers = float(step or ""), float(loss or "")
    except (TypeError, ValueError):
        return None
    if not all(math.isfinite(number) for number in numbers) or abs(numbers[1]) > _MAXIMUM_LOSS:
        return None
    return Loss(step=numbers[0], loss=numbers[1])
