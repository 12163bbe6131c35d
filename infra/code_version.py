"""Which code is deployed: told to the step that writes a run's manifest."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

DEPLOYED = (
    *("distillation/**/*", "lambdas/**/*", "samples/prompts/**/*"),
    *("infra/layers/*.txt", "statemachine/*.yaml"),
)


def code_version(root: Path) -> str:
    """Return ``<commit> sha256:<hash>``; the hash is of all files of the steps, the definition and the prompts.

    The hash tells code apart that was never committed; without git the commit is ``uncommitted``.
    """
    deployed = [path for pattern in DEPLOYED for path in root.glob(pattern)]
    digest = hashlib.sha256()
    for path in sorted(filter(_counts, deployed)):
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(path.read_bytes())}\0".encode())
        digest.update(path.read_bytes())
    return f"{_commit(root)} sha256:{digest.hexdigest()}"


def _counts(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def _commit(root: Path) -> str:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "uncommitted"
    return found.stdout.strip()
