# jsii's protocols name parameters otherwise than its classes do; nothing of ours is wrong there.
# pyright: reportArgumentType=false
from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Match, Template

from distillation import telemetry
from distillation.models import catalog
from infra.config import StageConfig
from infra.definition import render
from infra.steps import Steps

ROOT = Path(__file__).parents[2]
DEFINITION = json.loads(render())
STAGE = json.loads((ROOT / "cdk.json").read_text())["context"]["stages"]["dev"]


def role_statements(pipeline: Template, role: str) -> list[dict[str, Any]]:
    """All statements of the roles whose logical id starts with ``role``, inline and attached."""
    roles = {n: r for n, r in pipeline.find_resources("AWS::IAM::Role").items() if n.startswith(role)}
    found = [
        statement
        for resource in roles.values()
        for policy in resource["Properties"].get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    for policy in pipeline.find_resources("AWS::IAM::Policy").values():
        if any(ref.get("Ref") in roles for ref in policy["Properties"]["Roles"]):
            found += policy["Properties"]["PolicyDocument"]["Statement"]
    return found


def actions(statements: list[dict[str, Any]]) -> set[str]:
    listed = [s["Action"] if isinstance(s["Action"], list) else [s["Action"]] for s in statements]
    return {action for one in listed for action in one}


def walk(states: dict[str, Any]) -> list[dict[str, Any]]:
    nested = [state["ItemProcessor"]["States"] for state in states.values() if "ItemProcessor" in state]
    return [*states.values(), *(state for inner in nested for state in walk(inner))]


def needed_actions() -> set[str]:
    """What the machine's role needs, derived from the definition."""
    needed: set[str] = set()
    for state in walk(DEFINITION["States"]):
        if state.get("Resource") == "arn:aws:states:::lambda:invoke":
            needed.add("lambda:InvokeFunction")
        match state.get("ItemReader", {}).get("Resource"):
            case "arn:aws:states:::s3:listObjectsV2":
                needed.add("s3:ListBucket")
            case "arn:aws:states:::s3:getObject":
                needed.add("s3:GetObject")
        if state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED":
            needed |= {"states:StartExecution", "states:DescribeExecution", "states:StopExecution"}
    return needed


def test_machine_has_the_rights_its_definition_needs(pipeline: Template) -> None:
    statements = role_statements(pipeline, "DistillationStateMachineRole")

    assert needed_actions() <= actions(statements)
    # Beyond them only what CDK adds for logs and tracing.
    others = actions(statements) - needed_actions()
    assert all(action.startswith(("logs:", "xray:")) for action in others)


def test_machine_may_invoke_every_function_it_names_and_no_other(pipeline: Template) -> None:
    named = {
        state["Parameters"]["FunctionName"]
        for state in walk(DEFINITION["States"])
        if state.get("Resource") == "arn:aws:states:::lambda:invoke"
    }
    (machine,) = pipeline.find_resources("AWS::StepFunctions::StateMachine").values()
    substitutions = machine["Properties"]["DefinitionSubstitutions"]
    functions = {substitutions[name.strip("${}")]["Fn::GetAtt"][0] for name in named}
    granted = {
        resource["Fn::GetAtt"][0]
        for statement in role_statements(pipeline, "DistillationStateMachineRole")
        if statement["Action"] == "lambda:InvokeFunction"
        for resource in statement["Resource"]
    }
    assert functions == granted


def test_every_placeholder_is_substituted_and_every_substitution_used(pipeline: Template) -> None:
    (machine,) = pipeline.find_resources("AWS::StepFunctions::StateMachine").values()
    text = machine["Properties"]["DefinitionString"]

    assert text == render()
    for name in machine["Properties"]["DefinitionSubstitutions"]:
        assert "${" + name + "}" in text
    assert text.count("${") == sum(
        text.count("${" + name + "}") for name in machine["Properties"]["DefinitionSubstitutions"]
    )


@pytest.mark.parametrize(
    ("step", "allowed"),
    [("Label", STAGE["teachers"]), ("Predict", [*STAGE["teachers"], *STAGE["students"]])],
)
def test_only_the_models_of_the_stage_may_be_asked(pipeline: Template, step: str, allowed: list[str]) -> None:
    (statement,) = [
        s for s in role_statements(pipeline, f"{step}Role") if "foundation-model" in json.dumps(s["Resource"])
    ]
    text = json.dumps(statement["Resource"])

    assert statement["Action"] == "bedrock:InvokeModel"
    for model in catalog.models():
        assert (f'foundation-model/{model}"' in text) == (model in allowed)


@pytest.mark.parametrize(
    ("step", "forbidden"),
    [
        ("Resize", ["bedrock:*", "s3:Delete*", "s3:ListBucket"]),
        ("Label", ["bedrock:Create*", "s3:Delete*", "iam:*"]),
        ("CleanUp", ["s3:Put*", "s3:Delete*", "bedrock:Create*"]),
        ("RecordFailure", ["s3:Delete*", "bedrock:*"]),
    ],
)
def test_step_cannot_do_what_is_not_its_work(pipeline: Template, step: str, forbidden: list[str]) -> None:
    found = actions(role_statements(pipeline, f"{step}Role"))

    assert found
    assert not [a for a in found for pattern in forbidden if fnmatchcase(a, pattern)]


def test_every_step_that_creates_asks_or_changes_a_deployment_may_use_the_customers_key() -> None:
    stack = cdk.Stack(cdk.App(context={"aws:cdk:bundling-stacks": []}), "S", env=cdk.Environment(region="us-east-1"))
    key = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    steps = Steps(
        stack,
        bedrock_role=iam.Role(stack, "Bedrock", assumed_by=iam.ServicePrincipal("bedrock.amazonaws.com")),
        config=StageConfig.model_validate({"stage": "dev", **STAGE, "custom_model_kms_key_id": key}),
        data=s3.Bucket(stack, "Data"),
        dead_letters=sqs.Queue(stack, "DeadLetters"),
        photos=s3.Bucket(stack, "Photos"),
        topic=sns.Topic(stack, "Topic"),
    )
    roles = Template.from_stack(stack)
    using = {"bedrock:CreateCustomModelDeployment", "bedrock:UpdateCustomModelDeployment"}
    granted = {step: actions(role_statements(roles, f"{step}Role")) for step in steps.of_machine}

    assert {step for step, may in granted.items() if "kms:Decrypt" in may} == {
        *("Customize", "Predict"),
        *(step for step, may in granted.items() if may & using),
    }


def test_no_statement_grants_all_actions_of_a_service(pipeline: Template) -> None:
    for role in pipeline.find_resources("AWS::IAM::Role"):
        assert not [action for action in actions(role_statements(pipeline, role)) if "*" in action]


def test_bedrock_may_assume_its_role_for_this_accounts_jobs_only(pipeline: Template) -> None:
    pipeline.has_resource_properties(
        "AWS::IAM::Role",
        {
            "AssumeRolePolicyDocument": {
                "Statement": [
                    {
                        "Action": "sts:AssumeRole",
                        "Condition": {
                            "ArnEquals": {"aws:SourceArn": Match.any_value()},
                            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
                        },
                        "Effect": "Allow",
                        "Principal": {"Service": "bedrock.amazonaws.com"},
                    }
                ],
                "Version": "2012-10-17",
            }
        },
    )


def test_endings_that_catch_cannot_see_clean_up_and_tell(pipeline: Template) -> None:
    (rule,) = pipeline.find_resources(
        "AWS::Events::Rule", {"Properties": {"EventPattern": {"source": ["aws.states"]}}}
    ).values()

    assert rule["Properties"]["EventPattern"]["detail"]["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]
    assert [t["Arn"]["Fn::GetAtt"][0][:6] for t in rule["Properties"]["Targets"]] == ["CleanU", "Notify"]
    assert all("DeadLetterConfig" in target for target in rule["Properties"]["Targets"])


def test_deleted_stack_sweeps_when_the_machine_is_gone(pipeline: Template) -> None:
    ((name, resource),) = pipeline.find_resources("Custom::SweepOnDeletion").items()
    (machine,) = pipeline.find_resources("AWS::StepFunctions::StateMachine").values()

    assert name in machine["DependsOn"]
    assert resource["Properties"]["ServiceToken"]["Fn::GetAtt"][0].startswith("Sweep")


def test_sweep_runs_daily_and_may_start_nothing(pipeline: Template) -> None:
    (rule,) = pipeline.find_resources(
        "AWS::Events::Rule", {"Properties": {"ScheduleExpression": "rate(1 day)"}}
    ).values()
    found = actions(role_statements(pipeline, "SweepRole"))

    assert rule["Properties"]["Targets"][0]["Arn"]["Fn::GetAtt"][0].startswith("Sweep")
    assert not [a for a in found for p in ("bedrock:Create*", "s3:Put*", "s3:Delete*") if fnmatchcase(a, p)]


def test_every_alarm_tells_who_subscribed_and_has_a_page_in_the_runbook(pipeline: Template) -> None:
    runbook = (ROOT / "docs/operations.md").read_text()
    alarms = pipeline.find_resources("AWS::CloudWatch::Alarm")
    (topic,) = pipeline.find_resources("AWS::SNS::Topic")

    assert len(alarms) == 5
    for name, alarm in alarms.items():
        title = name.removeprefix("Monitoring")[:-8]
        assert f"### {title}\n" in runbook
        assert alarm["Properties"]["AlarmDescription"].endswith(f"docs/operations.md, {title}.")
        assert alarm["Properties"]["AlarmActions"] == alarm["Properties"]["OKActions"] == [{"Ref": topic}]


def test_alarms_watch_metrics_that_steps_tell(pipeline: Template) -> None:
    ours = [
        alarm["Properties"]
        for alarm in pipeline.find_resources("AWS::CloudWatch::Alarm").values()
        if alarm["Properties"]["Namespace"] == telemetry.NAMESPACE
    ]

    assert {alarm["MetricName"] for alarm in ours} == {"JobsStuck", "OldestDeploymentDays"}
    for alarm in ours:
        dimensions = {one["Name"]: one["Value"] for one in alarm["Dimensions"]}
        assert (ROOT / "lambdas" / f"{dimensions['service']}.py").exists()
        counted = [*(ROOT / "lambdas").glob("*.py"), *(ROOT / "distillation").rglob("*.py")]
        text = "".join(path.read_text() for path in counted)
        assert f'"{alarm["MetricName"]}"' in text
        assert dimensions["stage"] == "dev"


def test_alarms_may_publish_to_a_topic_with_a_policy_of_its_own(pipeline: Template) -> None:
    (policy,) = pipeline.find_resources("AWS::SNS::TopicPolicy").values()
    allowed = [s for s in policy["Properties"]["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]

    assert [s["Principal"] for s in allowed] == [{"Service": "cloudwatch.amazonaws.com"}]


def test_what_rules_call_keeps_the_events_that_it_could_not_deal_with(pipeline: Template) -> None:
    functions = pipeline.find_resources("AWS::Lambda::Function")
    called = {
        target["Arn"]["Fn::GetAtt"][0]
        for rule in pipeline.find_resources("AWS::Events::Rule").values()
        for target in rule["Properties"]["Targets"]
        if "Fn::GetAtt" in target["Arn"]
    }

    assert len(called) == 3
    assert all("DeadLetterConfig" in functions[name]["Properties"] for name in called)


def test_every_log_group_forgets(pipeline: Template) -> None:
    groups = pipeline.find_resources("AWS::Logs::LogGroup").values()

    assert all(group["Properties"]["RetentionInDays"] == 30 for group in groups)


def test_every_function_runs_the_same_python_on_arm(pipeline: Template) -> None:
    functions = pipeline.find_resources("AWS::Lambda::Function").values()
    ours = [f["Properties"] for f in functions if f["Properties"]["Handler"].startswith("lambdas.")]

    assert len(ours) == 19
    for function in ours:
        assert (function["Runtime"], function["Architectures"]) == ("python3.14", ["arm64"])
        step = function["Handler"].split(".")[1]
        assert function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == step
        assert (ROOT / "lambdas" / f"{step}.py").exists()


def test_tasks_wait_at_least_as_long_as_their_functions_may_run(pipeline: Template) -> None:
    (machine,) = pipeline.find_resources("AWS::StepFunctions::StateMachine").values()
    substitutions = machine["Properties"]["DefinitionSubstitutions"]
    functions = pipeline.find_resources("AWS::Lambda::Function")
    for state in walk(DEFINITION["States"]):
        if state["Type"] == "Task":
            name = state["Parameters"]["FunctionName"].strip("${}")
            timeout = functions[substitutions[name]["Fn::GetAtt"][0]]["Properties"]["Timeout"]
            assert state["TimeoutSeconds"] >= timeout, name
