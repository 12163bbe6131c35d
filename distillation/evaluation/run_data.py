"""Gather what a run left in the Data bucket: the evidence to measure, and the facts to tell."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distillation import keys, ledger
from distillation.dataset.labels import read_labels, read_own_labels
from distillation.evaluation.evaluation import Evidence
from distillation.records import AnswerLine, InventoryLine, Run, TrainedModel
from distillation.storage import Bucket

LOOKED_AT = 20
"""Photos whose samples disagree most that a report names."""
Answers = dict[str, dict[str, AnswerLine]]
"""By answerer, then by image."""


@dataclass(frozen=True)
class RunData:
    """All answers of a run, and its lists of images."""

    run: Run
    models: list[TrainedModel]
    answers: Answers
    data: Bucket

    def evidence(self) -> Evidence | None:
        """Return what there is to measure, or None when nothing was predicted."""
        tuned = [f"n{model.size}" for model in self.models if model.status == "Active"]
        if "base" not in self.answers or not tuned:
            return None
        test, train = self.split("test"), self.split("train")
        lines = [*test, *train]
        return Evidence(
            labels=self._labelled(test),
            tuned={name: self.answers.get(name, {}) for name in tuned},
            base=self.answers["base"],
            ceiling=self.answers.get("ceiling"),
            training=self._labelled(train),
            gold=self._gold(),
            groups={line["image"]: line.get("group") or line["image"] for line in lines},
            models={"teacher": self.run.teacher.model, **dict.fromkeys(["base", *tuned], self.run.student)},
            tier=self.run.request.service_tier,
            gate_margin=self.run.request.gate_margin,
        )

    def split(self, name: str) -> list[dict[str, Any]]:
        """Return the images of a set: ``train``, ``test``, ``validation`` or ``to-label``."""
        return list(self.data.read_lines(keys.split_key(self.run.name, name)))

    def photo_of(self) -> dict[str, str]:
        """Return by image the name that its photo has in the collection."""
        lines = (line for name in ("train", "validation", "test") for line in self.split(name))
        return {line["image"]: line["photo"].removeprefix(self.run.collection) for line in lines}

    def facts(self) -> dict[str, Any]:
        """Return what report.json says of photos, labels, models, money and training."""
        run, data = self.run, self.data
        inventory = [InventoryLine.model_validate(line) for line in data.read_lines(keys.inventory_key(run.name))]
        photos = [line for line in inventory if line.status != "ignored"]
        photo_of = {line.image: line.photo for line in reversed(photos) if line.image}
        labels = list(self.answers.get("teacher", {}).values())
        rejected = [{"photo": line.photo, "reason": line.reason} for line in photos if line.status == "refused"]
        unlabelled = [
            {"photo": photo_of[line.image], "reason": line.reason} for line in labels if line.status == "refused"
        ]
        in_sets = Counter(line.set for line in photos if line.set)
        spent = ledger.summary(data, run.name)
        set_aside = len(rejected) + len(unlabelled)
        return {
            "run": run.name,
            "status": f"complete with {set_aside} set aside" if set_aside else "complete",
            "until": run.request.until,
            "photos": len(photos),
            "images": len({line.image for line in photos if line.image}),
            "rejected": rejected,
            "labels_set_aside": unlabelled,
            "set_aside": set_aside,
            "train": in_sets["train"],
            "validation": in_sets["validation"],
            "test": in_sets["test"],
            "samples_per_image": run.request.samples_per_image,
            "labels_by": dict(Counter(line.answerer for line in labels if line.status == "ok")),
            "own_test_labels": sum(line.answerer == "owner" for line in self._labelled(self.split("test")).values()),
            "disagreements": self._disagreements(photo_of),
            "labelled": sum(line.status == "ok" for line in labels),
            "split": _json(data.get_or_none(keys.split_facts_key(run.name))),
            "teacher": run.teacher.model,
            "student": run.student,
            "models": [
                {
                    "size": model.size,
                    "status": model.status,
                    "model_name": model.model_name,
                    "model_arn": model.model_arn,
                    "job_arn": model.job_arn,
                    "deployment_arn": model.deployment_arn,
                    "reason": model.reason,
                }
                for model in self.models
            ],
            "training_loss": {str(model.size): self._losses(model.size, "training_loss") for model in self.models},
            "validation_loss": {str(model.size): self._losses(model.size, "validation_loss") for model in self.models},
            "estimate": data.read_json(keys.report_key(run.name, "estimate.json")),
            "ledger": spent,
            "usd": spent["usd"],
            "sizes_asked": run.request.train_sizes,
        }

    def _disagreements(self, photo_of: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the images whose samples disagree most, for a person to look at."""
        lines = [line for line in self.answers["teacher"].values() if line.disagreement]
        lines.sort(key=lambda line: (-(line.disagreement or 0.0), line.image))
        return [
            {"photo": photo_of[line.image], "image": line.image, "disagreement": line.disagreement}
            for line in lines[:LOOKED_AT]
        ]

    def _labelled(self, lines: list[dict[str, Any]]) -> dict[str, AnswerLine]:
        teacher = self.answers.get("teacher", {})
        images = (line["image"] for line in lines)
        return {image: teacher[image] for image in images if image in teacher and teacher[image].status == "ok"}

    def _gold(self) -> dict[str, AnswerLine]:
        """Return the owner's labels where a run is measured against them, and was not trained on them."""
        return read_own_labels(self.run, self.data) if self.run.request.own_labels == "gold" else {}

    def _losses(self, size: int, column: str) -> list[dict[str, float]]:
        """Read a job's losses by column name; none where Bedrock wrote no file with that column."""
        for key in self.data.keys(keys.training_prefix(self.run.name, size)):
            if not key.endswith(".csv"):
                continue
            rows = list(csv.DictReader(io.StringIO(self.data.read(key).decode())))
            if rows and column in rows[0]:
                return [{"step": float(row["step_number"]), "loss": float(row[column])} for row in rows]
        return []


def read_run(run: Run, models: list[TrainedModel], data: Bucket) -> RunData:
    """Read labels, and the parts of PredictTestImages."""
    answers: Answers = {"teacher": read_labels(run, data)}
    for record in data.read_parts(keys.parts_prefix(run.name, "predict")):
        line = AnswerLine.model_validate(record)
        answers.setdefault(line.answerer, {})[line.image] = line
    return RunData(run, models, answers, data)


def write_predictions(run: Run, answers: Mapping[str, Mapping[str, AnswerLine]], data: Bucket) -> None:
    """Keep the answers on the test images, a file for each answerer but the teacher."""
    for name, lines in answers.items():
        if name != "teacher":
            records = (line.model_dump(exclude_none=True) for line in lines.values())
            data.write_lines(keys.predictions_key(run.name, name), records)


def _json(body: bytes | None) -> dict[str, Any] | None:
    return json.loads(body) if body else None
