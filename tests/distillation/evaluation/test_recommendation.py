"""Hand-made reports, each with the recommendation that a person should get."""

from __future__ import annotations

import json
from typing import Any

import pytest

from distillation.costs.break_even import break_even
from distillation.documents import (
    Alternative,
    Audit,
    Baseline,
    Bounds,
    BreakEven,
    Curve,
    Gate,
    GrownRound,
    Growth,
    Headlines,
    Interval,
    Ledger,
    LedgerEntry,
    Money,
    Recommendation,
    Report,
    SetAside,
)
from distillation.evaluation.recommendation import recommend, recommend_after_apply
from distillation.evaluation.spending import doubling
from distillation.models import catalog
from distillation.records import Request, Run, TrainedModel
from tests.support.builders import any_estimate, any_report, any_run, any_split_facts

PRO, LITE = "amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"
LABEL_USD, JOB_USD = 0.0006, 7.5
"""Costs in US dollars of one label, and of a job on 900 images."""
USAGE = {
    **dict.fromkeys(("throttled", "reused", "input_tokens", "output_tokens", "training_tokens"), 0),
    "tier": "flex",
    "confirmed": True,
}


def entry(step: str, model: str, calls: int, usd: float) -> LedgerEntry:
    return LedgerEntry.model_validate({"step": step, "model": model, "calls": calls, "usd": usd} | USAGE)


PAID = Ledger(
    usd=LABEL_USD * 1_000 + JOB_USD,
    entries=[entry("LabelImages", PRO, 1_000, LABEL_USD * 1_000), entry("TrainModels", LITE, 1, JOB_USD)],
)


def interval(mean: float, half: float = 0.03) -> Interval:
    return Interval(mean=mean, ci95=(mean - half, mean + half))


def trained(size: int, **fields: Any) -> TrainedModel:
    return TrainedModel(size=size, status="Active", model_name=f"holiday-1-n{size}-a1", **fields)


def prices(run: Run, teacher: float = 0.65, student: float = 0.09) -> BreakEven:
    return break_even(run, teacher, student, Bounds(low=6, expected=8.1, high=10))


def gate(gain: Interval, *reasons: str, promoted: bool = True, **fields: Any) -> Gate:
    passed = not reasons
    name = "holiday-1-n900-a1" if passed and promoted else None
    return Gate(best="n900", gain=gain, passed=passed, promoted=name, reasons=list(reasons), **fields)


def curve(gain: float, half: float = 0.005, next_size: int = 1800) -> Curve:
    return Curve(line=[], next_size=next_size, expected=interval(0.5 + gain), gain=interval(gain, half))


def report(run: Run, figures: dict[str, Any] | None = None, **fields: Any) -> Report:
    """Return the report of a run that trained on all 900 of its training images.

    By default the model passed the gate and is promoted. ``figures`` are fields of the evaluation, ``scores`` among
    them are fields of its Jaccard indices.
    """
    figures = dict(figures or {})
    default: dict[str, Any] = {
        "models": [trained(900)],
        "photos": 1_200,
        "images": 1_200,
        "train": 900,
        "test": 300,
        "labelled": 1_200,
        "ledger": PAID,
        "usd": PAID.usd,
        "money": Money(by_step=[], break_even_images=None, break_even=prices(run)),
    }
    whole = any_report(**default | fields)
    assert whole.evaluation is not None
    scores = whole.evaluation.agreement.model_copy(
        update={"base": interval(0.30), "tuned": {"n900": interval(0.50)}, "ceiling": interval(0.70)}
        | figures.pop("scores", {})
    )
    valid = {name: {"valid": interval(share, 0)} for name, share in figures.pop("valid", {}).items()}
    evaluation = whole.evaluation.model_copy(
        update={"best": "n900", "agreement": scores, "metrics": valid, "test_images": 300, "gate": gate(interval(0.2))}
        | figures
    )
    more = doubling(run, evaluation, whole.models, whole.ledger)
    return whole.model_copy(update={"evaluation": evaluation, "doubling": more})


def untrained(run: Run, **fields: Any) -> Report:
    labels = Ledger(usd=0.6, entries=[entry("LabelImages", PRO, 1_000, 0.6)])
    default: dict[str, Any] = {"evaluation": None, "models": [], "until": run.request.until, "ledger": labels}
    return report(run).model_copy(update=default | fields)


def baseline(best: float, usd: float = 1.1, **fields: Any) -> Baseline:
    """Return a baseline whose best alternative is Nova 2 Lite."""
    scores = {"base": (interval(0.30), LITE, 0.09), "nova-2-lite": (interval(best), "amazon.nova-2-lite-v1:0", usd)}
    default: dict[str, Any] = {
        "test_images": 200,
        "test_groups": 200,
        "alternatives": [
            Alternative(name=name, label=model, model=model, agreement=score, valid=interval(1, 0), usd_per_1000=price)
            for name, (score, model, price) in scores.items()
        ],
        "ceiling": interval(0.70),
        "ceiling_valid": interval(1, 0),
        "teacher_usd_per_1000": 0.65,
        "best": "nova-2-lite",
        "gap": interval(0.70 - best),
        "minimum_gap": 0.05,
        "worth_training": True,
        "recommendation": Recommendation(action="train", text="Train."),
    }
    return Baseline(**default | fields)


def growth(stopped: Any, gain: Interval | None, usd: Bounds | None) -> Growth:
    rounds = [GrownRound(size=size, labels=size, usd=1.0, agreement=interval(0.5)) for size in (300, 900)]
    next_size = 2_700 if usd else None
    return Growth(rounds=rounds, next_size=next_size, next_gain=gain, next_usd=usd, stopped=stopped, reason="Why.")


ROUND_USD = Bounds(low=15, expected=20, high=27.5)
NOT_SIGNIFICANT = "the gain is not statistically significant (p = 0.500)"


# ---- 1. Labels and prompt --------------------------------------------------------------------------------------------


def test_many_refused_labels_are_a_reason_to_fix_the_prompt() -> None:
    run = any_run(tolerance=0.5)
    refused = [SetAside(photo=f"holiday/{number}.jpg", reason="is no list of keywords") for number in range(240)]
    result = recommend(run, report(run, labels_set_aside=refused, labelled=960))

    assert result.action == "fix the prompt"
    assert result.usd == pytest.approx(50 * LABEL_USD)
    assert result.text == (
        "Fix the prompt: 240 of 1200 labels were refused, such as holiday/0.jpg (is no list of keywords). State the "
        'answer format in the prompt and try it on 50 photos with {"sample": 50, "until": "LabelImages"} in '
        "distill.json for about $0.03."
    )


def test_refused_labels_that_a_training_run_would_tolerate_are_no_reason() -> None:
    run = any_run(until="LabelImages")
    refused = [SetAside(photo=f"{number}.jpg", reason="r") for number in range(61)]

    assert recommend(run, untrained(run, labels_set_aside=refused[:60], labelled=1_140)).action == "train"
    assert recommend(run, untrained(run, labels_set_aside=refused, labelled=1_139)).action == "fix the prompt"


def test_teacher_that_contradicts_itself_is_a_reason_to_fix_the_prompt_even_if_the_model_was_promoted() -> None:
    run = any_run()
    result = recommend(run, report(run, {"scores": {"ceiling": interval(0.33)}}))

    assert result.action == "fix the prompt"
    assert "two answers of the teacher about a photo agree with an agreement of 0.33 (95 % CI 0.30-0.36)" in result.text
    assert '200 photos with {"sample": 200, "until": "Baseline"} in distill.json for about $0.06.' in result.text
    assert result.usd == pytest.approx(2 * 200 * 0.25 * LABEL_USD)
    # The interval includes 0.4, so the teacher may be consistent enough.
    assert recommend(run, report(run, {"scores": {"ceiling": interval(0.38)}})).action != "fix the prompt"


def test_invalid_answers_of_the_tuned_model_are_a_reason_to_fix_the_prompt_of_the_student() -> None:
    run = any_run()
    refused = gate(interval(0.2), "270 of 300 answers are valid (base: 300)")
    result = recommend(run, report(run, {"gate": refused, "valid": {"n900": 0.9, "base": 1.0}}))

    assert (result.action, result.usd) == ("fix the prompt", pytest.approx(JOB_USD))
    assert "only 270 of 300 answers are valid (before training: 300), and gate_validity requires 98 %" in result.text
    assert "state the format in student_prompt and train again; labels are reused" in result.text
    assert "expected to cost $7.50" in result.text


# ---- 2. Teacher, or another model ------------------------------------------------------------------------------------


def test_teacher_is_used_at_a_volume_where_storage_costs_more_than_training_saves() -> None:
    run = any_run(images_per_month=1_000)
    result = recommend(run, report(run, {"gate": gate(interval(0.2), NOT_SIGNIFICANT)}))

    assert (result.action, result.usd) == ("use the teacher", pytest.approx(0.65))
    assert result.text == (
        "Use the teacher: at 1,000 images a month Nova Pro on the flex tier is expected to cost $0.65 a month, and a "
        "tuned Nova Lite $2.04, storage included. A tuned model costs less above 3,483 images a month."
    )
    just_enough = any_run(images_per_month=3_483)
    assert recommend(just_enough, report(just_enough)).action == "use the tuned model"


def test_promoted_model_that_costs_more_than_the_teacher_is_to_be_deleted() -> None:
    run = any_run(images_per_month=1_000)

    assert recommend(run, report(run)).text.endswith(
        "Delete the tuned model to end its storage: distill clean --yes --run holiday-1 --stage test"
    )


def test_teacher_is_used_at_any_volume_if_the_answers_of_the_student_cost_no_less() -> None:
    run = any_run()
    money = Money(by_step=[], break_even_images=None, break_even=prices(run, teacher=0.09))
    result = recommend(run, report(run, money=money))

    assert (result.action, result.usd) == ("use the teacher", 0.09)
    assert "training never pays for itself" in result.text


def test_estimate_is_enough_to_recommend_the_teacher() -> None:
    run = any_run(until="Estimate", images_per_month=0)
    money = Money(by_step=[], break_even_images=None)
    result = recommend(run, untrained(run, money=money, estimate=any_estimate(break_even=prices(run))))

    assert (result.action, result.usd) == ("use the teacher", 0)


@pytest.mark.parametrize("until", [None, "Baseline"])
def test_baseline_that_ended_the_run_recommends(until: Any) -> None:
    run = any_run(until=until, images_per_month=0)
    alternative = Recommendation(action="use an alternative", text="Do not distil.", usd=None)
    ended = untrained(run, baseline=baseline(0.69, worth_training=False, recommendation=alternative))

    assert recommend(run, ended) == alternative


def test_model_without_training_is_used_if_it_agrees_as_well_as_the_tuned_model_that_the_gate_refused() -> None:
    run = any_run()
    refused = gate(interval(0.04), "it is not valid")
    result = recommend(run, report(run, {"gate": refused}, baseline=baseline(0.52, 0.6)))

    assert (result.action, result.usd) == ("use an alternative", 0.6)
    assert "agrees with the teacher with an agreement of 0.52" in result.text
    assert "the tuned model with an agreement of 0.50" in result.text
    assert "1,000 images are expected to cost $0.60, without storage." in result.text
    assert recommend(run, report(run, {"gate": refused}, baseline=baseline(0.49, 0.6))).action == "stop here"


def test_model_without_training_that_costs_as_much_as_the_teacher_is_not_recommended() -> None:
    run = any_run()
    refused = gate(interval(0.04), "it is not valid")
    dear = baseline(0.52, 0.65)

    assert recommend(run, report(run, {"gate": refused}, baseline=dear)).action == "stop here"
    # The untuned student costs less than the teacher, and agrees better than the tuned model.
    worse = {"gate": refused, "scores": {"tuned": {"n900": interval(0.29)}}}
    assert "Use amazon.nova-lite-v1:0 without training" in recommend(run, report(run, worse, baseline=dear)).text


def test_model_without_training_replaces_a_promoted_one_only_if_it_costs_less_with_its_storage() -> None:
    run = any_run(images_per_month=5_000)

    # 5,000 images a month cost $0.45 with the tuned model, and its storage $1.95.
    cheap, dear = (report(run, baseline=baseline(0.52, usd)) for usd in (0.47, 0.49))
    assert (recommend(run, cheap).action, recommend(run, cheap).usd) == ("use an alternative", pytest.approx(2.35))
    assert recommend(run, dear).action == "use the tuned model"


# ---- 3. Incomplete measurements --------------------------------------------------------------------------------------


def test_19_test_images_cannot_tell_and_the_number_that_could_is_named() -> None:
    run = any_run()
    gain = Interval(mean=0.03, ci95=(-0.04, 0.10))
    few = {"gate": gate(gain, NOT_SIGNIFICANT), "test_images": 19, "gain_sd": 0.15, "detectable": 0.096}
    result = recommend(run, report(run, few))

    assert (result.action, result.effect) == ("cannot tell", gain)
    # A gain of minimum_gap, 0.05, is detected with 71 images: 52 more, a quarter of 208 photos.
    assert result.usd == pytest.approx(208 * LABEL_USD + JOB_USD)
    assert result.text == (
        "19 test images cannot tell whether training helps: the gain is +0.03 (95 % CI -0.04 to +0.10). Add about 208 "
        "photos and start again for about $7.62; about 71 test images can show a gain of 0.05."
    )


def test_number_of_test_images_above_the_cap_of_the_request_comes_with_the_cap_to_set() -> None:
    run = any_run(test_images=60)
    few = {"gate": gate(interval(0.03, 0.07), NOT_SIGNIFICANT), "test_images": 19, "gain_sd": 0.15}

    assert 'start again with {"test_images": 71} in distill.json' in recommend(run, report(run, few)).text


def test_gain_that_is_too_small_to_matter_needs_no_more_test_images() -> None:
    run = any_run()
    result = recommend(run, report(run, {"gate": gate(interval(0.01), NOT_SIGNIFICANT), "gain_sd": 0.9}))

    assert result.action == "stop here"
    assert result.text == (
        f"Stop here and do not use the tuned model: {NOT_SIGNIFICANT}. Nova Lite without training agrees with the "
        "teacher with an agreement of 0.30 (95 % CI 0.27-0.33)."
    )


@pytest.mark.parametrize(("failed", "action"), [(2_700, "train"), (300, "use the tuned model")])
def test_largest_size_is_trained_again_if_it_failed(failed: int, action: str) -> None:
    run = any_run(hyperparameters={"epochCount": 2})
    models = [trained(900), TrainedModel(size=failed, status="Failed", reason="The job was stopped.")]
    result = recommend(run, report(run, models=models))

    assert result.action == action
    if action == "train":
        assert result.usd == pytest.approx(3 * JOB_USD)
        assert result.text == (
            "Train on 2,700 images again, because that size failed: The job was stopped. Start the run with "
            '{"train_sizes": [2700]} in distill.json; labels are reused, so it is expected to cost $22.50. '
            "Until then, use the tuned model (900 images)."
        )


# ---- 4. No better than a constant answer -----------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "usd"), [(3, None), (0, 2 * JOB_USD)])
def test_model_that_was_not_deployed_is_reused_while_it_is_kept(days: int, usd: float | None) -> None:
    run = any_run(keep_on_failure_days=days, hyperparameters={"epochCount": 5})
    undeployed = TrainedModel(size=1_800, status="Failed", model_arn="arn:m", reason="no capacity")
    paid = Ledger(usd=3 * JOB_USD, entries=[entry("TrainModels", LITE, 2, 3 * JOB_USD)])
    result = recommend(run, report(run, models=[trained(900), undeployed], ledger=paid))

    assert (result.action, result.usd) == ("train", usd and pytest.approx(usd))
    assert ("within 3 days; labels and model are reused, so no training is paid for." in result.text) == (days == 3)


def not_above_control(run: Run, beyond_control: Interval | None) -> Report:
    refused = gate(
        interval(0.2), "it is not better than keywords", over_control=Interval(mean=0.01, ci95=(-0.01, 0.03))
    )
    return report(
        run,
        {
            "gate": refused,
            "scores": {"control": interval(0.49)},
            "headlines": Headlines(beyond_control=beyond_control),
        },
    )


def test_model_no_better_than_the_most_common_keywords_needs_more_photos_if_the_teacher_is_better() -> None:
    run = any_run(hyperparameters={"epochCount": 2})
    result = recommend(run, not_above_control(run, interval(0.05)))

    assert result.action == "more photos"
    assert result.usd == pytest.approx(1_800 * LABEL_USD + 3 * JOB_USD)
    assert result.text.startswith("Add about 2,400 photos and train on 2,700 images for about $23.58: the tuned model ")
    assert "(0.50) is not better than the best constant answer (0.49)" in result.text


def test_model_no_better_than_the_most_common_keywords_needs_a_prompt_if_the_teacher_is_no_better() -> None:
    run = any_run()
    result = recommend(run, not_above_control(run, None))

    assert result.action == "fix the prompt"
    assert "Ask for what differs between the photos" in result.text


# ---- 5. More images --------------------------------------------------------------------------------------------------


def test_run_that_its_budget_stopped_is_continued_with_a_larger_one() -> None:
    run = any_run()
    gain = interval(0.03, 0.02)
    result = recommend(run, report(run, {"curve": curve(0.02)}, growth=growth("budget", gain, ROUND_USD)))

    assert (result.action, result.usd, result.effect) == ("grow", 20, gain)
    assert result.text == (
        "Train on 2,700 images for about $20.00 ($15.00 to $27.50); max_usd ended the run before that. Start it again "
        'with {"train_sizes": [2700], "max_usd": 28} in distill.json; labels are reused. Expected gain: +0.03 (95 % '
        "CI +0.01 to +0.05). Until then, use the tuned model (900 images)."
    )


def test_sizes_to_train_can_be_added_to_a_request_with_grow() -> None:
    run = any_run(grow=True)
    budget = report(run, growth=growth("budget", interval(0.03), ROUND_USD), train=9_000)
    failed = report(run, models=[TrainedModel(size=900, status="Failed", reason="no")])
    rising = report(run, {"curve": curve(0.03)}, train=9_000)

    for found in (budget, failed, rising):
        fields = json.loads(recommend(run, found).text.partition("with ")[2].partition(" in distill.json")[0])
        merged = Request.model_validate(run.request.model_dump(exclude_unset=True) | fields)
        assert (merged.grow, bool(merged.train_sizes)) == (False, True)


def test_gain_that_cannot_be_predicted_is_not_promised() -> None:
    run = any_run()
    result = recommend(run, report(run, growth=growth("budget", None, ROUND_USD)))

    assert (result.action, result.effect) == ("grow", None)
    assert "Its gain cannot be predicted yet." in result.text


def test_more_photos_are_added_while_the_curve_rises_and_all_images_are_used() -> None:
    run = any_run(hyperparameters={"epochCount": 2})
    result = recommend(run, report(run, {"curve": curve(0.03, 0.02)}))

    assert (result.action, result.effect) == ("more photos", interval(0.03, 0.02))
    assert result.usd == pytest.approx(900 * LABEL_USD + 2 * JOB_USD)
    assert result.text == (
        "Add about 1,200 photos and train on 1,800 images for about $15.54, labels included. Expected gain: +0.03 "
        "(95 % CI +0.01 to +0.05). Until then, use the tuned model (900 images)."
    )


@pytest.mark.parametrize(
    ("not_sampled", "text"),
    [
        (1_200, "Raise sample to 2,400 and train on 1,800 images for about $"),
        (1_000, "Add about 200 photos, leave out sample and train on 1,800 images for about $"),
    ],
)
def test_photos_that_the_sample_left_out_are_used_before_photos_are_added(not_sampled: int, text: str) -> None:
    run = any_run(sample=1_200)
    split = any_split_facts(not_sampled=not_sampled)
    found = report(run, {"curve": curve(0.03)}, photos=1_200 + not_sampled, split=split)

    assert recommend(run, found).text.startswith(text)


def test_test_images_come_from_the_photos_that_the_sample_left_out() -> None:
    run = any_run(sample=76)
    few = {"gate": gate(interval(0.03, 0.07), NOT_SIGNIFICANT), "test_images": 19, "gain_sd": 0.15}
    found = report(run, few, split=any_split_facts(not_sampled=1_124))

    assert "Raise sample to 284 and start again for about $" in recommend(run, found).text


def test_images_that_exist_are_used_before_photos_are_added() -> None:
    run = any_run()
    result = recommend(run, report(run, {"curve": curve(0.03)}, train=4_000))

    assert result.action == "grow"
    assert result.text.startswith(
        'Train on 1,800 of your 4,000 training images with {"train_sizes": [1800]} in distill.json for about $'
    )


def test_curve_is_not_followed_beyond_the_records_that_bedrock_accepts() -> None:
    run, limit = any_run(), catalog.get_model(LITE).family.maximum_records
    at_limit, beyond = ({"curve": curve(0.03, next_size=size)} for size in (limit, limit + 1))

    assert recommend(run, report(run, at_limit)).action == "more photos"
    assert recommend(run, report(run, beyond)).action == "use the tuned model"


# ---- 6. The run has ended as planned ---------------------------------------------------------------------------------


def test_run_stops_where_growth_is_flat() -> None:
    run = any_run()
    flat = growth("flat", interval(0.004, 0.003), ROUND_USD)
    # Twice as many images may still be worth it by the curve, although three times as many are not worth their price.
    result = recommend(run, report(run, {"curve": curve(0.011)}, growth=flat))

    assert (result.action, result.usd, result.effect) == ("stop here", None, interval(0.2))
    assert result.text == (
        "Stop here and use the tuned model (900 images). Why. The next round would cost about $20.00."
    )


def test_promoted_model_is_used_if_the_curve_is_flat() -> None:
    run = any_run()
    result = recommend(run, report(run, {"curve": curve(0.004)}))

    assert (result.action, result.usd, result.effect) == ("use the tuned model", 0.09, interval(0.2))
    assert result.text == (
        "Use the tuned model (900 images): it agrees with the teacher with an agreement of 0.50 (95 % CI "
        "0.47-0.53), up from 0.30 before training. 1,000 images cost $0.09 plus $1.95 a month for storage, against "
        "$0.65 with Nova Pro on the flex tier. Apply it with: distill apply COLLECTION --run holiday-1 --stage test"
    )


def test_monthly_cost_has_the_storage_if_the_request_has_the_volume() -> None:
    run = any_run(images_per_month=10_000)
    result = recommend(run, report(run))

    assert (result.action, result.usd) == ("use the tuned model", pytest.approx(2.85))
    assert "10,000 images a month are expected to cost $2.85, storage included, against $6.50" in result.text


def test_model_that_passed_and_was_not_kept_is_trained_again() -> None:
    run = any_run(keep="none")
    result = recommend(run, report(run, {"gate": gate(interval(0.2), promoted=False)}))

    assert (result.action, result.usd) == ("train", pytest.approx(JOB_USD))
    assert '{"keep": "best"} in distill.json' in result.text


# ---- Runs that trained nothing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("until", ["LabelImages", "ValidateDataset"])
def test_labels_are_checked_before_they_are_trained_on(until: Any) -> None:
    run = any_run(until=until)
    result = recommend(run, untrained(run), Bounds(low=2, expected=2.5, high=4))

    assert (result.action, result.usd) == ("train", 2.5)
    assert result.text == (
        "Check the labels in the report, then start the run again without 'until'. Labels are reused; the first "
        "verdict is expected to cost $2.50 ($2.00 to $4.00)."
    )


def test_run_that_was_only_estimated_is_started() -> None:
    run = any_run(until="Estimate")
    result = recommend(run, untrained(run), Bounds(low=3, expected=4.5, high=6))

    assert (result.action, result.usd) == ("train", 4.5)
    assert result.text == (
        "Start the run again without 'until'; the first verdict is expected to cost $4.50 ($3.00 to $6.00)."
    )


def test_price_that_is_unknown_is_not_invented() -> None:
    run = any_run(until="LabelImages")
    result = recommend(run, untrained(run))

    assert result.usd is None
    assert result.text.endswith("Labels are reused; for the price: distill estimate holiday/ --stage test")


def test_report_without_an_estimate_has_a_recommendation() -> None:
    run = any_run()
    money = Money(by_step=[], break_even_images=None)

    assert recommend(run, report(run, estimate=None, money=money)).action == "use the tuned model"
    assert recommend(run, untrained(run, estimate=None, money=money)).action == "train"


# ---- After apply -----------------------------------------------------------------------------------------------------


def audit(**fields: Any) -> Audit:
    default = {"asked": 40, "images": 40, "agreement": interval(0.52), "evaluation": interval(0.50), "drifted": False}
    return Audit.model_validate(default | fields)


APPLIED = Ledger(usd=0.1, entries=[entry("PredictImages", PRO, 40, 0.024), entry("PredictImages", LITE, 900, 0.08)])


def test_newer_photos_are_labelled_and_trained_on_after_a_drift() -> None:
    drifted = audit(agreement=interval(0.41), drifted=True)
    result = recommend_after_apply(any_run(apply="summer-1"), drifted, APPLIED)

    assert (result.action, result.usd) == ("train", pytest.approx(300 * LABEL_USD))
    assert result.text == (
        "Label newer photos and train again: on 40 audited photos the tuned model of run summer-1 agrees with the "
        "teacher with an agreement of 0.41 (95 % CI 0.38-0.44), below the 0.50 of its evaluation. "
        "300 labels are expected to cost $0.18."
    )


def test_model_that_agrees_as_in_its_evaluation_is_kept_in_use() -> None:
    result = recommend_after_apply(any_run(apply="summer-1"), audit(), APPLIED)

    assert (result.action, result.usd) == ("use the tuned model", None)
    assert "Keep using the tuned model of run summer-1" in result.text
    assert "shows no drift" in result.text


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, "--audit-share 0.02"),
        (audit(evaluation=None), "because the report of its evaluation cannot be read, or compares it with your own"),
        (
            audit(images=0, agreement=None, reason="no access"),
            "because 0 of 40 photos have a label of the teacher (no access); 10 are needed.",
        ),
        (audit(images=9), "because 9 of 40 photos have a label of the teacher; 10 are needed."),
    ],
)
def test_run_without_a_usable_audit_cannot_tell(found: Audit | None, text: str) -> None:
    result = recommend_after_apply(any_run(apply="summer-1"), found, APPLIED)

    assert result.action == "cannot tell"
    assert text in result.text


# ---- Local models ----------------------------------------------------------------------------------------------------


def local_run(**request: Any) -> Run:
    return any_run(**request).model_copy(update={"student": "local.student-pixels-v1:0"})


@pytest.mark.parametrize(
    ("request_fields", "fields", "figures", "start"),
    [
        ({}, {}, {}, "Use the tuned model (900 images): it agrees"),
        ({}, {}, {"curve": curve(0.05)}, "Add about 1,200 photos and train on 1,800 images, labels included."),
        ({}, {"growth": growth("flat", None, ROUND_USD)}, {}, "Stop here and use the tuned model (900 images). Why."),
        ({"keep": "none"}, {"promoted": None}, {"gate": gate(interval(0.2), promoted=False)}, "Start the run again"),
    ],
    ids=["use", "curve", "flat", "none kept"],
)
def test_recommendation_after_local_models_names_no_price(
    request_fields: dict[str, Any], fields: dict[str, Any], figures: dict[str, Any], start: str
) -> None:
    run = local_run(**request_fields)
    result = recommend(run, report(run, dict(figures), **fields))

    assert result.text.startswith(start)
    assert "$" not in result.text
    assert result.usd is None
    assert "$" in recommend(any_run(**request_fields), report(any_run(**request_fields), dict(figures), **fields)).text


def test_price_of_local_models_is_no_reason_to_use_the_teacher() -> None:
    run = local_run(images_per_month=1_000)

    assert recommend(run, report(run)).action == "use the tuned model"
    assert recommend(any_run(images_per_month=1_000), report(run)).action == "use the teacher"


def test_local_run_that_stopped_after_its_labels_is_started_again_without_a_price() -> None:
    run = local_run(until="LabelImages")
    result = recommend(run, untrained(run, until="LabelImages"), Bounds(low=1, expected=2, high=3))

    assert result.text == "Check the labels in the report, then start the run again without 'until'."
    assert result.usd is None
