"""The label of each image of a run: your own label, the teacher's answer, or the consensus of several answers."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from distillation import keys
from distillation.answers.formats import format_of
from distillation.answers.formats.base import Format, Value
from distillation.answers.rejection import label_rejection
from distillation.documents import Rounds
from distillation.errors import LABELS_ARE_REUSED, ObjectDamaged, ObjectMissing
from distillation.inference.missing_answers import AnswerParts, require_lines
from distillation.plain_text import clean
from distillation.records import Answer, AnswerLine, InventoryLine, OwnLabel, Round, Run, SplitLine
from distillation.storage import Bucket

_PARALLEL_READS = 8
"""Labels of the cache that are read at the same time."""


def read_labels(run: Run, data: Bucket) -> dict[str, AnswerLine]:
    """Return the label of each image, keyed by image. See ``iter_labels``."""
    return {line.image: line for line in iter_labels(run, data)}


def iter_labels(run: Run, data: Bucket) -> Iterator[AnswerLine]:
    """Yield one line for each labelled image, with status ``refused`` if its label was refused.

    The answerer of your own labels is ``owner``. An image without all of its samples has no label: a part was cut off.
    Memory is bounded by one part of LabelImages, which has all samples of its images.
    """
    own_labels = {} if run.request.own_labels == "gold" else read_stored_own_labels(run, data)
    for key in data.keys(keys.parts_prefix(run.name, "label")):
        samples: dict[str, list[AnswerLine]] = defaultdict(list)
        for line in data.read_records(key, AnswerLine):
            samples[line.image].append(line)
        for image, lines in samples.items():
            if label := own_labels.pop(image, None):
                yield label
            elif len(lines) >= run.request.samples_per_image:
                yield combine_samples(run, lines)
    yield from own_labels.values()


def read_kept_labels(run: Run, data: Bucket) -> dict[str, AnswerLine]:
    """Return the label of each image, keyed by image, even after the parts of LabelImages have expired.

    Labels that are in no part are read from the label cache, which does not expire.
    """
    labels = read_labels(run, data)
    rounds = data.read_document(keys.rounds_key(run.name), Rounds).rounds
    listed = [line.image for round_ in rounds for line in data.read_records(round_.to_label_key, SplitLine)]
    missing = [image for image in dict.fromkeys(listed) if image not in labels]
    with ThreadPoolExecutor(_PARALLEL_READS) as pool:
        found = pool.map(lambda image: _cached_label(run, image, data), missing)
        return labels | {line.image: line for line in found if line}


def _cached_label(run: Run, image: str, data: Bucket) -> AnswerLine | None:
    """Return the label of an image from the label cache; None if one of its samples was not asked for."""
    samples = [_cached_sample(run, image, sample, data) for sample in range(run.request.samples_per_image)]
    lines = [line for line in samples if line]
    return combine_samples(run, lines) if len(lines) == len(samples) else None


def _cached_sample(run: Run, image: str, sample: int, data: Bucket) -> AnswerLine | None:
    """Return the teacher's answer, or its second one if the first was rejected and there is a second."""
    lines = []
    for key in (keys.label_key, keys.label_retry_key):
        answer = data.find_intact(key(run.teacher.id, image, sample), Answer)
        if answer is None:
            break
        reason = label_rejection(run, answer)
        status = "refused" if reason else "ok"
        lines.append(
            AnswerLine(image=image, answerer="teacher", sample=sample, status=status, text=answer.text, reason=reason)
        )
        if reason is None:
            break
    return lines[-1] if lines else None


def require_labels(
    run: Run, round_number: int, inventory: Iterable[InventoryLine], labelled: Container[str], data: Bucket
) -> None:
    """Raise an error if an image of the rounds up to ``round_number`` has neither a valid nor a refused label.

    ``labelled`` are the images with a label. ``ObjectMissing`` names a part of LabelImages. ``ObjectDamaged`` names the
    file of your own labels or a list of images.
    """
    for round_ in data.read_document(keys.rounds_key(run.name), Rounds).rounds[: round_number + 1]:
        _require_labels_of(run, round_, labelled, data)
    own = [line.image for line in inventory if line.image and line.labelled_by == "owner"]
    if missing := [image for image in own if image not in labelled]:
        raise ObjectDamaged(
            f"s3://{data.name}/{keys.own_labels_key(run.name)} has no label of {len(missing)} of {len(own)} images, "
            f"first {missing[0]}: it was deleted or cut off. Start the run again. {LABELS_ARE_REUSED}"
        )


def _require_labels_of(run: Run, round_: Round, labelled: Container[str], data: Bucket) -> None:
    images = [line.image for line in data.read_records(round_.to_label_key, SplitLine)]
    if len(images) != round_.to_label:
        raise ObjectDamaged(
            f"s3://{data.name}/{round_.to_label_key} has {len(images)} images, but Split wrote {round_.to_label}. "
            f"It was changed or cut off. Start the run again. {LABELS_ARE_REUSED}"
        )
    require_lines(run, "the teacher", images, labelled, AnswerParts("label", round_.to_label_key), data)


def read_stored_own_labels(run: Run, data: Bucket) -> dict[str, AnswerLine]:
    """Return your own labels, keyed by image; empty if the collection has no file of labels."""
    try:
        labels = list(data.read_records(keys.own_labels_key(run.name), OwnLabel))
    except ObjectMissing:
        return {}
    return {
        label.image: AnswerLine(image=label.image, answerer="owner", status="ok", text=label.text) for label in labels
    }


def combine_samples(run: Run, samples: Sequence[AnswerLine]) -> AnswerLine:
    """Return the label of an image: what at least half of its samples agree on.

    Invisible characters are removed; see ``plain_text.clean``. The label is refused if fewer than half of the samples
    are valid, or if the valid ones do not agree.
    """
    answer_format = format_of(run)
    if len(samples) == 1:
        (line,) = samples
        if not line.text or line.status != "ok":
            return line
        text = answer_format.training_text(clean(line.text))
        return line.model_copy(update={"text": text, "answered": None if text == line.text else [line.text]})
    votes = math.ceil(len(samples) / 2)
    valid = [line for line in samples if line.status == "ok"]
    if len(valid) < votes:
        refused = next(line for line in samples if line.status == "refused")
        reason = f"only {len(valid)} of {len(samples)} answers are valid: {refused.reason}"
        return refused.model_copy(update={"reason": reason, "text": None})
    values = [answer_format.parse(line.text or "") for line in valid]
    consensus = answer_format.consensus(values, votes)
    disagreement = _disagreement(answer_format, values)
    if consensus is None:
        reason = f"the {len(samples)} answers do not agree"
        update = {"status": "refused", "reason": reason, "text": None}
    else:
        update = {"text": answer_format.write(consensus)}
    answered = [line.text for line in valid]
    return valid[0].model_copy(update={**update, "disagreement": disagreement, "answered": answered})


def _disagreement(answer_format: Format, values: Sequence[Value]) -> float:
    """Return one minus the mean similarity of all pairs of answers (0-1); 0 for a single answer."""
    pairs = itertools.combinations(values, 2)
    return round(statistics.fmean([1 - answer_format.similarity(a, b) for a, b in pairs] or [0.0]), 4)
