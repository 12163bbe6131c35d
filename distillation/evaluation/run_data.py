"""Read what a run left in the Data bucket: answers to evaluate, and facts for the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from distillation import keys, ledger
from distillation.answers.formats import format_of
from distillation.dataset.labels import read_labels, read_stored_own_labels, require_labels
from distillation.documents import (
    Baseline,
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
from distillation.errors import LABELS_ARE_REUSED, ObjectDamaged, ObjectMissing
from distillation.evaluation.evaluation import Evidence
from distillation.evaluation.training_metrics import read_losses
from distillation.inference.missing_answers import AnswerParts, require_lines
from distillation.models.service_tier import first_tier
from distillation.photos.inventory import read_inventory
from distillation.photos.rounds import has_baseline, images_to_choose_size
from distillation.photos.splits import read_checked_split, read_split
from distillation.records import AnswerLine, Dimensions, Flag, InventoryLine, Run, SetName, SplitLine, TrainedModel
from distillation.storage import Bucket, DocumentT

MAXIMUM_DISAGREEMENTS = 20
"""Images with disagreeing samples that a report lists."""
_SETS: tuple[SetName, ...] = ("train", "validation", "test")
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
    inventory: list[InventoryLine]
    """Photos of the run, ignored files not included."""
    notes: list[str] = field(default_factory=list)
    """Evidence that was left out because it is missing or damaged, and that the verdict does not need."""
    ceiling_images: frozenset[str] | None = None
    """Test images that the teacher was asked about a second time; None before PredictTestImages."""

    def evidence(self) -> Evidence | None:
        """Return the answers to evaluate; None if no model was trained."""
        tuned = self.tuned
        if not tuned:
            return None
        test, train = (read_checked_split(self.run, name, self.inventory, self.data) for name in ("test", "train"))
        answers = {name: self.answers.get(name, {}) for name in tuned}
        return Evidence(
            answer_format=format_of(self.run),
            labels=self._labels_of(test),
            tuned=answers,
            base=self.answers["base"],
            ceiling=self.answers.get("ceiling"),
            ceiling_images=self.ceiling_images,
            training=self._labels_of(train),
            validation=self._validation_labels(answers),
            gold=self._gold_labels(),
            groups={line.image: line.group for line in [*test, *train]},
            hashes=self._hashes,
            models={"teacher": self.run.teacher.model, **dict.fromkeys(["base", *tuned], self.run.student)},
            tier=first_tier(self.run.teacher.model, self.run.request.service_tier),
            gate_margin=self.run.request.gate_margin,
            gate_validity=self.run.request.gate_validity,
        )

    @property
    def tuned(self) -> list[str]:
        """Names of the tuned models that were asked about the test images."""
        return [model.answerer for model in self.models if model.status == "Active"]

    @cached_property
    def photo_of(self) -> dict[str, str]:
        """Key of the first photo of each image."""
        return {line.image: line.photo for line in reversed(self.inventory) if line.image}

    @property
    def _hashes(self) -> dict[str, str]:
        """Perceptual hash by image."""
        return {line.image: line.perceptual_hash for line in self.inventory if line.image and line.perceptual_hash}

    def photo_names(self) -> dict[str, str]:
        """Return the name of the photo in the collection by image."""
        return {image: photo.removeprefix(self.run.collection) for image, photo in self.photo_of.items()}

    def flags(self) -> dict[str, list[Flag]]:
        """Return the quality flags of the images that have any, by image."""
        return {line.image: line.flags for line in self.inventory if line.image and line.flags}

    def image_dimensions(self) -> dict[str, Dimensions]:
        """Return width and height of the images in pixels."""
        return {
            line.image: (line.width, line.height)
            for line in self.inventory
            if line.image and line.width and line.height
        }

    @cached_property
    def ledger(self) -> Ledger:
        """Ledger of the run."""
        return ledger.summary(self.run.name, self.data)

    @cached_property
    def facts(self) -> SplitFacts | None:
        """Counts and notes of Split; None if they are missing or damaged."""
        return self._find_with_note(keys.split_facts_key(self.run.name), SplitFacts, "table of duplicates and flags")

    @cached_property
    def estimate(self) -> Estimate | None:
        """Estimate of the run; None if it is missing or damaged."""
        return self._find_with_note(keys.estimate_key(self.run.name), Estimate, "estimate")

    @cached_property
    def baseline(self) -> Baseline | None:
        """Alternatives to training; None without a baseline round, or if they are missing or damaged.

        Raises ``ObjectMissing`` or ``ObjectDamaged`` if the run trained nothing because of them.
        """
        key, until = keys.baseline_key(self.run.name), self.run.request.until
        if until == "Estimate" or not has_baseline(self.run):
            return None
        if self.tuned:
            return self._find_with_note(key, Baseline, "comparison with the alternatives to training")
        return self.data.read_document(key, Baseline)

    def report(
        self, verdict: str, figures: EvaluationFigures | None, doubling: Doubling | None, money: Money
    ) -> Report:
        """Return the report of the run with the results of its evaluation; ``figures`` is None without one."""
        run, photos, photo_of = self.run, self.inventory, self.photo_of
        facts = self.facts
        losses = {
            column: {str(model.size): self._losses(model, column) for model in self.models}
            for column in ("training_loss", "validation_loss")
        }
        labels = list(self.answers.get("teacher", {}).values())
        unusable = [SetAside(photo=line.photo, reason=line.reason) for line in photos if line.status == "refused"]
        unlabelled = [
            SetAside(photo=photo_of.get(line.image, line.image), reason=line.reason)
            for line in labels
            if line.status == "refused"
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
            own_test_labels=sum(line.set == "test" and self._label_answerer(line.image) == "owner" for line in photos),
            disagreements=self._disagreements(),
            labelled=sum(line.status == "ok" for line in labels),
            split=facts,
            teacher=run.teacher.model,
            student=run.student,
            models=self.models,
            training_loss=losses["training_loss"],
            validation_loss=losses["validation_loss"],
            estimate=self.estimate,
            ledger=self.ledger,
            usd=self.ledger.usd,
            sizes_asked=run.request.train_sizes,
            evaluation=figures,
            doubling=doubling,
            money=money,
            baseline=self.baseline,
            notes=[*(facts.notes if facts else []), *dict.fromkeys(self.notes)],
        )

    def _find_with_note(self, key: str, kind: type[DocumentT], name: str) -> DocumentT | None:
        """Return a document that the verdict does not need; None, and a note, if it is missing or damaged."""
        try:
            return self.data.read_document(key, kind)
        except (ObjectMissing, ObjectDamaged) as error:
            self.notes.append(f"The {name} is left out: {error}")
            return None

    def _losses(self, model: TrainedModel, column: str) -> list[Loss]:
        return read_losses(model.trained_by or self.run.name, model.size, column, self.data, self.notes)

    def _label_answerer(self, image: str | None) -> str | None:
        label = self.answers["teacher"].get(image or "")
        return label.answerer if label and label.status == "ok" else None

    def _disagreements(self) -> list[Disagreement]:
        """Return the images whose samples disagree most."""
        lines = [
            Disagreement(
                photo=self.photo_of.get(line.image, line.image), image=line.image, disagreement=line.disagreement
            )
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
        try:
            labels = self._labels_of(read_checked_split(self.run, "validation", self.inventory, self.data))
        except (ObjectDamaged, ObjectMissing) as error:
            effect = ", so the best size is chosen on the test images" if len(tuned) > 1 else ""
            self.notes.append(f"The validation images are left out{effect}: {error}")
            return {}
        return {image: label for image, label in labels.items() if all(image in lines for lines in tuned.values())}

    def _gold_labels(self) -> dict[str, AnswerLine]:
        """Return the owner's labels if they are used for evaluation only."""
        if self.run.request.own_labels != "gold":
            return {}
        problem, labels = "", {}
        try:
            labels = read_stored_own_labels(self.run, self.data)
        except ObjectDamaged as error:
            problem = str(error)
        if self.facts and len(labels) < self.facts.own_labels:
            key = keys.own_labels_key(self.run.name)
            problem = problem or (
                f"s3://{self.data.name}/{key} has {len(labels)} of {self.facts.own_labels} labels: it was deleted or "
                "cut off. A new run writes it again"
            )
        if problem:
            self.notes.append(f"The scores against your own labels are left out: {problem}")
            return {}
        return labels


def read_run(run: Run, round_number: int, models: list[TrainedModel], data: Bucket) -> RunData:
    """Read the labels and the parts of PredictTestImages up to a round, the baseline's included.

    Raises ``ObjectMissing`` or ``ObjectDamaged`` that names the object if an answer is missing that was paid for.
    """
    notes: list[str] = []
    inventory = _inventory(run, data, notes)
    answers: Answers = {"teacher": read_labels(run, data)}
    for step in ("baseline", "predict"):
        for line in data.read_parts(keys.parts_prefix(run.name, step), AnswerLine):
            answers.setdefault(line.answerer, {})[line.image] = line
    run_data = RunData(run, models, answers, data, inventory, notes)
    if run.request.until != "Estimate":
        require_labels(run, round_number, inventory, answers["teacher"], data)
    if not run_data.tuned:
        return run_data
    run_data = replace(run_data, ceiling_images=_images_of_ceiling(run_data, round_number))
    _require_predictions(run_data, round_number)
    return run_data


def _images_of_ceiling(run_data: RunData, round_number: int) -> frozenset[str]:
    """Return the test images that the teacher was asked about a second time.

    Raises ``ObjectDamaged`` if the list of images to predict has other test images than the inventory.
    """
    key = keys.split_key(run_data.run.name, f"to-predict-{round_number}")
    listed = [line for line in run_data.data.read_records(key, SplitLine) if line.set == "test"]
    test = {line.image for line in run_data.inventory if line.image and line.set == "test"}
    if difference := test ^ {line.image for line in listed}:
        raise ObjectDamaged(
            f"s3://{run_data.data.name}/{key} has {len(listed)} test images, but the inventory has {len(test)}; "
            f"{len(difference)} differ, first {min(difference)}. It was changed or cut off. Start the run again. "
            f"{LABELS_ARE_REUSED}"
        )
    return frozenset(line.image for line in listed if line.ceiling)


def _inventory(run: Run, data: Bucket, notes: list[str]) -> list[InventoryLine]:
    """Return the photos of a run, ignored files not included; without an inventory, those of the sets."""
    try:
        return [line for line in read_inventory(run, data) if line.status != "ignored"]
    except (ObjectDamaged, ObjectMissing) as error:
        notes.append(f"Photos that are in no set are left out: {error}")
    own_labels = read_stored_own_labels(run, data) if run.request.own_labels != "gold" else {}
    return [
        InventoryLine(
            photo=line.photo,
            status="ok",
            image=line.image,
            width=line.width,
            height=line.height,
            set=name,
            labelled_by="owner" if line.image in own_labels else "teacher",
        )
        for name in _SETS
        for line in read_split(run, name, data)
    ]


def _require_predictions(run_data: RunData, round_number: int) -> None:
    """Raise ``ObjectMissing`` if an answerer has no line of an image that it was asked about."""
    images = {name: [line.image for line in run_data.inventory if line.image and line.set == name] for name in _SETS}
    parts = AnswerParts("predict", keys.split_key(run_data.run.name, f"to-predict-{round_number}"))
    to_choose = images_to_choose_size(range(len(run_data.tuned)), images["validation"])
    asked_by = {"base": images["test"], "ceiling": sorted(run_data.ceiling_images or [])}
    asked_by |= {name: [*images["test"], *to_choose] for name in run_data.tuned}
    for name, asked in asked_by.items():
        require_lines(run_data.run, name, asked, run_data.answers.get(name, {}), parts, run_data.data)


def write_predictions(run: Run, answers: Mapping[str, Mapping[str, AnswerLine]], data: Bucket) -> None:
    """Write the answers of PredictTestImages, one file for each answerer except the teacher."""
    for name, lines in answers.items():
        if name != "teacher":
            records = (line.model_dump(exclude_none=True) for line in lines.values())
            data.write_lines(keys.predictions_key(run.name, name), records)
