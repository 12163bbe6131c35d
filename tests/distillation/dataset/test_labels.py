from __future__ import annotations

import pytest

from distillation import keys
from distillation.answers.formats import FORMATS
from distillation.dataset.labels import read_labels
from distillation.records import AnswerLine, Limits, Run
from tests.support.builders import any_run
from tests.support.fakes import bucket

IMAGE = f"{1:064x}"


def label_of(*texts: str | None, run: Run | None = None) -> AnswerLine:
    """Return the label of an image whose samples say these texts; None is one that was refused."""
    run, data = run or any_run(samples_per_image=len(texts), temperature=0.5), bucket()
    lines = [
        {"image": IMAGE, "answerer": "teacher", "sample": sample, "format": "keywords"}
        | ({"status": "ok", "text": text} if text else {"status": "refused", "reason": "no"})
        for sample, text in enumerate(texts)
    ]
    data.write_lines(keys.part_key(run.name, "label", "b"), lines)
    return read_labels(run, data)[IMAGE]


@pytest.mark.parametrize(
    ("texts", "agreed"),
    [
        (["Cat, sofa; lamp"], "Cat, sofa; lamp"),
        (["sofa, Cat, lamp", "cat, dog", "cat, sofa, tree"], "Cat, sofa"),
        (["cat, sofa", "dog, cat"], "cat, sofa, dog"),
        (["black-and-white, Straße", "black and white, strasse", "x"], "black-and-white, Straße"),
        (["1. cat\n2. sofa", "Objects: sofa, cat", "y"], "cat, sofa"),
    ],
)
def test_label_is_what_at_least_half_of_the_samples_say_spelt_as_it_was(texts: list[str], agreed: str) -> None:
    assert label_of(*texts).text == agreed


def test_one_sample_stays_word_for_word() -> None:
    assert label_of("- Cat\n- Sofa.").text == "- Cat\n- Sofa."
    assert label_of("cat").disagreement is None


def test_label_has_no_more_keywords_than_were_asked_for() -> None:
    run = any_run(samples_per_image=2, temperature=0.5).model_copy(update={"limits": Limits(maximum=2)})

    assert label_of("lamp, cat", "sofa, cat", run=run).text == "cat, lamp"


def test_refused_samples_have_no_vote_and_too_few_that_count_make_no_label() -> None:
    assert label_of("cat, sofa", "cat, dog", None).text == "cat"

    refused = label_of("cat, sofa", None, None)
    assert (refused.status, refused.text) == ("refused", None)
    assert refused.reason == "only 1 of 3 answers count: no"


def test_samples_that_agree_on_nothing_make_no_label() -> None:
    refused = label_of("a", "b", "c")

    assert (refused.status, refused.reason) == ("refused", "the 3 answers agree on nothing")


def test_disagreement_is_between_the_samples() -> None:
    assert label_of("cat, sofa", "sofa, cat").disagreement == 0
    assert label_of("cat, sofa", "cat, dog").disagreement == pytest.approx(2 / 3, abs=1e-4)


def test_all_that_reads_answers_finds_its_format_in_one_table() -> None:
    form = FORMATS[any_run().answer_format]

    assert form.items("Cats, CATS") == ["cats"]
    assert form.rejection(form.consensus(["Cats"], 1, Limits()), Limits()) is None
