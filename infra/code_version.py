"""The version of the deployed code, for the manifest of each run."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

DEPLOYED_FILES = (
    *("distillation/**/*", "lambdas/**/*", "samples/prompts/**/*"),
    *("infra/layers/*.txt", "statemachine/*.yaml"),
)


def code_version(root: Path) -> str:
    """Return ``<commit> sha256:<hash>``, where the hash covers the contents of all deployed files.

    The hash identifies code that was never committed. Outside a git clone the commit is ``uncommitted``.
    """
    paths = [path for pattern in DEPLOYED_FILES for path in root.glob(pattern)]
    digest = hashlib.sha256()
    for path in sorted(filter(_is_deployed, paths)):
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(path.read_bytes())}\0".encode())
        digest.update(path.read_bytes())
    return f"{_commit(root)} sha256:{digest.hexdigest()}"


def _is_deployed(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def _commit(root: Path) -> str:
    try:
        result = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "uncommitted"
    return result.stdout.strip()
