"""Examples that docs/data-formats.md shows, built from the models so that they stay valid."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel

from distillation.costs.calibration import Calibration
from distillation.documents import (
    Bounds,
    EstimateLine,
    Failure,
    Gate,
    Interval,
    ReplacedDeployment,
    RunBudget,
    SplitFacts,
)
from distillation.models.prices import price
from distillation.records import (
    Answer,
    AnswerLine,
    InventoryLine,
    LedgerPart,
    OwnLabel,
    Quota,
    Request,
    SplitLine,
    TrainedModel,
    Usage,
)
from distillation.runs.result_tables import ResultLine

_IMAGE = "9b74c9897bac770f"
_PHOTO = "holiday/IMG (1).JPG"
_ARN = "arn:aws:bedrock:us-east-1:111122223333"
_USAGE = Usage(input_tokens=1012, output_tokens=87)

EXAMPLES: dict[str, BaseModel] = {
    type(example).__name__: example
    for example in (
        Request(
            train_sizes=[100, 300],
            max_usd=10,
            quotas={"amazon.nova-pro-v1:0": Quota(requests_per_minute=25, tokens_per_minute=100_000)},
        ),
        InventoryLine(
            photo=_PHOTO,
            status="ok",
            image=_IMAGE,
            width=900,
            height=600,
            bytes=81_234,
            perceptual_hash="1f3c8e0077e0c183",
            flags=["dark"],
            group=_IMAGE,
            set="train",
            labelled_by="teacher",
        ),
        OwnLabel(image=_IMAGE, photo=_PHOTO, text="cat, sofa, window"),
        SplitLine(image=_IMAGE, group=_IMAGE, photo=_PHOTO, width=900, height=600, set="train"),
        SplitFacts(
            photos=120,
            refused=1,
            images=110,
            train=82,
            validation=0,
            test=28,
            excluded=2,
            exact_duplicates=7,
            near_duplicates=12,
            groups=104,
            leaked_by_random_split=4.1,
            flags={"dark": 2},
            own_labels=0,
        ),
        Answer(
            model="amazon.nova-pro-v1:0",
            image=_IMAGE,
            text="cat, sofa, window",
            stop_reason="end_turn",
            usage=_USAGE,
            latency_ms=2140,
        ),
        AnswerLine(
            image=_IMAGE, answerer="teacher", status="ok", text="cat, sofa, window", usage=_USAGE, latency_ms=2140
        ),
        TrainedModel(
            size=100,
            status="Active",
            model_name="holiday-3f2a9c1b7d-n100-a1",
            model_arn=f"{_ARN}:custom-model/imported/4h2k",
            job_arn=f"{_ARN}:model-customization-job/8d1f",
            deployment_arn=f"{_ARN}:custom-model-deployment/q7xz",
        ),
        LedgerPart(
            step="LabelImages",
            model="amazon.nova-pro-v1:0",
            calls=100,
            throttled=3,
            reused=20,
            input_tokens=101_200,
            output_tokens=8_700,
            usd=0.1088,
        ),
        Calibration(
            model="amazon.nova-lite-v1:0",
            run="holiday-3f2a9c1b7d",
            answers=56,
            image_factor=1.04,
            labeler="5d41402abc4b2a76",
            answer_tokens=84.5,
        ),
        Interval(mean=0.5, ci95=(0.44, 0.56)),
        EstimateLine(
            step="LabelImages",
            what="Nova Pro, input",
            quantity=Bounds(low=98_000, expected=112_000, high=141_000),
            usd=Bounds(low=0.0784, expected=0.0896, high=0.1128),
            price=price("amazon.nova-pro-v1:0", "input").as_row(),
        ),
        Gate(
            best="n300",
            gain=Interval(mean=0.35, ci95=(0.29, 0.41)),
            passed=True,
            promoted="holiday-3f2a9c1b7d-n300-a1",
            reasons=[],
        ),
        ReplacedDeployment(
            deployment_name="holiday-1c0ffee123-n300-a1",
            deployment_arn=f"{_ARN}:custom-model-deployment/q7xz",
            model_arn=f"{_ARN}:custom-model/imported/4h2k",
            replaces="holiday-1c0ffee123",
        ),
        RunBudget(
            run="holiday-3f2a9c1b7d",
            created=datetime(2026, 11, 24, 9, 30, tzinfo=UTC),
            max_usd=25.0,
            executions=["arn:aws:states:us-east-1:111122223333:execution:Distillation:3f2a"],
            settled_usd=7.42,
        ),
        Failure(
            run="holiday-3f2a9c1b7d",
            execution="arn:aws:states:us-east-1:111122223333:execution:Distillation:3f2a",
            state="LabelImages",
            error="AccessDenied",
            cause="Bedrock denied access to amazon.nova-pro-v1:0. Request access in the Bedrock console.",
        ),
        ResultLine(
            photo="IMG (1).JPG", status="ok", answered_by="tuned", answer=["cat", "sofa"], reason=None, image=_IMAGE
        ),
    )
}
