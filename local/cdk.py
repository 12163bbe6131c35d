"""The pinned CDK command line: synthesise the stage ``local`` once, and deploy it to the AWS emulator.

The functions run inside ``aws_emulator``, whose environment variables lead the CDK to the emulator.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

from cli.console import CommandError
from cli.stage import stack_outputs
from infra.code_version import code_version
from local import BUILD, ROOT
from local.aws.account import ACCOUNT, REGION
from local.aws.emulator import AwsEmulator

CLI = ROOT / "node_modules" / ".bin" / "cdk"
"""The command that ``npx cdk`` runs. If it is not installed, npx would look for another one in the registry."""
STACKS = ("Distill-local-Storage", "Distill-local-Pipeline")
_INPUTS = ("app.py", "cdk*.json", "infra/**/*", "package-lock.json")
_UNUSED_SECONDS = 24 * 60 * 60
"""Age in seconds from which an assembly that no deployment has used is deleted."""
_SHOWN_LINES = 15
"""Number of the last lines of the CDK's output that an error shows."""


def run(*arguments: str) -> None:
    """Run the CDK that the project installs. Raises ``CommandError`` with the end of its output if it fails.

    An interrupt of this process ends the CDK, the app and its Node.js too.
    """
    command = [str(CLI), *arguments]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    try:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PATH": path, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise CommandError(f"the CDK cannot be started: {error}. Install it with: make setup") from None
    try:
        output, _ = process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    if process.returncode != 0:
        lines = [line for line in output.splitlines() if line.strip()][-_SHOWN_LINES:]
        raise CommandError("\n  ".join([f"cdk {arguments[0]} failed:", *lines]))


def synthesised_stage() -> Path:
    """Return the assembly of the stage ``local``, from the cache if its inputs have not changed."""
    assemblies = BUILD / "cdk"
    assembly = assemblies / _hash_of_inputs()
    if not assembly.exists():
        assemblies.mkdir(parents=True, exist_ok=True)
        _delete_unused(assemblies)
        with tempfile.TemporaryDirectory(dir=assemblies) as folder:
            new = Path(folder) / "assembly"
            run("synth", "--quiet", "-c", "stage=local", "--output", str(new))
            with contextlib.suppress(FileExistsError, OSError):  # Another process was faster.
                new.rename(assembly)
    return assembly


def bootstrap(assembly: Path) -> None:
    """Deploy the bootstrap stack of the CDK."""
    run("bootstrap", f"aws://{ACCOUNT}/{REGION}", "--app", str(assembly))


def deploy(assembly: Path, aws: AwsEmulator) -> dict[str, str]:
    """Deploy the stacks of an assembly and return their outputs, keyed by name."""
    run("deploy", "--all", "--app", str(assembly), "--require-approval", "never")
    outputs = [stack_outputs(aws.client("cloudformation"), stack) for stack in STACKS]
    return {name: value for stack in outputs for name, value in stack.items()}


def _hash_of_inputs() -> str:
    """Return the hash of everything that the assembly is made from."""
    paths = [path for pattern in _INPUTS for path in ROOT.glob(pattern)]
    # The CDK reads the user's own settings, too.
    paths = [path for path in (*paths, Path.home() / ".cdk.json") if path.is_file() and "__pycache__" not in path.parts]
    digest = hashlib.sha256(f"{code_version(ROOT)} aws-cdk-lib {metadata.version('aws-cdk-lib')}".encode())
    for path in sorted(paths):
        digest.update(f"\0{path}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _delete_unused(assemblies: Path) -> None:
    """Delete the assemblies that no deployment has used for a day. The CDK writes a lock into those that it uses."""
    for folder in assemblies.iterdir():
        if folder.stat().st_mtime < time.time() - _UNUSED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
