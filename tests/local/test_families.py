"""Each local student from photos to a report: its family's rules apply to dataset, job, deployment and evaluation.

The models are the pixels-only pair under the rules of each student. Nova 2 needs at least 200 records, and a validation
file needs at least 200 images: there the photos are crops of the sample photos.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from PIL import Image

from distillation import keys
from distillation.costs.estimate import estimate_run
from distillation.costs.workload import measure_workload
from distillation.dataset.validator import validate_files
from distillation.dataset.writer import write_dataset
from distillation.evaluation.report import write_report
from distillation.events import DatasetResult, DeployEvent, S3Item, SplitResult
from distillation.inference.labelling import label_batch
from distillation.inference.predictions import predict_batch
from distillation.models import catalog
from distillation.photos.listing import list_collection
from distillation.photos.resize_batch import resize_batch
from distillation.photos.splits import MINIMUM_IMAGES_FOR_VALIDATION, split
from distillation.records import Concurrency, Run, TrainedModel
from distillation.runs.execution_input import StartedRequest
from distillation.runs.request import Defaults, claim, resolve
from distillation.serving import deployment as deploy
from distillation.storage import Bucket
from distillation.training import job as customize
from tests.support.builders import any_limits
from tests.support.fakes import MemoryS3
from tests.support.local_bedrock import ROLE, TEACHER, client, running_endpoint, wait_for_job
from tests.support.resized_collection import rounds
from tests.support.stored import read_json, read_lines

SAMPLES = sorted((Path(__file__).parents[2] / "samples" / "photos").glob("*.jpg"))
SETTINGS = customize.JobSettings(role_arn=ROLE, model_kms_key_arn=None, start_timeout=timedelta(hours=24))
CROPS = 5


def samples() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in SAMPLES[:24]}


def crops_of_samples() -> dict[str, bytes]:
    """Return five crops of each sample photo, each 60 % as wide and high."""
    return {
        f"crop-{number}-of-{path.name}": crop(image, number)
        for path in SAMPLES
        for image in [Image.open(path)]
        for number in range(CROPS)
    }


def crop(image: Image.Image, number: int) -> bytes:
    width, height = image.width * 6 // 10, image.height * 6 // 10
    left, top = (image.width - width) * (number % 3) // 2, (image.height - height) * (number // 3)
    output = io.BytesIO()
    image.crop((left, top, left + width, top + height)).save(output, "JPEG")
    return output.getvalue()


@pytest.fixture
def data() -> Bucket:
    return Bucket(MemoryS3(), "data")  # type: ignore[arg-type] - only calls of Bucket are made


def start(student: str, photos: Bucket, **request: Any) -> Run:
    stage = Defaults(
        stage="local",
        teachers=[TEACHER],
        students=[student],
        concurrency=Concurrency(resize=1, label=1, predict=1),
        region="us-east-1",
        account="000000000000",
    )
    return resolve(StartedRequest("photos/", request), "arn:e", photos, stage)


def in_bucket(photos: dict[str, bytes]) -> Bucket:
    store = MemoryS3()
    store.objects.update({f"photos/{name}": body for name, body in photos.items()})
    return Bucket(store, "photos")  # type: ignore[arg-type] - only calls of Bucket are made


@pytest.mark.parametrize(
    ("student", "photos", "request_fields", "warmup"),
    [
        ("local.student-pixels-v1:0", crops_of_samples, {"test_share": 0.05}, "1"),
        ("local.student-pixels-pro-v1:0", samples, {"duplicate_records": 3}, "0"),
        ("local.student-pixels-2-v1:0", crops_of_samples, {"test_share": 0.05}, "1"),
    ],
    ids=["pixels", "pixels-pro", "pixels-2"],
)
def test_student_goes_from_photos_to_a_report(
    data: Bucket,
    tmp_path: Path,
    student: str,
    photos: Callable[[], dict[str, bytes]],
    request_fields: dict[str, Any],
    warmup: str,
) -> None:
    done = whole_run(student, in_bucket(photos()), data, tmp_path, **request_fields)
    family, (records,) = catalog.get_model(student).family, done.dataset.records
    report = read_json(data, keys.report_json_key(done.run.name))

    agreement = report["evaluation"]["agreement"]
    assert family.minimum_records <= records <= family.maximum_records
    assert done.job["hyperParameters"]["learningRateWarmupSteps"] == warmup
    assert bool(done.job["validationDataConfig"]["validators"]) == bool(done.split.validation)
    assert bool(done.split.validation) == (
        family.validation_file and done.split.images >= MINIMUM_IMAGES_FOR_VALIDATION
    )
    assert bool(report["validation_loss"][str(done.trained.size)]) == bool(done.split.validation)
    assert agreement["tuned"][done.trained.answerer]["mean"] > agreement["base"]["mean"]


VOCABULARY = """preferred,synonyms
luminous,bright
gloomy,dark
landscape format,horizontal
portrait format,vertical
Contrasty,high contrasts
detailed,
smooth,
"""


def test_run_with_a_vocabulary_trains_on_its_terms_and_reports_what_they_replaced(data: Bucket, tmp_path: Path) -> None:
    photos = in_bucket(samples() | {"vocabulary.csv": VOCABULARY.encode()})
    done = whole_run("local.student-pixels-v1:0", photos, data, tmp_path, closed_vocabulary=True)
    terms = {line.partition(",")[0] for line in VOCABULARY.splitlines()[1:]}
    record = keys.dataset_key(done.run.name, f"train-{done.trained.size}")
    labels = [line["messages"][-1]["content"][0]["text"] for line in read_lines(data, record)]
    report = read_json(data, keys.report_json_key(done.run.name))
    replaced, outside = report["evaluation"]["tables"][-2:]

    assert {keyword for label in labels for keyword in label.split(", ")} <= terms
    assert len({keyword for label in labels for keyword in label.split(", ")}) > 3
    assert ["high contrast", "Contrasty"] in [row[:2] for row in replaced["rows"]]
    assert outside["title"] == "Keywords outside the vocabulary (left out)"
    assert all(row[1] for row in outside["rows"])
    assert report["photos_set_aside"] == []
    assert report["evaluation"]["metrics"][done.trained.answerer]["outside"]["mean"] == 0


class WholeRun(NamedTuple):
    """Results of the steps of a run."""

    run: Run
    split: SplitResult
    dataset: DatasetResult
    trained: TrainedModel
    job: Any


def whole_run(student: str, collection: Bucket, data: Bucket, folder: Path, **request: Any) -> WholeRun:
    """Take the steps of a run without a baseline round, from the photos to the report."""
    run = start(student, collection, baseline=False, **request)
    claim(run, data)
    items = [S3Item.model_validate(item) for item in collection.list("photos/")]
    listing = list_collection(run.name, collection, "photos/", "", data)
    list_collection(run.name, collection, "photos/", listing.digest, data)
    resize_batch(run, items, collection, data)
    split_result = split(run, data, collection)
    (training,) = rounds(data, run.name)
    estimate = estimate_run(run, measure_workload(run, training, data), {}, datetime.now(UTC).date())
    data.write_document(keys.estimate_key(run.name), estimate)
    with running_endpoint(cast(MemoryS3, data.client), folder) as endpoint:
        bedrock, runtime = client(endpoint, "bedrock"), client(endpoint, "bedrock-runtime")
        images = [line["image"] for line in read_lines(data, training.to_label_key)]
        label_batch(run, images, data, runtime, any_limits())
        dataset = write_dataset(run, training.number, training.sizes, data)
        (size,), (records,) = dataset.sizes, dataset.records
        validate_files(run, {size: records}, dataset.validation, data)
        trained = train(run, size, data, endpoint, bedrock)
        test = [line["image"] for line in read_lines(data, training.to_predict_key)]
        predict_batch(run, [trained], test, data, runtime, any_limits())
        job = bedrock.get_model_customization_job(jobIdentifier=trained.model_name)
    write_report(run, training.number, [trained], data, "test")
    return WholeRun(run, split_result, dataset, trained, job)


def train(run: Run, size: int, data: Bucket, endpoint: Any, bedrock: Any) -> TrainedModel:
    """Train and deploy, as the states of TrainModels do."""
    now = datetime.now(UTC)
    name = customize.create_or_describe(run, size, data, bedrock, SETTINGS, now, lambda: False).model_name
    wait_for_job(endpoint, name)
    job = customize.create_or_describe(run, size, data, bedrock, SETTINGS, now, lambda: False)
    assert job.model_arn
    event = DeployEvent(run=run.name, size=size, model_name=name, model_arn=job.model_arn)
    deployed = [deploy.create_or_describe(run, event, data, bedrock, lambda: False) for _ in range(3)][-1]
    assert deployed.status == "Active"
    return TrainedModel(size=size, status="Active", model_name=name, deployment_arn=deployed.deployment_arn)
