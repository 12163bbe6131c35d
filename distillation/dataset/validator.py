"""One validator for the pipeline, the operator's command and the local Bedrock endpoint.

``rules.py`` lists the rules; ``record.py``, ``tools.py`` and ``labels.py`` judge one record, ``dataset.py`` all of
them together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from distillation.dataset.dataset import Dataset
from distillation.dataset.rules import Problem
from distillation.errors import DatasetRejected
from distillation.models.catalog import Family

MAXIMUM_REPORTED = 5


def problems(
    train: Iterable[bytes], family: Family, bucket: str | None, validation: Iterable[bytes] | None = None
) -> Iterator[Problem]:
    """Yield errors and warnings about a dataset, in the order of its lines, holding one of them at a time.

    All media must lie in ``bucket``, or in any one where it is None. ``validation`` is None without that file.
    """
    return Dataset(family, bucket).problems(train, validation)


def errors(
    train: Iterable[bytes], family: Family, bucket: str | None, validation: Iterable[bytes] | None = None
) -> Iterator[Problem]:
    """Yield what Bedrock would refuse."""
    return (one for one in problems(train, family, bucket, validation) if one.severity == "error")


def reject_invalid(name: str, found: Iterable[Problem]) -> dict[str, int]:
    """Raise ``DatasetRejected``, telling the first errors, if there are any; return the number of warnings by rule."""
    shown: list[str] = []
    errors = 0
    warnings: dict[str, int] = {}
    for problem in found:
        if problem.severity == "warning":
            warnings[problem.rule] = warnings.get(problem.rule, 0) + 1
            continue
        errors += 1
        if errors <= MAXIMUM_REPORTED:
            shown.append(str(problem))
    if errors:
        more = f" (and {errors - MAXIMUM_REPORTED} more)" if errors > MAXIMUM_REPORTED else ""
        raise DatasetRejected(f"{name}: {'; '.join(shown)}{more}")
    return warnings
