from __future__ import annotations

import json
from typing import Any

import pytest

from distillation import keys
from distillation.documents import WinRate
from distillation.errors import InvalidRequest
from distillation.evaluation.preferences import (
    MARKER,
    Other,
    preference_page,
    preference_sentence,
    read_comparison,
    read_preferences,
    tuned_is_left,
    wilson,
    win_rates,
    with_preferences,
)
from distillation.records import AnswerLine, Run
from distillation.storage import Bucket
from tests.distillation.evaluation.labelled_run import labelled_run
from tests.support.builders import any_run
from tests.support.formats import EXAMPLES, LABELS
from tests.support.stored import read_lines

IMAGES = [f"{number:064x}" for number in range(40)]


def compared_run(format_name: str = "keywords", equal: int = 0) -> tuple[Run, Bucket]:
    """Return a run with answers of base and n12; the first ``equal`` test images have the teacher's from both."""
    run = any_run().model_copy(update={"answers": EXAMPLES[format_name].model_dump()})
    texts = LABELS[format_name]
    data = labelled_run(run, [texts[number % 4] for number in range(200)])
    for name, shift in (("base", 1), ("n12", 2)):
        lines = [
            AnswerLine(
                image=image, answerer=name, status="ok", text=texts[(int(image, 16) + (number >= equal) * shift) % 4]
            )
            for number, image in enumerate(images_in(data, "test"))
        ]
        data.write_lines(keys.predictions_key(run.name, name), [line.model_dump(exclude_none=True) for line in lines])
    return run, data


def images_in(data: Bucket, name: str) -> list[str]:
    return [line["image"] for line in read_lines(data, keys.split_key("holiday-1", name))]


def judged(against: Other, wins: int, losses: int = 0, ties: int = 0, both_bad: int = 0) -> list[dict[str, Any]]:
    """Return judgements with these outcomes for the tuned model."""
    outcomes = ["win"] * wins + ["loss"] * losses + ["tie"] * ties + ["both bad"] * both_bad
    judgements = []
    for image, outcome in zip(IMAGES, outcomes, strict=False):
        is_left = tuned_is_left("holiday-1", image, against)
        side = "left" if is_left == (outcome == "win") else "right"
        choice = side if outcome in ("win", "loss") else outcome
        judgements.append({"image": image, "against": against, "choice": choice})
    return judgements


def file_of(judgements: list[dict[str, Any]], **fields: Any) -> bytes:
    default = {"run": "holiday-1", "tuned": "n12", "equal": {"teacher": 3, "base": 1}, "images": 40}
    return json.dumps({**default, "judgements": judgements, **fields}).encode()


def rates_of(body: bytes) -> list[WinRate]:
    return win_rates(read_preferences(body, "p.json"), "holiday-1", "n12", IMAGES, "p.json")


@pytest.mark.parametrize("body", [b"{}", b"photo,label"], ids=["fields", "csv"])
def test_another_file_is_refused_with_the_page_that_writes_the_right_one(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"Name the file that the page of distill prefer downloaded\."):
        rates_of(body)


def test_half_of_the_pairs_are_against_each_answerer_and_each_has_one_answer_of_the_tuned_model() -> None:
    run, data = compared_run()
    comparison = read_comparison(run, "n12", data)
    pairs = comparison.pairs(21)

    assert [sum(pair.against == other for pair in pairs) for other in ("teacher", "base")] == [11, 10]
    assert comparison.pairs(21) == pairs
    assert {pair.image for pair in pairs} <= set(images_in(data, "test"))
    for pair in pairs:
        sides = [pair.left, pair.right]
        assert sides[not tuned_is_left(run.name, pair.image, pair.against)] == comparison.cells("n12", pair.image)
        assert pair.left != pair.right
    assert len({tuned_is_left(run.name, pair.image, pair.against) for pair in pairs}) == 2


def test_equal_answers_are_counted_and_not_judged() -> None:
    run, data = compared_run(equal=6)
    comparison = read_comparison(run, "n12", data)
    test = images_in(data, "test")

    assert comparison.equal() == {"teacher": 6, "base": 6}
    assert len(comparison.pairs(1000)) == 2 * (len(test) - 6)


def test_one_image_of_a_group_of_near_duplicates_is_judged() -> None:
    run, data = compared_run()
    lines = list(read_lines(data, keys.split_key(run.name, "test")))
    for line in lines[:5]:
        line["group"] = lines[0]["image"]
    data.write_lines(keys.split_key(run.name, "test"), lines)

    assert len(read_comparison(run, "n12", data).lines) == len(lines) - 4


def test_answer_that_is_not_valid_is_shown_as_it_is_and_a_missing_one_is_named() -> None:
    run, data = compared_run()
    key = keys.predictions_key(run.name, "n12")
    first, second, *lines = read_lines(data, key)
    data.write_lines(key, [first | {"status": "refused", "text": "Sorry,\u202e no", "reason": "no"}, *lines])
    comparison = read_comparison(run, "n12", data)

    assert comparison.cells("n12", first["image"]) == ["Sorry, no"]
    assert comparison.cells("n12", second["image"]) == ["(no answer)"]


def test_images_with_your_own_label_are_not_compared_with_the_teacher() -> None:
    run, data = compared_run()
    test = images_in(data, "test")
    own = {"image": test[0], "photo": "holiday/x.jpg", "text": "mine"}
    data.write_lines(keys.own_labels_key(run.name), [own])

    assert test[0] not in {line.image for line in read_comparison(run, "n12", data).lines}


@pytest.mark.parametrize("name", EXAMPLES)
def test_page_of_each_format_has_all_pairs(name: str) -> None:
    run, data = compared_run(name)
    comparison = read_comparison(run, "n12", data)
    pairs = comparison.pairs(10)
    page = preference_page(comparison, pairs, data)

    assert page.count('"against"') == len(pairs) == 10
    assert page.count("data:image/jpeg") == len({pair.image for pair in pairs})


@pytest.mark.parametrize(
    ("judgements", "rate", "interval"),
    [
        (judged("base", 25), 1.0, (0.867, 1.0)),
        (judged("base", 0, 25), 0.0, (0.0, 0.133)),
        (judged("base", 10, 10, 4, 1), 0.5, (0.318, 0.682)),
        (judged("base", 15, 5, 3, 2), 0.7, (0.504, 0.843)),
    ],
    ids=["all wins", "all losses", "even", "more wins"],
)
def test_win_rate_counts_ties_as_half_a_win_and_has_the_interval_of_wilson(
    judgements: list[dict[str, Any]], rate: float, interval: tuple[float, float]
) -> None:
    (found,) = rates_of(file_of(judgements))

    assert found.rate == pytest.approx(rate)
    assert found.ci95 == pytest.approx(interval, abs=0.001)
    assert found.wins + found.losses + found.ties + found.both_bad == found.pairs == 25
    assert (found.equal, found.images) == (1, 40)


@pytest.mark.parametrize("wins", [0, 3, 13, 25])
def test_interval_is_that_of_scipy(wins: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    interval = stats.binomtest(wins, 25).proportion_ci(0.95, "wilson")

    assert wilson(wins / 25, 25) == pytest.approx((interval.low, interval.high), abs=1e-6)


def test_sentence_has_rate_interval_and_counts() -> None:
    (found,) = rates_of(file_of(judged("teacher", 10, 12, 2, 1)))

    assert preference_sentence(found) == (
        "A person preferred the tuned model's answer to that of the teacher in 46 % of 25 pairs (95 % CI 28-65 %): "
        "10 better, 12 worse, 2 as good, 1 both bad."
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "p.json is not JSON"),
        (b"[]", "p.json: "),
        (file_of([]), "p.json has no judgement"),
        (file_of(judged("base", 1), run="other"), "is about run 'other', not 'holiday-1'"),
        (file_of(judged("base", 1), tuned="n6"), "compares 'n6', but the run's best model is 'n12'"),
        (file_of(judged("base", 1) * 2), "judges a pair twice"),
        (file_of([{"image": "ff", "against": "base", "choice": "tie"}]), "names 1 images that are not test images"),
        (file_of([{"image": IMAGES[0], "against": "base", "choice": "middle"}]), "judgements.0.choice"),
        (file_of([{"image": IMAGES[0], "against": "ceiling", "choice": "tie"}]), "judgements.0.against"),
    ],
    ids=["no JSON", "a list", "empty", "other run", "other model", "twice", "unknown image", "choice", "against"],
)
def test_file_that_is_not_of_this_run_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        rates_of(body)

    assert message in str(error.value)


def test_win_rates_are_put_at_their_place_in_the_report() -> None:
    rates = rates_of(file_of([*judged("teacher", 1, 2), *judged("base", 3)]))
    page = with_preferences(f"<p>before</p>{MARKER}<p>after</p>", "n12", rates)

    before, _, after = page.partition(MARKER)
    assert before == "<p>before</p>"
    assert after.endswith("<p>after</p>")
    assert after.count("<tr>") == 3
    assert "tuned on 12 against" in after
    with pytest.raises(InvalidRequest, match="no place for preferences"):
        with_preferences("<p>old</p>", "n12", rates)
