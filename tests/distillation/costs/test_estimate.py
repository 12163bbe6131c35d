"""What a run is said to cost before anything is paid, and what it is said to have cost."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillation import keys
from distillation.costs import calibration
from distillation.costs.calibration import Calibration
from distillation.costs.estimate import estimate_run
from distillation.costs.range import CostRange
from distillation.costs.workload import Size, measure_workload, predict_workload
from distillation.errors import InvalidRequest, TooFewImages
from distillation.models import catalog
from distillation.records import Prompt, Run, Usage
from distillation.storage import Bucket
from distillation.training.job_cost import job_cost
from tests.support.builders import any_run
from tests.support.fakes import bucket

TODAY = datetime.date(2026, 9, 1)
PRO, LITE = "amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"
LANDSCAPE = (900, 600)


def estimated(run: Run, images: int = 100, teacher: Calibration | None = None) -> dict[str, Any]:
    return estimate_run(run, predict_workload(run, [LANDSCAPE] * images, 0), {PRO: teacher} if teacher else {}, TODAY)


def split_data(labelled: int = 0) -> Bucket:
    """A bucket after Split: 12 images to train on, 8 to test; the first so many have a label."""
    data = bucket()
    names = [f"{number:064x}" for number in range(20)]
    lines = [{"image": name, "photo": "p", "group": name, "width": 900, "height": 600} for name in names]
    for name, members in (("to-label", lines), ("train", lines[:12]), ("test", lines[12:])):
        data.write_lines(keys.split_key("holiday-1", name), members)
    data.write_json(keys.split_facts_key("holiday-1"), {"photos": 21, "images": 20})
    for name in names[:labelled]:
        data.write(keys.label_key("labeler", name, 0), b"{}")
    return data


def test_tokens_times_prices_by_hand() -> None:
    run = any_run(train_sizes=[50])
    text = len((run.prompt.system + run.prompt.user).encode()) / 4 + 10
    question, answer = text + 900 * 600 / 625, 120
    found = estimated(run)["by_step"]

    again = 1.05

    assert found["LabelImages"]["expected"] == pytest.approx(again * 75 * (question * 0.8 + answer * 3.2) / 1e6)
    assert found["TrainModels"]["expected"] == pytest.approx(50 * 2 * (question + answer) * 2 / 1e6)
    students = 25 * 2 * (question * 0.06 + answer * 0.24) / 1e6
    ceiling = again * 25 * (question * 0.8 + answer * 3.2) / 1e6
    assert found["PredictTestImages"]["expected"] == pytest.approx(students + ceiling)


@given(
    sizes=st.lists(st.tuples(st.integers(25, 900), st.integers(25, 900)), min_size=40, max_size=60),
    epochs=st.integers(1, 5),
)
def test_bounds_enclose_what_is_expected_and_more_work_never_costs_less(sizes: list[Size], epochs: int) -> None:
    run = any_run(hyperparameters={"epochCount": epochs})
    found = estimate_run(run, predict_workload(run, sizes, 0), {}, TODAY)
    more = estimate_run(run, predict_workload(run, sizes * 2, 0), {}, TODAY)

    for amount in [found["range"], *found["by_step"].values()]:
        assert 0 <= amount["low"] <= amount["expected"] <= amount["high"]
    assert more["usd"] > found["usd"]
    assert found["usd"] == pytest.approx(sum(step["expected"] for step in found["by_step"].values()), abs=1e-5)


def test_labels_and_samples_that_are_kept_cost_nothing() -> None:
    run, data = any_run(), split_data(labelled=15)
    work = measure_workload(run, [12], data)

    assert (len(work.to_label), work.labels_reused, len(work.to_sample)) == (5, 15, 8)
    data.write(keys.label_key("ceiling", f"{12:064x}", 1), b"{}")
    assert len(measure_workload(run, [12], data).to_sample) == 7


def test_run_that_ends_early_is_not_charged_for_what_it_does_not_do() -> None:
    labels = estimated(any_run(until="LabelImages"))
    assert "TrainModels" not in labels["by_step"]
    assert labels["break_even_images"] is labels["provisioned"] is None
    assert estimated(any_run(until="Estimate"))["usd"] < 0.05


def test_budget_counts_what_is_expected_and_warns_of_the_upper_bound() -> None:
    usd = estimated(any_run())["range"]
    within = estimated(any_run(max_usd=usd["expected"] + 0.001))
    over = estimated(any_run(max_usd=usd["expected"] - 0.001))

    assert within["within_budget"]
    assert "nothing more is asked where going on could pass it" in within["verdict"]
    assert not over["within_budget"]
    assert "raise max_usd" in over["verdict"]


def test_what_earlier_answers_measured_takes_the_place_of_the_rule_and_is_named() -> None:
    run = any_run()
    rule = catalog.NOVA_1.image_tokens(*LANDSCAPE)
    billed = round(calibration.text_tokens(run.prompt) + 1.5 * rule)
    answers = [(LANDSCAPE, Usage(input_tokens=billed, output_tokens=60))] * 10
    found = calibration.measure(PRO, "holiday-0", "labeler", run.prompt, answers)
    assert found is not None
    assert found.image_factor == pytest.approx(1.5, abs=0.01)

    before, after = estimated(run), estimated(run, teacher=found)

    def tokens(result: dict[str, Any], what: str) -> dict[str, float]:
        return next(line["quantity"] for line in result["lines"] if line["what"] == what)

    assert tokens(after, "Nova Pro, input")["expected"] == pytest.approx(1.05 * 100 * billed, rel=0.01)
    assert tokens(after, "Nova Pro, output")["expected"] == pytest.approx(1.05 * 100 * 60)
    assert tokens(after, "Nova Pro, output")["high"] < tokens(before, "Nova Pro, output")["high"]
    assert "1.50 of the family's rule, measured on 10 answers of holiday-0" in after["range_from"][0]
    # Another prompt or another temperature is another labeler: its answers may be of any length.
    other = estimated(run, teacher=found.model_copy(update={"labeler": "other"}))
    assert tokens(other, "Nova Pro, output")["expected"] == pytest.approx(1.05 * 100 * 120)


def test_calibration_is_kept_by_model_and_found_again() -> None:
    data = bucket()
    answers = [(LANDSCAPE, Usage(input_tokens=1000, output_tokens=60))]
    found = calibration.measure(LITE, "holiday-0", "labeler", any_run().prompt, answers)
    assert found is not None
    calibration.save(found, data)

    assert calibration.load(LITE, data) == found
    assert calibration.load(PRO, data) is None
    assert list(data.keys("")) == ["calibration/amazon.nova-lite-v1-0.json"]
    assert calibration.measure(LITE, "holiday-0", "labeler", any_run().prompt, []) is None


def test_what_depends_on_an_unconfirmed_price_is_marked() -> None:
    found = estimated(any_run())

    assert not found["by_step"]["TrainModels"]["confirmed"]
    assert found["by_step"]["LabelImages"]["confirmed"]
    assert "amazon.nova-lite-v1:0 training" in found["warnings"][0]


def test_flex_and_provisioned_throughput_are_told_where_they_have_a_price() -> None:
    found = estimated(any_run(train_sizes=[20, 40]))

    half = found["by_step"]["LabelImages"]["expected"] / 2
    ceiling = [line for line in found["lines"] if line["step"] == "PredictTestImages" and "Nova Pro" in line["what"]]
    half += sum(line["usd"]["expected"] for line in ceiling) / 2
    assert found["flex"]["usd"] == pytest.approx(found["usd"] - half, abs=1e-5)
    assert estimated(any_run(train_sizes=[20, 40], service_tier="flex"))["usd"] == found["flex"]["usd"]
    assert found["provisioned"]["usd"]["expected"] == pytest.approx(2 * 108.15)
    flexless = any_run().model_copy(update={"teacher": any_run().teacher.model_copy(update={"model": LITE})})
    assert estimated(flexless)["flex"] is None


def test_teacher_on_the_flex_tier_is_estimated_at_its_price_and_students_are_not() -> None:
    def usd(result: dict[str, Any], step: str, what: str) -> float:
        lines = [line for line in result["lines"] if (line["step"], line["what"]) == (step, what)]
        return sum(line["usd"]["expected"] for line in lines)

    standard, flex = estimated(any_run()), estimated(any_run(service_tier="flex"))

    for step in ("LabelImages", "PredictTestImages"):
        assert usd(flex, step, "Nova Pro, input") == pytest.approx(usd(standard, step, "Nova Pro, input") / 2)
    assert usd(flex, "PredictTestImages", "Nova Lite, input") == usd(standard, "PredictTestImages", "Nova Lite, input")
    assert flex["flex"] is None


def test_break_even_is_where_asking_the_teacher_would_have_cost_as_much() -> None:
    found = estimated(any_run())
    teacher = found["by_step"]["LabelImages"]["expected"] / 1.05 / 100

    assert found["break_even_images"]["expected"] == pytest.approx(
        found["usd"] / (teacher * (1 - 0.06 / 0.8)), rel=0.01
    )
    same = any_run().model_copy(
        update={"student": LITE, "teacher": any_run().teacher.model_copy(update={"model": LITE})}
    )
    assert estimated(same)["break_even_images"] is None


def test_prediction_refuses_what_split_would_refuse() -> None:
    with pytest.raises(TooFewImages, match="19 usable images"):
        estimated(any_run(), images=19)
    with pytest.raises(InvalidRequest, match="train_sizes: 4 is below 8"):
        estimated(any_run(train_sizes=[4]))


def test_a_record_is_billed_as_its_label_was_and_by_rule_where_nobody_was_billed() -> None:
    data, run = split_data(), any_run()
    names = [f"{number:064x}" for number in range(12)]
    usage = {"input_tokens": 1000, "output_tokens": 50}
    lines = [{"image": n, "answerer": "teacher", "status": "ok", "text": "a, b, c", "usage": usage} for n in names]
    data.write_lines(keys.part_key("holiday-1", "label", "1"), lines)
    assert job_cost(run, 12, data).training_tokens == 12 * 1050 * 2
    assert job_cost(run, 12, data).usd == pytest.approx(12 * 1050 * 2 * 2 / 1e6)
    assert job_cost(run, 12, data, trained=False).usd == 0

    own = [{name: value for name, value in line.items() if name != "usage"} for line in lines]
    data.write_lines(keys.part_key("holiday-1", "label", "1"), own)
    text = calibration.text_tokens(run.prompt)
    assert job_cost(run, 12, data).training_tokens == pytest.approx(12 * (text + 864 + 120) * 2, rel=0.01)


def test_text_of_any_script_is_counted_by_its_bytes() -> None:
    latin, japanese = Prompt(system="a" * 300, user="b"), Prompt(system="写" * 100, user="b")

    assert calibration.text_tokens(latin) == calibration.text_tokens(japanese)


def test_amounts_add_up() -> None:
    assert CostRange(1, 2, 3) + CostRange(1, 1, 1).times(2) == CostRange(3, 4, 5)
