"""What AWS can tell before anything is paid: that the student may be tuned, the teacher answers, and quotas suffice."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from distillation import ledger
from distillation.bedrock_errors import translated
from distillation.errors import AccessRefused, BadRequest, DistillationError, Throttled
from distillation.inference.converse import failure
from distillation.models import catalog
from distillation.models.service_quotas import check_quotas
from distillation.records import LedgerPart, Run
from distillation.storage import Objects

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


def check(run: Run, data: Objects, account: Account) -> None:
    """Check what the run will come to; ``until`` may end it before.

    Raises ``BadRequest``, ``AccessRefused`` or ``QuotaReached``, each with what to change, and ``Throttled``.
    """
    if run.request.until is None:
        _check_student(run, account)
        check_quotas(run, account.bedrock, account.quotas)
    if run.request.until != "Estimate":
        _ask_teacher(run, data, account.runtime)


def _check_student(run: Run, account: Account) -> None:
    student = catalog.model(run.student)
    if account.region not in student.family.serving_regions:
        raise BadRequest(
            f"student {student.id!r}, once tuned, is served on demand in "
            f"{', '.join(student.family.serving_regions)} only, not in {account.region}; deploy there"
        )
    details = _described(student, account)
    lifecycle = details.get("modelLifecycle", {})
    if lifecycle.get("status") == "LEGACY":
        end = lifecycle.get("endOfLifeTime")
        life = f" (end of life {end:%Y-%m-%d})" if end else ""
        raise BadRequest(f"student {student.id!r} is LEGACY at Bedrock{life} and takes no new jobs; {_other(student)}")
    customizations = details.get("customizationsSupported")
    if customizations and "FINE_TUNING" not in customizations:
        raise BadRequest(f"Bedrock does not fine-tune {student.training_id!r} in {account.region}; {_other(student)}")


def _described(student: catalog.Model, account: Account) -> Any:
    id_ = student.training_id or student.id
    try:
        return account.bedrock.get_foundation_model(modelIdentifier=id_)["modelDetails"]
    except account.bedrock.exceptions.ResourceNotFoundException:
        raise BadRequest(f"Bedrock has no model {id_!r} in {account.region}; {_other(student)}") from None
    except ClientError as error:
        raise translated(error, f"model {id_}") from error


def _other(student: catalog.Model) -> str:
    if student.successor is None:
        return "choose another student that the stage in cdk.json allows"
    return (
        f"choose student {student.successor!r}, its successor, and add it to 'students' of the stage in cdk.json "
        "if it is not there"
    )


def _ask_teacher(run: Run, data: Objects, runtime: BedrockRuntimeClient) -> None:
    """Ask the teacher something tiny, and put it on the ledger."""
    teacher = run.teacher
    try:
        response = runtime.converse(
            modelId=teacher.called,
            messages=[{"role": "user", "content": [{"text": _QUESTION}]}],
            inferenceConfig={"maxTokens": _ANSWER_TOKENS},
        )
    except BotoCoreError as error:
        raise Throttled(f"no answer from teacher {teacher.model}: {error}") from error
    except ClientError as error:
        raise _no_teacher(failure(error, f"teacher {teacher.model}")) from error
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
    ledger.record(data, run.run, part, uuid.uuid4().hex)


def _no_teacher(found: DistillationError) -> DistillationError:
    if isinstance(found, Throttled):
        hint = "the account's quota of requests for this model may be 0: see Service Quotas, Amazon Bedrock"
        return Throttled(f"{found}; if this goes on, {hint}")
    if isinstance(found, AccessRefused):
        return found
    return BadRequest(f"{found}; change 'teacher', or 'teachers' of the stage in cdk.json")
