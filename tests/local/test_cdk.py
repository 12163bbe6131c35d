"""The CDK command line: its errors, its end on an interrupt, and the cache of assemblies."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from cli.console import CommandError
from local import cdk


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the CDK's command; tests write a shell script there."""
    path = tmp_path / "the cdk"
    path.touch(mode=0o700)
    monkeypatch.setattr(cdk, "CLI", path)
    return path


def test_error_of_the_cdk_has_the_end_of_its_output_once(command: Path) -> None:
    command.write_text('#!/bin/sh\nseq 100\necho; echo "$*: AlreadyExists" >&2\nexit 1\n')

    with pytest.raises(CommandError) as error:
        cdk.run("deploy", "--all")
    lines = str(error.value).splitlines()

    assert lines[0] == "cdk deploy failed:"
    assert lines[1].strip() == "87"
    assert lines[-1].strip() == "deploy --all: AlreadyExists"


def test_missing_cdk_is_reported_with_its_remedy(command: Path) -> None:
    command.unlink()

    with pytest.raises(CommandError, match="make setup"):
        cdk.run("deploy")


def test_interrupt_ends_the_cdk_and_its_children_and_prints_nothing(
    command: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pid = tmp_path / "pid"
    command.write_text(
        f'#!/bin/sh\ntrap "echo interrupted" INT\nsleep 60 & echo $! > "{pid}.new"\nmv "{pid}.new" "{pid}"\nwait\n'
    )

    def interrupt() -> None:
        while not pid.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        cdk.run("synth")

    # A process that was killed may still end after the signal was sent.
    deadline = time.monotonic() + 10
    while _is_running(pid.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _is_running(pid.read_text().strip())
    assert capfd.readouterr() == ("", "")


def _is_running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.fixture
def syntheses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Return the CDK commands that run from now on in a project with one file."""
    commands: list[tuple[str, ...]] = []

    def run(*arguments: str) -> None:
        commands.append(arguments)
        Path(arguments[-1]).mkdir()
        (Path(arguments[-1]) / "manifest.json").touch()

    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "steps.py").write_text("one")
    monkeypatch.setattr(cdk, "run", run)
    monkeypatch.setattr(cdk, "ROOT", tmp_path)
    monkeypatch.setattr(cdk, "BUILD", tmp_path / "build")
    monkeypatch.setenv("HOME", str(tmp_path))
    return commands


@pytest.mark.parametrize("name", ["infra/steps.py", "app.py", "cdk.json", "cdk.context.json", "lambdas/label.py"])
def test_stage_is_synthesised_again_only_after_a_change_of_an_input(
    syntheses: list[tuple[str, ...]], tmp_path: Path, name: str
) -> None:
    first = cdk.synthesised_stage()
    (tmp_path / "README.md").write_text("new")

    assert cdk.synthesised_stage() == first
    assert len(syntheses) == 1
    assert syntheses[0][:4] == ("synth", "--quiet", "-c", "stage=local")
    assert list(first.iterdir()) == [first / "manifest.json"]

    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("two")

    assert cdk.synthesised_stage() != first
    assert len(syntheses) == 2


def test_assembly_that_another_process_synthesised_meanwhile_is_used(
    syntheses: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthesise = cdk.run

    def synthesise_twice(*arguments: str) -> None:
        synthesise(*arguments)
        monkeypatch.setattr(cdk, "run", synthesise)
        cdk.synthesised_stage()

    monkeypatch.setattr(cdk, "run", synthesise_twice)
    assembly = cdk.synthesised_stage()

    assert len(syntheses) == 2
    assert list((tmp_path / "build" / "cdk").iterdir()) == [assembly]
    assert list(assembly.iterdir()) == [assembly / "manifest.json"]


def test_assembly_that_was_not_used_for_a_day_is_deleted(syntheses: list[tuple[str, ...]], tmp_path: Path) -> None:
    old, recent = (tmp_path / "build" / "cdk" / name for name in ("old", "recent"))
    for folder in (old, recent):
        folder.mkdir(parents=True)
    two_days_ago = time.time() - 2 * 24 * 60 * 60
    os.utime(old, (two_days_ago, two_days_ago))
    cdk.synthesised_stage()

    assert recent.exists()
    assert not old.exists()
