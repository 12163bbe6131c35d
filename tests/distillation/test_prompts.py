"""Which prompt each model gets: the exact texts that the local Bedrock endpoint received, and those of the dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import pytest

from distillation import keys
from distillation.dataset.writer import training_record
from distillation.errors import InvalidRequest
from distillation.inference import apply
from distillation.inference.apply import apply_batch
from distillation.inference.deployment_probe import probe_image_source
from distillation.inference.labelling import label_batch
from distillation.inference.predictions import predict_batch
from distillation.records import Prompt, Request, Run, SplitLine, TrainedModel
from distillation.runs.existing_model import with_replaced_deployment, with_tuned_model
from distillation.storage import Bucket
from tests.support.builders import any_limits, any_report, any_run
from tests.support.fakes import MemoryS3
from tests.support.local_bedrock import (
    STUDENT,
    TEACHER,
    client,
    create_deployment,
    create_job,
    jpeg,
    running_endpoint,
    trainable_bucket,
    wait_for_job,
)

TEACHER_PROMPT = Prompt(system="The teacher's system text. ü", user="The teacher's long user text.\n Two lines.")
STUDENT_PROMPT = Prompt(system="The student's system text.", user="The student's user text.")
TEACHER_TEXTS = (TEACHER_PROMPT.system, TEACHER_PROMPT.user)
STUDENT_TEXTS = (STUDENT_PROMPT.system, STUDENT_PROMPT.user)
IMAGE_BYTES = jpeg((10, 200, 90))
IMAGE = sha256(IMAGE_BYTES).hexdigest()


@dataclass
class PromptRecorder:
    """The local endpoint with a tuned and deployed model, and a Data bucket with one image."""

    bedrock: Any
    runtime: Any
    data: Bucket
    deployment: str
    prompts: list[tuple[str, str, str]]

    def received(self) -> dict[str, set[tuple[str, str]]]:
        """Return the texts that each model received since the last call: ``teacher``, ``student`` and ``tuned``."""
        names = {TEACHER: "teacher", STUDENT: "student", self.deployment: "tuned"}
        texts: dict[str, set[tuple[str, str]]] = {}
        for model, system, user in self.prompts:
            texts.setdefault(names[model], set()).add((system, user))
        self.prompts.clear()
        return texts


def local_run(name: str = "tuned-1", **request: Any) -> Run:
    """Return a run of the local pair, with a prompt for each."""
    run = any_run(**request)
    labelers = {role: getattr(run, role).model_copy(update={"model": TEACHER}) for role in ("teacher", "ceiling")}
    prompts = {"prompt": TEACHER_PROMPT, "student_prompt": STUDENT_PROMPT}
    return run.model_copy(update={"name": name, "student": STUDENT, **labelers, **prompts})


@pytest.fixture(scope="module")
def tuned_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    """Yield an endpoint and the ARN of an active deployment of a tuned student."""
    s3 = trainable_bucket()
    with running_endpoint(s3, tmp_path_factory.mktemp("cache")) as endpoint:
        arn = create_deployment(endpoint, wait_for_job(endpoint, create_job(endpoint))["outputModelArn"])
        for _ in range(2):
            client(endpoint, "bedrock").get_custom_model_deployment(customModelDeploymentIdentifier=arn)
        s3.objects[keys.image_key(900, IMAGE)] = IMAGE_BYTES
        yield endpoint, arn


@pytest.fixture
def recorder(tuned_model: tuple[Any, str]) -> PromptRecorder:
    endpoint, deployment = tuned_model
    endpoint.service.prompts.clear()
    store = MemoryS3()
    store.objects[keys.image_key(900, IMAGE)] = IMAGE_BYTES
    bedrock, runtime = client(endpoint, "bedrock"), client(endpoint, "bedrock-runtime")
    data = Bucket(store, "data")  # type: ignore[arg-type] - the operations of Bucket
    return PromptRecorder(bedrock, runtime, data, deployment, endpoint.service.prompts)


def tuned_model_of(recorder: PromptRecorder) -> TrainedModel:
    arn = recorder.deployment
    model_arn = recorder.bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=arn)["modelArn"]
    return TrainedModel(size=10, status="Active", model_name="m", model_arn=model_arn, deployment_arn=arn)


def write_tuned_run(recorder: PromptRecorder) -> None:
    """Write request and report of the run ``tuned-1``, whose model is deployed."""
    recorder.data.write_document(keys.request_key("tuned-1"), local_run())
    report = any_report(run="tuned-1", models=[tuned_model_of(recorder)], promoted="m")
    recorder.data.write_document(keys.report_json_key("tuned-1"), report)


def test_teacher_labels_with_its_own_prompt(recorder: PromptRecorder) -> None:
    label_batch(local_run(), [IMAGE], recorder.data, recorder.runtime, any_limits())

    assert recorder.received() == {"teacher": {TEACHER_TEXTS}}


def test_base_and_tuned_models_are_asked_with_the_student_prompt_and_the_ceiling_with_the_teachers(
    recorder: PromptRecorder,
) -> None:
    models = [tuned_model_of(recorder)]
    predict_batch(local_run(), models, [IMAGE], recorder.data, recorder.runtime, any_limits())

    assert recorder.received() == {"student": {STUDENT_TEXTS}, "tuned": {STUDENT_TEXTS}, "teacher": {TEACHER_TEXTS}}


def test_first_question_of_a_deployment_has_the_student_prompt(recorder: PromptRecorder) -> None:
    line = SplitLine(image=IMAGE, group=IMAGE, photo="a.jpg", width=64, height=48)
    recorder.data.write_lines(keys.split_key("tuned-1", "test"), [line.model_dump()])
    probe_image_source(local_run(), 10, recorder.deployment, recorder.data, recorder.runtime, any_limits())

    assert recorder.received() == {"tuned": {STUDENT_TEXTS}}


def test_training_record_has_the_student_prompt() -> None:
    record = training_record(local_run(), "data", IMAGE, "cat, sofa")

    assert record["system"] == [{"text": STUDENT_PROMPT.system}]
    assert record["messages"][0]["content"][0] == {"text": STUDENT_PROMPT.user}


def test_applied_model_is_asked_as_it_was_trained_and_fallback_and_audit_as_it_was_labelled(
    recorder: PromptRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned_target = apply.tuned_target
    monkeypatch.setattr(
        apply, "tuned_target", lambda run: replace(tuned_target(run), rejection=lambda *_: "it is not valid")
    )
    write_tuned_run(recorder)
    request = Request(apply="tuned-1", fallback="teacher")
    run = with_tuned_model(any_run().model_copy(update={"request": request}), recorder.data, recorder.bedrock)

    recorder.prompts.clear()
    lines = apply_batch(run, [IMAGE], [IMAGE], recorder.data, recorder.runtime, any_limits())

    assert [line.answerer for line in lines] == ["tuned", "fallback", "audit"]
    assert recorder.received() == {"tuned": {STUDENT_TEXTS}, "teacher": {TEACHER_TEXTS}}


def test_replacing_model_is_trained_with_the_prompt_of_the_callers(recorder: PromptRecorder) -> None:
    write_tuned_run(recorder)
    new_teacher_prompt = Prompt(system="Another teacher's prompt.", user="Longer still.")
    run = local_run("new", replace="tuned-1").model_copy(update={"prompt": new_teacher_prompt})
    replacing = with_replaced_deployment(run, recorder.data, recorder.bedrock)

    assert replacing.replaces == recorder.deployment
    assert training_record(replacing, "data", IMAGE, "cat") == training_record(local_run(), "data", IMAGE, "cat")
    swapped = run.model_copy(update={"prompt": STUDENT_PROMPT, "student_prompt": TEACHER_PROMPT})
    with pytest.raises(InvalidRequest, match="replace: student_prompt of run 'tuned-1' differ"):
        with_replaced_deployment(swapped, recorder.data, recorder.bedrock)
