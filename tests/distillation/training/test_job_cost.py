from __future__ import annotations

import pytest

from distillation import keys
from distillation.costs import calibration
from distillation.training.job_cost import job_cost
from tests.support.builders import any_run, bucket_after_split


def test_record_is_billed_as_its_label_was_and_by_rule_without_a_bill() -> None:
    data, run = bucket_after_split(), any_run()
    images = [f"{number:064x}" for number in range(12)]
    usage = {"input_tokens": 1000, "output_tokens": 50}
    lines = [{"image": i, "answerer": "teacher", "status": "ok", "text": "a, b, c", "usage": usage} for i in images]
    data.write_lines(keys.part_key("holiday-1", "label", "1"), lines)
    assert job_cost(run, 12, data).training_tokens == 12 * 1050 * 2
    assert job_cost(run, 12, data).usd == pytest.approx(12 * 1050 * 2 * 2 / 1e6)
    assert job_cost(run, 12, data, trained=False).usd == 0

    unbilled = [{name: value for name, value in line.items() if name != "usage"} for line in lines]
    data.write_lines(keys.part_key("holiday-1", "label", "1"), unbilled)
    text = calibration.text_tokens(run.prompt)
    assert job_cost(run, 12, data).training_tokens == pytest.approx(12 * (text + 864 + 120) * 2, rel=0.01)
