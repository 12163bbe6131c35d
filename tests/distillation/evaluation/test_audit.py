from __future__ import annotations

from typing import Any

import pytest

from distillation import keys
from distillation.documents import Audit, ScoresByRole
from distillation.errors import ObjectMissing
from distillation.evaluation.audit import measure_audit
from distillation.records import Run, TrainedModel
from distillation.runs.list_images import list_images
from distillation.storage import Bucket
from tests.support.apply_run import answer_line, resized_photos
from tests.support.builders import any_interval, any_report
from tests.support.fakes import bucket
from tests.support.stored import read_lines

MODEL = TrainedModel(size=12, status="Active", model_name="m", deployment_arn="arn:d")


def applied(
    labels: list[str], tuned: list[str], evaluation: float = 0.5, report: dict[str, Any] | None = None, **request: Any
) -> tuple[Run, Bucket]:
    """Return a run with ``apply`` after PredictImages, with these answers of the teacher and of the tuned model.

    An answer ``""`` was refused. The evaluation of the tuned model measured ``evaluation`` ± 0.01.
    """
    images = [f"{number:03}" for number in range(len(labels))]
    run, data = resized_photos(*({"photo": f"holiday/{image}.jpg", "image": image} for image in images), **request)
    run = run.model_copy(update={"applies": MODEL})
    list_images(run, data, bucket())
    listed = {line["image"] for line in read_lines(data, keys.split_key(run.name, "images")) if line["audit"]}
    lines = [answer_line(image, text, "ok" if text else "refused") for image, text in zip(images, tuned, strict=True)]
    lines += [
        answer_line(image, text, "ok" if text else "refused", answerer="audit")
        for image, text in zip(images, labels, strict=True)
        if image in listed
    ]
    data.write_lines(keys.part_key(run.name, "predict", "b"), lines)
    figures = any_report(models=[MODEL], promoted="m").evaluation
    assert figures
    figures = figures.model_copy(update={"agreement": ScoresByRole(tuned={"n12": any_interval(evaluation)})})
    fields = {"models": [MODEL], "promoted": "m", "evaluation": figures, **(report or {})}
    data.write_document(keys.report_json_key("tuned-1"), any_report(**fields))
    return run, data


def audit(*arguments: Any, **options: Any) -> Audit:
    measured = measure_audit(*applied(*arguments, **options))
    assert measured
    return measured


def test_agreement_is_the_mean_over_the_audited_images_and_an_invalid_answer_scores_0() -> None:
    measured = audit(["cat, sofa"] * 20, ["cat, sofa"] * 10 + ["cat, dog, lamp"] * 8 + ["", ""])

    assert (measured.asked, measured.images) == (20, 20)
    assert measured.agreement
    assert measured.agreement.mean == pytest.approx((10 + 8 / 4) / 20)
    assert measured.agreement.low < measured.agreement.mean < measured.agreement.high
    assert measured.evaluation == any_interval(0.5)
    assert not measured.drifted


def test_image_without_a_valid_label_of_the_teacher_is_left_out_with_a_reason() -> None:
    measured = audit(["cat, sofa"] * 18 + ["", ""], ["cat, sofa"] * 20)

    assert (measured.asked, measured.images, measured.reason) == (20, 18, "not a list")
    assert measured.agreement
    assert measured.agreement.mean == 1


def test_audit_without_any_label_has_no_agreement_and_no_drift() -> None:
    measured = audit([""] * 20, ["cat, sofa"] * 20)

    assert (measured.images, measured.agreement, measured.drifted) == (0, None, False)


def test_photos_have_drifted_only_if_the_whole_interval_is_below_that_of_the_evaluation() -> None:
    labels, worse, noise = ["cat, sofa"] * 20, ["cat, dog, lamp"] * 20, ["cat, sofa"] * 9 + ["dog, lamp"] * 11
    drifted, by_chance = audit(labels, worse), audit(labels, noise)

    assert drifted.drifted
    assert by_chance.agreement
    assert by_chance.agreement.mean < 0.49 < by_chance.agreement.high
    assert not by_chance.drifted


def test_fewer_than_10_images_cannot_tell_whether_the_photos_have_drifted() -> None:
    assert not audit(["cat, sofa"] * 9, ["dog, lamp"] * 9).drifted
    assert audit(["cat, sofa"] * 10, ["dog, lamp"] * 10).drifted


def test_consensus_of_several_answers_is_the_label() -> None:
    run, data = applied(["cat, sofa"], ["cat, sofa"], samples_per_image=3, temperature=0.5)
    lines = [answer_line("000", "cat, sofa")]
    lines += [
        answer_line("000", text, answerer="audit", sample=sample)
        for sample, text in enumerate(["cat, sofa", "cat, sofa, lamp", "cat, rug"])
    ]
    data.write_lines(keys.part_key(run.name, "predict", "b"), lines)
    measured = measure_audit(run, data)

    assert measured
    assert measured.agreement
    assert measured.agreement.mean == 1


@pytest.mark.parametrize("report", [{"own_test_labels": 3}, {"evaluation": None}])
def test_evaluation_against_other_labels_than_the_teachers_is_not_compared(report: dict[str, Any]) -> None:
    measured = audit(["cat, sofa"] * 20, ["dog, lamp"] * 20, report=report)

    assert (measured.evaluation, measured.drifted) == (None, False)


def test_damaged_report_of_the_tuned_model_does_not_lose_the_audit() -> None:
    run, data = applied(["cat, sofa"] * 20, ["cat, sofa"] * 20)
    data.write(keys.report_json_key("tuned-1"), b"{")
    measured = measure_audit(run, data)

    assert measured
    assert measured.evaluation is None


def test_run_without_an_audit_share_has_no_audit() -> None:
    assert measure_audit(*applied(["cat, sofa"] * 20, ["cat, sofa"] * 20, audit_share=0)) is None


def test_missing_line_of_the_audit_is_named() -> None:
    run, data = applied(["cat, sofa"], ["cat, sofa"])
    data.write_lines(keys.part_key(run.name, "predict", "b"), [answer_line("000", "cat, sofa")])
    with pytest.raises(ObjectMissing, match="1 of 1 images have no line of the audit"):
        measure_audit(run, data)
