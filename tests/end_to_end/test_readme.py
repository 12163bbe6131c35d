"""The AWS section of the README: every command runs, in order, in a shell against ``make local``.

The code of docs/calling.md runs between them, while the tuned model is deployed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main
from typer.core import TyperGroup

from cli.main import app
from local import ROOT
from local.aws.account import ACCOUNT
from local.aws.emulator import AwsEmulator
from tests.local.test_serve import free_port
from tests.support.synthesis import synthesise

README = (ROOT / "README.md").read_text("utf-8")
CALLING = (ROOT / "docs" / "calling.md").read_text("utf-8")
AFTER_CALLING = "\n### Without the command\n"
SECTION = README.partition("\n## On AWS\n")[2].partition("\n## ")[0].replace(AFTER_CALLING, CALLING + AFTER_CALLING)
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w*)\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)
"""Language and text of each block of code."""

UPDATE = "npx cdk deploy --all -c notify=you@example.com"
DESTROY = "distill destroy"
SUBSTITUTIONS = {
    "aws://ACCOUNT/": f"aws://{ACCOUNT}/",
    "Distill-dev-": "Distill-local-",
    # The commands before it use one assembly, because a synthesis takes half a minute. This one makes its own.
    UPDATE: f"env -u CDK_APP {UPDATE}",
}
"""Text of a command, and what runs instead."""
VARIABLES = {
    "BROWSER": "true",
    "CDK_APP": "assembly",
    # The CDK asks in a terminal before it creates roles.
    "CDK_REQUIRE_APPROVAL": "never",
}
"""Environment of all commands, besides that of build/local.env, which chooses the stage ``local``."""
TYPED = {DESTROY: "local\n"}
"""Answers of the user, keyed by command. Without an answer, a bucket is kept."""
FOLDERS = {"photos": slice(None), "new-photos": slice(8)}
"""Folders of the user, with the sample photos in them."""
NOT_RUN = {
    "python3 -m venv .venv && source .venv/bin/activate": "make setup made the environment of the tests",
    "pip install '.[deploy,evaluate]'": "tests/cli/test_installation.py builds the package, without the network",
    "npm ci": "make setup has installed the CDK",
}
"""Commands that would need the network, and what stands for them."""
VERBS_ELSEWHERE = {
    "evaluate": "compares two files, without AWS; tests/cli/test_evaluate.py",
    "validate": "checks any dataset, also without AWS; test_commands.py runs it on the dataset of a run",
}
"""Subcommands of ``distill`` that the section does not run, with the reason."""
MODELS = {"teachers": ["local.teacher-pixels-v1:0"], "students": ["local.student-pixels-v1:0"]}
"""Models of the stage: the fast ones."""
NOT_COPIED = shutil.ignore_patterns(
    ".*", "__pycache__", "benchmarks", "build", "cdk.out", "docs", "node_modules", "tests"
)
TIMEOUT_SECONDS = 300
"""Longest time of one command, and of runs that the README does not wait for."""


def shell_commands(text: str) -> list[str]:
    """Return the commands of a block, each with its continuation lines and without its comment."""
    joined = text.replace("\\\n", " ")
    return [command for line in joined.splitlines() if (command := re.sub(r"(^|\s+)# .*", "", line).strip())]


COMMANDS = [command for language, text in BLOCKS if language == "bash" for command in shell_commands(text)]


class Terminal(NamedTuple):
    """A shell in a copy of the project, with ``make local`` in another terminal."""

    folder: Path
    aws: AwsEmulator

    def run(self, command: str) -> str:
        """Run a command of the README and return what it printed; fail if it fails. Variables stay for the next."""
        runs = command
        for text, instead in SUBSTITUTIONS.items():
            runs = runs.replace(text, instead)
        done = subprocess.run(
            ["bash", "-c", f"set -aeu -o pipefail\n. ./shell\n{runs}\nexport -p > shell"],
            cwd=self.folder,
            env=user_environment(),
            input=TYPED.get(command, ""),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
        assert done.returncode == 0, f"{runs}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    def variable(self, name: str) -> str:
        """Return the value of a variable that a command has set."""
        return self.run(f"echo ${name}").strip()

    def stack_names(self) -> set[str]:
        """Return the names of the stacks that exist."""
        stacks = self.aws.client("cloudformation").describe_stacks()["Stacks"]
        return {stack["StackName"] for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"}

    def resources(self) -> dict[str, str]:
        """Return the physical ids of the resources of both stacks, keyed by stack and logical id."""
        pages = self.aws.client("cloudformation").get_paginator("list_stack_resources")
        return {
            f"{stack}.{resource['LogicalResourceId']}": resource["PhysicalResourceId"]
            for stack in ("Distill-local-Storage", "Distill-local-Pipeline")
            for page in pages.paginate(StackName=stack)
            for resource in page["StackResourceSummaries"]
        }

    def execution_statuses(self) -> list[str]:
        """Return the status of every execution, once none is running."""
        machine = self.variable("MACHINE")
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            executions = self.aws.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
            statuses = [execution["status"] for execution in executions]
            if "RUNNING" not in statuses:
                return sorted(statuses)
            assert time.monotonic() < deadline, statuses
            time.sleep(0.2)


def user_environment() -> dict[str, str]:
    """Return the environment of a new shell, with the tools that ``make setup`` installed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {"HOME": os.environ["HOME"], "PATH": path, "PYTHONPATH": "."}


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """Start ``make local`` in a copy of the project, and synthesise the assembly meanwhile."""
    folder = tmp_path / "vision distillation"
    shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    settings = json.loads((folder / "cdk.json").read_text("utf-8"))
    settings["context"]["stages"]["local"] |= MODELS
    (folder / "cdk.json").write_text(json.dumps(settings), "utf-8")
    photos = sorted((ROOT / "samples" / "photos").glob("*.jpg"))
    for name, chosen in FOLDERS.items():
        (folder / name).mkdir()
        for photo in photos[chosen]:
            shutil.copy(photo, folder / name)
    shutil.copy(photos[0], folder / "photo.jpg")

    port = free_port()
    with (tmp_path / "local.log").open("w+") as log:
        local = subprocess.Popen(
            [sys.executable, "-m", "local", "serve", "--port", str(port)],
            cwd=folder,
            env=user_environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            synthesise("local", folder / "assembly", **MODELS)[0].synth()
            while not (folder / "build" / "local.env").exists():
                assert local.poll() is None, (tmp_path / "local.log").read_text()
                time.sleep(0.1)
            exports = [f"export {name}={value}" for name, value in VARIABLES.items()]
            (folder / "shell").write_text("\n".join([". build/local.env", *exports]))
            yield Terminal(folder, AwsEmulator(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"))
        finally:
            os.killpg(local.pid, signal.SIGINT)
            assert local.wait(TIMEOUT_SECONDS) == 130, (tmp_path / "local.log").read_text()


def run_snippet(code: str, terminal: Terminal) -> str:
    """Run the Python code of the section about the deployment of the run, and return what it printed."""
    (run,) = json.loads(terminal.run("distill runs $RUN --json"))
    (deployment,) = run["deployments"]
    code, number = re.subn(r"arn:aws:bedrock:us-east-1:ACCOUNT:custom-model-deployment/ID", deployment, code)
    assert number == 1
    (terminal.folder / "snippet.py").write_text(code, "utf-8")
    return terminal.run("python snippet.py")


def test_commands_of_the_readme_work_in_their_order(terminal: Terminal) -> None:
    printed: dict[str, str] = {}
    before: dict[str, dict[str, str]] = {}
    statuses: list[str] = []
    for language, text in BLOCKS:
        if language == "python":
            printed[language] = run_snippet(text, terminal)
        for command in shell_commands(text) if language == "bash" else ():
            if command in NOT_RUN:
                continue
            if command == UPDATE:
                statuses = terminal.execution_statuses()
            if command in (UPDATE, DESTROY):
                before[command] = terminal.resources()
            printed[command] = terminal.run(command)

    # What the commands print
    run = terminal.variable("RUN")
    assert "45 uploaded to s3://" in printed["distill upload ./photos holiday/"]
    assert f"{run}-n" in printed["distill runs"]
    assert printed["python"].startswith("['")
    assert len(list(terminal.folder.glob("build/reports/*/report.html"))) == 2

    # Runs: labels, baseline, training, a stopped one, apply, and two that the AWS CLI started
    assert statuses == ["ABORTED", *["SUCCEEDED"] * 6]

    # The second deployment added the subscription and replaced nothing.
    (added,) = before[DESTROY].keys() - before[UPDATE].keys()
    assert added.startswith("Distill-local-Pipeline.Notifications")
    assert before[UPDATE].items() <= before[DESTROY].items()

    # Nothing is left but the bootstrap stack and the buckets, with their photos.
    assert terminal.stack_names() == {"CDKToolkit"}
    s3, lambda_, bedrock = map(terminal.aws.client, ("s3", "lambda", "bedrock"))
    buckets = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    assert len(buckets & set(before[DESTROY].values())) == 3
    assert s3.list_objects_v2(Bucket=terminal.variable("PHOTOS"), Prefix="holiday/")["KeyCount"] == 46
    assert lambda_.list_functions()["Functions"] == []
    assert terminal.aws.client("stepfunctions").list_state_machines()["stateMachines"] == []
    assert bedrock.list_custom_models()["modelSummaries"] == []
    assert bedrock.list_custom_model_deployments()["modelDeploymentSummaries"] == []


def subcommands() -> Mapping[str, Any]:
    """Return the subcommands of ``distill``, keyed by name."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return group.commands


def test_every_block_of_the_section_and_of_the_page_about_calling_is_run_or_tested() -> None:
    assert {language for language, _ in BLOCKS} == {"bash", "python", "json"}
    assert [language for language, _ in BLOCKS].count("python") == 1
    # tests/docs/test_calling.py tests the policy.
    assert [language for language, _ in BLOCKS].count("json") == 1


def test_every_exception_names_a_command_of_the_section() -> None:
    assert NOT_RUN.keys() <= set(COMMANDS)
    assert TYPED.keys() <= set(COMMANDS)
    for text in SUBSTITUTIONS:
        assert any(text in command for command in COMMANDS), text
    for folder in FOLDERS:
        assert any(f"./{folder}" in command for command in COMMANDS), folder


def test_every_subcommand_is_run_or_is_listed_with_the_reason() -> None:
    run = {verb for command in COMMANDS for verb in re.findall(r"\bdistill ([a-z]+)", command)}

    assert run | VERBS_ELSEWHERE.keys() == set(subcommands())
    assert run & VERBS_ELSEWHERE.keys() == set()


@pytest.mark.parametrize("text", sorted(set(re.findall(r"`distill ([a-z][^`]*)`", re.sub(r"\s+", " ", README)))))
def test_options_in_the_text_of_the_readme_exist(text: str) -> None:
    verb, *words = text.split()
    options = {option for parameter in subcommands()[verb].params for option in parameter.opts}

    assert {word for word in words if word.startswith("-")} <= options
