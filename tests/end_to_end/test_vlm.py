"""Labels of the user's own vision model on the AWS emulator, against a stub of its server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from local.bedrock import vlm_from_environment
from local.models import ModelPair
from tests.end_to_end.conftest import PHOTOS, PIXELS, PipelineDriver
from tests.support.stored import read_json
from tests.support.vlm_stub import TEACHER_MODEL, chat_completion, json_reply, vlm_stub

Start = Callable[..., AbstractContextManager[PipelineDriver]]
KEYWORDS = ", ".join(f"keyword{number}" for number in range(1, 19))


def test_prompt_reaches_the_users_server_and_its_answers_are_the_labels(pipeline: Start) -> None:
    prompt = {"system": "You describe photos.", "user": "Answer with 15 to 25 keywords, separated by commas."}
    with vlm_stub() as stub, pipeline() as running:
        stub.reply = json_reply(chat_completion(KEYWORDS))
        pair = ModelPair(PIXELS["teacher"], PIXELS["student"])
        service = running.pipeline.bedrock.service
        service.vlm = vlm_from_environment(pair, {"LOCAL_VLM": stub.url, "TEACHER_MODEL": TEACHER_MODEL})
        try:
            running.upload(PHOTOS)
            ended = running.run(until="LabelImages", prompt=prompt)
        finally:
            service.vlm = None

        assert ended.status == "SUCCEEDED"
        assert running.report()["labelled"] == len(PHOTOS)
        labels = [read_json(running.pipeline.data, key) for key in running.keys("labels/")]
        assert {label["text"] for label in labels} == {KEYWORDS}
        systems = {question["messages"][0]["content"] for question in stub.questions}
        users = {question["messages"][1]["content"][0]["text"] for question in stub.questions}
        assert (systems, users) == ({prompt["system"]}, {prompt["user"]})
