from __future__ import annotations

from aws_cdk.assertions import Template

from infra.state_machine_definition import render
from tests.infra.template_readers import DEFINITION, all_states, main_machine


def test_every_placeholder_is_substituted_and_every_substitution_used(pipeline: Template) -> None:
    machine = main_machine(pipeline)
    text = machine["Properties"]["DefinitionString"]

    assert text == render()
    for name in machine["Properties"]["DefinitionSubstitutions"]:
        assert "${" + name + "}" in text
    assert text.count("${") == sum(
        text.count("${" + name + "}") for name in machine["Properties"]["DefinitionSubstitutions"]
    )


def test_task_timeouts_are_not_shorter_than_function_timeouts(pipeline: Template) -> None:
    machine = main_machine(pipeline)
    substitutions = machine["Properties"]["DefinitionSubstitutions"]
    functions = pipeline.find_resources("AWS::Lambda::Function")
    for state in all_states(DEFINITION["States"]):
        if state["Type"] == "Task":
            name = state["Parameters"]["FunctionName"].strip("${}")
            timeout = functions[substitutions[name]["Fn::GetAtt"][0]]["Properties"]["Timeout"]
            assert state["TimeoutSeconds"] >= timeout, name


def test_log_group_is_named_after_the_stack_with_the_prefix_that_needs_no_resource_policy(pipeline: Template) -> None:
    machine = main_machine(pipeline)
    (destination,) = machine["Properties"]["LoggingConfiguration"]["Destinations"]
    group = destination["CloudWatchLogsLogGroup"]["LogGroupArn"]["Fn::GetAtt"][0]
    properties = pipeline.find_resources("AWS::Logs::LogGroup")[group]["Properties"]

    assert properties["LogGroupName"] == "/aws/vendedlogs/states/Distill-dev-Pipeline"
