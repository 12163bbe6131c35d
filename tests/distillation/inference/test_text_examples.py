from __future__ import annotations

from typing import Any

from distillation import keys
from distillation.inference.text_examples import EXAMPLE_CANDIDATES, MAXIMUM_EXAMPLES, read_examples, with_examples
from distillation.records import Answer, OwnLabel, Prompt, Run, SplitLine, Usage
from distillation.storage import Bucket
from tests.support.builders import image_names, run_with_limits
from tests.support.fakes import bucket

IMAGES = image_names(10)


def labelled(run: Run, texts: dict[int, str]) -> Bucket:
    """Return a bucket with a training set of ten images, of which some have a stored answer of the teacher."""
    data = bucket()
    lines = [SplitLine(image=image, group=image, photo=image, width=60, height=40) for image in IMAGES]
    data.write_lines(keys.split_key(run.name, "train"), [line.model_dump() for line in lines])
    for number, text in texts.items():
        store(data, keys.label_key(run.teacher.id, IMAGES[number], 0), number, text)
    return data


def store(data: Bucket, key: str, number: int, text: str, **fields: Any) -> None:
    usage = Usage(input_tokens=1, output_tokens=1)
    answer = Answer(model="m", image=IMAGES[number], text=text, stop_reason="end_turn", usage=usage)
    data.write_document(key, answer.model_copy(update=fields))


def test_examples_are_the_first_valid_labels_of_the_training_images() -> None:
    run = run_with_limits(2, 3)
    texts = {number: f"cat, thing {number}" for number in range(10)}
    texts |= {1: "I cannot help with that.", 2: "one", 3: "a, b, c, d"}

    assert read_examples(run, labelled(run, texts)) == [f"cat, thing {number}" for number in (0, 4, 5, 6, 7)]
    assert (MAXIMUM_EXAMPLES, EXAMPLE_CANDIDATES) == (5, 8)


def test_only_the_images_that_the_baseline_round_labels_are_candidates() -> None:
    run = run_with_limits(2, 3)

    assert read_examples(run, labelled(run, {8: "cat, sofa", 9: "dog, sea"})) == []


def test_answer_that_was_cut_off_is_no_example_but_its_retry_is() -> None:
    run = run_with_limits(2, 3)
    data = labelled(run, {})
    store(data, keys.label_key(run.teacher.id, IMAGES[0], 0), 0, "cat, so", stop_reason="max_tokens")
    store(data, keys.label_retry_key(run.teacher.id, IMAGES[0], 0), 0, "cat, sofa")

    assert read_examples(run, data) == ["cat, sofa"]


def test_own_labels_are_examples_unless_they_are_for_comparison_only() -> None:
    run, gold = run_with_limits(2, 3), run_with_limits(2, 3, own_labels="gold")
    data = labelled(run, {0: "cat, sofa", 1: "dog, sea"})
    own = OwnLabel(image=IMAGES[0], photo="0.jpg", text="my cat, my sofa")
    data.write_lines(keys.own_labels_key(run.name), [own.model_dump()])

    assert read_examples(run, data) == ["my cat, my sofa", "dog, sea"]
    assert read_examples(gold, data) == ["cat, sofa", "dog, sea"]


def test_examples_follow_the_system_prompt_and_the_question_stays_the_same() -> None:
    prompt = with_examples(Prompt(system="You index photographs.", user="Write keywords."), ["cat, sofa", "dog, sea"])

    assert prompt.system == (
        "You index photographs.\n\nExamples of good answers, about other images:\n\ncat, sofa\n\ndog, sea"
    )
    assert prompt.user == "Write keywords."


def test_examples_may_make_the_prompt_longer_than_a_request_allows() -> None:
    assert len(with_examples(Prompt(system="s" * 9_999, user="u"), ["cat, sofa"]).system) > 10_000


def test_example_is_in_the_terms_of_the_vocabulary() -> None:
    answers = {"format": "keywords", "vocabulary": {"cat": ["kitty"]}, "closed_vocabulary": True}
    run = run_with_limits(1, 3).model_copy(update={"answers": answers})

    assert read_examples(run, labelled(run, {0: "kitty, sofa"})) == ["cat"]
