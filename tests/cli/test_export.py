from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.console import CommandError, NotReachable
from cli.export import download_images, export_run
from distillation import keys
from distillation.errors import ObjectMissing
from distillation.records import OwnLabel, Run
from distillation.storage import Bucket
from tests.distillation.evaluation.finished_run import IMAGES, TEST, TRAIN, finished_run, label_text
from tests.support.builders import any_run
from tests.support.fakes import bucket


def stage_of(run: Run, data: Bucket) -> Any:
    data.write_document(keys.request_key(run.name), run)
    return SimpleNamespace(name="dev", data=data)


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def stage() -> Any:
    return stage_of(any_run(), finished_run(any_run()))


def test_export_has_tasks_datasets_and_images(stage: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export_run(stage, "holiday-1", tmp_path, None, as_json=False)

    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {f"images/{image}.jpg" for image in IMAGES} | {
        "dataset_info.json",
        "label-studio/config.xml",
        "label-studio/tasks.json",
        *(f"{folder}/{name}.jsonl" for folder in ("trl", "llama-factory") for name in ("train", "test")),
    }
    printed = capsys.readouterr().out
    assert f"32 images, 31 with a valid label (train {TRAIN - 1}, validation 0, test {TEST})" in printed
    assert "Without a valid label: 1 image, in tasks" in printed


def test_tasks_name_images_by_s3_uri_and_have_the_label_unless_it_was_refused(stage: Any, tmp_path: Path) -> None:
    export_run(stage, "holiday-1", tmp_path, None, as_json=False)
    tasks = json.loads((tmp_path / "label-studio/tasks.json").read_text("utf-8"))

    assert len(tasks) == len(IMAGES)
    assert [task["data"]["image"] for task in tasks] == [f"s3://{stage.data.name}/images/900/{i}.jpg" for i in IMAGES]
    assert tasks[1]["data"] == tasks[1]["data"] | {"photo": "1.jpg", "set": "train"}
    assert "predictions" not in tasks[0]
    prediction = tasks[1]["predictions"][0]
    assert prediction["model_version"] == "amazon.nova-pro-v1:0"
    assert prediction["result"][0]["value"]["text"] == label_text(1).split(", ")


def test_paths_in_the_datasets_lead_to_the_images(stage: Any, tmp_path: Path) -> None:
    export_run(stage, "holiday-1", tmp_path, None, as_json=False)

    info = json.loads((tmp_path / "dataset_info.json").read_text("utf-8"))
    assert list(info) == ["distill_train", "distill_test"]
    for description in info.values():
        for record in read_lines(tmp_path / description["file_name"]):
            assert (tmp_path / record["images"][0]).is_file()
    assert len(read_lines(tmp_path / "trl/train.jsonl")) == TRAIN - 1
    first = read_lines(tmp_path / "trl/test.jsonl")[0]
    assert first["images"] == [f"images/{IMAGES[TRAIN]}.jpg"]
    assert first["messages"][-1]["content"][0]["text"] == label_text(TRAIN)


def test_student_prompt_is_the_prompt_of_the_datasets(tmp_path: Path) -> None:
    run = any_run()
    run = run.model_copy(update={"student_prompt": run.prompt.model_copy(update={"user": "Tag it."})})
    export_run(stage_of(run, finished_run(run)), run.name, tmp_path, None, as_json=False)

    assert read_lines(tmp_path / "llama-factory/train.jsonl")[0]["messages"][1]["content"] == "<image>Tag it."


def test_images_in_another_folder_are_local_files_of_label_studio(stage: Any, tmp_path: Path) -> None:
    export_run(stage, "holiday-1", tmp_path / "out", tmp_path / "my images", as_json=False)

    tasks = json.loads((tmp_path / "out/label-studio/tasks.json").read_text("utf-8"))
    assert tasks[0]["data"]["image"] == f"/data/local-files/?d=my%20images/{IMAGES[0]}.jpg"
    image = read_lines(tmp_path / "out/trl/train.jsonl")[0]["images"][0]
    assert Path(image) == (tmp_path / "my images" / f"{IMAGES[1]}.jpg").resolve()
    assert Path(image).is_file()
    assert not (tmp_path / "out/images").exists()


def test_own_labels_are_predictions_of_the_owner_and_trained_on(tmp_path: Path) -> None:
    run = any_run()
    data = finished_run(run)
    own = OwnLabel(image=IMAGES[3], photo="holiday/3.jpg", text="my cat")
    data.write_lines(keys.own_labels_key(run.name), [own.model_dump()])
    export_run(stage_of(run, data), run.name, tmp_path, None, as_json=False)

    task = json.loads((tmp_path / "label-studio/tasks.json").read_text("utf-8"))[3]
    assert task["predictions"][0]["model_version"] == "owner"
    assert read_lines(tmp_path / "llama-factory/train.jsonl")[2]["messages"][-1]["content"] == "my cat"


def test_images_that_are_here_are_not_downloaded_again_and_damaged_ones_are(tmp_path: Path) -> None:
    run = any_run()
    data = finished_run(run)
    body = b"an image"
    (tmp_path / "images").mkdir()
    here = tmp_path / "images" / f"{IMAGES[0]}.jpg"
    here.write_bytes(b"damaged")
    export_run(stage_of(run, data), run.name, tmp_path, None, as_json=False)

    assert here.read_bytes() == data.read(keys.image_key(900, IMAGES[0]))

    image = hashlib.sha256(body).hexdigest()
    kept = tmp_path / "images" / f"{image}.jpg"
    kept.write_bytes(body)
    download_images(run, [image], tmp_path / "images", data)  # its object does not exist
    assert kept.read_bytes() == body


def test_a_missing_image_ends_the_export_before_any_task_is_written(stage: Any, tmp_path: Path) -> None:
    del stage.data.client.objects[keys.image_key(900, IMAGES[5])]

    with pytest.raises(ObjectMissing, match=IMAGES[5]):
        export_run(stage, "holiday-1", tmp_path, None, as_json=False)
    assert not (tmp_path / "label-studio").exists()


def test_a_set_without_labels_leaves_no_file_of_an_earlier_export(stage: Any, tmp_path: Path) -> None:
    old = tmp_path / "trl/validation.jsonl"
    old.parent.mkdir()
    old.write_text("{}\n")
    export_run(stage, "holiday-1", tmp_path, None, as_json=False)

    assert not old.exists()


def test_json_has_the_counts_and_the_files(stage: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export_run(stage, "holiday-1", tmp_path, None, as_json=True)
    document = json.loads(capsys.readouterr().out)

    assert document["labels"] == {"train": TRAIN - 1, "validation": 0, "test": TEST}
    assert (document["images"], document["without_label"]) == (32, 1)
    assert all(Path(path).is_file() for path in document["files"])


def test_run_that_does_not_exist_or_applied_a_model_is_exit_code_2(tmp_path: Path) -> None:
    run = any_run(apply="old")
    with pytest.raises(CommandError, match="applied the model of run 'old'") as applied:
        export_run(stage_of(run, bucket()), run.name, tmp_path, None, as_json=False)
    with pytest.raises(CommandError, match="no run 'other'") as unknown:
        export_run(stage_of(run, bucket()), "other", tmp_path, None, as_json=False)
    assert applied.value.exit_code == unknown.value.exit_code == 2


def test_run_without_sets_or_labels_is_exit_code_3_and_says_how_to_get_them(stage: Any, tmp_path: Path) -> None:
    stage.data.client.objects.pop(keys.part_key("holiday-1", "label", "1"))
    with pytest.raises(NotReachable, match="distill start holiday/ --until LabelImages --stage dev"):
        export_run(stage, "holiday-1", tmp_path, None, as_json=False)
    stage.data.client.objects.pop(keys.inventory_key("holiday-1"))
    with pytest.raises(NotReachable, match="distill watch holiday-1"):
        export_run(stage, "holiday-1", tmp_path, None, as_json=False)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_a_file_is_named_with_its_option(stage: Any, tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(CommandError, match="--images "):
        export_run(stage, "holiday-1", tmp_path, tmp_path / "x", as_json=False)
