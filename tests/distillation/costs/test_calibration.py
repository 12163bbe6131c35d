from __future__ import annotations

import json

import pytest

from distillation.costs import calibration
from distillation.models import catalog
from distillation.records import AnswerLine, Prompt, Usage
from tests.support.builders import any_run
from tests.support.fakes import bucket

PRO, LITE = "amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"
LANDSCAPE = (900, 600)


def answer(answerer: str, status: str = "ok") -> AnswerLine:
    usage = {"input_tokens": 1000, "output_tokens": 60}
    return AnswerLine.model_validate({"image": "i", "answerer": answerer, "status": status, "usage": usage})


def test_image_factor_is_measured_in_multiples_of_the_rule() -> None:
    run = any_run()
    rule = catalog.get_family("nova-v1").image_tokens(*LANDSCAPE)
    billed = round(calibration.text_tokens(run.prompt) + 1.5 * rule)
    answers = [(LANDSCAPE, Usage(input_tokens=billed, output_tokens=60))] * 10
    measured = calibration.measure(PRO, "holiday-0", "labeler", run.prompt, answers)

    assert measured is not None
    assert measured.image_factor == pytest.approx(1.5, abs=0.01)
    assert (measured.answers, measured.answer_tokens) == (10, 60)


def test_calibration_is_saved_and_loaded_by_model() -> None:
    data = bucket()
    answers = [(LANDSCAPE, Usage(input_tokens=1000, output_tokens=60))]
    measured = calibration.measure(LITE, "holiday-0", "labeler", any_run().prompt, answers)
    assert measured is not None
    calibration.save(measured, data)

    assert calibration.load(LITE, data) == measured
    assert calibration.load(PRO, data) is None
    assert calibration.load_all([PRO, LITE], data) == {LITE: measured}
    assert list(data.keys("")) == ["calibration/amazon.nova-lite-v1-0.json"]
    assert calibration.measure(LITE, "holiday-0", "labeler", any_run().prompt, []) is None


def test_run_calibrates_teacher_and_student_from_valid_answers_alone() -> None:
    data, run = bucket(), any_run()
    answers = {
        "teacher": {"i": answer("teacher"), "j": answer("teacher").model_copy(update={"image": "unknown"})},
        "ceiling": {"i": answer("ceiling")},
        "base": {"i": answer("base")},
        "n30": {"i": answer("n30"), "j": answer("n30", "refused")},
    }
    calibration.calibrate(run, {"i": LANDSCAPE}, answers, data, gain_sd=0.2)
    measured = calibration.load_all([PRO, LITE], data)

    assert {model: row.answers for model, row in measured.items()} == {PRO: 1, LITE: 2}
    assert {row.run for row in measured.values()} == {"holiday-1"}
    assert {model: row.gain_sd for model, row in measured.items()} == {PRO: None, LITE: 0.2}


def test_model_without_answers_keeps_its_earlier_calibration() -> None:
    data, run = bucket(), any_run()
    calibration.calibrate(run, {"i": LANDSCAPE}, {"teacher": {"i": answer("teacher")}}, data)
    before = calibration.load(PRO, data)
    calibration.calibrate(run, {"i": LANDSCAPE}, {}, data)

    assert calibration.load(PRO, data) == before is not None


def test_text_of_any_script_is_counted_by_its_bytes() -> None:
    latin, japanese = Prompt(system="a" * 300, user="b"), Prompt(system="写" * 100, user="b")

    assert calibration.text_tokens(latin) == calibration.text_tokens(japanese)


@pytest.mark.parametrize(
    "damage", [b"", b"\xff", b"{}", b'{"image_factor": NaN}', b'{"model": "other"}', b'{"image_factor": -1}']
)
def test_damaged_calibration_is_ignored_and_replaced(damage: bytes) -> None:
    data = bucket()
    intact = calibration.Calibration(model=PRO, run="r", answers=1, image_factor=1, labeler="l", answer_tokens=1)
    calibration.save(intact, data)
    (key,) = data.keys("calibration/")
    if damage.startswith(b'{"'):
        damage = json.dumps(intact.model_dump() | json.loads(damage)).encode()
    data.write(key, damage)

    assert calibration.load(PRO, data) is None
    calibration.save(intact, data)
    assert calibration.load(PRO, data) == intact


def test_student_is_measured_with_its_own_prompt_and_without_the_questions_that_have_examples() -> None:
    data = bucket()
    run = any_run().model_copy(update={"student_prompt": Prompt(system="s" * 400, user="u" * 400)})
    answers = {"base": {"i": answer("base")}, "examples": {"i": answer("examples")}, "nova-2": {"i": answer("nova-2")}}
    calibration.calibrate(run, {"i": LANDSCAPE}, answers, data)
    measured = calibration.load_for(run, data)[LITE]

    assert measured.answers == 1
    assert measured.image_factor == pytest.approx((1000 - 210) / 864)


def test_calibrations_of_a_run_are_those_of_all_models_that_it_asks() -> None:
    data, run = bucket(), any_run().model_copy(update={"alternatives": ["us.amazon.nova-2-lite-v1:0"]})
    for model in (PRO, LITE, *run.alternatives):
        calibration.save(
            calibration.Calibration(model=model, run="r", answers=1, image_factor=1, labeler="l", answer_tokens=1), data
        )

    assert set(calibration.load_for(run, data)) == {PRO, LITE, *run.alternatives}
