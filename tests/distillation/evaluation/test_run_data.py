from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from distillation import keys
from distillation.answers.formats import format_of
from distillation.documents import Loss, Money, Report, SetAside
from distillation.errors import ObjectDamaged, ObjectMissing
from distillation.evaluation.evaluation import evaluate
from distillation.evaluation.run_data import RunData, read_run, write_predictions
from distillation.records import InventoryLine, TrainedModel
from distillation.storage import Bucket
from tests.distillation.evaluation.finished_run import (
    IMAGES,
    LAST_ROUND,
    MODELS,
    TEST,
    TRAIN,
    answer_line,
    finished_run,
)
from tests.support.builders import any_run, any_split_facts
from tests.support.stored import read_lines


def run_data(**request: Any) -> RunData:
    run = any_run(**request)
    return read_run(run, LAST_ROUND, MODELS, finished_run(run))


def test_evidence_has_the_answers_about_the_test_images() -> None:
    evidence = run_data(gate_margin=0.1, service_tier="flex").evidence()

    assert evidence is not None
    assert list(evidence.labels) == IMAGES[TRAIN:]
    assert list(evidence.answerers) == ["base", "n12", "ceiling"]
    assert len(evidence.training) == TRAIN - 1
    assert evidence.gold == {}
    assert evidence.models == {
        "teacher": "amazon.nova-pro-v1:0",
        "base": "amazon.nova-lite-v1:0",
        "n12": "amazon.nova-lite-v1:0",
    }
    assert (evidence.tier, evidence.gate_margin) == ("flex", 0.1)


@pytest.mark.parametrize(("asked", "validated"), [(("n12", "n24"), 3), (("n12",), 0)])
def test_evidence_has_the_validation_images_that_every_tuned_model_was_asked_about(
    asked: tuple[str, ...], validated: int
) -> None:
    data = run_data()
    names = [f"{number:064x}" for number in range(100, 103)]
    lines = [InventoryLine(photo=f"holiday/{name}", status="ok", image=name, set="validation") for name in names]
    data.data.write_lines(
        keys.split_key(data.run.name, "validation"),
        [{"image": name, "photo": f"holiday/{name}", "group": name, "width": 1, "height": 1} for name in names],
    )
    answers = {name: dict(lines) for name, lines in data.answers.items()}
    for answerer in ("teacher", *asked):
        line = answer_line(0, answerer, "cat")
        answers.setdefault(answerer, {}).update({name: line.model_copy(update={"image": name}) for name in names})
    models = [TrainedModel(size=size, status="Active") for size in (12, 24)]
    changed = replace(data, models=models, answers=answers, inventory=[*data.inventory, *lines])
    evidence = changed.evidence()

    assert evidence is not None
    assert list(evidence.validation) == names[:validated]


def test_evidence_has_the_answer_format_and_the_validity_of_the_request() -> None:
    evidence = run_data(gate_validity=0.9).evidence()

    assert evidence is not None
    assert (evidence.answer_format, evidence.gate_validity) == (format_of(any_run()), 0.9)


def test_evidence_has_the_perceptual_hashes_of_the_inventory() -> None:
    data = run_data()
    first, *others = data.inventory
    hashed = replace(data, inventory=[first.model_copy(update={"perceptual_hash": "00ff"}), *others])
    evidence = hashed.evidence()

    assert evidence is not None
    assert evidence.hashes == {first.image: "00ff"}


def test_without_an_active_model_there_is_no_evidence() -> None:
    data = run_data()

    assert replace(data, models=[TrainedModel(size=12, status="Failed")]).evidence() is None


def test_own_labels_are_evidence_only_if_no_model_was_trained_on_them() -> None:
    run = any_run(own_labels="gold")
    data = finished_run(run)
    data.write_lines(keys.own_labels_key(run.name), [{"image": IMAGES[-1], "photo": "p", "text": "cat"}])
    gold, trained = (
        read_run(any_run(own_labels=use), LAST_ROUND, MODELS, data).evidence() for use in ("gold", "train")
    )

    assert gold is not None
    assert trained is not None
    assert (list(gold.gold), gold.labels[IMAGES[-1]].answerer) == ([IMAGES[-1]], "teacher")
    assert (list(trained.gold), trained.labels[IMAGES[-1]].answerer) == ([], "owner")


def report(data: RunData) -> Report:
    """Return the report of a run without an evaluation."""
    return data.report("", None, None, Money(by_step=[], break_even_images=None))


def test_report_counts_photos_images_and_sets() -> None:
    counted = report(run_data())

    assert (counted.photos, counted.images) == (TRAIN + TEST + 2, TRAIN + TEST)
    assert (counted.train, counted.validation, counted.test) == (TRAIN, 0, TEST)
    assert (counted.labelled, counted.labels_by, counted.own_test_labels) == (31, {"teacher": 31}, 0)
    assert counted.split is not None
    assert counted.split.images == TRAIN + TEST


def test_report_names_what_was_set_aside() -> None:
    listed = report(run_data())

    assert listed.status == "complete with 2 set aside"
    assert listed.photos_set_aside == [SetAside(photo="holiday/broken.jpg", reason="not an image")]
    assert listed.labels_set_aside == [SetAside(photo="holiday/0.jpg", reason="no list")]
    assert listed.set_aside == 2


def test_losses_are_read_by_column_name() -> None:
    losses = report(run_data())

    assert losses.training_loss == {"12": [Loss(step=1, loss=2.5), Loss(step=2, loss=1.5)], "24": []}
    assert losses.validation_loss == {"12": [], "24": []}


def test_images_whose_samples_disagree_most_come_first() -> None:
    run = any_run(samples_per_image=2, temperature=0.5)
    data = finished_run(run)
    samples = [
        answer_line(number, "teacher", text, sample=sample)
        for number, texts in enumerate((("cat, sofa", "cat, sofa"), ("cat, sofa", "cat, sea"), ("cat", "cat, sofa")))
        for sample, text in enumerate(texts)
    ]
    samples += [
        answer_line(number, "teacher", "cat", sample=sample) for number in range(3, len(IMAGES)) for sample in range(2)
    ]
    data.write_lines(keys.part_key(run.name, "label", "1"), [line.model_dump(exclude_none=True) for line in samples])
    disagreements = report(read_run(run, LAST_ROUND, MODELS, data)).disagreements

    assert [(line.photo, line.disagreement) for line in disagreements] == [
        ("holiday/1.jpg", pytest.approx(2 / 3, abs=1e-4)),
        ("holiday/2.jpg", 0.5),
    ]


def test_predictions_are_written_by_answerer_without_the_teacher() -> None:
    data = run_data()
    write_predictions(data.run, data.answers, data.data)

    written = list(data.data.keys("runs/holiday-1/predictions/"))
    assert written == [keys.predictions_key("holiday-1", name) for name in ("base", "ceiling", "n12")]
    first = next(iter(read_lines(data.data, written[0])))
    assert (first["image"], first["text"]) == (IMAGES[TRAIN], "dog, sea, sky")


def test_photo_names_are_relative_to_the_collection() -> None:
    assert run_data().photo_names()[IMAGES[3]] == "3.jpg"


def delete(data: Bucket, key: str) -> None:
    del data.client.objects[key]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            "label",
            r"28 of 28 images have no line of the teacher\. First 0+c: s3://data/work/holiday-1/label/\w+\.jsonl",
        ),
        ("predict", r"20 of 20 images have no line of base\. First 0+c: s3://data/work/holiday-1/predict/\w+\.jsonl"),
    ],
)
def test_missing_part_is_named_and_nothing_is_said_about_training(step: str, message: str) -> None:
    run = any_run()
    data = finished_run(run)
    delete(data, keys.part_key(run.name, step, "1"))

    with pytest.raises(ObjectMissing, match=message):
        read_run(run, LAST_ROUND, MODELS, data)


@pytest.mark.parametrize(("lines", "answerer"), [(1, "base"), (TEST + 1, "n12"), (2 * TEST + 1, "ceiling")])
def test_part_that_was_cut_off_names_the_answerer_without_a_line(lines: int, answerer: str) -> None:
    run = any_run()
    data = finished_run(run)
    key = keys.part_key(run.name, "predict", "1")
    body = data.read(key).splitlines(keepends=True)
    data.write(key, b"".join(body[: lines - 1] + body[lines:]))

    with pytest.raises(ObjectMissing, match=f"1 of 20 images have no line of {answerer}"):
        read_run(run, LAST_ROUND, MODELS, data)


def test_missing_part_names_the_batch_that_wrote_it() -> None:
    run = any_run().model_copy(update={"images_per_batch": 8})
    data = finished_run(run)
    delete(data, keys.part_key(run.name, "label", "1"))
    part = keys.part_key(run.name, "label", keys.batch_id(IMAGES[TRAIN : TRAIN + 8]))

    with pytest.raises(ObjectMissing, match=f"s3://data/{part} was deleted"):
        read_run(run, LAST_ROUND, MODELS, data)


def test_list_of_images_to_label_that_was_cut_off_is_named() -> None:
    run = any_run()
    data = finished_run(run)
    data.write(keys.split_key(run.name, "to-label-0"), b"")

    with pytest.raises(ObjectDamaged, match=r"splits/to-label-0\.jsonl has 0 images, but Split wrote 28"):
        read_run(run, LAST_ROUND, MODELS, data)


def test_list_of_images_to_predict_that_was_cut_off_is_named() -> None:
    run = any_run()
    data = finished_run(run)
    key = keys.split_key(run.name, f"to-predict-{LAST_ROUND}")
    data.write_lines(key, list(read_lines(data, key))[1:])

    with pytest.raises(ObjectDamaged, match=f"{key} has 19 test images, but the inventory has 20; 1 differ"):
        read_run(run, LAST_ROUND, MODELS, data)


def with_ceiling_of(asked: int, answered: int) -> Bucket:
    """Return a finished run with a ceiling of the first ``asked`` test images, of which ``answered`` have a line."""
    run = any_run()
    data = finished_run(run)
    key = keys.split_key(run.name, f"to-predict-{LAST_ROUND}")
    lines = [line | {"ceiling": position < asked} for position, line in enumerate(read_lines(data, key))]
    data.write_lines(key, lines)
    part = keys.part_key(run.name, "predict", "1")
    kept = {line["image"] for line in lines[:answered]}
    data.write_lines(
        part, [line for line in read_lines(data, part) if line["answerer"] != "ceiling" or line["image"] in kept]
    )
    return data


def test_ceiling_is_required_and_compared_on_the_listed_images_only() -> None:
    evidence = read_run(any_run(), LAST_ROUND, MODELS, with_ceiling_of(8, 8)).evidence()

    assert evidence is not None
    assert evidence.ceiling_images == set(IMAGES[TRAIN : TRAIN + 8])
    assert evaluate(evidence).figures.ceiling_images == 8
    with pytest.raises(ObjectMissing, match="1 of 8 images have no line of ceiling"):
        read_run(any_run(), LAST_ROUND, MODELS, with_ceiling_of(8, 7))


@pytest.mark.parametrize("name", ["train", "test"])
def test_set_that_was_cut_off_is_named(name: str) -> None:
    run = any_run()
    data = finished_run(run)
    key = keys.split_key(run.name, name)
    data.write(key, b"".join(data.read(key).splitlines(keepends=True)[1:]))

    with pytest.raises(ObjectDamaged, match=f"s3://data/{key} has .* 1 differ"):
        read_run(run, LAST_ROUND, MODELS, data).evidence()


@pytest.mark.parametrize(
    ("key", "note"),
    [
        (keys.estimate_key("holiday-1"), "The estimate is left out: "),
        (keys.split_facts_key("holiday-1"), "The table of duplicates and flags is left out: "),
        (keys.inventory_key("holiday-1"), "Photos that are in no set are left out: "),
        (keys.listing_key("holiday-1"), "Photos that are in no set are left out: "),
        (keys.split_key("holiday-1", "validation"), "The validation images are left out: "),
    ],
)
@pytest.mark.parametrize("damage", [None, b"\xff\xfe", b"{}", b"null"])
def test_evidence_that_the_verdict_does_not_need_is_left_out_with_a_note(
    damage: bytes | None, key: str, note: str
) -> None:
    run = any_run()
    data = finished_run(run)
    intact = read_run(run, LAST_ROUND, MODELS, data).evidence()
    delete(data, key)
    if damage is not None:
        data.write(key, damage)

    damaged = read_run(run, LAST_ROUND, MODELS, data)
    evidence = damaged.evidence()

    if key == keys.inventory_key("holiday-1") and evidence and intact:
        assert sorted(evidence.labels) == sorted(intact.labels)
    else:
        assert evidence == intact
    assert [line.partition("s3://")[0] for line in report(damaged).notes] == [note]
    assert key in report(damaged).notes[0]


def test_note_about_lost_validation_images_says_that_the_size_is_chosen_on_the_test_images() -> None:
    run = any_run()
    data = finished_run(run)
    delete(data, keys.split_key(run.name, "validation"))
    run_data = read_run(run, LAST_ROUND, MODELS, data)

    assert run_data._validation_labels({"n8": {}, "n16": {}}) == {}
    assert run_data.notes[0].startswith(
        "The validation images are left out, so the best size is chosen on the test images: "
    )


def test_own_labels_for_comparison_are_left_out_if_they_are_damaged() -> None:
    run = any_run(own_labels="gold")
    data = finished_run(run)
    data.write(keys.own_labels_key(run.name), b"x")
    damaged = read_run(run, LAST_ROUND, MODELS, data)
    evidence = damaged.evidence()

    assert evidence is not None
    assert evidence.gold == {}
    assert report(damaged).notes[0].startswith("The scores against your own labels are left out: ")


@pytest.mark.parametrize("field", ["latency_ms", "usage"])
def test_latency_or_tokens_that_cannot_be_read_are_left_out(field: str) -> None:
    run = any_run()
    data = finished_run(run)
    key = keys.part_key(run.name, "predict", "1")
    data.write_lines(key, [line | {field: "N/A"} for line in read_lines(data, key)])

    evidence = read_run(run, LAST_ROUND, MODELS, data).evidence()

    assert evidence is not None
    assert {getattr(line, field) for line in (evidence.base or {}).values()} == {None}


def test_own_labels_for_comparison_are_left_out_with_a_note_if_they_are_deleted() -> None:
    run = any_run(own_labels="gold")
    data = finished_run(run)
    data.write_document(keys.split_facts_key(run.name), any_split_facts(own_labels=2))
    run_data = read_run(run, LAST_ROUND, MODELS, data)
    evidence = run_data.evidence()

    assert evidence is not None
    assert evidence.gold == {}
    assert "own-labels.jsonl has 0 of 2 labels: it was deleted or cut off" in report(run_data).notes[0]
