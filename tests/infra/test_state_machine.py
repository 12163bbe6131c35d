from __future__ import annotations

from aws_cdk.assertions import Template

from infra.state_machine_definition import render
from tests.infra.resources import DEFINITION, actions, all_states, role_statements


def needed_actions() -> set[str]:
    """Return the actions that the machine's role needs, derived from the definition."""
    needed: set[str] = set()
    for state in all_states(DEFINITION["States"]):
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


def test_machine_has_exactly_the_permissions_that_its_definition_needs(pipeline: Template) -> None:
    statements = role_statements(pipeline, "DistillationStateMachineRole")

    assert needed_actions() <= actions(statements)
    # CDK adds permissions for logs and tracing.
    others = actions(statements) - needed_actions()
    assert all(action.startswith(("logs:", "xray:")) for action in others)


def test_machine_may_invoke_every_function_it_names_and_no_other(pipeline: Template) -> None:
    named = {
        state["Parameters"]["FunctionName"]
        for state in all_states(DEFINITION["States"])
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


def test_task_timeouts_are_not_shorter_than_function_timeouts(pipeline: Template) -> None:
    (machine,) = pipeline.find_resources("AWS::StepFunctions::StateMachine").values()
    substitutions = machine["Properties"]["DefinitionSubstitutions"]
    functions = pipeline.find_resources("AWS::Lambda::Function")
    for state in all_states(DEFINITION["States"]):
        if state["Type"] == "Task":
            name = state["Parameters"]["FunctionName"].strip("${}")
            timeout = functions[substitutions[name]["Fn::GetAtt"][0]]["Properties"]["Timeout"]
            assert state["TimeoutSeconds"] >= timeout, name


def test_log_group_is_named_after_the_stack_with_the_prefix_that_needs_no_resource_policy(pipeline: Template) -> None:
    (machine,) = pipeline.find_resources("AWS::StepFunctions::StateMachine").values()
    (destination,) = machine["Properties"]["LoggingConfiguration"]["Destinations"]
    group = destination["CloudWatchLogsLogGroup"]["LogGroupArn"]["Fn::GetAtt"][0]
    properties = pipeline.find_resources("AWS::Logs::LogGroup")[group]["Properties"]

    assert properties["LogGroupName"] == "/aws/vendedlogs/states/Distill-dev-Pipeline"
