"""Preflight checks: everything that can stop a run later and can be known before a label is paid for.

The account is asked whether the student can be tuned, whether the teacher answers, and whether quotas suffice. A
training record is checked by the rules of the dataset validator.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from distillation import keys, ledger
from distillation.aws_errors import is_not_found, to_pipeline_error
from distillation.dataset.record_checks import check_record
from distillation.dataset.rules import RULES, sentence
from distillation.dataset.writer import training_record
from distillation.errors import (
    AccessDenied,
    AccessPending,
    DailyQuotaExceeded,
    DistillationError,
    InvalidRequest,
    Throttled,
)
from distillation.inference.converse import ImageSourceRefused, Question, ask, s3_source
from distillation.models import catalog
from distillation.models.model import Model
from distillation.models.service_quotas import check_quotas
from distillation.models.service_tier import dearest_tier, first_tier
from distillation.records import Answer, LedgerPart, Run
from distillation.runs.account_limits import check_refused_probe
from distillation.storage import Bucket
from distillation.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_bedrock_runtime.type_defs import ImageSourceTypeDef
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_service_quotas import ServiceQuotasClient
    from mypy_boto3_stepfunctions import SFNClient

_PROBE_IMAGE = Path(__file__).with_name("probe.jpg")
"""Image of 320 x 240 pixels without any meaning."""
_EXAMPLE_BUCKET = "data"
_EXAMPLE_IMAGE = "0" * 64
_EXAMPLE_LABEL = "cat, sofa, window"


@dataclass(frozen=True)
class Account:
    """Region and clients of the account."""

    region: str
    bedrock: BedrockClient
    runtime: BedrockRuntimeClient
    quotas: ServiceQuotasClient
    functions: LambdaClient
    states: SFNClient


def check_training_record(run: Run, bucket: str = _EXAMPLE_BUCKET) -> None:
    """Raise ``InvalidRequest`` if Bedrock would refuse every training record of the run, such as for its prompt.

    ``bucket`` is the name of the Data bucket, where it is known.
    """
    record = training_record(run, bucket, _EXAMPLE_IMAGE, _EXAMPLE_LABEL)
    findings = check_record(record, catalog.get_model(run.student).family).findings
    reasons = [
        f"{finding.field}: {finding.description}. {sentence(RULES[finding.rule].remedy)}"
        for finding in findings
        if RULES[finding.rule].severity == "error"
    ]
    if reasons:
        raise InvalidRequest(f"Bedrock would refuse every training record of this run: {' '.join(reasons)}")


def check_account(run: Run, data: Bucket, account: Account) -> None:
    """Check the steps that the run reaches against the account.

    Raises ``InvalidRequest``, ``AccessDenied`` or ``QuotaExceeded``, each with what to change, or ``Throttled``.
    """
    for check in free_checks(run, account):
        check()
    if probes_teacher(run):
        probe_teacher(run, data, account)


def free_checks(run: Run, account: Account) -> list[Callable[[], None]]:
    """Return the checks of the account that cost nothing. They raise what ``check_account`` does."""
    if run.request.apply or run.request.until is not None:
        return []
    return [partial(_check_student, run, account), partial(check_quotas, run, account.bedrock, account.quotas)]


def probes_teacher(run: Run) -> bool:
    """Return whether Prepare asks the teacher one question, which is billed."""
    return run.request.fallback is not None if run.request.apply else run.request.until != "Estimate"


def _check_student(run: Run, account: Account) -> None:
    student = catalog.get_model(run.student)
    if account.region not in student.family.serving_regions:
        raise InvalidRequest(
            f"student {student.id!r}: tuned models are deployed on demand in "
            f"{', '.join(student.family.serving_regions)} only, not in {account.region}. Deploy the stage there."
        )
    details = _describe(student, account)
    lifecycle = details.get("modelLifecycle", {})
    if lifecycle.get("status") == "LEGACY":
        end = lifecycle.get("endOfLifeTime")
        end_of_life = f" (end of life {end:%Y-%m-%d})" if end else ""
        raise InvalidRequest(
            f"student {student.id!r} is LEGACY on Bedrock{end_of_life} and accepts no new jobs. {_alternative(student)}"
        )
    customizations = details.get("customizationsSupported")
    if customizations and "FINE_TUNING" not in customizations:
        raise InvalidRequest(
            f"Bedrock does not fine-tune {student.training_id!r} in {account.region}. {_alternative(student)}"
        )


def _describe(student: Model, account: Account) -> Any:
    model_id = student.training_id or student.id
    try:
        return account.bedrock.get_foundation_model(modelIdentifier=model_id)["modelDetails"]
    except ClientError as error:
        if is_not_found(error):
            raise InvalidRequest(
                f"Bedrock has no model {model_id!r} in {account.region}. {_alternative(student)}"
            ) from None
        raise to_pipeline_error(error, f"model {model_id}") from error


def _alternative(student: Model) -> str:
    if student.successor is None:
        return "Choose another student that the stage in cdk.json allows."
    return (
        f"Choose its successor {student.successor!r} as student, and add it to 'students' of the stage in cdk.json "
        "if it is not there."
    )


def probe_teacher(run: Run, data: Bucket, account: Account) -> None:
    """Ask the teacher about one image as LabelImages will, and record the cost in the ledger.

    If Bedrock refuses this question, it would refuse those about every image. If the daily quota is used up, the run
    starts only if the quota is known.
    """
    teacher, source = run.teacher, _probe_source(run, data)
    try:
        answer = _probe_answer(run, source, account)
    except DailyQuotaExceeded as error:
        check_refused_probe(run, account.quotas, error)
        return
    except DistillationError as error:
        raise _probe_error(error) from error
    usage, tier = answer.usage, answer.tier
    part = LedgerPart(
        step="Prepare",
        model=teacher.model,
        tier=tier,
        calls=1,
        reused=0,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        usd=ledger.inference_usd(teacher.model, usage.input_tokens, usage.output_tokens, tier),
    )
    ledger.write_part(run.name, part, uuid.uuid4().hex, data)


def _probe_answer(run: Run, source: ImageSourceTypeDef, account: Account) -> Answer:
    """Return the teacher's answer. With ``auto``, the standard tier is asked if flex fails, as in LabelImages."""
    teacher, requested = run.teacher, run.request.service_tier
    question = Question(run.prompt, "probe", source, tier=first_tier(teacher.model, requested))
    try:
        return ask(account.runtime, teacher.invocation_id, teacher, question)
    except DailyQuotaExceeded:
        raise
    except DistillationError as error:
        if dearest_tier(requested) == question.tier:
            raise
        logger.warning("flex does not answer the probe", run=run.name, error=str(error))
    return ask(account.runtime, teacher.invocation_id, teacher, replace(question, tier="default"))


def _probe_source(run: Run, data: Bucket) -> ImageSourceTypeDef:
    """Return the probe image in the form that the teacher's family takes; write it to the Data bucket for an S3 URI."""
    image = _PROBE_IMAGE.read_bytes()
    if catalog.get_model(run.teacher.model).family.images_by == "bytes":
        return {"bytes": image}
    data.write(keys.PROBE_IMAGE_KEY, image, "image/jpeg")
    return s3_source(run, keys.PROBE_IMAGE_KEY, data)


def _probe_error(error: DistillationError) -> DistillationError:
    """Return an error of the probe with what to do about it."""
    if isinstance(error, Throttled):
        hint = "the account's quota of requests for this model may be 0. See Service Quotas, Amazon Bedrock."
        return Throttled(f"{error}. If this continues, {hint}")
    if isinstance(error, AccessDenied | AccessPending):
        return error
    remedy = "Change 'teacher', or 'teachers' of the stage in cdk.json."
    if isinstance(error, ImageSourceRefused):
        remedy = "Set images_by of the teacher's family in distillation/models/catalog.toml, and deploy again."
    return InvalidRequest(f"the teacher refused a question that every image needs: {str(error).rstrip('.')}. {remedy}")
