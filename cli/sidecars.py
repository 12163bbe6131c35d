"""Answers of a run that applied a model, as XMP sidecars beside the photos."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cli.answer_files import answer_text
from cli.console import print_line, quantity
from cli.stage import Stage, check_out_folder
from distillation import keys
from distillation.answers.formats import format_of
from distillation.errors import excerpt
from distillation.records import Run
from distillation.runs.result_tables import ResultLine

_FAILURES_SHOWN = 5
"""Sidecars that were not written and that a message names."""


@dataclass
class Sidecars:
    """Sidecars of a run's photos that were written, left out or refused."""

    written: int = 0
    """Sidecars that are new or changed."""
    unchanged: int = 0
    """Sidecars that had the answer already."""
    without_answer: int = 0
    """Photos that were set aside and get no sidecar."""
    without_photo: int = 0
    """Sidecars whose photo is not beside them."""
    kept_descriptions: int = 0
    """Sidecars that keep another description."""
    failed: list[dict[str, str]] = field(default_factory=list)
    """``photo`` and ``reason`` of each sidecar that was not written."""

    def as_json(self) -> dict[str, Any]:
        """Return the document that ``--json`` prints."""
        return asdict(self)


def check_sidecar_folder(folder: Path) -> None:
    """Raise ``CommandError`` if sidecars cannot be written in a folder, or ``ImportError`` without the package."""
    import cli.xmp  # noqa: F401 - imports lxml

    check_out_folder(folder, "--xmp")


def write_run_sidecars(run_name: str, folder: Path, stage: Stage) -> Sidecars:
    """Write the answers of a run that applied a model beside the photos in ``folder``, and return what was done.

    The name of a photo gives the place; no sidecar is written outside the folder.
    """
    from cli.xmp import SidecarRefused, merge_file, sidecar_path

    run = stage.data.read_document(keys.request_key(run_name), Run)
    answer_format = format_of(run)
    result = Sidecars()
    for line in stage.data.read_records(keys.results_key(run_name, "jsonl"), ResultLine):
        if line.status != "ok":
            result.without_answer += 1
            continue
        value = answer_format.parse(answer_text(line.answer))
        try:
            path = sidecar_path(folder, line.photo)
            merged = merge_file(path, answer_format.subjects(value), answer_format.description(value))
        except (SidecarRefused, OSError) as error:
            reason = f"cannot be written: {error.strerror}" if isinstance(error, OSError) else str(error)
            result.failed.append({"photo": line.photo, "reason": excerpt(reason)})
            continue
        result.without_photo += not path.with_suffix("").exists()
        result.kept_descriptions += merged.kept_description
        if merged.content is None:
            result.unchanged += 1
        else:
            result.written += 1
    return result


def print_sidecars(sidecars: Sidecars, folder: Path) -> None:
    """Print how many sidecars were written, and why the others were not."""
    written = quantity(sidecars.written, "XMP sidecar")
    print_line(f"{folder}: {written} written, {sidecars.unchanged} had the answer already")
    if sidecars.kept_descriptions:
        print_line(f"Another description was kept in {quantity(sidecars.kept_descriptions, 'sidecar')}")
    if sidecars.without_photo:
        print_line(f"No photo beside {quantity(sidecars.without_photo, 'sidecar')}: {folder} may be another folder")
    if sidecars.without_answer:
        print_line(f"No sidecar for {quantity(sidecars.without_answer, 'photo')} without an answer")
    for failure in sidecars.failed[:_FAILURES_SHOWN]:
        print_line(f"not written: {excerpt(failure['photo'])}.xmp {failure['reason']}")
    if len(sidecars.failed) > _FAILURES_SHOWN:
        print_line(f"not written: {len(sidecars.failed) - _FAILURES_SHOWN} more")
