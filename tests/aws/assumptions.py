"""Assumptions of this project about AWS, each with its documentation and the place where it has been run.

``make docs`` writes the table of docs/local-vs-aws.md from this list and from the receipts in tests/aws/receipts/.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tests.aws.free_checks import FREE_CHECKS
from tests.aws.paid_checks import PAID_CHECKS


@dataclass(frozen=True)
class Assumption:
    """One assumption about AWS."""

    name: str
    """Name of the check, or of the assumption if it has none."""
    statement: str
    """The assumption as a sentence, in Markdown."""
    documented: str
    """Document that states the assumption, or what is known instead, in Markdown."""
    emulator: str = "yes"
    """``yes`` if tests run the check or the behaviour on the emulator; else ``no: <reason>``."""
    cost: Literal["free", "paid", "none"] = "none"
    """Kind of check that ``make verify-aws`` runs, or ``none``."""
    check: Callable[[Any], str] | None = None
    """Function that returns its observation, or raises ``AssertionError``. The argument depends on ``cost``."""

    @property
    def runs_on_emulator(self) -> bool:
        """Whether the end-to-end tests run the check."""
        return self.check is not None and self.emulator.startswith("yes")


def _guide(guide: str, page: str) -> str:
    return f"[{page}](https://docs.aws.amazon.com/{guide}/{page}.html)"


def _bedrock(page: str) -> str:
    return _guide("bedrock/latest/userguide", page)


def _bedrock_api(operation: str) -> str:
    return _guide("bedrock/latest/APIReference", f"API_{operation}")


_MAPS = _guide("step-functions/latest/dg", "iam-policies-eg-dist-map")
_STATES_QUOTAS = _guide("step-functions/latest/dg", "service-quotas")
_VALIDATE = _guide("step-functions/latest/apireference", "API_ValidateStateMachineDefinition")
_LAMBDA_SETTINGS = _guide("lambda/latest/api", "API_GetAccountSettings")
_LAMBDA_QUOTAS = _guide("lambda/latest/dg", "gettingstarted-limits")
_BEDROCK_QUOTAS = _guide("general/latest/gr", "bedrock")
_AUTHORIZATION = _guide("service-authorization/latest/reference", "list_amazonbedrock")
_NOVA_IMAGES = _guide("nova/latest/userguide", "modalities-image")
_NOVA_DATASETS = _guide("nova/latest/userguide", "fine-tune-prepare-data-understanding")
_NOVA_SCHEMA = _guide("nova/latest/userguide", "complete-request-schema")
_NO = "no"
_NOT_RUN = "no: only AWS can show it"


def _free(name: str, documented: str, emulator: str = "yes") -> Assumption:
    check = FREE_CHECKS[name]
    return Assumption(name, inspect.cleandoc(check.__doc__ or ""), documented, emulator, "free", check)


def _paid(name: str, documented: str, emulator: str = "yes") -> Assumption:
    check = PAID_CHECKS[name]
    return Assumption(name, inspect.cleandoc(check.__doc__ or ""), documented, emulator, "paid", check)


_FREE = (
    _free("stage_ready", _NO, "no: the emulator has no Service Quotas"),
    _free("caller_permissions", _NO),
    _free("definition_accepted", f"yes: {_VALIDATE}", "no: the emulator accepts every definition"),
    _free("lambda_concurrency", f"yes: {_LAMBDA_SETTINGS}"),
    _free("lifecycle_fields", f"yes: {_bedrock_api('GetFoundationModel')}"),
    _free("model_availability", f"partly: {_bedrock_api('GetFoundationModelAvailability')}; not for Amazon's models"),
    _free(
        "service_quota_codes",
        f"partly: {_BEDROCK_QUOTAS} (L-CB5B847D is 100, L-430C95DD is 2), {_LAMBDA_QUOTAS}; the codes of tokens per "
        "day are from awslabs/bedrock-usage-analyzer",
        "no: the emulator has no Service Quotas",
    ),
    _free("inference_quotas", f"yes: {_BEDROCK_QUOTAS}", "no: the emulator has no Service Quotas"),
    _free(
        "absent_names",
        f"partly: {_bedrock_api('GetCustomModelDeployment')} lists ResourceNotFoundException and ValidationException",
    ),
    _free("absent_tags", f"partly: {_bedrock_api('ListTagsForResource')} lists ResourceNotFoundException"),
    _free(
        "profile_regions",
        f"yes: {_bedrock('geographic-cross-region-inference')}",
        "no: the local models have no profiles",
    ),
)

_PAID = (
    _paid("distributed_map_rights", f"yes: {_MAPS}", "yes, but the state machine's own role is not enforced"),
    _paid("image_by_s3_location", f"yes: {_bedrock('conversation-inference')}"),
    _paid("image_tokens", f"partly: {_NOVA_IMAGES} gives five sizes", "yes, by the rule that it checks"),
    _paid("minimum_temperature", f"yes: {_NOVA_SCHEMA}; Converse allows 0, and public code sends it"),
    _paid("flex_tier", f"yes: {_bedrock('model-card-amazon-nova-pro')}"),
    _paid("job_states", f"yes: {_bedrock_api('GetModelCustomizationJob')}"),
    _paid("training_start", "no: one public report of 2026 has jobs that waited for 25 to 74 hours"),
    _paid(
        "job_events",
        f"yes, best effort: {_bedrock('monitoring-eventbridge')}",
        "yes, with made-up events, because the endpoint sends none",
    ),
    _paid("metric_csv_path", f"yes: {_bedrock('model-customization-analyze')}"),
    _paid("deployment_invocation", f"yes: {_bedrock('deploy-custom-model-on-demand')}"),
    _paid("s3_location_on_deployment", f"{_NO}: {_bedrock('conversation-inference')} does not mention deployments"),
    _paid("tags_listed", f"yes: {_AUTHORIZATION}"),
    _paid("deployment_update", f"yes: {_bedrock_api('UpdateCustomModelDeployment')}"),
    _paid("deployed_model_stays", f"partly: {_bedrock_api('DeleteCustomModel')} lists ConflictException"),
)

_WITHOUT_CHECK = (
    Assumption(
        "inference_rights",
        "Calling a tuned model needs `bedrock:GetCustomModel`; calling a profile needs `bedrock:GetInferenceProfile`. "
        "Whether Bedrock enforces them is not known; the stage grants both.",
        f"yes: {_bedrock('inference-prereq')}",
        "yes: the local endpoint requires both",
    ),
    Assumption(
        "profile_rights",
        "The permissions given for a profile suffice, also for an application profile made from a system profile.",
        f"yes: {_bedrock('geographic-cross-region-inference')}",
        "no: the local endpoint checks them, but no run there uses a profile",
    ),
    Assumption(
        "update_rights",
        "UpdateCustomModelDeployment is checked on the model and on the deployment.",
        f"yes: {_AUTHORIZATION}",
        "yes: the local endpoint checks both",
    ),
    Assumption(
        "kms_rights",
        "The permissions on a customer managed key suffice for jobs, models and deployments.",
        f"yes: {_bedrock('encryption-custom-job')}",
        "yes: the local endpoint checks them",
    ),
    Assumption(
        "bucket_key_rights",
        "`kms:Decrypt` and `kms:GenerateDataKey` through S3 suffice for functions, the state machine, jobs, and "
        "Converse with an image by its S3 location.",
        f"partly: {_guide('AmazonS3/latest/userguide', 'UsingKMSEncryption')}, "
        f"{_bedrock('model-customization-iam-role')}; not for Converse",
        "yes, but for the state machine, whose role is not enforced",
    ),
    Assumption(
        "topic_rights",
        "Alarms may publish to a topic whose policy names their service.",
        f"yes: {_guide('sns/latest/dg', 'sns-access-policy-use-cases')}",
        _NOT_RUN,
    ),
    Assumption(
        "access_denied_wording",
        "A model that the account may not call is refused with AccessDeniedException, and the cause is in the message.",
        "no: only the code is documented",
        "yes: the local endpoint refuses in the words of IAM",
    ),
    Assumption(
        "first_subscription",
        "AccessDeniedException that says to try again ends about two minutes after a first Marketplace subscription.",
        "no: public reports",
        _NOT_RUN,
    ),
    Assumption(
        "blocked_account",
        'ValidationException with "Operation not allowed" means that the account is blocked for Bedrock.',
        "no: public reports (kirodotdev/Kiro issue 11191, aws/aws-cli issue 8717)",
        _NOT_RUN,
    ),
    Assumption(
        "new_account_quotas",
        "A new account has 10 concurrent Lambda executions, and lower Bedrock quotas than the documented ones.",
        f"partly: {_LAMBDA_QUOTAS} says reduced; public reports say 10, and 25 requests per minute for Nova Pro",
        "yes: a run with a limit of 3",
    ),
    Assumption(
        "token_accounting",
        "Bedrock takes input tokens and maxTokens from the quota when a call starts. It gives back one for one what a "
        "Nova call did not use.",
        f"yes: {_bedrock('quotas-token-burndown')}",
        "yes: the local endpoint does the same",
    ),
    Assumption(
        "quota_window",
        "Bedrock counts requests and tokens over any 60 seconds. A call above the quota gets ThrottlingException. "
        "The documents say that requests per minute are enforced for some models and not for others.",
        f"partly: {_bedrock('troubleshooting-api-error-codes')}",
        "yes: the local endpoint does the same",
    ),
    Assumption(
        "daily_tokens",
        'A call above the tokens per day gets ThrottlingException with "Too many tokens per day".',
        "partly: the quota is documented, its wording is from public reports",
        "yes: the local endpoint can enforce a daily quota",
    ),
    Assumption(
        "new_deployment_visible",
        "Get and List may not return a new deployment for 30 to 60 seconds.",
        "no: public reports",
        _NOT_RUN,
    ),
    Assumption(
        "job_name_in_use",
        'A second job with the same name is refused: "The provided job name is currently in use".',
        "no: public reports",
        "yes: the local endpoint refuses it, with ConflictException",
    ),
    Assumption(
        "legacy_models",
        "A model that is LEGACY accepts no new jobs. Tuned models made from it can still be called.",
        f"yes: {_bedrock('model-lifecycle')}",
        "yes: on request",
    ),
    Assumption(
        "stuck_jobs",
        "A job may be InProgress for days with its training NotStarted. Such a job is not billed.",
        "no: one public report of 2026",
        "yes: on request",
    ),
    Assumption(
        "billed_training_tokens",
        "Training bills the tokens of the dataset times the epochs, images by the rule of inference. No API returns "
        "the figure. See Cost Explorer a day later, usage type `USE1-NovaLite-Customization-Training`.",
        "partly: the pricing page gives the formula, not the tokens of an image",
        _NOT_RUN,
    ),
    Assumption(
        "dataset_rules",
        "Bedrock judges datasets as `distill validate` does, also where its sources disagree "
        "([datasets.md](datasets.md)).",
        f"partly: {_NOVA_DATASETS}",
        "no: the local endpoint uses the same rules",
    ),
    Assumption(
        "claude_images",
        "Claude takes images as bytes only.",
        f"no: {_bedrock('conversation-inference')} does not say which models read s3Location",
        "no: there is no local Claude",
    ),
    Assumption("flex_under_load", "The flex tier answers within the timeouts of a batch under load.", _NO, _NOT_RUN),
    Assumption("cut_off_calls", "A call that is cut off on its way is billed.", _NO, _NOT_RUN),
    Assumption(
        "state_machine_deletion",
        "Deleting a state machine ends its executions at their next transition. CloudFormation waits for that before "
        "it calls Sweep, which then finds no new job.",
        f"partly: {_guide('step-functions/latest/apireference', 'API_DeleteStateMachine')}",
        "no: the emulator deletes at once",
    ),
    Assumption(
        "history_limit",
        "An execution fails when its history has 25,000 events.",
        f"yes: {_STATES_QUOTAS}",
        "no: the emulator has no limit; a test counts the events of the definition",
    ),
    Assumption(
        "custom_resource_reason",
        "CloudFormation accepts a custom resource's response of at most 4 KB.",
        "yes: custom resource response objects, AWS CloudFormation user guide",
        "no: the emulator has no limit; a test measures the response",
    ),
    Assumption(
        "etag_is_md5",
        "The ETag of an object that one PUT wrote is its MD5, by which `distill upload` skips it. With a KMS key it "
        "is not, and HeadObject returns the CRC32 that boto3 sent.",
        f"yes: {_guide('AmazonS3/latest/API', 'API_Object')}",
    ),
    Assumption(
        "service_costs",
        "The seconds and requests per photo that the estimate assumes for Lambda, Step Functions and S3.",
        _NO,
        "yes: measured on one machine",
    ),
)

ASSUMPTIONS: Sequence[Assumption] = (*_FREE, *_PAID, *_WITHOUT_CHECK)
"""All assumptions in the order of the table: free checks, paid checks, those without a check."""


def checks(cost: Literal["free", "paid"]) -> list[Assumption]:
    """Return the assumptions that a check of this kind examines, in the order in which to run them."""
    return [assumption for assumption in ASSUMPTIONS if assumption.cost == cost]
