"""``distill review RUN``: write pages on which a person accepts, edits or rejects the labels of a run."""

from __future__ import annotations

import webbrowser
from dataclasses import replace
from pathlib import Path

from cli.console import NotReachable, print_json, print_line, print_to_stderr, quantity
from cli.stage import Stage, check_out_folder, check_run_name, run_not_found
from distillation import keys
from distillation.answers.own_labels import read_own_label_rows
from distillation.errors import AccessDenied, InvalidRequest
from distillation.evaluation.review import read_review, review_pages
from distillation.records import Run
from distillation.run_documents import find_run


def write_review(stage: Stage, run_name: str, limit: int, out: Path | None, *, show: bool, as_json: bool) -> None:
    """Write the pages, print their paths and what to do with them, and open the first one if ``show``.

    Raises ``CommandError`` if the run does not exist, or ``NotReachable`` if it has no labels.
    """
    out = check_out_folder(out or Path("build/reports") / check_run_name(run_name))
    run = find_run(run_name, stage.data)
    if run is None:
        raise run_not_found(run_name, stage.data)
    if stage.data.get_or_none(keys.rounds_key(run_name)) is None:
        reason = "it applied a model" if run.request.apply else "it is still running, or it failed"
        raise NotReachable(
            f"run {run_name!r} has no labels: {reason}. See: distill watch {run_name} --stage {stage.name}"
        )
    review = read_review(run, stage.data)
    review = replace(review, file_rows=_file_rows(stage, run, [item.photo for item in review.items]))
    if not review.items:
        raise NotReachable(
            f"run {run_name!r} has no labels yet, so there is nothing to review. "
            f"See: distill watch {run_name} --stage {stage.name}"
        )
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, page in enumerate(review_pages(review, stage.data, limit), 1):
        path = out / Path(keys.review_key(run_name, number)).name
        path.write_text(page, "utf-8")
        paths.append(path)
    if as_json:
        print_json({"run": run_name, "images": len(review.items), "files": [str(path) for path in paths]})
    else:
        print_line("\n".join(map(str, paths)))
        print_line(
            f"{quantity(len(review.items), 'image')}, the least certain first. Put the labels.csv that you download "
            f"beside the photos, and upload them again: distill upload FOLDER {run.collection} --stage {stage.name}"
        )
    if show and not as_json:
        webbrowser.open(paths[0].resolve().as_uri())


def _file_rows(stage: Stage, run: Run, names: list[str]) -> list[tuple[str, str, bool]] | None:
    """Return the lines of the collection's file of labels, which the downloaded file replaces.

    Return None with a warning if the file cannot be read.
    """
    try:
        return read_own_label_rows(run, stage.photos, names)
    except (AccessDenied, InvalidRequest) as error:
        print_to_stderr(f"Warning: your own labels beside the photos are left out: {error}")
        return None
