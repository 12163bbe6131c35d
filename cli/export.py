"""``distill export RUN``: the labels of a run for Label Studio, and as datasets for open-weights training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cli.atomic_write import write_file
from cli.chat_datasets import LLAMA_FACTORY_FOLDER, dataset_info, llama_factory_record, trl_record
from cli.console import CommandError, NotReachable, print_json, print_line, print_to_stderr, quantity
from cli.label_studio import labelling_config, labelling_task
from cli.stage import Stage, check_out_folder, check_run_name, run_not_found
from distillation import keys
from distillation.answers.formats import format_of
from distillation.dataset.labels import read_labels
from distillation.errors import LABELS_ARE_REUSED, ObjectMissing
from distillation.photos.inventory import read_inventory
from distillation.photos.splits import read_checked_split
from distillation.records import AnswerLine, Run, SetName, SplitLine
from distillation.run_documents import find_run
from distillation.storage import Bucket

SETS: tuple[SetName, ...] = ("train", "validation", "test")
TRL_FOLDER = "trl"
LABEL_STUDIO_FOLDER = "label-studio"
_CONCURRENCY = 16
"""Images that are downloaded at the same time."""


@dataclass(frozen=True)
class _Labelled:
    """Images of a run with their labels."""

    run: Run
    sets: Mapping[SetName, list[SplitLine]]
    """Images of each set, in its order."""
    labels: Mapping[str, AnswerLine]
    """Label of each image, refused ones included, keyed by image."""

    def examples(self, name: SetName) -> list[tuple[str, str]]:
        """Return image and text of each valid label of a set."""
        lines = [self.labels[line.image] for line in self.sets[name] if line.image in self.labels]
        return [(line.image, line.text) for line in lines if line.status == "ok" and line.text]


def export_run(stage: Stage, run_name: str, out: Path | None, images: Path | None, *, as_json: bool) -> None:
    """Download the images of a run and write its labels for Label Studio, TRL and LLaMA-Factory.

    With ``images`` the images are written there, and the tasks name them as local files; else as s3:// URIs. Raises
    ``CommandError`` if the run does not exist or has no dataset, and ``NotReachable`` if it has no labels.
    """
    out = check_out_folder(out or Path("build/exports") / check_run_name(run_name))
    folder = check_out_folder(images or out / "images", "--images")
    data = stage.data
    labelled = _read_labelled(stage, run_name)
    wanted = [line.image for lines in labelled.sets.values() for line in lines]
    print_to_stderr(
        f"Downloading {quantity(len(wanted), 'image')} to {folder}. After Ctrl-C the same command continues."
    )
    download_images(labelled.run, wanted, folder, data)
    local = folder.name if images else None
    paths = [
        *_write_label_studio(labelled, out / LABEL_STUDIO_FOLDER, local, data),
        *_write_chat_datasets(labelled, out, _path_of(folder, out)),
    ]
    counts = {name: len(labelled.examples(name)) for name in SETS}
    without = len(wanted) - sum(counts.values())
    if as_json:
        files = [str(path) for path in paths]
        print_json({"run": run_name, "images": len(wanted), "labels": counts, "without_label": without, "files": files})
        return
    sets = ", ".join(f"{name} {count}" for name, count in counts.items())
    print_line(f"{quantity(len(wanted), 'image')}, {sum(counts.values())} with a valid label ({sets})")
    if without:
        print_line(
            f"Without a valid label: {quantity(without, 'image')}, in tasks without a prediction and in no dataset"
        )
    print_line("\n".join(map(str, [folder, *paths])))


def _read_labelled(stage: Stage, name: str) -> _Labelled:
    run, data = find_run(name, stage.data), stage.data
    if run is None:
        raise run_not_found(name, data)
    if run.request.apply:
        raise CommandError(
            f"run {name!r} applied the model of run {run.request.apply!r} and has no dataset. Get its answers with: "
            f"distill report {name} --stage {stage.name}, or export run {run.request.apply!r}."
        )
    try:
        inventory = read_inventory(run, data)
    except ObjectMissing:
        raise NotReachable(
            f"run {name!r} has no sets of images yet: Split has not run, or failed. See: distill watch {name} "
            f"--stage {stage.name}"
        ) from None
    sets: dict[SetName, list[SplitLine]] = {each: read_checked_split(run, each, inventory, data) for each in SETS}
    labelled = _Labelled(run, sets, read_labels(run, data))
    if not any(map(labelled.examples, SETS)):
        raise NotReachable(
            f"no valid label of run {name!r} is in s3://{data.name}/{keys.parts_prefix(name, 'label')}: LabelImages "
            "has not run, or its results were deleted after 30 days. Start the run again with: distill start "
            f"{run.collection} --until LabelImages --stage {stage.name}. {LABELS_ARE_REUSED}"
        )
    return labelled


def _write_label_studio(labelled: _Labelled, out: Path, local: str | None, data: Bucket) -> list[Path]:
    """Write the labelling configuration and the tasks, and return their paths.

    ``local`` is the name of the image folder below the document root of Label Studio, or None for s3:// URIs.
    """
    run = labelled.run
    answer_format = format_of(run)
    tasks: list[dict[str, Any]] = []
    for name in SETS:
        for line in labelled.sets[name]:
            label = labelled.labels.get(line.image)
            key = keys.image_key(run.image_side, line.image)
            url = _local_url(local, line.image) if local else f"s3://{data.name}/{key}"
            model = "owner" if label and label.answerer == "owner" else run.teacher.model
            facts = {"photo": line.photo.removeprefix(run.collection), "set": name}
            tasks.append(labelling_task(answer_format, line.image, url, facts, label, model))
    return [
        write_file(out / "config.xml", labelling_config(answer_format).encode()),
        write_file(out / "tasks.json", json.dumps(tasks, ensure_ascii=False, indent=1).encode()),
    ]


def _write_chat_datasets(labelled: _Labelled, out: Path, folder: str) -> list[Path]:
    """Write the datasets for TRL and LLaMA-Factory, and return their paths; a set without labels has no file."""
    prompt = labelled.run.student_prompt
    paths: list[Path] = []
    names = [name for name in SETS if labelled.examples(name)]
    for record, subfolder in ((trl_record, TRL_FOLDER), (llama_factory_record, LLAMA_FACTORY_FOLDER)):
        for name in SETS:
            path = out / subfolder / f"{name}.jsonl"
            lines = [
                json.dumps(record(prompt, f"{folder}/{image}.jpg", text), ensure_ascii=False)
                for image, text in labelled.examples(name)
            ]
            if lines:
                paths.append(write_file(path, "".join(f"{line}\n" for line in lines).encode()))
            else:
                path.unlink(missing_ok=True)  # that of an earlier export, which dataset_info.json no longer names
    info = json.dumps(dataset_info(names), indent=1).encode()
    return [*paths, write_file(out / "dataset_info.json", info)]


def download_images(run: Run, images: Iterable[str], folder: Path, data: Bucket) -> None:
    """Download the images that are not in the folder yet."""
    with ThreadPoolExecutor(_CONCURRENCY) as pool:
        try:
            for _ in pool.map(partial(_download_image, run, folder, data), images):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _download_image(run: Run, folder: Path, data: Bucket, image: str) -> None:
    path = folder / f"{image}.jpg"
    # The name of an image is the hash of its bytes.
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == image:
        return
    write_file(path, data.read(keys.image_key(run.image_side, image)))


def _local_url(folder: str, image: str) -> str:
    """Return the URL of a local file in Label Studio, whose document root is the folder above the image folder.

    Source: "Local storage" in https://labelstud.io/guide/storage
    """
    return f"/data/local-files/?d={quote(f'{folder}/{image}.jpg')}"


def _path_of(folder: Path, out: Path) -> str:
    """Return the path of the image folder in a dataset: relative to the export if it is in it, else absolute."""
    folder, out = folder.resolve(), out.resolve()
    return (folder.relative_to(out) if folder.is_relative_to(out) else folder).as_posix()
