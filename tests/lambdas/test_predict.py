from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber

from distillation import telemetry
from tests.lambdas.batches import IMAGES, batch_event, expect_one_answer_and_one_refusal, write_run_with_one_label
from tests.support.functions import Functions
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
