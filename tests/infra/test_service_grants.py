"""Grants that AWS services use, compared with those that the templates' own resources need.

The emulator does not check these grants. The end-to-end tests check those that steps and customization jobs use
(tests/support/grant_check.py), and test_stage_grants.py those that depend on the stage.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from aws_cdk.assertions import Template

from tests.infra.template_readers import ACCOUNT, REGION, Templates, all_states, listed

LOG_ACTIONS = ("logs:CreateLogStream", "logs:PutLogEvents")
LOG_DELIVERY_ACTIONS = (
    *("logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeLogGroups", "logs:DescribeResourcePolicies"),
    *("logs:GetLogDelivery", "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:UpdateLogDelivery"),
)
"""https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html, under IAM policies for logging"""
TRACING_ACTIONS = (
    *("xray:GetSamplingRules", "xray:GetSamplingTargets", "xray:PutTelemetryRecords", "xray:PutTraceSegments"),
)
"""https://docs.aws.amazon.com/step-functions/latest/dg/concepts-xray-tracing.html"""
MAP_ACTIONS = ("states:DescribeExecution", "states:StopExecution")
"""https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html"""
WITHOUT_TLS = "Deny unless aws:SecureTransport"


class Grant(NamedTuple):
    """One action that the policy of a role or of a resource allows or denies."""

    holder: str
    """Logical id of the role, or of the resource that has the policy."""
    action: str
    resource: str
    principal: str = ""
    """Service that a resource's policy names."""
    source: str = ""
    """ARN of the resource for which the service acts."""


def grants(templates: Templates) -> Iterator[Grant]:
    """Yield all grants of the templates, including trust policies and permissions of functions."""
    for name, role in templates.resources("AWS::IAM::Role").items():
        yield from _statement_grants(name, role["AssumeRolePolicyDocument"])
        for policy in role.get("Policies", []):
            yield from _statement_grants(name, policy["PolicyDocument"])
    for policy in templates.resources("AWS::IAM::Policy").values():
        for name in policy["Roles"]:
            yield from _statement_grants(name, policy["PolicyDocument"])
    for kind in ("AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"):
        for policy in templates.resources(kind).values():
            (holder,) = listed(policy.get("Bucket") or policy.get("Queues") or policy.get("Topics"))
            yield from _statement_grants(holder.rpartition(":")[2], policy["PolicyDocument"])
    for permission in templates.resources("AWS::Lambda::Permission").values():
        function = permission["FunctionName"]
        name = function.rpartition(":")[2]
        yield Grant(name, permission["Action"], function, permission["Principal"], permission["SourceArn"])


def _statement_grants(holder: str, document: dict[str, Any]) -> Iterator[Grant]:
    for statement in document["Statement"]:
        keys = {key: value for block in statement.get("Condition", {}).values() for key, value in block.items()}
        principal = statement.get("Principal", {})
        service = principal.get("Service", "") if isinstance(principal, dict) else ""
        if statement["Effect"] == "Deny":
            assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            service = WITHOUT_TLS
        for action in listed(statement["Action"]):
            for resource in listed(statement.get("Resource", "")):
                yield Grant(holder, action, resource, service, keys.get("aws:SourceArn", ""))


def used_by_services(grant: Grant, code_roles: set[str]) -> bool:
    """Return whether AWS uses a grant, and not the code of a step or a customization job."""
    by_lambda = grant.action in (*LOG_ACTIONS, "sqs:SendMessage", "sts:AssumeRole")
    return grant.holder not in code_roles or by_lambda


def expected(templates: Templates) -> Iterator[Grant]:
    """Yield the grants that AWS services need for the resources of the templates."""
    yield from _function_grants(templates)
    yield from _rule_grants(templates)
    for name, machine in templates.resources("AWS::StepFunctions::StateMachine").items():
        yield from _state_machine_grants(name, machine)
    buckets, (topic,) = templates.resources("AWS::S3::Bucket"), templates.resources("AWS::SNS::Topic")
    (queue,) = templates.resources("AWS::SQS::Queue")
    (job_role,) = [name for name in templates.resources("AWS::IAM::Role") if name.startswith("BedrockRole")]
    yield Grant(job_role, "sts:AssumeRole", "", "bedrock.amazonaws.com", _arn("bedrock", "model-customization-job/*"))
    yield Grant(topic, "sns:Publish", _arn("sns", topic), "cloudwatch.amazonaws.com")
    yield Grant(topic, "sns:Publish", _arn("sns", topic), WITHOUT_TLS)
    yield Grant(queue, "sqs:*", _arn("sqs", queue), WITHOUT_TLS)
    for name, bucket in buckets.items():
        for resource in (f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"):
            yield Grant(name, "s3:*", resource, WITHOUT_TLS)
        if logging := bucket.get("LoggingConfiguration"):
            logs, prefix = logging["DestinationBucketName"], logging["LogFilePrefix"]
            target = f"arn:aws:s3:::{logs}/{prefix}*"
            yield Grant(logs, "s3:PutObject", target, "logging.s3.amazonaws.com", f"arn:aws:s3:::{name}")
    for custom in templates.resources("Custom::S3BucketNotifications").values():
        (handler,) = [name for name in templates.resources("AWS::IAM::Role") if name.startswith("BucketNotifications")]
        yield Grant(handler, "s3:PutBucketNotification", f"arn:aws:s3:::{custom['BucketName']}")


def _function_grants(templates: Templates) -> Iterator[Grant]:
    for function in templates.resources("AWS::Lambda::Function").values():
        role = function["Role"].rpartition("/")[2]
        yield Grant(role, "sts:AssumeRole", "", "lambda.amazonaws.com")
        if group := function.get("LoggingConfig", {}).get("LogGroup"):
            for action in LOG_ACTIONS:
                yield Grant(role, action, _arn("logs", f"log-group:{group}:*"))
        if dead_letters := function.get("DeadLetterConfig"):
            yield Grant(role, "sqs:SendMessage", dead_letters["TargetArn"])


def _rule_grants(templates: Templates) -> Iterator[Grant]:
    events = "events.amazonaws.com"
    for name, rule in templates.resources("AWS::Events::Rule").items():
        arn = _arn("events", f"rule/{name}")
        for target in rule["Targets"]:
            queue = target["DeadLetterConfig"]["Arn"]
            yield Grant(queue.rpartition(":")[2], "sqs:SendMessage", queue, events, arn)
            if ":function:" in target["Arn"]:
                function = target["Arn"].rpartition(":")[2]
                yield Grant(function, "lambda:InvokeFunction", target["Arn"], events, arn)
            else:
                role = target["RoleArn"].rpartition("/")[2]
                yield Grant(role, "sts:AssumeRole", "", events)
                yield Grant(role, "states:StartExecution", target["Arn"])


def _state_machine_grants(name: str, machine: dict[str, Any]) -> Iterator[Grant]:
    role, text = machine["RoleArn"].rpartition("/")[2], machine["DefinitionString"]
    for placeholder, value in machine.get("DefinitionSubstitutions", {}).items():
        text = text.replace("${" + placeholder + "}", value)
    yield Grant(role, "sts:AssumeRole", "", "states.amazonaws.com", _arn("states", "stateMachine:*"))
    if machine.get("LoggingConfiguration"):
        yield from (Grant(role, action, "*") for action in LOG_DELIVERY_ACTIONS)
    if machine.get("TracingConfiguration"):
        yield from (Grant(role, action, "*") for action in TRACING_ACTIONS)
    for state in all_states(json.loads(text)["States"]):
        if state.get("Resource") == "arn:aws:states:::lambda:invoke":
            yield Grant(role, "lambda:InvokeFunction", state["Parameters"]["FunctionName"])
        bucket = state.get("ItemReader", {}).get("Parameters", {}).get("Bucket")
        match state.get("ItemReader", {}).get("Resource"):
            case "arn:aws:states:::s3:listObjectsV2":
                yield Grant(role, "s3:ListBucket", f"arn:aws:s3:::{bucket}")
            case "arn:aws:states:::s3:getObject":
                yield Grant(role, "s3:GetObject", f"arn:aws:s3:::{bucket}/runs/*/splits/*")
        if state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED":
            yield Grant(role, "states:StartExecution", _arn("states", f"stateMachine:{name}"))
            yield from (Grant(role, action, _arn("states", f"execution:{name}*")) for action in MAP_ACTIONS)


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def step_roles(templates: Templates) -> set[str]:
    """Return the roles whose grants code uses: those of the steps and of customization jobs."""
    functions = templates.resources("AWS::Lambda::Function").values()
    steps = {f["Role"].rpartition("/")[2] for f in functions if f["Handler"].startswith("lambdas.")}
    return steps | {name for name in templates.resources("AWS::IAM::Role") if name.startswith("BedrockRole")}


@pytest.fixture(params=["default", "configured"])
def templates(request: pytest.FixtureRequest, storage: Template, pipeline: Template) -> Templates:
    if request.param == "default":
        return Templates(storage, pipeline)
    names = ("configured_storage", "configured_pipeline")
    return Templates(*(request.getfixturevalue(name) for name in names))


def test_services_have_exactly_the_grants_that_the_resources_of_the_templates_need(templates: Templates) -> None:
    code_roles = step_roles(templates)
    found = {grant for grant in grants(templates) if used_by_services(grant, code_roles)}
    machine_key = {grant for grant in found if grant.action.startswith("kms:")}

    assert found - machine_key == set(expected(templates))
