"""Converse through the user's own OpenAI-compatible server, against a stub of one."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cli.console import CommandError
from distillation.models import catalog
from local.bedrock import Endpoint, Vlm, bedrock_endpoint, vlm_from_environment
from local.bedrock.protocol import BedrockError
from local.bedrock.vlm import checked_url
from local.models import ModelPair
from tests.support.fakes import MemoryS3
from tests.support.local_bedrock import (
    STUDENT,
    TEACHER,
    client,
    converse,
    create_deployment,
    create_job,
    error_code,
    wait_for_job,
)
from tests.support.vlm_stub import STUDENT_MODEL, TEACHER_MODEL, VlmStub, chat_completion, json_reply, vlm_stub

PAIR = ModelPair(TEACHER, STUDENT)
OTHER_STUDENT = "local.student-pixels-pro-v1:0"


@pytest.fixture
def stub() -> Iterator[VlmStub]:
    with vlm_stub() as stub:
        yield stub


def environment(stub: VlmStub, **changes: str) -> dict[str, str]:
    return {
        "LOCAL_VLM": stub.url,
        "TEACHER_MODEL": TEACHER_MODEL,
        "STUDENT_MODEL": STUDENT_MODEL,
        **changes,
    }


def configured(stub: VlmStub, **changes: str) -> Vlm:
    vlm = vlm_from_environment(PAIR, environment(stub, **changes))
    assert vlm is not None
    return vlm


@pytest.fixture
def endpoint(stub: VlmStub, s3: MemoryS3, tmp_path: Path) -> Iterator[Endpoint]:
    with bedrock_endpoint(s3=lambda: s3, cache=tmp_path, vlm=configured(stub)) as endpoint:
        yield endpoint


def text_of(response: Any) -> str:
    return response["output"]["message"]["content"][0]["text"]


# ---- Which model answers ---------------------------------------------------------------------------------------------


def test_teacher_and_base_student_are_models_of_the_server(endpoint: Endpoint, stub: VlmStub) -> None:
    for model in (TEACHER, STUDENT):
        assert text_of(converse(endpoint, model)) == "cat, sofa, window"

    assert [question["model"] for question in stub.questions] == [TEACHER_MODEL, STUDENT_MODEL]


def test_other_student_of_the_stage_answers_itself(endpoint: Endpoint, stub: VlmStub) -> None:
    assert text_of(converse(endpoint, OTHER_STUDENT)) != "cat, sofa, window"
    assert stub.questions == []


def test_tuned_model_is_the_local_student(endpoint: Endpoint, stub: VlmStub) -> None:
    tuned = wait_for_job(endpoint, create_job(endpoint))["outputModelArn"]
    deployment = create_deployment(endpoint, tuned)
    for _ in range(2):
        client(endpoint, "bedrock").get_custom_model_deployment(customModelDeploymentIdentifier=deployment)

    assert "common" in text_of(converse(endpoint, deployment))
    assert stub.questions == []


def test_without_a_student_model_the_base_student_is_the_local_one(stub: VlmStub, s3: MemoryS3, tmp_path: Path) -> None:
    with bedrock_endpoint(s3=lambda: s3, cache=tmp_path, vlm=configured(stub, STUDENT_MODEL="")) as endpoint:
        converse(endpoint, TEACHER)
        converse(endpoint, STUDENT)

    assert [question["model"] for question in stub.questions] == [TEACHER_MODEL]


# ---- What is asked and answered --------------------------------------------------------------------------------------


def test_question_has_prompts_image_and_settings(endpoint: Endpoint, s3: MemoryS3, stub: VlmStub) -> None:
    image = {"format": "jpeg", "source": {"s3Location": {"uri": "s3://data/images/900/1.jpg"}}}
    client(endpoint, "bedrock-runtime").converse(
        modelId=TEACHER,
        system=[{"text": "Answer with keywords."}],
        messages=[{"role": "user", "content": [{"text": "What is it?"}, {"image": image}]}],
        inferenceConfig={"maxTokens": 300, "temperature": 0.5, "stopSequences": ["###"]},
    )

    data = base64.b64encode(s3.objects["images/900/1.jpg"]).decode()
    assert stub.questions == [
        {
            "model": TEACHER_MODEL,
            "messages": [
                {"role": "system", "content": "Answer with keywords."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is it?"},
                        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}},
                    ],
                },
            ],
            "stream": False,
            "max_tokens": 300,
            "temperature": 0.5,
            "stop": ["###"],
        }
    ]
    assert stub.paths == ["GET /v1/models", "POST /v1/chat/completions"]


def test_question_without_an_image_is_plain_text(endpoint: Endpoint, stub: VlmStub) -> None:
    question = [{"role": "user", "content": [{"text": "Are you there?"}]}]
    response = client(endpoint, "bedrock-runtime").converse(modelId=TEACHER, messages=question)

    assert text_of(response) == "cat, sofa, window"
    assert stub.questions[0]["messages"] == [{"role": "user", "content": "Are you there?"}]


def test_tokens_are_those_that_the_server_counted(endpoint: Endpoint) -> None:
    assert converse(endpoint)["usage"] == {"inputTokens": 812, "outputTokens": 9, "totalTokens": 821}


@pytest.mark.parametrize(
    "usage",
    [None, {}, {"prompt_tokens": "many"}, {"prompt_tokens": -1, "completion_tokens": True}, {"prompt_tokens": 2**40}],
    ids=["null", "empty", "text", "negative", "too-large"],
)
def test_tokens_are_estimated_if_the_server_has_no_valid_count(endpoint: Endpoint, stub: VlmStub, usage: Any) -> None:
    stub.reply = json_reply(chat_completion() | {"usage": usage})
    counted = converse(endpoint)["usage"]

    assert counted["inputTokens"] > 900
    assert counted["outputTokens"] == 4


@pytest.mark.parametrize(
    ("finish", "stop_reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("content_filter", "content_filtered"),
        ("tool_calls", "tool_use"),
        ("abort", "malformed_model_output"),
        (None, "malformed_model_output"),
        (["stop"], "malformed_model_output"),
    ],
    ids=str,
)
def test_finish_reason_becomes_the_stop_reason(
    endpoint: Endpoint, stub: VlmStub, finish: Any, stop_reason: str
) -> None:
    stub.reply = json_reply(chat_completion(finish=finish))

    assert converse(endpoint)["stopReason"] == stop_reason


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None}, ""),
        ({"content": None, "refusal": "I cannot help."}, "I cannot help."),
        ({"content": None, "tool_calls": [{"function": {"name": "f"}}]}, ""),
        ({"content": "cat", "reasoning_content": "It has whiskers."}, "cat"),
        ({"content": "", "reasoning_content": "It has whiskers."}, ""),
        ({"content": "<think>\nIt has whiskers.\n</think>\n\ncat"}, "cat"),
        ({"content": "<think>It has whis"}, ""),
        ({"content": "cat <think>"}, "cat <think>"),
        (
            {"content": [{"type": "text", "text": "cat, "}, {"type": "text", "text": "sofa"}, {"type": "image"}]},
            "cat, sofa",
        ),
        ({"content": {"text": "cat"}}, ""),
        ({"content": "cat \ud83d"}, "cat ?"),
    ],
    ids=[
        *("null", "refusal", "tool-call", "reasoning-content", "reasoning-content-only", "think", "think-cut-off"),
        *("think-later", "parts", "object", "half-surrogate"),
    ],
)
def test_text_is_the_answer_without_reasoning(
    endpoint: Endpoint, stub: VlmStub, message: dict[str, Any], text: str
) -> None:
    stub.reply = json_reply(chat_completion(**message))

    assert text_of(converse(endpoint)) == text


def test_answer_of_a_server_that_ignores_max_tokens_is_cut(endpoint: Endpoint, stub: VlmStub) -> None:
    stub.reply = json_reply(chat_completion("cat, " * 10_000))
    image = {"format": "jpeg", "source": {"s3Location": {"uri": "s3://data/images/900/1.jpg"}}}
    response = client(endpoint, "bedrock-runtime").converse(
        modelId=TEACHER,
        messages=[{"role": "user", "content": [{"text": "keywords"}, {"image": image}]}],
        inferenceConfig={"maxTokens": 10},
    )

    assert len(text_of(response)) == 160
    assert response["stopReason"] == "max_tokens"


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"choices": []},
        {"choices": None},
        {"choices": [{}]},
        {"choices": ["cat"]},
        {"choices": [{"message": "cat"}]},
    ],
    ids=["empty", "no-choice", "null", "no-message", "text-choice", "text-message"],
)
def test_reply_without_a_message_is_a_model_error(endpoint: Endpoint, stub: VlmStub, reply: Any) -> None:
    stub.reply = json_reply(reply)
    with pytest.raises(ClientError, match="without a message in 'choices'") as error:
        converse(endpoint)

    assert error_code(error) == "ModelErrorException"


def test_server_that_cannot_answer_is_logged_once_and_again_when_it_answers(
    stub: VlmStub, caplog: pytest.LogCaptureFixture
) -> None:
    vlm, answers = configured(stub), stub.reply
    question = {"messages": [{"role": "user", "content": [{"text": "Are you there?"}]}]}
    for reply in (json_reply({"error": "loading"}, 503), answers, json_reply({"error": "loading"}, 503)):
        stub.reply = reply
        for _ in range(2):
            with contextlib.suppress(BedrockError):
                vlm.answer(TEACHER, question, None)

    assert [record.getMessage() for record in caplog.records if record.name == "local.vlm"] == [
        f"LOCAL_VLM {stub.url} answered 503: loading. The run waits for it.",
        f"LOCAL_VLM {stub.url} answers again.",
    ]


# ---- Configuration ---------------------------------------------------------------------------------------------------


def test_without_a_url_nothing_is_configured() -> None:
    assert vlm_from_environment(PAIR, {"LOCAL_VLM_KEY": "k"}) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"LOCAL_VLM": ""}, "TEACHER_MODEL and STUDENT_MODEL set without LOCAL_VLM"),
        ({"TEACHER_MODEL": "", "STUDENT_MODEL": " "}, "LOCAL_VLM is set without a model"),
        ({"TEACHER_MODEL": "gpt-9"}, r"has no model 'gpt-9' \(it has: llama3, moondream:latest, qwen2.5vl:7b\)"),
        ({"TEACHER_MODEL": "a\nb"}, "TEACHER_MODEL 'a b' is not a model name"),
        ({"TEACHER_MODEL": "a" * 201}, "TEACHER_MODEL 'a+….* is not a model name"),
        ({"LOCAL_VLM_KEY": "a\r\nb"}, "LOCAL_VLM_KEY has characters"),
        ({"LOCAL_VLM_PARALLEL": "0"}, "LOCAL_VLM_PARALLEL must be a whole number from 1 to 64"),
        ({"LOCAL_VLM_PARALLEL": "9999"}, "LOCAL_VLM_PARALLEL must be a whole number from 1 to 64"),
        ({"LOCAL_VLM_PARALLEL": "two"}, "LOCAL_VLM_PARALLEL must be a whole number from 1 to 64"),
    ],
    ids=["no-url", "no-model", "unknown-model", "line-break", "long-name", "key", "zero", "too-many", "text"],
)
def test_invalid_configuration_is_refused_at_the_start(stub: VlmStub, changes: dict[str, str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        vlm_from_environment(PAIR, environment(stub, **changes))


def test_name_without_a_tag_is_ollamas_latest(stub: VlmStub) -> None:
    assert configured(stub, STUDENT_MODEL="moondream").models[STUDENT] == "moondream"


def test_url_and_models_are_printed_without_the_key(stub: VlmStub, capsys: pytest.CaptureFixture[str]) -> None:
    vlm = configured(stub, LOCAL_VLM_KEY="secret-key")
    printed = capsys.readouterr().out

    assert f"go to {stub.url} (TEACHER_MODEL {TEACHER_MODEL}, STUDENT_MODEL {STUDENT_MODEL})" in printed
    assert "secret" not in printed + repr(vlm)
    assert stub.headers[0]["authorization"] == "Bearer secret-key"


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (
            json_reply({"error": {"message": "bad key sk-1"}}, 401),
            r"answered 401: bad key .LOCAL_VLM_KEY.\. Set LOCAL_VLM_KEY",
        ),
        (json_reply({"detail": "Not Found"}, 404), r"answered 404: Not Found\. Check that LOCAL_VLM ends like"),
        (json_reply({"data": None}), r"it has: none"),
        (json_reply([TEACHER_MODEL]), "answered without a JSON object"),
    ],
    ids=["key", "path", "null", "list"],
)
def test_server_that_does_not_list_the_models_is_refused_at_the_start(stub: VlmStub, models: Any, message: str) -> None:
    stub.models = models
    with pytest.raises(CommandError, match=message):
        configured(stub, LOCAL_VLM_KEY="sk-1")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://127.0.0.1/v1", "'ftp://127.0.0.1/v1' is not an http or https URL"),
        ("127.0.0.1:11434/v1", "is not an http or https URL"),
        ("http:///v1", "is not an http or https URL"),
        ("http://127.0.0.1:99999/v1", "is not a valid URL"),
        ("http://[::1/v1", "is not a valid URL"),
        ("http://127.0.0.1/v1?api-key=secret", "must have no query"),
        ("ftp://127.0.0.1/v1?api-key=secret", "is not an http or https URL"),
        ("http://127.0.0.1/v 1", "only ASCII characters"),
        ("http://me:secret@127.0.0.1/v1", "must not contain a user name or password"),
    ],
    ids=["scheme", "no-scheme", "no-host", "port", "bracket", "query", "scheme-and-query", "space", "password"],
)
def test_invalid_url_is_refused_without_its_secrets(url: str, message: str) -> None:
    with pytest.raises(CommandError, match=message) as error:
        checked_url(url)

    assert "secret" not in str(error.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:11434/v1/", "https://example.org/openai/v1", "http://[::1]:8000/v1"])
def test_url_loses_its_final_slash(url: str) -> None:
    assert checked_url(url) == url.rstrip("/")


# ---- Names -----------------------------------------------------------------------------------------------------------


def test_models_have_the_names_of_the_server_while_the_endpoint_runs(
    stub: VlmStub, s3: MemoryS3, tmp_path: Path
) -> None:
    own_name = catalog.get_model(STUDENT).display_name
    with bedrock_endpoint(s3=lambda: s3, cache=tmp_path, vlm=configured(stub)):
        assert catalog.get_model(TEACHER).display_name == TEACHER_MODEL
        assert catalog.get_model(STUDENT).display_name == STUDENT_MODEL
        assert catalog.get_model(STUDENT).tuned_name == own_name
        assert STUDENT_MODEL in os.environ[catalog.SERVED_NAMES]

    assert catalog.get_model(STUDENT).display_name == own_name
    assert catalog.served_name(TEACHER) is None
    assert catalog.SERVED_NAMES not in os.environ
