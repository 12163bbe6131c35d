"""``python -m local``: the end of make demo and make local by a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local import ROOT

SLOW_CDK = """#!/bin/sh
trap "echo interrupted >&2" INT
sleep 60 & echo $! > "{pid}.new"
mv "{pid}.new" "{pid}"
wait
"""
SLOW_MODULE = """
import pathlib, time
pathlib.Path({begun!r}).touch()
time.sleep(60)
"""
MAIN = "sys.exit(importlib.import_module('local.__main__').main())"


def start(*command: str) -> subprocess.Popen[str]:
    """Start Python in a process group of its own, as a shell does."""
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait until a condition is true; fail if the process ends before."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGINT, 130, "\ndemo: interrupted; everything that it started has been stopped\n"),
        (signal.SIGTERM, 143, ""),
        (signal.SIGHUP, 129, ""),
    ],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_signal_during_the_imports_prints_at_most_one_line(
    number: signal.Signals, code: int, line: str, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    (tmp_path / "demo.py").write_text(SLOW_MODULE.format(begun=str(begun)))
    process = start("-c", f"import importlib, local, sys; local.__path__.insert(0, {str(tmp_path)!r}); {MAIN}", "demo")
    wait_until(begun.exists, process)
    os.killpg(process.pid, number)

    assert process.communicate() == ("", line)
    assert process.returncode == code


def test_interrupt_during_the_synthesis_prints_one_line_and_leaves_no_process(tmp_path: Path) -> None:
    pid, command = tmp_path / "pid", tmp_path / "slow-cdk"
    command.write_text(SLOW_CDK.format(pid=pid))
    command.chmod(0o700)
    changes = f"cdk.CLI, cdk.BUILD = {str(command)!r}, pathlib.Path({str(tmp_path)!r})"
    process = start("-c", f"import importlib, pathlib, sys; from local import cdk; {changes}; {MAIN}", "demo")
    wait_until(pid.exists, process)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate()

    assert output.splitlines()[-1] == "starting the AWS emulator and the local Bedrock endpoint, deploying with the CDK"
    assert errors == "\ndemo: interrupted; everything that it started has been stopped\n"
    status = Path(f"/proc/{pid.read_text().strip()}/stat")
    assert not status.exists() or status.read_text().split()[2] == "Z"


def test_make_passes_values_with_spaces_and_dashes_as_values(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nfor argument; do echo "$argument"; done\n')
    python.chmod(0o700)
    values = ["PHOTOS=-my photos", "OUT=-my reports", "REQUEST=-my request", "FORMAT=-class", "PORT=-1"]
    command = ["make", "--silent", "--assume-old=setup", f"BIN={tmp_path}", "demo", "local", *values]
    passed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()

    wanted = {"--photos=-my photos", "--out=-my reports", "--request=-my request", "--format=-class", "--port=-1"}
    assert wanted <= set(passed)
