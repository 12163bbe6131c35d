from __future__ import annotations

import pytest

from distillation import keys
from distillation.answers.formats import format_of
from distillation.dataset.labels import read_labels, require_labels
from distillation.errors import ObjectDamaged, ObjectMissing
from distillation.photos.inventory import read_inventory
from distillation.records import AnswerLine, InventoryLine, Run
from distillation.storage import Bucket
from tests.support.builders import any_run, image_names, run_with_limits
from tests.support.fakes import bucket
from tests.support.resized_collection import resized_collection, rounds, split
from tests.support.stored import read_lines

IMAGE = f"{1:064x}"


def label_of(*texts: str | None, run: Run | None = None) -> AnswerLine:
    """Return the label of an image with one sample per text; None is a refused sample."""
    run, data = run or any_run(samples_per_image=len(texts), temperature=0.5), bucket()
    lines = [
        {"image": IMAGE, "answerer": "teacher", "sample": sample}
        | ({"status": "ok", "text": text} if text else {"status": "refused", "reason": "no"})
        for sample, text in enumerate(texts)
    ]
    data.write_lines(keys.part_key(run.name, "label", "b"), lines)
    return read_labels(run, data)[IMAGE]


@pytest.mark.parametrize(
    ("texts", "agreed"),
    [
        (["Cat, sofa; lamp"], "Cat, sofa; lamp"),
        (["\ufeffCat, so\u200bfa\u202e\nlamp"], "Cat, sofa\nlamp"),
        (["c\u200bat, می\u200cخواهم", "cat\u2060, می\u200cخواهم"], "cat, می\u200cخواهم"),
        (["sofa, Cat, lamp", "cat, dog", "cat, sofa, tree"], "Cat, sofa"),
        (["cat, sofa", "dog, cat"], "cat, sofa, dog"),
        (["black-and-white, Straße", "black and white, strasse", "x"], "black-and-white, Straße"),
        (["1. cat\n2. sofa", "Objects: sofa, cat", "y"], "cat, sofa"),
    ],
)
def test_label_has_the_keywords_of_at_least_half_of_the_samples_as_written(texts: list[str], agreed: str) -> None:
    assert label_of(*texts).text == agreed


@pytest.mark.parametrize(
    "text",
    ["<thinking>A cat on a sofa.</thinking>Cat, sofa", "Here are the keywords:\n- Cat\n- sofa", "Cat, sofa, cat, Cat"],
)
def test_label_of_one_sample_has_only_its_keywords(text: str) -> None:
    assert label_of(text).text == "Cat, sofa"


def test_label_of_one_sample_is_unchanged() -> None:
    assert label_of("- Cat\n- Sofa.").text == "- Cat\n- Sofa."
    assert label_of("cat").disagreement is None


def test_label_has_at_most_the_requested_number_of_keywords() -> None:
    run = run_with_limits(1, 2, samples_per_image=2, temperature=0.5)

    assert label_of("lamp, cat", "sofa, cat", run=run).text == "cat, lamp"


def test_refused_samples_do_not_vote_and_too_few_valid_samples_refuse_the_label() -> None:
    assert label_of("cat, sofa", "cat, dog", None).text == "cat"

    refused = label_of("cat, sofa", None, None)
    assert (refused.status, refused.text) == ("refused", None)
    assert refused.reason == "only 1 of 3 answers are valid: no"


def test_label_is_refused_if_the_samples_share_no_keyword() -> None:
    refused = label_of("a", "b", "c")

    assert (refused.status, refused.reason) == ("refused", "the 3 answers do not agree")


def test_disagreement_is_one_minus_the_mean_jaccard_index_of_the_samples() -> None:
    assert label_of("cat, sofa", "sofa, cat").disagreement == 0
    assert label_of("cat, sofa", "cat, dog").disagreement == pytest.approx(2 / 3, abs=1e-4)


def test_label_may_be_any_consensus_of_its_format() -> None:
    keywords = format_of(any_run())
    label = keywords.consensus([keywords.parse("Cats, CATS")], 1)

    assert keywords.write(label) == "Cats"
    assert keywords.label_problem(label) is None


def run_after_its_baseline_round() -> tuple[Run, Bucket, list[InventoryLine]]:
    """Return a run of 60 images whose baseline round is labelled, with its Data bucket and its inventory."""
    run, data = any_run(), resized_collection(image_names(60))
    split(run, data)
    images = [line["image"] for line in read_lines(data, rounds(data)[0].to_label_key)]
    lines = [{"image": image, "answerer": "teacher", "status": "ok", "text": "cat"} for image in images]
    data.write_lines(keys.part_key(run.name, "label", "b"), lines)
    return run, data, read_inventory(run, data)


def test_run_that_ends_in_its_baseline_round_needs_the_labels_of_that_round_alone() -> None:
    run, data, inventory = run_after_its_baseline_round()
    labelled = read_labels(run, data).keys()

    require_labels(run, 0, inventory, labelled, data)
    with pytest.raises(ObjectMissing, match="images have no line of the teacher"):
        require_labels(run, 1, inventory, labelled, data)
    with pytest.raises(ObjectMissing, match=f"1 of {len(labelled)} images have no line of the teacher"):
        require_labels(run, 0, inventory, list(labelled)[1:], data)


def test_list_of_images_that_was_cut_off_is_named() -> None:
    run, data, inventory = run_after_its_baseline_round()
    key = rounds(data)[0].to_label_key
    data.write(key, b"".join(data.read(key).splitlines(keepends=True)[1:]))

    with pytest.raises(ObjectDamaged, match=rf"{key} has \d+ images, but Split wrote \d+\. .* Start the run again"):
        require_labels(run, 0, inventory, read_labels(run, data).keys(), data)


VOCABULARY = {"format": "keywords", "vocabulary": {"Cat": ["kitty"]}, "closed_vocabulary": True}


@pytest.mark.parametrize(
    ("texts", "label"),
    [
        (["kitty, sofa"], "Cat"),
        (["- Cat"], "- Cat"),
        (["kitty, sofa", "cats, sofa", "Cat, lamp"], "Cat"),
    ],
    ids=["one sample", "one sample in preferred terms", "consensus"],
)
def test_label_is_in_the_terms_of_the_vocabulary_and_knows_what_was_answered(texts: list[str], label: str) -> None:
    run = any_run(samples_per_image=len(texts), temperature=0.5).model_copy(update={"answers": VOCABULARY})
    line = label_of(*texts, run=run)

    assert line.text == label
    assert (line.answered or [line.text]) == texts


CLASSES = {"format": "class", "labels": ["people", "street art"]}


@pytest.mark.parametrize(
    ("texts", "agreed"),
    [
        (["**Street-Art**"], "street art"),
        (["People.", "street art", '{"label": "people"}'], "people"),
        (["people", "street art"], None),
    ],
    ids=["one sample", "two of three", "a tie"],
)
def test_class_of_an_image_is_that_of_most_samples_as_the_prompt_spells_it(
    texts: list[str], agreed: str | None
) -> None:
    run = any_run(samples_per_image=len(texts), temperature=0.5).model_copy(update={"answers": CLASSES})
    label = label_of(*texts, run=run)

    assert label.text == agreed
    assert label.status == ("ok" if agreed else "refused")
