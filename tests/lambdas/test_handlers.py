"""Handlers against the rendered state machine: events, results, and a run from Prepare to its report."""

from __future__ import annotations

import importlib
import inspect
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import boto3
import pytest
from botocore.stub import Stubber
from PIL import Image
from pydantic import BaseModel

import lambdas
from distillation.errors import InvalidRequest
from distillation.events import FailureResult, PrepareResult
from distillation.records import Concurrency, Quota, SplitLine, parse
from distillation.runs.request import Defaults
from infra.state_machine_definition import render
from tests.support.builders import converse_response
from tests.support.fakes import bucket
from tests.support.lambda_functions import Functions
from tests.support.stored import read_lines

DEFINITION = json.loads(render())


class Task(NamedTuple):
    """A Task state with its handler's types."""

    name: str
    state: dict[str, Any]
    step: str
    event: type[BaseModel]
    result: type[BaseModel]
    map: dict[str, Any] | None
    """Map state that contains the task."""

    @property
    def payload(self) -> dict[str, Any]:
        """Payload template, with the names of its fields as keys."""
        return self.state["Parameters"]["Payload"]


def tasks(states: dict[str, Any], map: dict[str, Any] | None = None) -> Iterator[Task]:
    for name, state in states.items():
        if state["Type"] == "Task":
            yield task(name, state, map)
        elif "ItemProcessor" in state:
            yield from tasks(state["ItemProcessor"]["States"], state)


def task(name: str, state: dict[str, Any], map: dict[str, Any] | None) -> Task:
    """Return a task with the event and result types of the function that it invokes."""
    id = state["Parameters"]["FunctionName"].removeprefix("${").removesuffix("FunctionArn}")
    step = re.sub(r"(?<!^)(?=[A-Z])", "_", id).lower()
    handle = inspect.unwrap(importlib.import_module(f"lambdas.{step}").handler)
    hints = get_type_hints(handle)
    return Task(name, state, step, hints["event"], hints["return"], map)


TASKS = {task.name: task for task in tasks(DEFINITION["States"])}
each_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


def example(kind: Any) -> Any:
    """Return a JSON value of a type; optional fields are set, and a list has one item."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: example(field.annotation) for name, field in kind.model_fields.items()}
    match get_origin(kind):
        case None:
            return {str: "text", int: 7, float: 1.5, bool: True}[kind]
        case origin if origin is Annotated:
            return example(get_args(kind)[0])
        case origin if origin is list:
            return [example(get_args(kind)[0])]
        case origin if origin is Literal:
            return get_args(kind)[0]
        case origin if origin in (Union, UnionType):
            return example(next(option for option in get_args(kind) if option is not NoneType))
    raise AssertionError(f"no example of {kind}")


def resolve(template: Any, state: Any) -> Any:
    """Return a payload template with its paths replaced by their values in the state."""
    if not isinstance(template, dict):
        return template
    return {
        name.removesuffix(".$"): value_at(value, state) if name.endswith(".$") else resolve(value, state)
        for name, value in template.items()
    }


def value_at(path: str, state: Any) -> Any:
    """Return the value at a path of dotted names; ``$$`` is the context object."""
    root, *names = path.split(".")
    value = {"Execution": {"Id": "arn:e"}, "Map": {"Item": {"Value": 14}}} if root == "$$" else state
    for name in names:
        value = value[name]
    return value


def state_of_a_run() -> dict[str, Any]:
    """Return a state in which Prepare and every Task and Map have written their results."""
    trained = {"size": 14, "status": "Active", "model_name": "n", "model_arn": "m", "deployment_arn": "d"}
    models = [trained, {"size": 8, "status": "Failed", "reason": "bad data"}]
    state = example(PrepareResult) | {"trained": {"models": models, "any_active": True}}
    for name in DEFINITION["States"]:
        if name in TASKS and "ResultPath" in TASKS[name].state and name != "ListImages":
            state[TASKS[name].state["ResultPath"].removeprefix("$.")] = example(TASKS[name].result)
    return state


def item_state(task: Task) -> dict[str, Any]:
    """Return the state of an iteration of the task's Map."""
    map, state = task.map or {}, state_of_a_run()
    if task.name == "Apply":
        state["round"] = example(TASKS["ListImages"].result)
    if "ItemBatcher" not in map:
        return resolve(map["ItemSelector"], state) | {"job": example(TASKS["Customize"].result)}
    photo = {"Etag": "e", "Key": "holiday/1.jpg", "LastModified": 1, "Size": 9, "StorageClass": "STANDARD"}
    image = SplitLine(image="a" * 64, group="a" * 64, photo="holiday/1.jpg", width=900, height=600).model_dump()
    items = [photo] if map["ItemReader"]["Resource"].endswith("listObjectsV2") else [image]
    return {"BatchInput": resolve(map["ItemBatcher"]["BatchInput"], state), "Items": items}


def field_names(kind: type[BaseModel], *, required: bool = False) -> set[str]:
    fields = kind.model_fields.items()
    return {field.alias or name for name, field in fields if field.is_required() or not required}


def test_every_step_but_sweep_is_a_task() -> None:
    steps = {path.stem for path in Path(lambdas.__file__).parent.glob("*.py")}

    assert {task.step for task in TASKS.values()} == steps - {"__init__", "runtime", "sweep"}


@each_task
def test_result_selector_names_exactly_the_fields_of_the_handlers_result(task: Task) -> None:
    if task.name == "Prepare":
        assert task.state["OutputPath"] == "$.Payload"
        assert "ResultSelector" not in task.state
    else:
        assert task.state["ResultSelector"] == {f"{name}.$": f"$.Payload.{name}" for name in task.result.model_fields}


def test_state_machine_reads_exactly_the_fields_of_prepares_result_and_those_that_states_write() -> None:
    states = DEFINITION["States"].values()
    text = json.dumps([{**state, "ItemProcessor": None, "ResultSelector": None} for state in states])
    read = set(re.findall(r'"\$\.(\w+)', text))
    written = {path.removeprefix("$.") for path in re.findall(r'"ResultPath": "([^"]+)"', text)}
    written = {name for name in written if name != "$" and not name.startswith("failed.")}

    # RunFailed reads the result of RecordFailure.
    assert read - {"Payload", "failed", *FailureResult.model_fields} == written | set(PrepareResult.model_fields)


@each_task
def test_payload_has_every_required_field_of_the_event_and_no_unknown_one(task: Task) -> None:
    names = {name.removesuffix(".$") for name in task.payload}

    assert field_names(task.event, required=True) <= names <= field_names(task.event)


@each_task
def test_handler_accepts_the_event_that_the_state_machine_sends(task: Task) -> None:
    event = resolve(task.payload, item_state(task) if task.map else state_of_a_run())

    assert set(parse(task.event, event, "event").model_dump(by_alias=True)) >= set(event)


DEFAULTS = Defaults(
    stage="dev",
    teachers=["amazon.nova-pro-v1:0"],
    students=["amazon.nova-lite-v1:0"],
    concurrency=Concurrency(resize=1, label=1, predict=1),
    region="us-east-1",
    account="000000000000",
    quotas={"amazon.nova-pro-v1:0": Quota(requests_per_minute=60_000)},
)


def photo(number: int) -> bytes:
    output = io.BytesIO()
    Image.new("RGB", (60, 40), (number * 8, 90, 255 - number * 8)).save(output, "JPEG")
    return output.getvalue()


def expect_account_checks(bedrock: Stubber, quotas: Stubber, times: int) -> None:
    """Expect the calls of Prepare for a student that can be tuned and quotas that cannot be read."""
    model = {"modelArn": "arn:aws:bedrock:us-east-1::foundation-model/x.y", "modelId": "x.y"}
    for _ in range(times):
        bedrock.add_response("get_foundation_model", {"modelDetails": model})
        bedrock.add_response("list_custom_models", {})
        for _ in range(3):
            quotas.add_client_error("get_service_quota", "AccessDeniedException")


def test_each_step_returns_what_the_next_step_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE_DEFAULTS", DEFAULTS.model_dump_json())
    monkeypatch.setenv("MAX_PHOTOS", "30")
    photos = bucket(**{f"holiday/{number}.jpg": photo(number) for number in range(30)})
    make: Any = boto3.client
    runtime, bedrock, quotas = (make(name) for name in ("bedrock-runtime", "bedrock", "service-quotas"))
    with Stubber(runtime) as runtime_stub, Stubber(bedrock) as bedrock_stub, Stubber(quotas) as quotas_stub:
        expect_account_checks(bedrock_stub, quotas_stub, times=2)
        for _ in range(32 + 3 * 8):
            keywords = ", ".join(f"thing {number}" for number in range(15))
            runtime_stub.add_response("converse", converse_response(keywords))
        clients = {"bedrock_runtime": runtime, "bedrock": bedrock, "service_quotas": quotas}
        functions = Functions(monkeypatch, photos, **clients)
        results = {task.step: task.result for task in TASKS.values()}

        def invoke(step: str, event: dict[str, Any]) -> Any:
            result = functions.invoke(step, event)
            assert set(result) == set(results[step].model_fields)
            return result

        start = {"execution": "arn:e"}
        state = invoke("prepare", start)
        run = state["run"]
        assert invoke("prepare", start) == state  # A claimed run is not checked again.
        assert invoke("prepare", start | {"execution": "arn:other"})["claimed_by"] is None
        listing = invoke("await_upload", {"run": run, "collection": "holiday/", "previous": ""})
        again = {"run": run, "collection": "holiday/", "previous": listing["digest"]}
        assert invoke("await_upload", again)["settled"]
        monkeypatch.setenv("MAX_PHOTOS", "29")
        with pytest.raises(InvalidRequest, match="contains 30 photos, more than the stage's max_photos 29"):
            invoke("await_upload", again)
        batch = {"BatchInput": {"run": run}, "Items": list(photos.list("holiday/"))}
        assert invoke("resize", batch) == {"ok": 30, "refused": 0}
        split = invoke("split", {"run": run})
        assert {name: split[name] for name in ("train", "test")} == {"train": 22, "test": 8}
        measured = invoke("estimate", {"run": run, "previous": state["round"]["number"]})
        assert (measured["kind"], measured["within_budget"]) == ("baseline", True)

        def ask(step: str, round_: dict[str, Any], list_name: str) -> Any:
            images = list(read_lines(functions.data, round_[list_name]))
            shared = {"run": run, "concurrent_batches": 1, "kind": round_["kind"]}
            return invoke(step, {"BatchInput": shared, "Items": images})

        assert ask("label", measured, "to_label_key") == {"ok": 16, "refused": 0}
        assert ask("predict", measured, "to_predict_key") == {"ok": 24, "refused": 0}
        assert invoke("baseline", {"run": run})["worth_training"]
        training = invoke("estimate", {"run": run, "previous": measured["number"]})
        assert (training["kind"], training["within_budget"]) == ("training", True)
        assert ask("label", training, "to_label_key") == {"ok": 14, "refused": 0}
        dataset = invoke("write_dataset", {"run": run, "round": training})
        assert invoke("validate_dataset", {"run": run, **dataset})["files"] == 1
        # Base and ceiling are not asked again: no response is left.
        assert ask("predict", training, "to_predict_key") == {"ok": 16, "refused": 0}
        evaluation = invoke("evaluate", {"run": run, "state": {"round": training}})
        assert b"<html" in functions.data.read(evaluation["report_key"])
