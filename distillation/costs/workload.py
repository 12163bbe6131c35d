"""Workload of a run by round: exact after Split, predicted from photo sizes before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from distillation import keys
from distillation.documents import Rounds, SplitFacts
from distillation.inference.untuned import untuned_labeler
from distillation.models import catalog
from distillation.photos.rounds import RoundLists, plan_rounds
from distillation.photos.set_assignment import MINIMUM_TEST_IMAGES
from distillation.photos.splits import (
    MINIMUM_IMAGES_FOR_VALIDATION,
    VALIDATION_SHARE,
    check_image_count,
    read_counted_split,
)
from distillation.records import Dimensions, Prompt, Round, Run, SetName, SplitLine, answerer_of
from distillation.storage import Bucket

EXAMPLES = "examples"
"""Answerer of the baseline round: the student untuned, with examples in its prompt."""
CEILING = "ceiling"
"""Answerer: the teacher, asked a second time."""

StoredAnswers = Callable[[str, int], frozenset[str]]
"""Function from labeler id and sample number to the images whose answer any run has paid for."""


@dataclass(frozen=True)
class Questions:
    """Questions to one model about images."""

    answerer: str
    """Name in answers and scores, such as ``base``, ``n300`` or ``ceiling``; a model id for another student."""
    model: str
    """Model id whose prices apply."""
    prompt: Prompt
    """Question, without examples."""
    images: Sequence[Dimensions]
    """One entry for each answer to pay for."""


@dataclass(frozen=True)
class RoundWork:
    """Paid work of one round. Answers and models of earlier rounds are left out."""

    number: int
    kind: Literal["baseline", "training"]
    sizes: list[int]
    """New training sizes, in images."""
    to_label: Sequence[Dimensions]
    """One entry for each label that the teacher is asked for."""
    labels_reused: int
    """Labels that earlier runs paid for."""
    train: Sequence[Dimensions]
    """Training set; a size is its first images."""
    predictions: list[Questions]
    """Questions of PredictTestImages."""
    photos: int
    """Photos to resize: those of the collection in the first round, else 0."""


@dataclass(frozen=True)
class Workload:
    """Rounds of a run, from the one that starts next, and the facts that they share."""

    rounds: list[RoundWork]
    """Rounds in order."""
    test: int
    """Images in the test set."""
    stored_images: Sequence[Dimensions]
    """Distinct images of all sets."""
    images: int
    """Distinct images."""
    photos: int
    """Photos."""
    photo_bytes: int = 0
    """Bytes of the photos; 0 if unknown."""
    predicted: bool = False
    """Whether the split is predicted."""

    @property
    def current(self) -> list[RoundWork]:
        """Rounds that an estimate counts: the next one, and a training round that follows a baseline round."""
        return self.rounds[: 2 if self.rounds[0].kind == "baseline" else 1]


@dataclass(frozen=True)
class _Target:
    """A model that PredictTestImages asks, and the images."""

    answerer: str
    model: str
    prompt: Prompt
    lines: Sequence[SplitLine]
    stored_as: tuple[str, int] | None = None
    """Labeler id and sample number of its answers; None if runs do not share them or the prompt is not known yet."""


def measure_workload(run: Run, round_: Round, data: Bucket) -> Workload:
    """Return the workload from ``round_`` on, without the answers that earlier runs paid for.

    Raises ``ObjectDamaged`` if a set was cut off after Split wrote it.
    """
    rounds = data.read_document(keys.rounds_key(run.name), Rounds).rounds
    return _measured(run, _read_sets(run, data), [_read_lists(round_, data) for round_ in rounds], round_.number, data)


def measure_without_until(run: Run, data: Bucket) -> tuple[Run, Workload]:
    """Return a run as it would be without ``until``, and its workload over the same sets, without stored answers.

    Raises ``ObjectDamaged`` if a set was cut off after Split wrote it, and ``TooFewImages`` or ``InvalidRequest`` if
    the sets are too small to train.
    """
    whole = run.model_copy(update={"request": run.request.model_copy(update={"until": None})})
    sets = _read_sets(run, data)
    return whole, _measured(whole, sets, plan_rounds(whole, sets), 0, data)


def _read_sets(run: Run, data: Bucket) -> dict[SetName, list[SplitLine]]:
    names: tuple[SetName, ...] = ("train", "validation", "test")
    return {name: read_counted_split(run, name, data) for name in names}


def _measured(
    run: Run, sets: Mapping[SetName, Sequence[SplitLine]], lists: Sequence[RoundLists], first: int, data: Bucket
) -> Workload:
    """Return the workload from the round ``first`` on, without stored answers."""
    facts = data.read_document(keys.split_facts_key(run.name), SplitFacts)
    return Workload(
        rounds=_work(run, lists, sets["train"], facts.photos, stored_answers(data))[first:],
        test=facts.test,
        stored_images=[line.dimensions for lines in sets.values() for line in lines],
        images=facts.images,
        photos=facts.photos,
    )


def predict_workload(run: Run, images: Sequence[Dimensions], photo_bytes: int) -> Workload:
    """Return the workload predicted from image sizes, as if no photo were a duplicate.

    Raises ``TooFewImages`` or ``InvalidRequest`` as Split does.
    """
    used = min(len(images), run.request.sample or len(images))
    check_image_count(run, used)
    validated = used >= MINIMUM_IMAGES_FOR_VALIDATION and catalog.get_model(run.student).family.validation_file
    most = run.request.test_images
    test = min(most, max(MINIMUM_TEST_IMAGES, round(used * run.request.test_share)))
    validation = min(most, round((used - test) * VALIDATION_SHARE)) if validated else 0
    # Every image is equally likely in each set, so evenly spaced images represent a set.
    counts: dict[SetName, int] = {"train": used - test - validation, "validation": validation, "test": test}
    sets: dict[SetName, list[SplitLine]] = {
        name: _lines(name, _evenly(images, count)) for name, count in counts.items()
    }
    return workload_of(run, sets, len(images), photo_bytes)


def workload_of(run: Run, sets: Mapping[SetName, Sequence[SplitLine]], photos: int, photo_bytes: int = 0) -> Workload:
    """Return the workload of predicted sets, none of whose images has an answer yet."""
    return Workload(
        rounds=_work(run, plan_rounds(run, sets), sets["train"], photos, lambda labeler, sample: frozenset()),
        test=len(sets["test"]),
        stored_images=[line.dimensions for lines in sets.values() for line in lines],
        images=sum(map(len, sets.values())),
        photos=photos,
        photo_bytes=photo_bytes,
        predicted=True,
    )


def _read_lists(round_: Round, data: Bucket) -> RoundLists:
    to_label, to_predict = (
        list(data.read_records(key, SplitLine)) for key in (round_.to_label_key, round_.to_predict_key)
    )
    return RoundLists(round_.kind, round_.sizes, to_label, to_predict)


def _work(
    run: Run, rounds: Sequence[RoundLists], train: Sequence[SplitLine], photos: int, stored: StoredAnswers
) -> list[RoundWork]:
    samples = range(run.request.samples_per_image)
    asked: dict[str, set[str]] = {}
    sizes: set[int] = set()
    work: list[RoundWork] = []
    for number, lists in enumerate(rounds):
        labelled = [(line, sample) for sample in samples for line in lists.to_label]
        to_label = [line for line, sample in labelled if line.image not in stored(run.teacher.id, sample)]
        work.append(
            RoundWork(
                number=number,
                kind=lists.kind,
                sizes=[size for size in lists.sizes if size not in sizes],
                to_label=[line.dimensions for line in to_label],
                labels_reused=len(labelled) - len(to_label),
                train=[line.dimensions for line in train],
                predictions=list(_unanswered(run, lists, asked, stored)),
                photos=0 if number else photos,
            )
        )
        sizes.update(lists.sizes)
    return work


def _unanswered(run: Run, lists: RoundLists, asked: dict[str, set[str]], stored: StoredAnswers) -> Iterator[Questions]:
    """Yield the questions of a round that no earlier round and no other run has paid for; note them in ``asked``."""
    for target in _targets(run, lists):
        answered = asked.setdefault(target.answerer, set())
        paid = answered | stored(*target.stored_as) if target.stored_as else answered
        unpaid = [line for line in target.lines if line.image not in paid]
        answered.update(line.image for line in target.lines)
        yield Questions(target.answerer, target.model, target.prompt, [line.dimensions for line in unpaid])


def _targets(run: Run, lists: RoundLists) -> list[_Target]:
    """Return the targets of PredictTestImages as ``distillation.inference`` has them."""
    ceiling_lines = [line for line in lists.to_predict if line.ceiling]
    base = _untuned(
        run, "base", run.student, run.student_prompt, [line for line in lists.to_predict if line.set != "validation"]
    )
    ceiling = _Target(CEILING, run.ceiling.model, run.prompt, ceiling_lines, (run.ceiling.id, run.ceiling_sample))
    if lists.kind == "training":
        tuned = [_Target(answerer_of(size), run.student, run.student_prompt, lists.to_predict) for size in lists.sizes]
        return [base, *tuned, ceiling]
    others = [
        _untuned(run, model, model, run.prompt, ceiling_lines)
        for model in dict.fromkeys([run.student, *run.alternatives])
    ]
    distinct = {target.stored_as: target for target in [*others, replace(base, lines=ceiling_lines)]}
    distinct.pop((run.teacher.id, 0), None)
    examples = _Target(EXAMPLES, run.student, run.prompt, ceiling_lines)
    return [*distinct.values(), examples, ceiling]


def _untuned(run: Run, answerer: str, model: str, prompt: Prompt, lines: Sequence[SplitLine]) -> _Target:
    return _Target(answerer, model, prompt, lines, (untuned_labeler(run, model, prompt).id, 0))


def stored_answers(data: Bucket) -> StoredAnswers:
    """Return a lookup of stored answers, which lists the answers of each labeler only once."""
    listed: dict[str, set[str]] = {}

    def stored(labeler: str, sample: int) -> frozenset[str]:
        if labeler not in listed:
            listed[labeler] = set(data.keys(keys.labels_prefix(labeler)))
        suffix, prefix = f"/{sample}.json", keys.labels_prefix(labeler)
        return frozenset(key[len(prefix) : -len(suffix)] for key in listed[labeler] if key.endswith(suffix))

    return cache(stored)


def _lines(name: SetName, images: Sequence[Dimensions]) -> list[SplitLine]:
    """Return lines of images that have no name yet."""
    return [
        SplitLine(image=id, group=id, photo=id, width=width, height=height, set=name)
        for id, (width, height) in ((f"{name}-{position}", size) for position, size in enumerate(images))
    ]


def _evenly(images: Sequence[Dimensions], count: int) -> list[Dimensions]:
    return [images[position * len(images) // count] for position in range(count)]
