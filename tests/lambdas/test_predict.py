from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber

from distillation import keys, telemetry
from distillation.records import AnswerLine
from tests.lambdas.batches import IMAGES, batch_event, expect_one_answer_and_one_refusal, write_run_with_one_label
from tests.support.builders import any_run, converse_response
from tests.support.lambda_functions import Functions
from tests.support.metrics import metric_totals


def test_batch_counts_new_and_refused_predictions_and_tokens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry.metrics.clear_metrics()
    client = boto3.client("bedrock-runtime")
    functions = Functions(monkeypatch, bedrock_runtime=client)
    write_run_with_one_label(functions.data)
    with Stubber(client) as bedrock_runtime:
        expect_one_answer_and_one_refusal(bedrock_runtime)
        assert functions.invoke("predict", batch_event(IMAGES[:1], models=[])) == {"ok": 1, "refused": 1}
    totals = metric_totals(capsys.readouterr().out)

    assert (totals["ImagesPredicted"], totals["PredictionsRefused"]) == (1, 1)
    assert (totals["InputTokens"], totals["OutputTokens"]) == (1000, 100)


def test_baseline_round_asks_the_alternatives_and_the_teacher_again(monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client("bedrock-runtime")
    functions, run = Functions(monkeypatch, bedrock_runtime=client), any_run()
    write_run_with_one_label(functions.data)
    functions.data.write_lines(keys.split_key(run.name, "train"), [])
    event = batch_event(IMAGES[:1], kind="baseline")
    with Stubber(client) as bedrock_runtime:
        for _ in range(2):
            bedrock_runtime.add_response("converse", converse_response())
        assert functions.invoke("predict", event) == {"ok": 2, "refused": 0}
    lines = list(functions.data.read_parts(keys.parts_prefix(run.name, "baseline"), AnswerLine))

    assert [(line.answerer, line.image) for line in lines] == [("base", IMAGES[0]), ("ceiling", IMAGES[0])]
