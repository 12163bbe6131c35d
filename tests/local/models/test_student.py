"""Each student of the table, from photos to a report: its family's rules hold in dataset, job, serving and evaluation.

The models are the pixels-only pair of this machine under each student's rules. Nova 2 takes no fewer than 200 records,
and fewer than 200 images have no validation file: there the photos are crops of the sample photos, and are named so.
"""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image

from distillation import keys
from distillation.costs.estimate import estimate_run
from distillation.costs.workload import measure_workload
from distillation.dataset.dataset import Dataset
from distillation.dataset.examples import write_dataset
from distillation.dataset.validator import reject_invalid
from distillation.evaluation.report import write_report
from distillation.inference.labelling import label_batch
from distillation.inference.predictions import predict_batch
from distillation.models import catalog
from distillation.photos.resize_batch import resize_batch
from distillation.photos.splits import VALIDATION_FROM, split
from distillation.records import Concurrency, Run, TrainedModel
from distillation.runs.request import Defaults, claim, resolve
from distillation.serving import deployment as deploy
from distillation.storage import Bucket
from distillation.training import job as customize
from tests.support.builders import any_limits
from tests.support.fakes import MemoryS3
from tests.support.local_bedrock import ROLE, TEACHER, client, ended, serving

SAMPLES = sorted((Path(__file__).parents[3] / "samples" / "photos").glob("*.jpg"))
SETTINGS = customize.Settings(role=ROLE, key=None, patience=timedelta(hours=24))
CROPS = 5


def samples(count: int = 24) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in SAMPLES[:count]}


def crops_of_samples() -> dict[str, bytes]:
    """Five crops of each sample photo, each a bit more than half of it."""
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
    return Bucket(MemoryS3(), "data")  # type: ignore[arg-type] - only the calls of Objects are made


def start(student: str, photos: Bucket, **request: Any) -> Run:
    stage = Defaults(
        teachers=[TEACHER],
        students=[student],
        concurrency=Concurrency(resize=1, label=1, predict=1),
        region="us-east-1",
        account="000000000000",
    )
    return resolve({"collection": "photos/", **request}, "arn:e", photos, stage)


def in_bucket(photos: dict[str, bytes]) -> Bucket:
    store = MemoryS3()
    store.objects.update({f"photos/{name}": body for name, body in photos.items()})
    return Bucket(store, "photos")  # type: ignore[arg-type] - only the calls of Objects are made


@pytest.mark.parametrize(
    ("student", "photos", "request_fields", "warmup"),
    [
        ("local.student-pixels-v1:0", crops_of_samples(), {"test_share": 0.05}, "1"),
        ("local.student-pixels-pro-v1:0", samples(), {"duplicate_records": 3}, "0"),
        ("local.student-pixels-2-v1:0", crops_of_samples(), {"test_share": 0.05}, "1"),
    ],
)
def test_student_goes_from_photos_to_a_report(
    data: Bucket,
    tmp_path: Path,
    student: str,
    photos: dict[str, bytes],
    request_fields: dict[str, Any],
    warmup: str,
) -> None:
    collection, family = in_bucket(photos), catalog.get_model(student).family
    run = start(student, collection, **request_fields)
    claim(run, data)
    resize_batch(run, list(collection.list("photos/")), collection, data)
    sets = split(run, data, collection)
    priced = estimate_run(run, measure_workload(run, sets["sizes"], data), {}, datetime.now(UTC).date())
    data.write_json(keys.report_key(run.name, "estimate.json"), priced)
    with serving(cast(MemoryS3, data.client), tmp_path) as endpoint:
        bedrock, runtime = client(endpoint, "bedrock"), client(endpoint, "bedrock-runtime")
        images = [line["image"] for line in data.read_lines(sets["to_label_key"])]
        label_batch(run, images, data, runtime, any_limits())
        written = write_dataset(run, sets["sizes"], data)
        (size,) = written["sizes"]
        key = keys.dataset_key(run.name, f"train-{size}")
        reject_invalid(key, Dataset(family, "data").problems(data.iter_lines(key), None))
        trained = train(run, size, data, endpoint, bedrock)
        test = [line["image"] for line in data.read_lines(sets["test_key"])]
        predict_batch(run, [trained], test, data, runtime, any_limits())
        job = bedrock.get_model_customization_job(jobIdentifier=trained.model_name)
    write_report(run, [trained], data, "test")
    report = json.loads(data.read(keys.report_key(run.name, "report.json")))

    assert family.minimum_records <= written["records"] <= family.maximum_records
    assert job["hyperParameters"]["learningRateWarmupSteps"] == warmup
    assert bool(job["validationDataConfig"]["validators"]) == bool(sets["validation"])
    assert bool(sets["validation"]) == (family.validation_file and sets["images"] >= VALIDATION_FROM)
    assert bool(report["validation_loss"][str(size)]) == bool(sets["validation"])
    assert report["jaccard"]["tuned"][str(size)]["mean"] > report["jaccard"]["base"]["mean"]


def train(run: Run, size: int, data: Bucket, endpoint: Any, bedrock: Any) -> TrainedModel:
    """Do what the states of TrainModels do."""
    now = datetime.now(UTC)
    name = customize.create_or_describe(run, size, data, bedrock, SETTINGS, now)["model_name"]
    ended(endpoint, name)
    job = customize.create_or_describe(run, size, data, bedrock, SETTINGS, now)
    deployed = [deploy.create_or_describe(run, name, job["model_arn"], bedrock) for _ in range(3)][-1]
    assert deployed["status"] == "Active"
    return TrainedModel(size=size, status="Active", model_name=name, deployment_arn=deployed["deployment_arn"])
