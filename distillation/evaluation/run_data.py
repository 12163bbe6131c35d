"""Read what a run left in the Data bucket: answers to evaluate, and facts for the report."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from distillation import keys, ledger
from distillation.dataset.labels import read_labels, read_stored_own_labels
from distillation.documents import (
    Disagreement,
    Doubling,
    Estimate,
    EvaluationFigures,
    Ledger,
    Loss,
    Money,
    Report,
    SetAside,
    SplitFacts,
)
from distillation.evaluation.evaluation import Evidence
from distillation.photos.splits import read_split
from distillation.records import AnswerLine, Dimensions, InventoryLine, Run, SplitLine, TrainedModel
from distillation.storage import Bucket

MAXIMUM_DISAGREEMENTS = 20
"""Images with disagreeing samples that a report lists."""
Answers = dict[str, dict[str, AnswerLine]]
"""Answers by answerer, then by image."""


@dataclass(frozen=True)
class RunData:
    """A run with all of its answers."""

    run: Run
    models: list[TrainedModel]
    """Trained sizes, the failed ones included."""
    answers: Answers
    """Answers; ``teacher`` has the labels."""
    data: Bucket

    def evidence(self) -> Evidence | None:
        """Return the answers to evaluate; None if nothing was predicted."""
        tuned = [model.answerer for model in self.models if model.status == "Active"]
        if "base" not in self.answers or not tuned:
            return None
        test, train = (list(read_split(self.run, name, self.data)) for name in ("test", "train"))
        answers = {name: self.answers.get(name, {}) for name in tuned}
        return Evidence(
            labels=self._labels_of(test),
            tuned=answers,
            base=self.answers["base"],
            ceiling=self.answers.get("ceiling"),
            training=self._labels_of(train),
            validation=self._validation_labels(answers),
            gold=self._gold_labels(),
            groups={line.image: line.group for line in [*test, *train]},
            models={"teacher": self.run.teacher.model, **dict.fromkeys(["base", *tuned], self.run.student)},
            tier=self.run.request.service_tier,
            limits=self.run.limits,
            gate_margin=self.run.request.gate_margin,
            gate_validity=self.run.request.gate_validity,
        )

    def photo_names(self) -> dict[str, str]:
        """Return the name of the photo in the collection by image."""
        lines = (line for name in ("train", "validation", "test") for line in read_split(self.run, name, self.data))
        return {line.image: line.photo.removeprefix(self.run.collection) for line in lines}

    def image_dimensions(self) -> dict[str, Dimensions]:
        """Return width and height in pixels of the images that a model was asked about."""
        # The teacher is not asked to label images with own labels, but every test image is asked about.
        lines = (line for name in ("to-label", "test") for line in read_split(self.run, name, self.data))
        return {line.image: line.dimensions for line in lines}

    @cached_property
    def ledger(self) -> Ledger:
        """Ledger of the run."""
        return ledger.summary(self.run.name, self.data)

    @cached_property
    def estimate(self) -> Estimate:
        """Estimate of the run."""
        return self.data.read_document(keys.estimate_key(self.run.name), Estimate)

    def report(
        self, verdict: str, figures: EvaluationFigures | None, doubling: Doubling | None, money: Money
    ) -> Report:
        """Return the report of the run with the results of its evaluation; ``figures`` is None without one."""
        run = self.run
        lines = self.data.read_lines(keys.inventory_key(run.name))
        inventory = [InventoryLine.model_validate(line) for line in lines]
        photos = [line for line in inventory if line.status != "ignored"]
        photo_of = {line.image: line.photo for line in reversed(photos) if line.image}
        labels = list(self.answers.get("teacher", {}).values())
        unusable = [SetAside(photo=line.photo, reason=line.reason) for line in photos if line.status == "refused"]
        unlabelled = [
            SetAside(photo=photo_of[line.image], reason=line.reason) for line in labels if line.status == "refused"
        ]
        in_sets = Counter(line.set for line in photos if line.set)
        set_aside = len(unusable) + len(unlabelled)
        return Report(
            run=run.name,
            status=f"complete with {set_aside} set aside" if set_aside else "complete",
            until=run.request.until,
            verdict=verdict,
            photos=len(photos),
            images=len({line.image for line in photos if line.image}),
            photos_set_aside=unusable,
            labels_set_aside=unlabelled,
            set_aside=set_aside,
            train=in_sets["train"],
            validation=in_sets["validation"],
            test=in_sets["test"],
            samples_per_image=run.request.samples_per_image,
            labels_by=dict(Counter(line.answerer for line in labels if line.status == "ok")),
            own_test_labels=sum(
                line.answerer == "owner" for line in self._labels_of(read_split(run, "test", self.data)).values()
            ),
            disagreements=self._disagreements(photo_of),
            labelled=sum(line.status == "ok" for line in labels),
            split=self.data.find_document(keys.split_facts_key(run.name), SplitFacts),
            teacher=run.teacher.model,
            student=run.student,
            models=self.models,
            training_loss={str(model.size): self._losses(model, "training_loss") for model in self.models},
            validation_loss={str(model.size): self._losses(model, "validation_loss") for model in self.models},
            estimate=self.estimate,
            ledger=self.ledger,
            usd=self.ledger.usd,
            sizes_asked=run.request.train_sizes,
            evaluation=figures,
            doubling=doubling,
            money=money,
        )

    def _disagreements(self, photo_of: Mapping[str, str]) -> list[Disagreement]:
        """Return the images whose samples disagree most."""
        lines = [
            Disagreement(photo=photo_of[line.image], image=line.image, disagreement=line.disagreement)
            for line in self.answers["teacher"].values()
            if line.disagreement
        ]
        lines.sort(key=lambda line: (-line.disagreement, line.image))
        return lines[:MAXIMUM_DISAGREEMENTS]

    def _labels_of(self, lines: Iterable[SplitLine]) -> dict[str, AnswerLine]:
        """Return the usable labels of some images."""
        teacher = self.answers.get("teacher", {})
        images = (line.image for line in lines)
        return {image: teacher[image] for image in images if image in teacher and teacher[image].status == "ok"}

    def _validation_labels(self, tuned: Answers) -> dict[str, AnswerLine]:
        """Return the labels of the validation images that every tuned model was asked about."""
        labels = self._labels_of(read_split(self.run, "validation", self.data))
        return {image: label for image, label in labels.items() if all(image in lines for lines in tuned.values())}

    def _gold_labels(self) -> dict[str, AnswerLine]:
        """Return the owner's labels if they are used for evaluation only."""
        return read_stored_own_labels(self.run, self.data) if self.run.request.own_labels == "gold" else {}

    def _losses(self, model: TrainedModel, column: str) -> list[Loss]:
        """Return a job's losses from the first metrics file that has ``column``; empty if none has."""
        for key in self.data.keys(keys.training_prefix(model.trained_by or self.run.name, model.size)):
            if not key.endswith(".csv"):
                continue
            rows = list(csv.DictReader(io.StringIO(self.data.read(key).decode())))
            if rows and column in rows[0]:
                return [Loss(step=float(row["step_number"]), loss=float(row[column])) for row in rows]
        return []


def read_run(run: Run, models: list[TrainedModel], data: Bucket) -> RunData:
    """Read the labels and the parts of PredictTestImages."""
    answers: Answers = {"teacher": read_labels(run, data)}
    for line in data.read_parts(keys.parts_prefix(run.name, "predict"), AnswerLine):
        answers.setdefault(line.answerer, {})[line.image] = line
    return RunData(run, models, answers, data)


def write_predictions(run: Run, answers: Mapping[str, Mapping[str, AnswerLine]], data: Bucket) -> None:
    """Write the answers of PredictTestImages, one file for each answerer except the teacher."""
    for name, lines in answers.items():
        if name != "teacher":
            records = (line.model_dump(exclude_none=True) for line in lines.values())
            data.write_lines(keys.predictions_key(run.name, name), records)
