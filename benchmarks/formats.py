"""Measure whether the local student learns every answer format: its gain over base and over control.

    python -m benchmarks.formats [FOLDER] [--train 300] [--seed 1]

The small local models of ``make demo`` answer about the folder's photos (by default samples/photos) with the prompts of
samples/prompts. A quarter of the photos is the test set; the student is trained on the others, at most ``--train``.
The bar has two parts for each format. The paired 95 % intervals of the tuned model's gains over base and over control
lie above zero. A student trained on labels of other training images is not promoted. ``meets_bar`` is whether the
photos meet it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cli.requests import resolve_request
from cli.upload import photos_in
from distillation.answers.formats import format_of
from distillation.evaluation.evaluation import Evaluation, Evidence, evaluate
from distillation.models import catalog
from distillation.records import AnswerLine, answerer_of
from local.demo import PROMPTS
from local.models import NETWORKS, available_pair, load_student, load_teacher
from local.models.answer_forms import Recognition, read_form
from local.models.learning import learn
from local.models.sampling import perturbed

_ROOT = Path(__file__).parents[1]
_TEST_SHARE = 0.25
_SIDE = 900
"""Longest side of the images in pixels, as in the demo."""
_CEILING_TEMPERATURE = 0.5


@dataclass(frozen=True)
class RecognisedPhoto:
    """Contents of a photo as the models recognise them."""

    name: str
    teacher: Recognition
    second: Recognition
    """Contents of a slightly changed photo as the teacher recognises them, for the ceiling."""
    base: Recognition
    features: np.ndarray
    """Features of shape (2548,)."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=_ROOT / "samples" / "photos")
    parser.add_argument("--train", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    photos = recognised_photos(arguments.folder)
    results = {name: format_figures(name, photos, arguments.train, arguments.seed) for name in PROMPTS}
    meets_bar = all(result["meets_bar"] for result in results.values())
    sys.stdout.write(json.dumps({"photos": len(photos), **results, "meets_bar": meets_bar}, indent=1) + "\n")
    return 0 if meets_bar else 1


def recognised_photos(folder: Path) -> list[RecognisedPhoto]:
    """Return the contents of a folder's photos as the models recognise them."""
    cache = _ROOT / "build" / "models"
    pair = available_pair(cache)
    teacher, student = load_teacher(pair.teacher_id), load_student(pair.student_id, cache)
    photos = []
    for seed, (name, path) in enumerate(photos_in(folder).photos.items()):
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        image.thumbnail((_SIDE, _SIDE))
        features = student.features(image)
        second = teacher.recognise(perturbed(image, _CEILING_TEMPERATURE, seed))
        photos.append(RecognisedPhoto(name, teacher.recognise(image), second, student.recognise(features), features))
    return photos


def format_figures(name: str, photos: Sequence[RecognisedPhoto], maximum_train: int, seed: int) -> dict[str, Any]:
    """Return the figures of one format."""
    trained, shuffled = evaluations(name, photos, maximum_train, seed)
    agreement, figures = trained.figures.agreement, trained.figures
    gains = {reference: gain(trained, reference) for reference in ("base", "control")}
    gate = shuffled.figures.gate
    is_promoted = gate is not None and gate.passed
    means = {
        "base": agreement.base,
        "tuned": agreement.tuned[figures.best],
        "control": agreement.control,
        "nearest": agreement.nearest,
        "floor": agreement.floor,
        "ceiling": agreement.ceiling,
    }
    return {
        "similarity": figures.similarity,
        "test_images": figures.test_images,
        **{role: round(mean.mean, 3) for role, mean in means.items() if mean},
        "valid": round(figures.metrics[figures.best]["valid"].mean, 3),
        **{f"gain_over_{reference}": [round(bound, 3) for bound in bounds] for reference, bounds in gains.items()},
        "promoted_when_shuffled": is_promoted,
        "meets_bar": min(low for low, _ in gains.values()) > 0 and not is_promoted,
    }


def gain(evaluation: Evaluation, reference: str) -> tuple[float, float]:
    """Return the paired 95 % interval of the best tuned model's gain over a reference."""
    best = evaluation.figures.best
    return evaluation.resampled.difference(best, reference).ci95


def evaluations(
    name: str, photos: Sequence[RecognisedPhoto], maximum_train: int, seed: int
) -> tuple[Evaluation, Evaluation]:
    """Return the evaluations of a student trained on the labels, and of one trained on labels of other images."""
    run = resolve_request("photos/", {"prompt": PROMPTS[name]}, "local", "us-east-1")
    answer_format, form = format_of(run), read_form(f"{run.prompt.system}\n{run.prompt.user}")
    generator = random.Random(seed)
    order = generator.sample(photos, len(photos))
    count = round(len(order) * _TEST_SHARE)
    test, train = order[:count], order[count:][:maximum_train]
    labels = [answer_format.training_text(form.answer(photo.teacher)) for photo in train]
    other_labels = generator.sample(labels, len(labels))

    def evaluated(texts: Sequence[str]) -> Evaluation:
        tuned = learn(np.stack([photo.features for photo in train]), texts, student_epochs())
        return evaluate(
            Evidence(
                answer_format=answer_format,
                labels=_lines(test, lambda photo: form.answer(photo.teacher)),
                tuned={answerer_of(len(train)): _lines(test, lambda photo: tuned.answer(photo.features))},
                base=_lines(test, lambda photo: form.answer(photo.base)),
                ceiling=_lines(test, lambda photo: form.answer(photo.second)),
                training=_answers({photo.name: text for photo, text in zip(train, labels, strict=True)}),
            )
        )

    return evaluated(labels), evaluated(other_labels)


def student_epochs() -> int:
    """Return the epochs of the local student by default."""
    family = catalog.get_model(NETWORKS.student_id).family
    return int(family.resolve_hyperparameters({})["epochCount"])


def _lines(photos: Sequence[RecognisedPhoto], answer: Callable[[RecognisedPhoto], str]) -> dict[str, AnswerLine]:
    return _answers({photo.name: answer(photo) for photo in photos})


def _answers(texts: Mapping[str, str]) -> dict[str, AnswerLine]:
    return {name: AnswerLine(image=name, answerer="any", status="ok", text=text) for name, text in texts.items()}


if __name__ == "__main__":
    sys.exit(main())
