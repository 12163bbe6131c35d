from __future__ import annotations

import json
from typing import Any

from aws_cdk.assertions import Template

from tests.infra.template_readers import actions, role_statements


def only_machine(pipeline: Template) -> Any:
    machines = pipeline.find_resources("AWS::StepFunctions::StateMachine")
    (machine,) = [m["Properties"] for name, m in machines.items() if name.startswith("SecondCleanUp")]
    return machine


def test_second_clean_up_waits_longer_than_any_function_that_creates_bedrock_resources(pipeline: Template) -> None:
    states = json.loads(only_machine(pipeline)["DefinitionString"])["States"]
    functions = pipeline.find_resources("AWS::Lambda::Function").values()
    roles = {
        function["Properties"]["Handler"]: (
            function["Properties"]["Role"]["Fn::GetAtt"][0],
            function["Properties"]["Timeout"],
        )
        for function in functions
    }
    creators = {
        handler: timeout
        for handler, (role, timeout) in roles.items()
        if any(action.startswith("bedrock:Create") for action in actions(role_statements(pipeline, role)))
    }

    assert set(creators) == {"lambdas.customize.handler", "lambdas.deploy.handler"}
    assert states["WaitForFunctions"]["Seconds"] > max(creators.values())
    assert states["CleanUpAgain"]["Parameters"]["Payload.$"] == "$"


def test_second_clean_up_may_invoke_clean_up_and_starts_when_a_run_fails_times_out_or_is_stopped(
    pipeline: Template,
) -> None:
    statements = role_statements(pipeline, "SecondCleanUp")
    granted = [s["Resource"] for s in statements if s["Action"] == "lambda:InvokeFunction"]
    (rule,) = pipeline.find_resources(
        "AWS::Events::Rule", {"Properties": {"EventPattern": {"source": ["aws.states"]}}}
    ).values()
    targets = [json.dumps(target["Arn"]) for target in rule["Properties"]["Targets"]]

    assert granted == [only_machine(pipeline)["DefinitionSubstitutions"]["CleanUpFunctionArn"]]
    assert "CleanUp" in json.dumps(granted)
    assert sum("SecondCleanUp" in target for target in targets) == 1
