from __future__ import annotations

from distillation.records import TrainedModel
from tests.support.builders import any_report


def trained(size: int) -> TrainedModel:
    return TrainedModel(size=size, status="Active", model_name=f"holiday-1-n{size}-a1")


def test_best_model_has_the_highest_score_whether_or_not_it_is_promoted() -> None:
    models = [trained(8), trained(14)]
    refused = any_report(models=models, best="n14")
    promoted = any_report(models=models, promoted="holiday-1-n8-a1")

    assert (refused.best_model, refused.promoted) == (trained(14), None)
    assert promoted.best_model == promoted.promoted == trained(8)


def test_run_without_an_evaluation_has_no_best_model() -> None:
    assert any_report(models=[trained(8)], evaluation=None).best_model is None
