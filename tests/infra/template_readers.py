"""Readers of the synthesised templates and of the state machine's definition."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aws_cdk.assertions import Template

from infra.state_machine_definition import render

DEFINITION = json.loads(render())
ACCOUNT, REGION = "111122223333", "us-east-1"
ARNS = {
    "AWS::Events::Rule": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/%s",
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/%s",
    "AWS::Lambda::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:%s",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:%s:*",
    "AWS::S3::Bucket": "arn:aws:s3:::%s",
    "AWS::SNS::Topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:%s",
    "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:%s",
    "AWS::StepFunctions::StateMachine": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:%s",
}
PSEUDO_PARAMETERS = {"AWS::AccountId": ACCOUNT, "AWS::Partition": "aws", "AWS::Region": REGION}


def role_statements(pipeline: Template, role: str) -> list[dict[str, Any]]:
    """Return all statements of the roles whose logical id starts with ``role``, inline and attached."""
    roles = {n: r for n, r in pipeline.find_resources("AWS::IAM::Role").items() if n.startswith(role)}
    statements = [
        statement
        for resource in roles.values()
        for policy in resource["Properties"].get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    for policy in pipeline.find_resources("AWS::IAM::Policy").values():
        if any(ref.get("Ref") in roles for ref in policy["Properties"]["Roles"]):
            statements += policy["Properties"]["PolicyDocument"]["Statement"]
    return statements


def actions(statements: list[dict[str, Any]]) -> set[str]:
    """Return the actions that ``statements`` name."""
    lists = [s["Action"] if isinstance(s["Action"], list) else [s["Action"]] for s in statements]
    return {action for names in lists for action in names}


def main_machine(pipeline: Template) -> Mapping[str, Any]:
    """Return the state machine of the runs."""
    machines = pipeline.find_resources("AWS::StepFunctions::StateMachine")
    (machine,) = [machine for name, machine in machines.items() if name.startswith("Distillation")]
    return machine


def all_states(states: dict[str, Any]) -> list[dict[str, Any]]:
    """Return ``states`` and the states inside their Maps."""
    nested = [state["ItemProcessor"]["States"] for state in states.values() if "ItemProcessor" in state]
    return [*states.values(), *(state for inner in nested for state in all_states(inner))]


class Templates:
    """Both templates of a stage, with references resolved to names and ARNs."""

    def __init__(self, *templates: Template) -> None:
        documents = [template.to_json() for template in templates]
        self._types = {name: resource["Type"] for d in documents for name, resource in d["Resources"].items()}
        outputs = [output for d in documents for output in d.get("Outputs", {}).values() if "Export" in output]
        self._exports = {output["Export"]["Name"]: output["Value"] for output in outputs}
        self._resources = [resource for d in documents for resource in d["Resources"].items()]

    def statements(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the logical id of each resource that has a policy, with each statement."""
        for name, resource in self._resources:
            for document in _policy_documents(resource.get("Properties", {})):
                for statement in document["Statement"]:
                    yield name, self._resolve(statement)

    def resources(self, type: str) -> Mapping[str, dict[str, Any]]:
        """Return the properties of the resources of a type, keyed by logical id."""
        return {name: self._resolve(r.get("Properties", {})) for name, r in self._resources if r["Type"] == type}

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._resolve(part) for part in value]
        if not isinstance(value, dict):
            return value
        if "Fn::Join" in value:
            separator, parts = value["Fn::Join"]
            return separator.join(self._resolve(parts))
        if "Fn::ImportValue" in value:
            return self._resolve(self._exports[value["Fn::ImportValue"]])
        if "Fn::GetAtt" in value:
            name, attribute = value["Fn::GetAtt"]
            return ARNS.get(self._types[name], "%s") % name if attribute == "Arn" else name
        if "Ref" in value:
            name = value["Ref"]
            has_arn = self._types.get(name) in ("AWS::SNS::Topic", "AWS::StepFunctions::StateMachine")
            return ARNS[self._types[name]] % name if has_arn else PSEUDO_PARAMETERS.get(name, name)
        return {key: self._resolve(part) for key, part in value.items()}


def _policy_documents(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "Statement" in value:
            yield value
        else:
            for part in value.values():
                yield from _policy_documents(part)
    elif isinstance(value, list):
        for part in value:
            yield from _policy_documents(part)


def listed(value: Any) -> list[Any]:
    """Return a value of a policy as a list."""
    return value if isinstance(value, list) else [value]
