"""What AWS can tell before anything is paid: that the student may be tuned, the teacher answers, and quotas suffice."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from distillation import ledger
from distillation.bedrock_errors import to_pipeline_error
from distillation.errors import AccessDenied, DistillationError, InvalidRequest, Throttled
from distillation.inference.converse import to_answer_error
from distillation.models import catalog
from distillation.models.service_quotas import check_quotas
from distillation.records import LedgerPart, Run
from distillation.storage import Bucket

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_service_quotas import ServiceQuotasClient

_QUESTION = "Answer with one word: ready."
_ANSWER_TOKENS = 8


@dataclass(frozen=True)
class Account:
    """The clients that know the account, and its Region."""

    region: str
    bedrock: BedrockClient
    runtime: BedrockRuntimeClient
    quotas: ServiceQuotasClient


def check_account(run: Run, data: Bucket, account: Account) -> None:
    """Check what the run will come to; ``until`` may end it before.

    Raises ``InvalidRequest``, ``AccessDenied`` or ``QuotaExceeded``, each with what to change, and ``Throttled``.
    """
    if run.request.until is None:
        _check_student(run, account)
        check_quotas(run, account.bedrock, account.quotas)
    if run.request.until != "Estimate":
        _ask_teacher(run, data, account.runtime)


def _check_student(run: Run, account: Account) -> None:
    student = catalog.get_model(run.student)
    if account.region not in student.family.serving_regions:
        raise InvalidRequest(
            f"student {student.id!r}, once tuned, is served on demand in "
            f"{', '.join(student.family.serving_regions)} only, not in {account.region}; deploy there"
        )
    details = _described(student, account)
    lifecycle = details.get("modelLifecycle", {})
    if lifecycle.get("status") == "LEGACY":
        end = lifecycle.get("endOfLifeTime")
        life = f" (end of life {end:%Y-%m-%d})" if end else ""
        raise InvalidRequest(
            f"student {student.id!r} is LEGACY at Bedrock{life} and takes no new jobs; {_other(student)}"
        )
    customizations = details.get("customizationsSupported")
    if customizations and "FINE_TUNING" not in customizations:
        raise InvalidRequest(
            f"Bedrock does not fine-tune {student.training_id!r} in {account.region}; {_other(student)}"
        )


def _described(student: catalog.Model, account: Account) -> Any:
    id_ = student.training_id or student.id
    try:
        return account.bedrock.get_foundation_model(modelIdentifier=id_)["modelDetails"]
    except account.bedrock.exceptions.ResourceNotFoundException:
        raise InvalidRequest(f"Bedrock has no model {id_!r} in {account.region}; {_other(student)}") from None
    except ClientError as error:
        raise to_pipeline_error(error, f"model {id_}") from error


def _other(student: catalog.Model) -> str:
    if student.successor is None:
        return "choose another student that the stage in cdk.json allows"
    return (
        f"choose student {student.successor!r}, its successor, and add it to 'students' of the stage in cdk.json "
        "if it is not there"
    )


def _ask_teacher(run: Run, data: Bucket, runtime: BedrockRuntimeClient) -> None:
    """Ask the teacher something tiny, and put it on the ledger."""
    teacher = run.teacher
    try:
        response = runtime.converse(
            modelId=teacher.invocation_id,
            messages=[{"role": "user", "content": [{"text": _QUESTION}]}],
            inferenceConfig={"maxTokens": _ANSWER_TOKENS},
        )
    except BotoCoreError as error:
        raise Throttled(f"no answer from teacher {teacher.model}: {error}") from error
    except ClientError as error:
        raise _no_teacher(to_answer_error(error, f"teacher {teacher.model}")) from error
    usage = response["usage"]
    part = LedgerPart(
        step="Prepare",
        model=teacher.model,
        calls=1,
        reused=0,
        input_tokens=usage["inputTokens"],
        output_tokens=usage["outputTokens"],
        usd=ledger.inference_usd(teacher.model, usage["inputTokens"], usage["outputTokens"]),
    )
    ledger.record(data, run.name, part, uuid.uuid4().hex)


def _no_teacher(found: DistillationError) -> DistillationError:
    if isinstance(found, Throttled):
        hint = "the account's quota of requests for this model may be 0: see Service Quotas, Amazon Bedrock"
        return Throttled(f"{found}; if this goes on, {hint}")
    if isinstance(found, AccessDenied):
        return found
    return InvalidRequest(f"{found}; change 'teacher', or 'teachers' of the stage in cdk.json")
